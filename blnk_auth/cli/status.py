"""`blnk-auth status`: who has signed in, and when their tokens expire.

Used by `app`. It promises one line for each grant; `grant_status` reads them. It never renews, and asks no server.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

import click
from click.core import ParameterSource

from .exit_status import SIGN_IN, Failure, sign_in_command
from .options import EPILOG, Duration, Selection, client_options, json_option, state_of
from .resource_url import USUAL_SUBJECT, open_resource, selected_url, stored_client_at
from .terminal import console, print_json, waiting

if TYPE_CHECKING:
    from rich.console import RenderableType

    from ..config import Profile
    from .grant_status import GrantStatus


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
@click.argument("url", required=False)
def command(selection: Selection, watch: bool, interval: float, url: str | None, as_json: bool) -> None:
    """Show everyone who has signed in, and when their tokens expire.

    URL is that of an API that describes its own sign-in, such as an MCP server. It takes the place of a profile.

    With --subject, only that subject.
    """
    from .grant_status import json_members, status_table

    if watch and as_json:
        raise click.UsageError("--watch and --json exclude each other; for scripts, repeat --json instead")
    of_whom = _of_profile(selection) if (api := selected_url(selection, url)) is None else _of_url(selection, api)
    if watch:
        with suppress(KeyboardInterrupt):
            _watch(lambda: status_table(of_whom.grants()), interval)
        return
    with waiting("Reading the store"):
        found = of_whom.grants()
    if as_json:
        print_json([json_members(each) for each in found])
    elif found:
        console().print(status_table(found))
    if not found:
        who = "nobody has" if of_whom.only is None else f"{of_whom.only!r} has not"
        raise Failure(f"{who} signed in at {of_whom.at} yet; sign in with: {of_whom.sign_in}", SIGN_IN)


class _OfWhom(NamedTuple):
    """Whose grants are shown.

    Attributes:
        grants: Reads their status.
        at: Where they have signed in.
        only: The subject that was selected; None: all.
        sign_in: The command that signs in.
    """

    grants: Callable[[], list[GrantStatus]]
    at: str
    only: str | None
    sign_in: str


def _of_profile(selection: Selection) -> _OfWhom:
    from .grant_status import grant_statuses

    profile = selection.load()
    client, only = selection.open(profile), _only(profile)
    state, sign_in = state_of(client), sign_in_command(profile.subject, profile.name)
    return _OfWhom(lambda: grant_statuses(state, only), state.provider.display_name, only, sign_in)


def _of_url(selection: Selection, url: str) -> _OfWhom:
    """No server is asked: what was learned of the API is in the store, beside the grants."""
    from .grant_status import grant_statuses

    profile, resource = open_resource(selection, url)
    only = _only(profile)

    def grants() -> list[GrantStatus]:
        client = stored_client_at(resource)
        found = [] if client is None else grant_statuses(client.state, only)
        # A client that was registered beforehand may have grants for other APIs of the same server.
        return [each for each in found if client is not None and each.resource == client.resource]

    return _OfWhom(grants, url, only, sign_in_command(profile.subject or USUAL_SUBJECT, url))


def _only(profile: Profile) -> str | None:
    # BLNK_AUTH_SUBJECT is the usual subject of other commands, as `subject` in a profile is: it selects nothing here.
    is_selected = click.get_current_context().get_parameter_source("subject") is ParameterSource.COMMANDLINE
    return profile.subject if is_selected else None


def _watch(table: Callable[[], RenderableType], interval: float) -> None:
    from rich.live import Live

    never, shown = threading.Event(), console()
    if not shown.is_terminal or shown.is_dumb_terminal:
        # Nothing can be redrawn there: each update is written below the one before.
        shown.print(table())
        while not never.wait(interval):
            shown.print(table())
    with Live(table(), console=shown, auto_refresh=False) as live:
        while not never.wait(interval):
            live.update(table(), refresh=True)
