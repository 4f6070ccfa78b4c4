"""The client of `blnk-auth sandbox`: the same at each start, as a `.env` file, with a device code, and over TLS."""

from __future__ import annotations

import os
import re
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from support.command_line import SECRET, CommandLine, browser_command, command, finish, read_until, started
from support.limits import PATIENCE
from support.processes import free_port

from blnk_auth import BLink, BlnkCloud, Flinks, HttpxAuth, OAuthClient, Provider
from blnk_auth.testing.sandbox import browser
from blnk_auth.testing.sandbox._client_settings import settings_for
from blnk_auth.testing.sandbox._env_file import save_variables, with_variables
from blnk_auth.testing.sandbox._named_faults import FAULTS

API = {"blnk_cloud": "/data/ledgers", "blink": "/ais/v6/accounts", "flinks": "/api/fdx/5/accounts"}
BLINK_HEADERS = {
    "X-Correlation-ID": "one-call",
    "X-CorAPI-Target-ID": "IIDX99999",
    "X-PSU-IP-Address": "AUTO",
    "X-PSU-User-Agent": "AUTO",
}
NAMES = {each.__name__: each for each in (BLink, BlnkCloud, Flinks, OAuthClient, Provider)}


def variables_of(text: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


def printed_client(lines: list[str]) -> OAuthClient:
    """The client that the printed Python makes."""
    printed = "".join(lines)
    names: dict[str, Any] = dict(NAMES)
    exec(printed[printed.index("client = ") :], names)
    client: OAuthClient = names["client"]
    return client


def test_the_client_is_the_same_at_each_start() -> None:
    """So what was configured yesterday is right today; only what the sandbox printed may differ in its port."""
    printed = []
    for _ in range(2):
        with started("sandbox", "--port", "0") as (_, output):
            printed.append([line for line in read_until(output, "  )") if "127.0.0.1:" not in line])
    assert printed[0] == printed[1]
    assert any("sandbox-client" in line for line in printed[0])


@pytest.mark.parametrize(("personality", "path"), list(API.items()))
def test_env_is_all_that_the_command_line_needs(offline: CommandLine, personality: str, path: str) -> None:
    """With the variables of `--env` and no configuration file, `login` and `token` work, and the API is called."""
    port = free_port()
    chosen = ("--port", str(port), "--personality", personality, "--client-id", "acme", "--client-secret", SECRET)
    variables = variables_of(finish("sandbox", *chosen, "--env").stdout)
    assert variables["BLNK_AUTH_PROVIDER"] == personality
    environment = {**os.environ, **offline.environment, **variables}
    with started("sandbox", *chosen) as (_, output):
        read_until(output, "  )")
        signed_in_at_the_command_line(environment)
        token = subprocess.check_output(command("token"), text=True, timeout=PATIENCE, env=environment).strip()
        headers = {"Authorization": f"Bearer {token}", **BLINK_HEADERS}
        assert httpx.get(f"http://127.0.0.1:{port}{path}", headers=headers).status_code == 200


def test_env_of_a_sandbox_with_extensions_is_enough_too(offline: CommandLine) -> None:
    """`login` pushes, `request` proves: the client finds what the server demands, and binds its tokens to a key."""
    port = free_port()
    names = ("par_required", "dpop_required", "dpop_nonce_changes")
    chosen = ("--port", str(port), *(argument for name in names for argument in ("--extension", name)))
    variables = variables_of(finish("sandbox", *chosen, "--env").stdout)
    assert (variables["BLNK_AUTH_PROVIDER"], variables["BLNK_AUTH_DPOP"]) == ("discover", "true")
    environment = {**os.environ, **offline.environment, **variables}
    with started("sandbox", *chosen) as (_, output):
        read_until(output, "  )")
        signed_in_at_the_command_line(environment)
        url = f"http://127.0.0.1:{port}/data/ledgers"
        body = subprocess.check_output(command("request", url), text=True, timeout=PATIENCE, env=environment)
        assert "Customer wallets" in body


def signed_in_at_the_command_line(environment: dict[str, str]) -> None:
    login = subprocess.Popen(
        command("login", "--paste"), stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )
    with login:
        assert login.stderr is not None
        url = next(line.strip() for line in login.stderr if line.startswith("  http"))
        _, complaints = login.communicate(browser.sign_in(url, subject="alice", approve=True) + "\n", PATIENCE)
    assert login.returncode == 0, complaints


def test_env_needs_a_port_and_starts_nothing() -> None:
    """It prints and ends, also while a sandbox has the port; with any free port nobody knows which."""
    with started("sandbox", "--port", str(port := free_port())) as (_, output):
        read_until(output, "  )")
        finished = finish("sandbox", "--port", str(port), "--env")
    assert finished.returncode == 0
    assert variables_of(finished.stdout)["BLNK_AUTH_BASE_URL"] == f"http://127.0.0.1:{port}"
    refused = finish("sandbox", "--port", "0", "--env")
    assert refused.returncode == 2
    assert "name one with --port" in refused.stderr


def test_the_env_file_keeps_what_else_is_in_it(tmp_path: Path) -> None:
    """Variables are replaced where they are, those of another personality go, and everything else stays."""
    file = tmp_path / ".env"
    file.write_text("# mine\nDEBUG=1\nexport BLNK_AUTH_CLIENT_ID=old\nBLNK_AUTH_HOST=old\n\nPASSWORD='a b'\n")
    with started("sandbox", "--port", "0", "--env-file", str(file)) as (_, output):
        read_until(output, "  )")
        text = file.read_text()
    assert text.startswith("# mine\nDEBUG=1\nBLNK_AUTH_CLIENT_ID=sandbox-client\n\nPASSWORD='a b'\nBLNK_AUTH_PROVIDER=")
    assert "BLNK_AUTH_HOST" not in text
    assert file.stat().st_mode & 0o077 == 0


def test_an_env_file_is_written_once_and_through_a_link(tmp_path: Path) -> None:
    """Writing the same variables again changes nothing; a value is quoted where a shell needs that."""
    variables = {"A": "plain", "B": "two words; $(rm)"}
    once = with_variables("C=3\nA=1\nA=2\n", variables)
    assert once == "C=3\nA=plain\nB='two words; $(rm)'\n"
    assert with_variables(once, variables) == once
    (tmp_path / "real").write_text("C=3\n")
    (tmp_path / "link").symlink_to("real")
    save_variables(tmp_path / "link", {"A": "1"})
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text() == "C=3\nA=1\n"


@pytest.mark.parametrize(
    ("content", "complaint"), [(b"\xff\xfe", "it is not UTF-8 text"), (None, "Is a directory"), (..., "No such file")]
)
def test_an_env_file_that_cannot_be_written_is_named(tmp_path: Path, content: Any, complaint: str) -> None:
    """One line with the reason, and the file is as it was."""
    file = tmp_path / "missing" / ".env" if content is ... else tmp_path / ".env"
    if content is None:
        file.mkdir()
        finished = finish("sandbox", "--port", "0", "--env-file", str(file))
        assert finished.returncode == 2
        return
    if content is not ...:
        file.write_bytes(content)
    finished = finish("sandbox", "--port", "0", "--env-file", str(file))
    assert (finished.returncode, finished.stdout) == (2, "")
    assert finished.stderr.startswith(f"blnk-auth: --env-file {file} cannot be written ({complaint}")
    if content is not ...:
        assert file.read_bytes() == content


def test_every_redirect_uri_of_the_default_may_have_any_port() -> None:
    """A web framework's port and a free one of the command line both work with the sandbox's usual client."""
    with started("sandbox", "--port", "0") as (_, output):
        usual = printed_client(read_until(output, "  )"))
        for redirect_uri in ("http://127.0.0.1:8765/oauth/callback", "http://127.0.0.1:5000/callback"):
            client = OAuthClient(
                usual.provider, client_id="sandbox-client", client_secret="sandbox-secret", redirect_uri=redirect_uri
            )
            url = client.start_authorization("alice").url
            callback = browser.sign_in(url, subject="alice", approve=True)
            assert callback.startswith(f"{redirect_uri}?")
            assert client.finish_authorization(callback).state == "fresh"


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--client-id", "a:b"), "--client-id must have printable ASCII characters only, and no colon"),
        (("--client-id", ""), "--client-id must have printable ASCII characters only, and no colon"),
        (("--redirect-uri", "callback"), "--redirect-uri must be an absolute URI without a fragment, not 'callback'"),
        (("--redirect-uri", "http://a/#b"), "--redirect-uri must be an absolute URI without a fragment"),
        (
            ("--env", "--env-file", ".env"),
            "--env only prints, and --env-file is for a sandbox that runs; leave one out",
        ),
        (("--device", "--personality", "flinks"), "--device is for --personality blnk_cloud only, not flinks"),
    ],
)
def test_what_no_client_can_be_is_refused(arguments: tuple[str, ...], complaint: str) -> None:
    """With 2 and one line, before anything listens."""
    finished = finish("sandbox", "--port", "0", *arguments)
    assert (finished.returncode, finished.stdout) == (2, "")
    assert complaint in finished.stderr
    assert finished.stderr.count("\n") == 1


def test_sign_in_by_device_code(offline: CommandLine) -> None:
    """`login --device` with the variables of `--env` shows a code; a user enters it, and the token is there."""
    port = free_port()
    chosen = ("--port", str(port), "--device")
    variables = variables_of(finish("sandbox", *chosen, "--env").stdout)
    with started("sandbox", *chosen) as (_, output):
        printed = "".join(read_until(output, "  )"))
        assert f"http://127.0.0.1:{port}/device" in printed
        environment = {**os.environ, **offline.environment, **variables}
        arguments = command("login", "--device")
        with subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True, env=environment) as login:
            assert login.stderr is not None
            shown = next(line for line in login.stderr if line.startswith("On any device"))
            code = shown.split()[-1]
            form = {"user_code": code, "subject": "alice", "decision": "approve"}
            page = httpx.post(f"http://127.0.0.1:{port}/device", data=form)
            assert "The device is connected" in page.text
            assert login.wait(PATIENCE) == 0
            login.stderr.read()


@contextmanager
def over_tls(offline: CommandLine, *arguments: str) -> Iterator[list[str]]:
    environment = {**os.environ, **offline.environment, "XDG_STATE_HOME": str(offline.directory / "state")}
    chosen = command("sandbox", "--tls", "--port", "0", *arguments)
    with subprocess.Popen(chosen, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        try:
            yield read_until(process.stdout, "  )")
        finally:
            process.kill()


@pytest.mark.parametrize(("personality", "path"), list(API.items()))
def test_the_printed_client_works_over_tls(offline: CommandLine, personality: str, path: str) -> None:
    """Each provider over https; bLink's client has the certificate by which the real one knows it."""
    with over_tls(offline, "--personality", personality) as lines:
        client = printed_client(lines)
        authority = next(line.split()[-1] for line in lines if line.startswith("  certificate authority"))
        start = client.start_authorization("alice", scope="ACCOUNT_BASIC" if personality == "flinks" else None)
        assert start.url.startswith("https://")
        alice = client.finish_authorization(browser.sign_in(start.url, subject="alice", approve=True))
        context = ssl.create_default_context(cafile=authority)
        if personality == "blink":
            context.load_cert_chain(authority.replace("-ca.pem", "-client.pem"))
        with httpx.Client(auth=HttpxAuth(alice), verify=context) as http:
            assert http.get(client.provider.api_origins[0] + path).status_code == 200
        # Without the authority nobody is reached, so it is this run's certificate that is checked.
        with pytest.raises(httpx.ConnectError):
            httpx.get(client.provider.api_origins[0] + path)
        assert "PRIVATE KEY" not in Path(authority).read_text()
        assert Path(authority).stat().st_mode & 0o077 == 0


def test_the_files_of_tls_have_the_same_names_at_each_start(offline: CommandLine) -> None:
    """So `verify=` in a configuration stays right, although the authority is another one each time."""
    contents = []
    port = str(free_port())
    for _ in range(2):
        with over_tls(offline, "--port", port) as lines:
            authority = next(line.split()[-1] for line in lines if line.startswith("  certificate authority"))
            contents.append((authority, Path(authority).read_bytes()))
    assert contents[0][0] == contents[1][0]
    assert contents[0][1] != contents[1][1]


def test_python_and_variables_agree_on_odd_values() -> None:
    """A quote, a backslash, or another script in a value is the same in the printed Python."""
    odd = "s\"e\\c'r é$t"
    made = settings_for("blnk_cloud", origin="http://127.0.0.1:1", client_id="a", client_secret=odd, redirect_uri="x:y")
    assert made.variables()["BLNK_AUTH_CLIENT_SECRET"] == odd
    seen: dict[str, Any] = {}
    exec(made.python(), {"OAuthClient": lambda _provider, **settings: seen.update(settings), "BlnkCloud": BlnkCloud})
    assert seen["client_secret"] == odd
    assert odd not in repr(made)


# --- the page of the documentation -----------------------------------------------------------------------------------

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "test-with-the-sandbox.md").read_text("utf-8")


def commands(language: str) -> list[str]:
    """The blocks of that language on the page, in order."""
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def test_the_commands_of_the_page_run(offline: CommandLine) -> None:
    """One terminal runs the sandbox and writes the `.env` file; the other signs in and calls the API."""
    port = str(free_port())
    (start,) = commands("console")
    sign_in, buttons = (text.replace("8400", port) for text in commands("sh"))
    assert start == "$ blnk-auth sandbox --env-file .env\n"
    environment = {**offline.install(), "BROWSER": browser_command(offline.directory)}
    directory = offline.directory / "project"
    directory.mkdir()

    def typed(text: str) -> str:
        done = subprocess.run(
            ["bash", "-euc", text],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
            cwd=directory,
            env=environment,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    with started("sandbox", "--port", port, "--env-file", str(directory / ".env")) as (_, output):
        read_until(output, "  )")
        assert "Customer wallets" in typed(sign_in)
        token, *answers = typed(buttons).splitlines()
        assert token.startswith("blnk_at_")
        assert '"code_exchanges": 1' in answers[-1]
        assert httpx.post(f"http://127.0.0.1:{port}/oauth/token").json()["error"] == "invalid_grant"


def test_the_page_lists_every_fault() -> None:
    """Those that every provider has in one row, the others by provider and endpoint, all in the order of the code."""
    row = r"^\| (each|Blnk Cloud|bLink|Flinks) \| (token|api|revocation|par) \| (.*) \|$"
    rows = re.findall(row, PAGE, re.MULTILINE)
    listed = {(who, at): re.findall("`([^`]+)`", names) for who, at, names in rows}
    shared = [name for at in ("token", "api") for name in listed.pop(("each", at))]
    personalities = {"Blnk Cloud": "blnk_cloud", "bLink": "blink", "Flinks": "flinks"}
    found: dict[tuple[str, str], list[str]] = {}
    for who, personality in personalities.items():
        for name, fault in FAULTS[personality].items():
            if name not in shared:
                found.setdefault((who, fault.at), []).append(name)
        assert set(shared) < FAULTS[personality].keys()
    assert listed == found
