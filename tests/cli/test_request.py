"""`blnk-auth request` and `blnk-auth token --headers`: the API from a shell, by the rules of the auth classes."""

from __future__ import annotations

import json
import ssl
from pathlib import Path

import click.testing
import pytest
import trustme
from support.canary.leaks import leaks
from support.command_line import CommandLine
from support.processes import free_port
from support.sites import Reply, Site

from blnk_auth.testing.sandbox import Fault, RecordedRequest, Sandbox, blink


@pytest.fixture
def signed_in(blnk_auth_cli: CommandLine) -> CommandLine:
    blnk_auth_cli.give(blnk_auth_cli.client(), "alice")
    return blnk_auth_cli


def sandbox_of(command_line: CommandLine) -> Sandbox:
    assert command_line.sandbox is not None
    return command_line.sandbox


def last_request(command_line: CommandLine) -> RecordedRequest:
    return sandbox_of(command_line).requests[-1]


def test_the_body_is_printed_and_the_token_is_not(signed_in: CommandLine) -> None:
    """The token is added, the body alone is printed, and the status is 0."""
    result = signed_in.run("request", f"{sandbox_of(signed_in).origin}/data/ledgers?limit=2")
    assert (result.exit_code, result.stderr) == (0, "")
    assert json.loads(result.stdout)
    sent = last_request(signed_in)
    assert (sent.method, sent.query) == ("GET", "limit=2")
    assert sent.headers["authorization"].startswith("Bearer blnk_at_")
    assert leaks([result.output], ["blnk_at_"]) == []


def test_a_rejected_token_is_renewed_and_the_request_is_repeated(signed_in: CommandLine) -> None:
    """As with every auth class: a renewal, and one more request with the same body."""
    sandbox = sandbox_of(signed_in)
    sandbox.revoke_access_tokens("alice")
    result = signed_in.run("request", "-d", '{"name": "main"}', f"{sandbox.origin}/data/ledgers")
    assert result.exit_code == 0, result.output
    first, _, second = sandbox.requests[-3:]
    assert first.body == second.body == b'{"name": "main"}'
    assert first.headers["authorization"] != second.headers["authorization"]


@pytest.mark.parametrize(
    ("arguments", "method", "content_type", "body"),
    [
        (("-d", '{"a": 1}'), "POST", "application/json", b'{"a": 1}'),
        (("-d", "a=1&b=2"), "POST", "application/x-www-form-urlencoded", b"a=1&b=2"),
        (("-d", "[1]", "-H", "content-type: text/plain"), "POST", "text/plain", b"[1]"),
        (("-X", "put", "-d", "@-"), "PUT", "application/json", b"[2]\n"),
        (("-d", "@body.bin"), "POST", "application/x-www-form-urlencoded", b"\xff\x00"),
        (("-X", "DELETE"), "DELETE", None, b""),
    ],
)
def test_a_body_is_sent_as_it_is(
    signed_in: CommandLine,
    monkeypatch: pytest.MonkeyPatch,
    *,
    arguments: tuple[str, ...],
    method: str,
    content_type: str | None,
    body: bytes,
) -> None:
    """As text, from a file or from standard input, byte for byte; with the type that fits, or the one that is named."""
    monkeypatch.chdir(signed_in.directory)
    Path("body.bin").write_bytes(b"\xff\x00")
    result = signed_in.run("request", *arguments, f"{sandbox_of(signed_in).origin}/data/ledgers", input="[2]\n")
    assert result.exit_code == 0, result.output
    sent = last_request(signed_in)
    assert (sent.method, sent.body, sent.headers.get("content-type")) == (method, body, content_type)


def test_further_headers_are_sent(signed_in: CommandLine) -> None:
    """Each with its name and value."""
    url = f"{sandbox_of(signed_in).origin}/data/ledgers"
    assert signed_in.run("request", url, "-H", "X-One: 1", "-H", "x-two:a: b").exit_code == 0
    sent = last_request(signed_in).headers
    assert (sent["x-one"], sent["x-two"]) == ("1", "a: b")


@pytest.mark.parametrize(("status", "exit_status"), [(404, 4), (429, 4), (500, 5), (503, 5)])
def test_the_exit_status_is_that_of_the_http_status(signed_in: CommandLine, status: int, exit_status: int) -> None:
    """4 for 4xx and 5 for 5xx; the body is printed all the same, and there is no line about it."""
    sandbox = sandbox_of(signed_in)
    sandbox.fail(Fault(status=status, body=b"no", headers={"content-type": "text/plain"}), at="api")
    result = signed_in.run("request", "-i", f"{sandbox.origin}/data/ledgers")
    assert (result.exit_code, result.stderr) == (exit_status, "")
    assert result.stdout.startswith(f"HTTP/1.1 {status} ")
    head, _, _ = result.stdout.partition("\n\n")
    assert "content-type: " in head


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("https://evil.test/x", "URL: https://evil.test may not receive the token, so nothing was sent; the token is"),
        ("/data/ledgers", "URL: it is not a whole address; write it with its scheme and host"),
        ("localhost:80/x", "URL: it is not a whole address"),
        ("ftp://host/x", "URL: it is not a whole address"),
        ("https://[/x", "URL: it is not a whole address"),
    ],
)
@pytest.mark.parametrize("command", [("request",), ("token", "--headers")])
def test_no_other_origin_gets_the_token(
    signed_in: CommandLine, command: tuple[str, ...], url: str, message: str
) -> None:
    """Nothing is sent, nothing is renewed, and the message names the origins that may have it."""
    sandbox = sandbox_of(signed_in)
    result = signed_in.run(*command, url)
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (2, "", 1)
    assert message in result.stderr
    assert ("--profile URL" in result.stderr) == ("evil" in url)
    assert sandbox.requests == ()


def test_http_in_place_of_https_is_named(signed_in: CommandLine) -> None:
    """For the origin of the API the message names the scheme, not the list of origins."""
    result = signed_in.run(
        "request", "http://api.cloud.blnkfinance.com/x", "--base-url", "https://api.cloud.blnkfinance.com"
    )
    assert "URL: the token is not sent over http; write https:// in the URL" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("-H", "Authorization: Bearer x"), "--header: Authorization is what this command adds; leave this header out"),
        (("-H", "no colon"), "write it as 'Name: value'"),
        (("-H", "X Y: z"), "--header: 'X Y' or its value cannot be sent in HTTP"),
        (("-d", "@/no/such"), "--data: '/no/such' cannot be read (No such file or directory); check the name after"),
        (("-X", "G T"), "it is not the name of an HTTP method"),
        (("--timeout", "5"), "'5' has no unit"),
    ],
)
def test_what_cannot_be_sent_is_refused(signed_in: CommandLine, arguments: tuple[str, ...], message: str) -> None:
    """One line that names the option, status 2, and no request."""
    sandbox = sandbox_of(signed_in)
    result = signed_in.run("request", *arguments, f"{sandbox.origin}/data/ledgers")
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in " ".join(result.stderr.split())
    assert sandbox.requests == ()


def test_an_api_that_does_not_answer_ends_with_3(signed_in: CommandLine) -> None:
    """The connection is refused, or closed in the middle."""
    url = f"http://127.0.0.1:{free_port()}"
    refused = signed_in.run("request", f"{url}/x", "--api-origins", url)
    assert (refused.exit_code, refused.stderr.startswith("blnk-auth: the API gave no complete response")) == (3, True)
    sandbox = sandbox_of(signed_in)
    sandbox.fail(Fault(disconnect=True), at="api")
    assert signed_in.run("request", f"{sandbox.origin}/x").exit_code == 3


def test_a_redirect_is_followed_on_demand_and_without_the_token_elsewhere(signed_in: CommandLine) -> None:
    """-L follows it as httpx does: to another origin, the token stays behind."""
    with Site(lambda _: Reply(200, b"arrived")) as other, Site(lambda _: Reply.redirect(f"{other.origin}/y")) as api:
        arguments = ("request", f"{api.origin}/x", "--api-origins", api.origin)
        assert signed_in.run(*arguments, "-i").stdout.startswith("HTTP/1.1 302 ")
        assert signed_in.run(*arguments, "-L").stdout == "arrived"
        assert None not in api.authorizations
        assert other.authorizations == [None]


@pytest.mark.parametrize("is_terminal", [True, False])
def test_a_terminal_gets_no_control_characters(
    signed_in: CommandLine, monkeypatch: pytest.MonkeyPatch, *, is_terminal: bool
) -> None:
    """A pipe gets the bytes as they came; on a terminal an escape sequence of the API is shown and not obeyed."""
    body = "é\x1b[31m\n".encode()
    monkeypatch.setattr(
        click.testing._NamedTextIOWrapper, "isatty", lambda self: is_terminal and self.name == "<stdout>"
    )
    with Site(lambda _: Reply(200, body)) as api:
        result = signed_in.run("request", f"{api.origin}/x", "--api-origins", api.origin)
    assert result.stdout_bytes == (body.replace(b"\x1b", b"?") if is_terminal else body)


def test_blinks_headers_and_certificate_are_sent_too(tmp_path: Path) -> None:
    """A bank behind bLink answers from a shell: with the certificate, the target, and headers of the user."""
    authority = trustme.CA()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(server)
    authority.configure_trust(server)
    server.verify_mode = ssl.CERT_OPTIONAL
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    authority.issue_cert(common_name="CIDP00001").private_key_and_cert_chain_pem.write_to_path(
        str(tmp_path / "client.pem")
    )
    with Sandbox("blink", tls=server, client_id="CIDP00001") as sandbox:
        command_line = CommandLine(tmp_path, sandbox)
        command_line.write(
            f'[profiles.default]\nprovider = "blink"\nbase_url = "{sandbox.origin}{blink.BASE_PATH}"\n'
            f'client_id = "CIDP00001"\ntarget_id = "{blink.DEFAULT_TARGET}"\nuser_agent = "Acme 1"\n'
            'username = "alice"\n'
            f'cert = "client.pem"\nverify = "ca.pem"\nsubject = "alice"\nstore = "sqlite:///{tmp_path}/tokens.db"\n'
        )
        command_line.give(command_line.client(), "alice")
        result = command_line.run("request", f"{sandbox.origin}/ais/v6/accounts")
        assert result.exit_code == 0, result.output
        sent = sandbox.requests[-1]
        assert sent.certificate == "CIDP00001"
        assert sent.headers["x-corapi-target-id"] == blink.DEFAULT_TARGET
        assert sent.headers["user-agent"] == "Acme 1"
        headers = command_line.run("token", "--headers", f"{sandbox.origin}/ais/v6/accounts").stdout.splitlines()
        assert {line.partition(":")[0].lower() for line in headers} >= {"authorization", "x-corapi-target-id"}


def test_headers_are_printed_for_curl(signed_in: CommandLine) -> None:
    """One line for each, which `curl -H @-` reads; --json is an object."""
    sandbox = sandbox_of(signed_in)
    url = f"{sandbox.origin}/data/ledgers"
    lines = signed_in.run("token", "--headers", url).stdout.splitlines()
    assert lines == [f"Authorization: Bearer {signed_in.run('token').stdout.strip()}"]
    assert json.loads(signed_in.run("token", "--json", "--headers", url).stdout).keys() == {"Authorization"}
