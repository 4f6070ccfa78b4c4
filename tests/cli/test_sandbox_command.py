from __future__ import annotations

import re
import signal
import socket
from pathlib import Path
from typing import Any

import httpx
import pytest
from support.command_line import finish, read_until, started
from support.limits import PATIENCE

from blnk_auth import BLink, BlnkCloud, Flinks, HttpxAuth, OAuthClient, Provider
from blnk_auth.cli.sandbox_address import SandboxAddress
from blnk_auth.testing.sandbox import browser


def printed_address(lines: list[str]) -> SandboxAddress:
    text = "".join(lines)

    def value(name: str) -> str:
        found = re.search(rf"^  {name} +(\S+)$", text, re.MULTILINE)
        assert found is not None, text
        return found[1]

    origin = value("token endpoint").removesuffix("/oauth/token")
    return SandboxAddress(origin, value("client_id"), value("client_secret"), value("redirect_uri"))


def test_what_it_prints_is_all_that_a_client_needs() -> None:
    """With what it prints, a user signs in and the API is called; Ctrl-C then ends it with 0."""
    with started("sandbox", "--port", "0", "--lifetime", "77s") as (process, output):
        address = printed_address(read_until(output, "  )"))
        client = OAuthClient(
            BlnkCloud(base_url=address.origin),
            client_id=address.client_id,
            client_secret=address.client_secret,
            redirect_uri=address.redirect_uri,
        )
        url = client.start_authorization("alice").url
        alice = client.finish_authorization(browser.sign_in(url, subject="alice", approve=True))
        token = alice.token()
        assert token.expires_at is not None
        assert token.issued_at is not None
        assert token.expires_at - token.issued_at == pytest.approx(77)
        assert httpx.get(f"{address.origin}/data/ledgers", auth=HttpxAuth(alice)).status_code == 200
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 0
        assert output.read() == ""


@pytest.mark.parametrize(
    ("personality", "extensions", "path", "lifetime"),
    [
        ("blnk_cloud", (), "/data/ledgers", 3600),
        ("blnk_cloud", ("par_required", "dpop_required", "dpop_nonce_changes"), "/data/ledgers", 3600),
        ("blink", (), "/ais/v6/accounts", 86_400),
        ("blink", ("consent_3",), "/ais/v6/accounts", 86_400),
        ("flinks", (), "/api/fdx/5/accounts", 299),
    ],
)
def test_each_provider_is_played_and_the_printed_client_works(
    personality: str, extensions: tuple[str, ...], path: str, lifetime: int
) -> None:
    """The printed code runs unchanged: alice signs in, and that provider's API is called with her token."""
    chosen = [argument for name in extensions for argument in ("--extension", name)]
    with started("sandbox", "--port", "0", "--personality", personality, *chosen) as (_, output):
        printed = "".join(read_until(output, "  )"))
        providers = {"BLink": BLink, "BlnkCloud": BlnkCloud, "Flinks": Flinks, "Provider": Provider}
        names: dict[str, Any] = {"OAuthClient": OAuthClient, **providers}
        exec(printed[printed.index("client = ") :], names)
        client: OAuthClient = names["client"]
        scope = "ACCOUNT_BASIC" if personality == "flinks" else None
        url = client.start_authorization("alice", scope=scope).url
        assert url.partition("?")[0] in printed
        alice = client.finish_authorization(browser.sign_in(url, subject="alice", approve=True))
        token = alice.token()
        assert token.expires_at is not None
        assert token.issued_at is not None
        assert token.expires_at - token.issued_at == pytest.approx(lifetime)
        api = client.provider.api_origins[0]
        assert httpx.get(f"{api}{path}", auth=HttpxAuth(alice)).status_code == 200


def test_an_unknown_personality_is_refused() -> None:
    """With those that there are."""
    finished = finish("sandbox", "--personality", "plaid")
    assert finished.returncode == 2
    assert "blnk_cloud" in finished.stderr
    assert "flinks" in finished.stderr


def test_extensions_are_switched_on_by_name() -> None:
    """The metadata of the sandbox lists them; a name that there is not ends it with 2, and the error lists all."""
    with started("sandbox", "--port", "0", "--extension", "par_required", "--extension", "rar") as (_, output):
        address = printed_address(read_until(output, "  )"))
        announced = httpx.get(f"{address.origin}/.well-known/oauth-authorization-server").json()
        assert announced["require_pushed_authorization_requests"] is True
        assert "authorization_details_types_supported" in announced
        assert "grant_management_endpoint" not in announced
    finished = finish("sandbox", "--port", "0", "--extension", "pra")
    assert (finished.returncode, finished.stdout) == (2, "")
    assert finished.stderr.startswith(
        "blnk-auth: --extension 'pra' is not an extension of 'blnk_cloud'; known are: par,"
    )


def test_the_state_file_is_for_another_program_and_its_removal_ends_the_sandbox(tmp_path: Path) -> None:
    """The state file holds the same address as is printed, for this user only; the sandbox ends when it is removed."""
    file = tmp_path / "sandbox.json"
    with started("sandbox", "--port", "0", "--state-file", str(file)) as (process, output):
        printed = printed_address(read_until(output, "  )"))
        assert SandboxAddress.load(file) == printed
        assert file.stat().st_mode & 0o077 == 0
        file.unlink()
        assert process.wait(PATIENCE) == 0


def test_it_ends_when_nobody_uses_it() -> None:
    """With `--idle-exit` it ends by itself, with 0."""
    assert finish("sandbox", "--port", "0", "--idle-exit", "0.1s").returncode == 0


def test_a_port_that_is_taken_is_an_error_in_one_line() -> None:
    """A port in use ends it with 2, and one line names the option, the likely reason, and what to do."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        finished = finish("sandbox", "--port", str(port))
    assert (finished.returncode, finished.stdout) == (2, "")
    assert finished.stderr.startswith(f"blnk-auth: --port {port} is in use, perhaps by another sandbox (open http://")
    assert finished.stderr.endswith("choose another port, or 0 for any free one\n")
    assert finished.stderr.count("\n") == 1


@pytest.mark.parametrize("lifetime", ["-1s", "nan", "soon", "60"])
def test_a_lifetime_that_is_not_valid_is_refused(lifetime: str) -> None:
    """A lifetime that is not a number of seconds ends it with 2 and one line that names the option."""
    finished = finish("sandbox", "--lifetime", lifetime)
    assert (finished.returncode, finished.stdout) == (2, "")
    assert finished.stderr.startswith("blnk-auth: ")
    assert "--lifetime" in finished.stderr
    assert finished.stderr.count("\n") == 1


def test_a_state_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """It ends with 2 before it prints where it runs, and one line names the option."""
    finished = finish("sandbox", "--port", "0", "--state-file", str(tmp_path / "missing" / "sandbox.json"))
    assert (finished.returncode, finished.stdout) == (2, "")
    assert finished.stderr.startswith(f"blnk-auth: --state-file {tmp_path}")
    assert finished.stderr.count("\n") == 1


@pytest.mark.parametrize("text", ["", "{", "[]", '{"origin": "http://127.0.0.1:1"}', "null"])
def test_a_state_file_without_an_address_is_ignored(tmp_path: Path, text: str) -> None:
    """A garbled or incomplete state file loads as None, and so does a missing one."""
    file = tmp_path / "sandbox.json"
    assert SandboxAddress.load(file) is None
    file.write_text(text)
    assert SandboxAddress.load(file) is None


def test_the_address_hides_its_secret() -> None:
    """The repr of an address does not show the client's secret."""
    assert "s3cr3t" not in repr(SandboxAddress("http://127.0.0.1:1", "id", "s3cr3t", "http://127.0.0.1:2/"))
