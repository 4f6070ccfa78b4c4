"""Passwords in URLs, secrets in variables and in wrong places: no line of the command line shows them."""

from __future__ import annotations

import pytest
from support.command_line import SECRET, CommandLine
from support.leaks import leaks

PASSWORD = "pa55w0rd-of-a-url"

STORES = (
    f"postgres://user:{PASSWORD}@127.0.0.1:1/name",
    f"postgresql+psycopg://user:{PASSWORD}@127.0.0.1:1/name",
    f"postgresql+nodriver://user:{PASSWORD}@127.0.0.1:1/name",
    f"postgresql+asyncpg://user:{PASSWORD}@127.0.0.1:1/name",
    f"mysql+pymysql://user:{PASSWORD}@127.0.0.1:1/name",
    f"mysql+pymysql://user:{PASSWORD}@127.0.0.1:port/name",
    f"redis://user:{PASSWORD}@127.0.0.1:1/0",
    f"redis://user:{PASSWORD}@127.0.0.1:port/0",
    f"redis://user:{PASSWORD}@[127.0.0.1/0",
    f"rediss://:{PASSWORD}@127.0.0.1:1/x",
    f"sqllite://user:{PASSWORD}@host/name",
    f"sqlite://user:{PASSWORD}@host/name",
    f"file://user:{PASSWORD}@host/name",
    f"sqlite://user:{PASSWORD}@[host/name",
    f"sqlite:///{PASSWORD}%00/name",
)

COMMANDS = (("token",), ("status",), ("doctor",), ("keepalive",), ("renew",), ("logout", "--forget"))


@pytest.mark.parametrize("store", STORES)
def test_the_password_of_a_store_is_not_printed(blnk_auth_cli: CommandLine, store: str) -> None:
    """Whether the URL is refused, its driver is missing, or its server is down, and wherever the URL comes from."""
    shown = [blnk_auth_cli.run(*command, "--store", store).output for command in COMMANDS]
    shown += [blnk_auth_cli.run("store", command, store).output for command in ("list", "check", "migrate")]
    shown.append(blnk_auth_cli.run("store", "copy", store, "memory:").output)
    blnk_auth_cli.configure(store=f'"{store}"')
    shown += [blnk_auth_cli.run(*command).output for command in COMMANDS]
    assert leaks(shown, [PASSWORD]) == []
    assert all(shown)


@pytest.mark.parametrize("proxy", [f"http://user:{PASSWORD}@127.0.0.1:1", f"socks9://user:{PASSWORD}@127.0.0.1:1"])
def test_the_password_of_a_proxy_is_not_printed(blnk_auth_cli: CommandLine, proxy: str) -> None:
    """Nor where the proxy cannot be reached, or is not a proxy."""
    blnk_auth_cli.give(blnk_auth_cli.client(), "alice")
    shown = [blnk_auth_cli.run(*command, "--proxy", proxy).output for command in COMMANDS]
    assert leaks(shown, [PASSWORD]) == []
    assert all(shown)


@pytest.mark.parametrize(
    "setting", ["client_id", "redirect_uri", "base_url", "client_auth", "provider", "cert", "verify", "private_key"]
)
def test_a_secret_under_the_wrong_key_is_shown_once_at_most_by_its_owner(
    blnk_auth_cli: CommandLine, setting: str
) -> None:
    """The client secret itself is never printed, with any other mistake in the profile."""
    blnk_auth_cli.configure(**{setting: '"wrong"'})
    shown = [blnk_auth_cli.run(*command).output for command in COMMANDS]
    assert leaks(shown, [SECRET]) == []


def test_a_secret_of_the_wrong_type_is_not_printed(blnk_auth_cli: CommandLine) -> None:
    """A list or a table in the place of a secret is described by its type."""
    for value in (f'["{PASSWORD}"]', f'{{ a = "{PASSWORD}" }}', f'"{PASSWORD}${{"', f'"keyring:{PASSWORD}"'):
        blnk_auth_cli.configure(client_secret=value)
        assert leaks([blnk_auth_cli.run("token").output], [PASSWORD]) == []


def test_answers_to_init_are_not_printed(offline: CommandLine) -> None:
    """The secret is asked for without showing it, also after an answer that cannot work."""
    first, second = f"\nhttp://api.test\nid\n{PASSWORD}\n\n\nbob\n", "\nhttp://127.0.0.1:1\n\n\n\n\n\n"
    result = offline.run("init", input=first + second)
    assert result.exit_code == 0, result.output
    assert leaks([result.output], [PASSWORD]) == []
