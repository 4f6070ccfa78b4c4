"""`blnk-auth sandbox`: the sandbox in the foreground, for manual trials and for clients in other languages.

Used by `app`, and by the demo as another process. It promises that each run has its own client, so that no token of one
run is valid in another. It never listens on anything but loopback.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from ..provider import Provider
from ..providers._blink import BLink
from ..providers._blnk_cloud import BlnkCloud
from ..providers._flinks import Flinks
from .exit_status import CONFIGURATION, Failure
from .extras import require
from .sandbox_address import SandboxAddress

if TYPE_CHECKING:
    from ..testing.sandbox import Sandbox

Personality = Literal["blnk_cloud", "blink", "flinks"]

_LIFETIMES: Mapping[Personality, float] = {"blnk_cloud": 3600, "blink": 86_400, "flinks": 299}
"""The lifetime of access tokens in seconds, as each provider documents it."""

_HINTS: Mapping[Personality, str] = {
    "blnk_cloud": "",
    "blink": " (there, the user who signs in is the username)",
    "flinks": ' (and name a scope when signing in, such as "ACCOUNT_BASIC")',
}

_POLL_INTERVAL = 0.2
"""Seconds between two checks whether the sandbox should end."""


@click.command("sandbox")
@click.option(
    "--personality",
    type=click.Choice(tuple(_LIFETIMES)),
    default="blnk_cloud",
    show_default=True,
    help="The provider that it plays.",
)
@click.option("--port", type=click.IntRange(0, 65535), default=0, show_default=True, help="0 means any free one.")
@click.option(
    "--lifetime",
    type=click.FloatRange(min=0),
    help="Lifetime of access tokens, in seconds. [default: the provider's: 3600, 86400 or 299]",
)
@click.option(
    "--idle-exit",
    type=click.FloatRange(min=0, min_open=True),
    help="End after this many seconds without a request to the API or the token endpoint. [default: never]",
)
@click.option(
    "--state-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the address and the client to this file as JSON; end when it is removed or replaced.",
)
def command(
    personality: Personality, port: int, lifetime: float | None, idle_exit: float | None, state_file: Path | None
) -> None:
    """Run an authorization server and a small API on this machine.

    They play Blnk Cloud, bLink or Flinks, on a loopback address. For tests and demonstrations only: anyone who can
    reach the port can sign in as anyone. Ctrl-C ends it.
    """
    require("sandbox")
    with suppress(KeyboardInterrupt):
        _run(personality, port, _LIFETIMES[personality] if lifetime is None else lifetime, idle_exit, state_file)


def _run(
    personality: Personality, port: int, lifetime: float, idle_exit: float | None, state_file: Path | None
) -> None:
    # Each sandbox has another client_id and client_secret, so that a client of one sandbox cannot use another.
    client_id, client_secret = f"sandbox-{secrets.token_hex(4)}", secrets.token_urlsafe(24)
    settings = {"port": port, "lifetime": lifetime, "client_id": client_id, "client_secret": client_secret}
    with ExitStack() as running:
        sandbox = _started(running, personality, settings)
        address = SandboxAddress(sandbox.origin, client_id, client_secret, sandbox.redirect_uri)
        if state_file is not None:
            _save(address, state_file)
        click.echo(_description(personality, address, lifetime))
        _wait_until_over(sandbox, idle_exit, lambda: state_file is None or SandboxAddress.load(state_file) == address)


def _started(running: ExitStack, personality: Personality, settings: Mapping[str, Any]) -> Sandbox:
    from ..testing.sandbox import Sandbox

    try:
        return running.enter_context(Sandbox(personality, **settings))
    except (ValueError, OSError) as wrong:
        problem = wrong.strerror if isinstance(wrong, OSError) else wrong
        raise Failure(f"--{problem}", CONFIGURATION) from wrong


def _save(address: SandboxAddress, state_file: Path) -> None:
    try:
        address.save(state_file)
    except OSError as wrong:
        reason = f"--state-file {state_file} cannot be written ({wrong.strerror}); choose another"
        raise Failure(reason, CONFIGURATION) from wrong


def _wait_until_over(sandbox: Sandbox, idle_exit: float | None, is_wanted: Callable[[], bool]) -> None:
    never, counts, busy_at = threading.Event(), sandbox.counts, time.monotonic()
    while is_wanted() and not never.wait(_POLL_INTERVAL):
        if counts != sandbox.counts:
            counts, busy_at = sandbox.counts, time.monotonic()
        if idle_exit is not None and time.monotonic() - busy_at >= idle_exit:
            return


def _description(personality: Personality, address: SandboxAddress, lifetime: float) -> str:
    make, settings = _provider(personality, address.origin)
    provider = make(**settings)
    registration = {
        "client_id": address.client_id,
        **({} if personality == "blink" else {"client_secret": address.client_secret}),
        "redirect_uri": address.redirect_uri,
    }
    facts = {
        "authorization endpoint": provider.authorization_endpoint,
        "token endpoint": provider.token_endpoint,
        **registration,
        "access token lifetime": f"{lifetime:g} s",
    }
    shown = "\n".join(f"  {name:<22}  {value}" for name, value in facts.items())
    return f"""\
A sandbox of {provider.display_name} runs at {address.origin} (Ctrl-C ends it).

{shown}

To use it{_HINTS[personality]}:

  client = {_call("OAuthClient", [_call(make.__name__, _arguments(settings), 6), *_arguments(registration)], 2)}"""


def _provider(personality: Personality, origin: str) -> tuple[Callable[..., Provider], Mapping[str, str]]:
    """The provider that the sandbox plays, and its settings, which are both used and printed."""
    if personality == "blnk_cloud":
        return BlnkCloud, {"base_url": origin}
    if personality == "flinks":
        return Flinks, {"host": origin}
    from ..testing.sandbox import blink

    return BLink, {
        "base_url": origin + blink.BASE_PATH,
        "authorization_endpoint": origin + blink.authorize_path(),
        "target_id": blink.DEFAULT_TARGET,
        "username": "alice",
        "user_agent": "Acme 1.0",
        "client_auth": "none",
    }


def _arguments(settings: Mapping[str, str]) -> list[str]:
    return [f'{name}="{value}"' for name, value in settings.items()]


def _call(name: str, arguments: list[str], indent: int) -> str:
    """A Python call, formatted: one argument per line, unless there is only one."""
    if len(arguments) == 1:
        return f"{name}({arguments[0]})"
    margin = " " * indent
    return f"{name}(\n" + "".join(f"{margin}    {argument},\n" for argument in arguments) + f"{margin})"
