from __future__ import annotations

import datetime
import json
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from email.utils import format_datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import redis
import trustme
from support.canary.leaks import leaks
from support.command_line import SECRET, CommandLine
from support.processes import free_port
from support.server_processes import RedisServer

from blnk_auth import SQLiteStore
from blnk_auth.cli import checks
from blnk_auth.cli.checks import CHECKS, clock_skew, skew_finding
from blnk_auth.cli.finding import CheckedSetup, Finding
from blnk_auth.config import load_profile
from blnk_auth.testing.sandbox import Fault, Sandbox, blink


def findings(command_line: CommandLine, *arguments: str) -> tuple[int, dict[str, list[dict[str, Any]]]]:
    result = command_line.run("doctor", "--json", *arguments)
    found: dict[str, list[dict[str, Any]]] = {}
    for each in json.loads(result.stdout):
        found.setdefault(each["check"], []).append(each)
    return result.exit_code, found


def served(seconds: float) -> dict[str, str]:
    moment = datetime.datetime.fromtimestamp(seconds, datetime.UTC)
    return {"date": format_datetime(moment, usegmt=True)}


def test_a_healthy_client_has_nothing_to_fix(blnk_auth_cli: CommandLine) -> None:
    """Everything is looked at, everything is well, and neither a grant nor a secret is touched or shown."""
    status, found = findings(blnk_auth_cli)
    assert status == 0
    assert found.keys() == {name for name, _ in CHECKS}
    assert {each["verdict"] for check in found.values() for each in check} == {"ok"}
    shown = blnk_auth_cli.run("doctor").output
    assert leaks([shown], [SECRET]) == []
    assert list(blnk_auth_cli.client().store.keys()) == []


def test_refused_credentials_must_be_fixed(blnk_auth_cli: CommandLine) -> None:
    """A wrong client secret is found, without an effect at the server; which one was sent is not shown."""
    blnk_auth_cli.variables["SANDBOX_SECRET"] = "wrong-s3cret"
    status, found = findings(blnk_auth_cli)
    assert status == 2
    [finding] = found["credentials"]
    assert (finding["verdict"], "invalid_client" in finding["detail"]) == ("failed", True)
    assert leaks([repr(found)], ["wrong-s3cret"]) == []
    assert blnk_auth_cli.sandbox is not None
    counts = blnk_auth_cli.sandbox.counts
    # The other one is a GET, for the clock.
    assert (counts.token_requests, counts.refreshes, counts.reuses) == (2, 0, 0)


def test_credentials_are_checked_without_a_grant(blnk_auth_cli: CommandLine) -> None:
    """The check sends a made-up refresh token: no grant is read, changed or made."""
    client = blnk_auth_cli.client()
    blnk_auth_cli.give(client, "alice")
    before = client.store.load(client.for_subject("alice").store_key)
    _, found = findings(blnk_auth_cli)
    assert found["credentials"][0]["detail"] == "the token endpoint accepts the client"
    assert client.store.load(client.for_subject("alice").store_key) == before
    assert len(list(client.store.keys())) == 1
    assert blnk_auth_cli.sandbox is not None
    assert blnk_auth_cli.sandbox.counts.refreshes == 0


def test_credentials_that_only_a_bank_could_check_are_not_checked(tmp_path: Path) -> None:
    """Behind bLink each token request reaches a bank on behalf of a user, so the finding reports that no request was
    sent.
    """
    with Sandbox("blink") as sandbox:
        command_line = CommandLine(tmp_path, sandbox)
        command_line.write(
            f'[profiles.default]\nprovider = "blink"\nbase_url = "{sandbox.origin}{blink.BASE_PATH}"\n'
            f'client_id = "{sandbox.client_id}"\nclient_auth = "none"\ntarget_id = "IIDX99999"\n'
            'user_agent = "Acme 1"\nusername = "u"\n'
        )
        _, found = findings(command_line)
        assert found["credentials"][0]["detail"].startswith("not checked: ")
        # One for the clock, which is a GET.
        assert sandbox.counts.token_requests == 1


@pytest.mark.parametrize(
    "url",
    ["sqlite:///{directory}/t.db", "file:///{directory}/tokens", "memory:", "keyring:blnk-auth-tests"],
    ids=lambda url: url.partition(":")[0],
)
def test_every_kind_of_store_has_its_finding(blnk_auth_cli: CommandLine, url: str) -> None:
    """With any store, doctor ends with a finding about it, and never in a traceback."""
    blnk_auth_cli.configure(store=f'"{url.format(directory=blnk_auth_cli.directory)}"')
    result = blnk_auth_cli.run("doctor", "--json")
    assert result.exit_code in (0, 2), result.output
    assert [each for each in json.loads(result.stdout) if each["check"] == "store"]


def test_a_store_that_others_could_read_is_reported(blnk_auth_cli: CommandLine) -> None:
    """The store makes its file private when it opens it, and doctor reports that it was not."""
    database = blnk_auth_cli.directory / "tokens.db"
    with SQLiteStore(database) as store:
        store.save("key", {}, expected=None)
    assert findings(blnk_auth_cli)[1]["store"][-1]["verdict"] == "ok"
    database.chmod(0o644)
    status, found = findings(blnk_auth_cli)
    assert (status, found["store"][-1]["verdict"]) == (0, "warning")
    assert "other users could read" in found["store"][-1]["detail"]


def test_a_configuration_without_a_file_names_none(blnk_auth_cli: CommandLine) -> None:
    """In a container all comes from variables, and a file that does not exist is not reported as read."""
    blnk_auth_cli.file.unlink()
    assert blnk_auth_cli.sandbox is not None
    blnk_auth_cli.variables |= {
        "BLNK_AUTH_PROVIDER": "blnk_cloud",
        "BLNK_AUTH_BASE_URL": blnk_auth_cli.sandbox.origin,
        "BLNK_AUTH_CLIENT_ID": blnk_auth_cli.sandbox.client_id,
        "BLNK_AUTH_CLIENT_SECRET": SECRET,
        "BLNK_AUTH_REDIRECT_URI": "http://127.0.0.1:8765/callback",
    }
    status, found = findings(blnk_auth_cli)
    assert status == 0
    assert found["configuration"][0]["detail"].startswith("options and variables, without a file: client ")


def test_a_configuration_that_makes_no_client_is_the_only_finding(blnk_auth_cli: CommandLine) -> None:
    """A typo ends the examination with 2 and what is right instead."""
    blnk_auth_cli.configure(sope='"x"')
    status, found = findings(blnk_auth_cli)
    assert status == 2
    assert found["configuration"][0]["verdict"] == "failed"
    assert "did you mean 'scope'?" in found["configuration"][0]["remedy"]


def test_a_file_that_others_may_read_is_a_warning(blnk_auth_cli: CommandLine) -> None:
    """Without a secret in it, a file that others may read is a warning with the command that mends it."""
    blnk_auth_cli.file.chmod(0o644)
    status, found = findings(blnk_auth_cli)
    assert status == 0
    assert found["permissions"][0]["remedy"] == f"chmod 600 {blnk_auth_cli.file}"


def without(command_line: CommandLine, setting: str) -> None:
    lines = command_line.file.read_text().splitlines()
    command_line.write("\n".join(line for line in lines if not line.startswith(setting)))


def test_nobody_can_sign_in_without_a_place_for_it(blnk_auth_cli: CommandLine) -> None:
    """Without an authorization endpoint nobody can sign in, which is a warning, unless the server has device codes."""
    assert blnk_auth_cli.sandbox is not None
    token_endpoint = f'"{blnk_auth_cli.sandbox.origin}/oauth/token"'
    blnk_auth_cli.configure("custom", name='"n"', token_endpoint=token_endpoint, api_origins='["https://api.test"]')
    without(blnk_auth_cli, "base_url")
    _, found = findings(blnk_auth_cli)
    assert found["configuration"][1]["detail"] == "users cannot sign in without authorization_endpoint"
    assert "redirect" not in found
    with Sandbox(client_secret=SECRET, device_grant=True) as sandbox:
        by_device = CommandLine(blnk_auth_cli.directory, sandbox)
        by_device.discover()
        _, found = findings(by_device)
        assert [each["verdict"] for each in found["configuration"]] == ["ok"]


def test_the_port_of_the_redirect_is_tried(blnk_auth_cli: CommandLine) -> None:
    """A port that another program has is a warning with what to do; without a redirect_uri, the usual one is named."""
    assert blnk_auth_cli.sandbox is not None
    port = urlsplit(blnk_auth_cli.sandbox.redirect_uri).port or 0
    [finding] = findings(blnk_auth_cli)[1]["redirect"]
    assert finding["detail"] == f"login can listen on port {port} of 127.0.0.1"
    with socket.create_server(("127.0.0.1", port)):
        [finding] = findings(blnk_auth_cli)[1]["redirect"]
    assert (finding["verdict"], "is in use" in finding["detail"]) == ("warning", True)
    assert "--paste" in finding["remedy"]
    blnk_auth_cli.configure(redirect_uri='"https://app.test/callback"')
    assert "login with --paste" in findings(blnk_auth_cli)[1]["redirect"][0]["detail"]
    without(blnk_auth_cli, "redirect_uri")
    assert "login uses http://127.0.0.1:8765/callback" in findings(blnk_auth_cli)[1]["redirect"][0]["detail"]


def test_a_key_that_others_may_read_is_a_warning(blnk_auth_cli: CommandLine, authority: trustme.CA) -> None:
    """Each file with a key, by name; a certificate without one is public."""
    made, directory = authority.issue_cert("client"), blnk_auth_cli.directory
    made.private_key_pem.write_to_path(str(directory / "client.key"))
    made.cert_chain_pems[0].write_to_path(str(directory / "client.pem"))
    blnk_auth_cli.configure(cert='"client.pem"', cert_key='"client.key"')
    (directory / "client.pem").chmod(0o644)
    (directory / "client.key").chmod(0o600)
    assert [each["verdict"] for each in findings(blnk_auth_cli)[1]["permissions"]] == ["ok"]
    (directory / "client.key").chmod(0o640)
    [finding] = findings(blnk_auth_cli)[1]["permissions"]
    assert (finding["verdict"], finding["remedy"]) == ("warning", f"chmod 600 {directory / 'client.key'}")


def test_the_proxy_is_named_without_its_password(blnk_auth_cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    """That of the environment is the usual surprise: which one, who names it, and whether it can be reached."""
    assert "none" in findings(blnk_auth_cli)[1]["proxy"][0]["detail"]
    for name in ("NO_PROXY", "no_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    setup = setup_of(blnk_auth_cli, base_url="https://as.invalid")
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        port = proxy.getsockname()[1]
        monkeypatch.setenv("HTTPS_PROXY", f"http://user:pr0xy-s3cret@127.0.0.1:{port}")
        found = list(checks.check_proxy(setup))
        assert [each.verdict for each in found] == ["ok"]
        assert found[0].detail.startswith(f"https://as.invalid is asked through http://127.0.0.1:{port} (the environ")
        [looked_up] = checks.check_dns(setup)
        assert looked_up.detail == "not checked: the proxy looks up as.invalid"
    found = list(checks.check_proxy(setup))
    assert [each.verdict for each in found] == ["unavailable"]
    assert "NO_PROXY=as.invalid" in found[0].remedy
    assert leaks([repr(found)], ["pr0xy-s3cret"]) == []


@pytest.fixture
def service(tmp_path: Path) -> Iterator[CommandLine]:
    """A client with its own tokens only, at a server that issues them."""
    with Sandbox("flinks", client_secret=SECRET) as sandbox:
        command_line = CommandLine(tmp_path, sandbox)
        command_line.configure(
            "custom",
            name='"n"',
            token_endpoint=f'"{sandbox.origin}/api/v1/token"',
            api_origins='["https://api.test"]',
            client_auth='"client_secret_post"',
            token_body='"json"',
            scope='"client:admin"',
        )
        without(command_line, "base_url")
        yield command_line


def test_a_service_asks_for_a_token_that_is_not_kept(service: CommandLine) -> None:
    """A provider without refresh tokens: the credentials are checked by the client's own grant and the profile's
    scope, and the store gets nothing.
    """
    service.file.write_text(service.file.read_text() + '\ngrants = ["client_credentials"]\n')
    _, found = findings(service)
    assert found["credentials"][0]["detail"] == "the token endpoint issued a token to the client, which was not kept"
    assert list(service.client().store.keys()) == []
    service.variables["SANDBOX_SECRET"] = "wrong-s3cret"
    status, found = findings(service)
    assert (status, found["credentials"][0]["verdict"]) == (2, "failed")


def test_a_client_that_may_not_refresh_is_checked_by_its_own_grant(service: CommandLine) -> None:
    """`unauthorized_client` for a refresh means the grant, not the secret."""
    assert service.sandbox is not None
    refusal = Fault(status=400, body=b'{"error": "unauthorized_client"}', headers={"content-type": "application/json"})
    # The first request is the one for the clock.
    service.sandbox.fail(Fault(status=405), refusal, at="token")
    status, found = findings(service)
    assert (status, found["credentials"][0]["verdict"]) == (0, "ok")
    assert "issued a token to the client" in found["credentials"][0]["detail"]


def test_a_check_that_does_not_end_is_a_finding(blnk_auth_cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its time is limited, what it found until then is shown, and the others follow."""
    over = threading.Event()

    def hangs(_: CheckedSetup) -> Iterator[Finding]:
        yield Finding("store", "ok", "begun")
        over.wait()

    def works(_: CheckedSetup) -> Iterator[Finding]:
        yield Finding("after", "ok", "well")

    monkeypatch.setattr(checks, "CHECKS", (("store", hangs), ("after", works)))
    try:
        found = list(checks.run_checks(setup_of(blnk_auth_cli), limit=0.5))
    finally:
        over.set()
    assert [(each.check, each.verdict) for each in found] == [
        *(("store", "ok"), ("store", "unavailable"), ("after", "ok"))
    ]


def setup_of(command_line: CommandLine, **overrides: str) -> CheckedSetup:
    """What doctor checks with these settings."""
    profile = load_profile(path=command_line.file, overrides=overrides, environment=command_line.environment)
    return CheckedSetup.of(profile)


def test_what_is_out_of_reach_ends_with_3(blnk_auth_cli: CommandLine) -> None:
    """A server that does not answer is out of reach; the store is examined all the same."""
    status, found = findings(blnk_auth_cli, "--base-url", "http://127.0.0.1:9")
    assert status == 3
    assert found["clock"][0]["verdict"] == "unavailable"
    assert found["store"][0]["verdict"] == "ok"


def test_a_host_that_does_not_exist_is_found_by_name(blnk_auth_cli: CommandLine) -> None:
    """A host without an address is reported, with what to check."""
    _, found = findings(blnk_auth_cli, "--base-url", "https://nowhere.invalid")
    assert found["dns"][0]["verdict"] == "unavailable"
    assert "nowhere.invalid has no address" in found["dns"][0]["detail"]


def test_another_issuer_in_the_metadata_must_be_fixed(blnk_auth_cli: CommandLine) -> None:
    """Where the metadata names another issuer than the profile, discovery fails with that reason."""
    assert blnk_auth_cli.sandbox is not None
    status, found = findings(
        blnk_auth_cli, "--base-url", blnk_auth_cli.sandbox.origin.replace("127.0.0.1", "localhost")
    )
    assert status == 2
    assert "another issuer" in found["discovery"][0]["detail"]


@pytest.mark.parametrize(("pushes", "status", "verdict"), [(False, 2, "failed"), (True, 0, "ok")])
def test_a_server_that_demands_pushed_sign_ins_is_found(
    tmp_path: Path, pushes: bool, status: int, verdict: str
) -> None:
    """Before a user is sent there in vain."""
    redirect_uri = f"http://127.0.0.1:{free_port()}/oauth/callback"
    with Sandbox(client_secret=SECRET, redirect_uri=redirect_uri, extensions=("par_required",)) as sandbox:
        command_line = CommandLine(tmp_path, sandbox)
        command_line.configure(
            "custom",
            name='"acme"',
            issuer=f'"{sandbox.origin}"',
            token_endpoint=f'"{sandbox.origin}/oauth/token"',
            authorization_endpoint=f'"{sandbox.origin}/oauth/authorize"',
            api_origins=f'["{sandbox.origin}"]',
            **(
                {
                    "pushed_authorization_request_endpoint": f'"{sandbox.origin}/oauth/par"',
                    "requires_pushed_authorization_requests": "true",
                }
                if pushes
                else {}
            ),
        )
        without(command_line, "base_url")
        found_status, found = findings(command_line)
    assert (found_status, found["discovery"][0]["verdict"]) == (status, verdict)


def test_a_store_that_cannot_be_opened_must_be_fixed(blnk_auth_cli: CommandLine) -> None:
    """A store that is not a store ends with 2."""
    (blnk_auth_cli.directory / "tokens.db").write_text("this is no database, but it is long enough to be read as one")
    result = blnk_auth_cli.run("doctor", "--json")
    assert result.exit_code == 2
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    ("ahead", "verdict"),
    [(0, "ok"), (29, "ok"), (-29, "ok"), (60, "warning"), (-60, "warning"), (301, "failed"), (-301, "failed")],
)
def test_a_clock_that_is_off_is_judged_by_how_much(ahead: float, verdict: str) -> None:
    """Half a minute is nothing, a few minutes are a warning, and more breaks signed assertions."""
    skew = clock_skew(served(1_700_000_000), 1_700_000_000 + ahead, 1_700_000_000 + ahead)
    assert skew is not None
    assert skew == pytest.approx(ahead, abs=1)
    assert skew_finding(skew).verdict == verdict


@pytest.mark.parametrize("headers", [{}, {"date": "yesterday"}, {"date": ""}])
def test_a_server_without_a_date_gives_no_skew(headers: dict[str, str]) -> None:
    """Without a legible Date there is no skew."""
    assert clock_skew(headers, 0.0, 0.0) is None


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


def over_tls(tmp_path: Path, authority: trustme.CA, days: float) -> Iterator[CommandLine]:
    ends = datetime.datetime.fromtimestamp(time.time() + days * 86_400, datetime.UTC)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1", not_after=ends).configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    with Sandbox(client_secret=SECRET, tls=context) as sandbox:
        command_line = CommandLine(tmp_path, sandbox)
        command_line.configure(verify='"ca.pem"')
        yield command_line


@pytest.mark.parametrize(("days", "verdict"), [(90, "ok"), (5, "warning")])
def test_a_certificate_is_judged_by_its_end(tmp_path: Path, authority: trustme.CA, days: float, verdict: str) -> None:
    """The server's certificate is valid until its end, and a warning in its last three weeks."""
    for command_line in over_tls(tmp_path, authority, days):
        status, found = findings(command_line)
        assert status == 0
        assert found["certificate"][0]["verdict"] == verdict


def test_a_certificate_that_is_not_trusted_must_be_fixed(tmp_path: Path, authority: trustme.CA) -> None:
    """A certificate of an unknown authority, or one that has expired, fails with the reason."""
    for command_line in over_tls(tmp_path, authority, 90):
        trustme.CA().cert_pem.write_to_path(str(tmp_path / "ca.pem"))
        status, found = findings(command_line)
        assert status == 2
        assert "certificate refused" in found["tls"][0]["detail"]
    for command_line in over_tls(tmp_path, authority, -1):
        _, found = findings(command_line)
        assert "expired" in found["tls"][0]["detail"]


@pytest.mark.parametrize(("days", "verdict"), [(90, "ok"), (5, "warning"), (-1, "failed")])
def test_the_clients_own_certificate_is_read(
    blnk_auth_cli: CommandLine, authority: trustme.CA, days: float, verdict: str
) -> None:
    """The client's certificate is judged by its dates too."""
    ends = datetime.datetime.fromtimestamp(time.time() + days * 86_400, datetime.UTC)
    made = authority.issue_cert("client", not_after=ends)
    made.private_key_and_cert_chain_pem.write_to_path(str(blnk_auth_cli.directory / "client.pem"))
    blnk_auth_cli.configure(cert='"client.pem"')
    _, found = findings(blnk_auth_cli)
    assert found["certificate"][0]["verdict"] == verdict


@pytest.mark.parametrize(
    ("policy", "limit", "verdict"),
    [
        ("allkeys-lru", "100mb", "warning"),
        ("volatile-lru", "100mb", "ok"),
        ("noeviction", "100mb", "ok"),
        ("allkeys-lru", "0", "ok"),
    ],
)
def test_a_redis_server_that_drops_records_is_a_warning(
    blnk_auth_cli: CommandLine, policy: str, limit: str, verdict: str
) -> None:
    """With a limit and an allkeys policy, records disappear when the memory is full, and users must sign in again."""
    with RedisServer() as server:
        with redis.Redis.from_url(server.url) as client:
            client.config_set("maxmemory-policy", policy)
            client.config_set("maxmemory", limit)
        blnk_auth_cli.configure(store=f'"{server.url}"')
        status, found = findings(blnk_auth_cli)
    assert (status, found["store"][-1]["verdict"]) == (0, verdict)
    if verdict == "warning":
        assert "maxmemory-policy allkeys-lru" in found["store"][-1]["detail"]


def test_a_redis_server_that_allows_no_info_is_reported_as_not_checked(blnk_auth_cli: CommandLine) -> None:
    """Managed servers forbid INFO to some users; the finding reports it, and is not a failure."""
    with RedisServer() as server:
        with redis.Redis.from_url(server.url) as client:
            client.acl_setuser("app", enabled=True, passwords=["+pw"], commands=["+@all", "-info"], keys=["*"])
        blnk_auth_cli.configure(store=f'"{server.url.replace("redis://", "redis://app:pw@")}"')
        status, found = findings(blnk_auth_cli)
    assert (status, found["store"][-1]["verdict"]) == (0, "ok")
    assert found["store"][-1]["detail"].startswith("not checked")
