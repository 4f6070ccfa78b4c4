"""Rows: every command of the command line, in this process, with all that it writes and all that it is given.

A command that is a process of its own, because it runs until it is stopped or starts others, is in the thorough run.
"""

from __future__ import annotations

import json
import webbrowser
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

from click.testing import Result
from support.command_line import CommandLine

from .faults import BROKEN, quotes
from .rows_sign_in import browse
from .rows_stores import URLS
from .sinks import Shown, of_error
from .table import add_row, row
from .world import CLIENT_ID, World

REDIRECT_URI = "http://127.0.0.1/callback"
ISSUED = {"access_token": "access token", "refresh_token": "refresh token"}

FAULTS = (*quotes("token", ("error_description", "error_description of invalid_grant", "error", "HTML")),
          *(f"token: {name}" for name in BROKEN[:2]), "token: odd members", "token: malformed")  # fmt: skip


class Terminal:
    """The command line with a profile for the trial's server, and a grant of alice in its store."""

    def __init__(self, world: World, *, signed_in: bool = True, **settings: str) -> None:
        self.world = world
        origin = world.server.origin
        server: Any = SimpleNamespace(origin=origin, client_id=CLIENT_ID, redirect_uri=REDIRECT_URI)
        self.command_line = CommandLine(world.directory, server, {"SANDBOX_SECRET": world.client_secret})
        issuer = f"{origin}/{world.directory.name}"
        self.command_line.configure(provider="discover", issuer=f'"{issuer}"', **settings)
        file = self.command_line.file
        file.write_text(file.read_text().replace(f'base_url = "{origin}"', f'api_origins = ["{origin}"]'))
        if signed_in:
            self.sign_in()

    def sign_in(self) -> None:
        """A grant that is to be renewed now."""
        client = self.command_line.client()
        client.for_subject("alice").adopt(self.world.token(issued_at=1.0, expires_at=2.0))

    def run(self, *arguments: str, input: str | None = None, **variables: str | None) -> Result:  # noqa: A002
        """Run a command; its output is searched, and so is the error that it ended with."""
        result = self.command_line.run(*arguments, input=input, **variables)
        sink = f"output of {arguments[0] if arguments else 'blnk-auth'}"
        self.world.watch.shown += [Shown(sink, result.stdout), Shown(sink, result.stderr)]
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            self.world.watch.shown += of_error(result.exception)
        assert not isinstance(result.exception, AssertionError), result.exception
        return result


def _ran(*arguments: str, works: bool = False, **settings: str) -> Callable[[World], object]:
    def operation(world: World) -> object:
        result = Terminal(world, **settings).run(*arguments)
        failed = "token" in world.server.faults or "revocation" in world.server.faults
        assert failed or not works or result.exit_code == 0, result.output
        return result.exit_code

    return operation


SOME = (FAULTS[0], "token: odd members")
"""What every command meets; `token` meets all of `FAULTS`, and the others do in the deep run."""

DOCUMENT = (
    *("--client-id", "https://app.example.com/client.json", "--client-name", "Acme"),
    *("--redirect-uri", "http://127.0.0.1:8765/callback"),
)

COMMANDS = ("token", "renew", "status", "doctor", "keepalive", "logout")


def _rows() -> None:
    for command in COMMANDS:
        for as_json in (False, True):
            arguments = (command, *(("--json",) if as_json else ()))
            revoking = quotes("revocation", ("error_description", "HTML")) if command == "logout" else ()
            faults = (*FAULTS, *revoking)
            works = command not in ("doctor", "status")
            title = f"blnk-auth {' '.join(arguments)}"
            usual = faults if command == "token" and not as_json else (*SOME, *revoking)
            known = () if command == "status" else usual
            add_row(title, _ran(*arguments, works=works), "", failures=known, further=faults)
    for command in ("token", "renew", "doctor", "keepalive"):
        add_row(f"blnk-auth {command} --verbose", _ran(command, "--verbose"), "", failures=SOME[:1], further=FAULTS)
    for arguments in (("token", "--headers"), ("request",), ("request", "--verbose", "--include")):
        add_row(f"blnk-auth {' '.join(arguments)} URL", partial(_requested, arguments), "", failures=FAULTS[:2])
    add_row("blnk-auth logout --forget", _ran("logout", "--forget", works=True), "")
    add_row("blnk-auth token --itself", _ran("token", "--itself", works=True), "", failures=SOME, further=FAULTS)
    for shell in ("bash", "zsh", "fish"):
        add_row(f"blnk-auth completion {shell}", _ran("completion", shell, works=True), "")
    add_row("blnk-auth client-metadata", _ran("client-metadata", *DOCUMENT, works=True), "")
    add_row("blnk-auth store, and every other command with a damaged store", _damaged, "")
    for index, template in enumerate(URLS):
        # The stores' own rows have them all.
        is_deep = not template.startswith(("redis://user", "mysql+pymysql://user:{}@127.0.0.1:port", "{}"))
        add_row(f"blnk-auth with the URL of a store {index}", partial(_with_store, template), "", deep=is_deep)
    for name, arguments in MISTAKES.items():
        add_row(f"blnk-auth, {name}", partial(_mistaken, arguments), "")


def _requested(arguments: tuple[str, ...], world: World) -> object:
    """To the API, and to another origin, whose URL has a secret."""
    terminal, secret = Terminal(world), world.secrets.new("secret in a URL", "-._~")
    terminal.run(*arguments, f"https://user:{secret}@other.test/x")
    # The output of `token --headers` is the token.
    origin = "http://127.0.0.1:1" if arguments[0] == "token" else world.server.origin
    return terminal.run(*arguments, f"{origin}/x").exit_code


def _at_a_url(command: str, world: World) -> object:
    """At an API that describes its own sign-in, after `login URL`; then with a secret in the URL."""
    terminal, api = Terminal(world, signed_in=False), f"{world.server.origin}/of/{world.directory.name}/{command}"
    original = webbrowser.open
    world.stack.callback(setattr, webbrowser, "open", original)
    webbrowser.open = lambda url, *_: browse(world, url) or True
    signed_in = terminal.run("login", "--timeout", "20s", api, BROWSER="x")
    assert "token" in world.server.faults or signed_in.exit_code == 0, signed_in.output
    terminal.run(command, f"https://user:{world.secrets.new('secret in a URL', '-._~')}@other.test/x")
    # The output of `token` is the token.
    return None if command == "token" else terminal.run(command, api).exit_code


def _damaged(world: World) -> object:
    terminal = Terminal(world)
    store = terminal.command_line.client().store
    key = terminal.command_line.client().for_subject("alice").store_key
    record = store.load(key)
    assert record is not None
    data = {**record.data, "token": {**record.data["token"], "expires_at": "soon"}}
    store.save(key, data, expected=record.version)
    for command in COMMANDS:
        terminal.run(command)
    url = f"sqlite:///{world.directory}/tokens.db"
    for arguments in (
        ("list", url),
        ("check", url),
        ("copy", url, f"file:///{world.directory}/copy"),
        ("migrate", url),
    ):
        terminal.run("store", *arguments)
    names = ("access_token", "refresh_token", "client_secret")
    stored = json.dumps({name: world.secrets.new(name) for name in names})
    for number, text in enumerate((stored, stored[:-9])):
        file = world.directory / f"token{number}.json"
        file.write_text(text)
        terminal.run("store", "import", "--from", "authlib", "--subject", "bob", str(file))
    return None


def _with_store(template: str, world: World) -> object:
    url = template.format(world.secrets.new("password of a store", "-._~"))
    terminal = Terminal(world, signed_in=False)
    for arguments in (("token", "--store", url), ("store", "list", url), ("store", "copy", url, "memory:")):
        terminal.run(*arguments)
    for command in ("migrate", "check"):
        terminal.run("store", command, url)
    return terminal.run("status", BLNK_AUTH_STORE=url)


MISTAKES: dict[str, tuple[str, ...]] = {
    "a secret as an argument": ("token", "{}"),
    "a secret as an option": ("token", "--client-secret", "{}"),
    "a secret as the value of an option": ("token", "--client-secret={}"),
    "a secret as a short option": ("token", "-s{}"),
    "a secret for a number": ("login", "--port", "{}"),
    "a secret for a choice": ("token", "--client-auth", "{}"),
    "a secret for a parameter": ("login", "--parameter", "{}"),
    "a secret for a reference": ("init", "--non-interactive", "--provider", "flinks", "--client-secret-from", "{}"),
    "a secret for a duration": ("keepalive", "--horizon", "{}"),
    "a secret for a URL": ("request", "{}"),
    "a token for a URL": ("request", "Authorization: Bearer {}"),
    "a token as a header": ("request", "https://127.0.0.1:1", "-H", "Authorization: Bearer {}"),
    "a token as a header without its name": ("request", "https://127.0.0.1:1", "-H", "{}"),
    "a file for a body": ("request", "https://127.0.0.1:1", "-d", "@{}"),
    "a secret for a command": ("{}",),
    "a secret for a command of store": ("store", "{}"),
    "a password in a base URL": ("token", "--base-url", "https://user:{}@127.0.0.1:1"),
    "a password in a proxy": ("token", "--proxy", "http://user:{}@127.0.0.1:1"),
    "a password in a proxy of no known kind": ("token", "--proxy", "socks9://user:{}@127.0.0.1:1"),
}


def _mistaken(arguments: tuple[str, ...], world: World) -> object:
    secret = world.secrets.new("client secret", "-._~")
    return Terminal(world).run(*(each.format(secret) for each in arguments)).exit_code


_rows()
for of_url in ("token", "request", "status", "logout"):
    with_faults = FAULTS[:2] if of_url == "request" else ()
    add_row(f"blnk-auth {of_url} URL of an API", partial(_at_a_url, of_url), "", failures=with_faults, further=FAULTS)


@row("", failures=SOME, further=FAULTS)
def blnk_auth_login(world: World) -> object:
    """With a browser on this machine."""
    terminal = Terminal(world, signed_in=False)
    original = webbrowser.open
    world.stack.callback(setattr, webbrowser, "open", original)
    webbrowser.open = lambda url, *_: browse(world, url) or True
    return terminal.run("login", "--timeout", "20s", BROWSER="x").exit_code


@row("", failures=quotes("device", ("error_description",)), further=(*FAULTS, *quotes("device", ("HTML",))))
def blnk_auth_login_with_a_device(world: World) -> object:
    """With a code to enter elsewhere."""
    return Terminal(world, signed_in=False).run("login", "--device", "--json", "--timeout", "20s").exit_code


@row("")
def blnk_auth_login_by_pasting_wrong_lines(world: World) -> object:
    """Standard input ends after them."""
    return Terminal(world, signed_in=False).run("login", "--paste", "--timeout", "1s").exit_code


@row("")
def blnk_auth_init(world: World) -> object:
    """The secret is asked for without showing it, also after an answer that cannot work."""
    terminal = Terminal(world, signed_in=False)
    secret = world.secrets.new("client secret", "-._~")
    first, second = f"\nhttp://api.test\nid\n{secret}\n\n\nbob\n", "\nhttp://127.0.0.1:1\n\n\n\n\n\n"
    return terminal.run("init", "--profile", "other", input=first + second).exit_code


@row("")
def blnk_auth_with_a_secret_in_a_variable(world: World) -> object:
    """`BLNK_AUTH_CLIENT_SECRET`, for each command, and with a broken file beside it."""
    terminal = Terminal(world)
    secret = world.secrets.new("client secret", "-._~")
    for command in COMMANDS:
        terminal.run(command, BLNK_AUTH_CLIENT_SECRET=secret)
    terminal.command_line.write(f'[profiles.default]\nclient_secret = "{secret}\n')
    return [terminal.run(command, BLNK_AUTH_CLIENT_SECRET=secret).exit_code for command in COMMANDS]
