"""`blnk-auth status`: who has signed in, and when their tokens expire.

Used by `app`. It promises one line for each grant; `grant_status` reads them. It never renews.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from .exit_status import SIGN_IN, Failure, sign_in_command
from .options import EPILOG, Duration, Selection, client_options, json_option
from .terminal import console, print_json, waiting

if TYPE_CHECKING:
    from rich.console import RenderableType


@click.command("status", epilog=EPILOG)
@client_options("subject")
@click.option("--watch", is_flag=True, help="Keep running, and show changes until Ctrl-C.")
@click.option(
    "--interval",
    type=Duration(least=0.1, most=86_400),
    default="2s",
    show_default=True,
    help="Time between two updates with --watch.",
)
@json_option
def command(selection: Selection, watch: bool, interval: float, as_json: bool) -> None:
    """Show everyone who has signed in, and when their tokens expire.

    With --subject, only that subject.
    """
    from .grant_status import grant_statuses, json_members, status_table

    if watch and as_json:
        raise click.UsageError("--watch and --json exclude each other; for scripts, repeat --json instead")
    profile = selection.load()
    client = selection.open(profile)
    # BLNK_AUTH_SUBJECT is the usual subject of other commands, as `subject` in a profile is: it selects nothing here.
    is_selected = click.get_current_context().get_parameter_source("subject") is ParameterSource.COMMANDLINE
    only = profile.subject if is_selected else None
    if watch:
        with suppress(KeyboardInterrupt):
            _watch(lambda: status_table(grant_statuses(client, only)), interval)
        return
    with waiting("Reading the store"):
        found = grant_statuses(client, only)
    if as_json:
        print_json([json_members(each) for each in found])
    elif found:
        console().print(status_table(found))
    if not found:
        command = sign_in_command(profile.subject, profile.name)
        who = "nobody has" if only is None else f"{only!r} has not"
        raise Failure(f"{who} signed in at {client.provider.display_name} yet; sign in with: {command}", SIGN_IN)


def _watch(table: Callable[[], RenderableType], interval: float) -> None:
    from rich.live import Live

    never = threading.Event()
    with Live(table(), console=console(), auto_refresh=False) as live:
        while not never.wait(interval):
            live.update(table(), refresh=True)
