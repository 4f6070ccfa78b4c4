"""`blnk-auth sandbox`: the sandbox in the foreground, for trying things out by hand or from another language."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .address import SandboxAddress
from .extras import require

if TYPE_CHECKING:
    from ..testing.sandbox import Sandbox

_LOOK_EVERY = 0.2
"""Seconds between two looks whether it is time to end."""


@click.command("sandbox")
@click.option("--port", type=click.IntRange(0, 65535), default=0, show_default=True, help="0 means any free one.")
@click.option(
    "--lifetime", type=click.FloatRange(min=0), default=3600, show_default=True, help="Seconds an access token lives."
)
@click.option(
    "--idle-exit",
    type=click.FloatRange(min=0, min_open=True),
    help="End after so many seconds without a request to the API or the token endpoint. [default: never]",
)
@click.option(
    "--state-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the address and the client there as JSON for another program; end when that is removed or replaced.",
)
def command(port: int, lifetime: float, idle_exit: float | None, state_file: Path | None) -> None:
    """Run an authorization server and a small API on this machine.

    They have the personality of Blnk Cloud, on a loopback address. For tests and demonstrations only: anyone who can
    reach the port can sign in as anybody. Ctrl-C ends it.
    """
    require("sandbox")
    with suppress(KeyboardInterrupt):
        _run(port, lifetime, idle_exit, state_file)


def _run(port: int, lifetime: float, idle_exit: float | None, state_file: Path | None) -> None:
    from ..testing.sandbox import Sandbox

    # Not the same for any two sandboxes: a token or an address of one never fits another.
    client_id, client_secret = f"sandbox-{secrets.token_hex(4)}", secrets.token_urlsafe(24)
    try:
        running = Sandbox(port=port, lifetime=lifetime, client_id=client_id, client_secret=client_secret)
        with running as sandbox:
            address = SandboxAddress(sandbox.origin, client_id, client_secret, sandbox.redirect_uri)
            if state_file is not None:
                address.save(state_file)
            click.echo(_description(address, lifetime))
            _wait_until_over(
                sandbox, idle_exit, lambda: state_file is None or SandboxAddress.load(state_file) == address
            )
    except (ValueError, OSError) as wrong:
        raise click.ClickException(str(wrong)) from wrong


def _wait_until_over(sandbox: Sandbox, idle_exit: float | None, is_wanted: Callable[[], bool]) -> None:
    never, counts, busy_at = threading.Event(), sandbox.counts, time.monotonic()
    while is_wanted() and not never.wait(_LOOK_EVERY):
        if counts != sandbox.counts:
            counts, busy_at = sandbox.counts, time.monotonic()
        if idle_exit is not None and time.monotonic() - busy_at >= idle_exit:
            return


def _description(address: SandboxAddress, lifetime: float) -> str:
    return f"""\
A sandbox of Blnk Cloud runs at {address.origin} (Ctrl-C ends it).

  authorization endpoint  {address.origin}/oauth/authorize
  token endpoint          {address.origin}/oauth/token
  client_id               {address.client_id}
  client_secret           {address.client_secret}
  redirect_uri            {address.redirect_uri}
  access tokens live      {lifetime:g} s

To use it:

  client = OAuthClient(
      BlnkCloud(base_url="{address.origin}"),
      client_id="{address.client_id}",
      client_secret="{address.client_secret}",
      redirect_uri="{address.redirect_uri}",
  )"""
