"""`blnk-auth status`: whose tokens there are, and how they stand."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

import click

from .exit_status import SIGN_IN, Failure, sign_in_command
from .options import EPILOG, Selection, client_options, json_option
from .screen import screen, show_json

if TYPE_CHECKING:
    from rich.console import RenderableType


@click.command("status", epilog=EPILOG)
@client_options("subject")
@click.option("--watch", is_flag=True, help="Stay, and show changes until Ctrl-C.")
@click.option(
    "--interval",
    type=click.FloatRange(min=0.1),
    default=2.0,
    show_default=True,
    help="Seconds between two looks with --watch.",
)
@json_option
def command(selection: Selection, watch: bool, interval: float, as_json: bool) -> None:
    """Show everybody who has signed in, and how long their tokens live.

    With --subject, only that one.
    """
    from .grant_status import members_of, standings, table_of

    if watch and as_json:
        raise click.UsageError("--watch and --json exclude each other; for scripts, repeat --json instead")
    profile = selection.load()
    client = selection.open(profile)
    only = profile.subject if "subject" in profile.overridden else None
    if watch:
        with suppress(KeyboardInterrupt):
            _watch(lambda: table_of(standings(client, only)), interval)
        return
    found = standings(client, only)
    if as_json:
        show_json([members_of(each) for each in found])
    elif found:
        screen().print(table_of(found))
    if not found:
        command = sign_in_command(profile.subject, profile.name)
        who = "nobody has" if only is None else f"{only!r} has not"
        raise Failure(f"{who} signed in at {client.provider.display_name} yet; sign in with: {command}", SIGN_IN)


def _watch(look: Callable[[], RenderableType], interval: float) -> None:
    from rich.live import Live

    never = threading.Event()
    with Live(look(), console=screen(), auto_refresh=False) as live:
        while not never.wait(interval):
            live.update(look(), refresh=True)
