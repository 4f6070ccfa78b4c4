"""`blnk-auth keepalive`: for cron, so that no grant dies because nobody used it."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import asdict

import click

from ..client import OAuthClient
from .exit_status import INTERRUPTED, Failure
from .keepalive_run import Keeper, Plan, Tally
from .messages import ITSELF
from .options import EPILOG, Selection, client_options, duration, json_option
from .screen import printable, screen, show_json

_SHOWN = 10


@click.command("keepalive", epilog=EPILOG)
@client_options()
@click.option(
    "--horizon",
    callback=duration,
    default="7d",
    show_default=True,
    help="Renew what would die within this time, as 12h or 7d.",
)
@click.option(
    "--idle-lifetime", callback=duration, help="How long a refresh token lives unused, where the provider does not say."
)
@click.option(
    "--rate",
    type=click.FloatRange(min=0, min_open=True),
    default=10.0,
    show_default=True,
    help="Renewals a second, at most.",
)
@click.option(
    "--workers", type=click.IntRange(1, 64), default=4, show_default=True, help="Renewals under way at once, at most."
)
@json_option
def command(
    selection: Selection, *, horizon: float, idle_lifetime: float | None, rate: float, workers: int, as_json: bool
) -> None:
    """Renew every grant of the store that would die idle.

    Run it from cron, on as many hosts as you like: what one has renewed the others leave. It ends with 0 if all is
    well, 1 if somebody must sign in again, 2 if something failed.
    """
    profile = selection.load()
    keeper = Keeper(Plan(horizon, idle_lifetime, rate, workers))
    client = profile.make(OAuthClient, on_event=keeper.note)
    interrupted = False
    with _progress(hidden=as_json) as on_progress:
        try:
            keeper.run(client, on_progress)
        except KeyboardInterrupt:
            interrupted = True
    tally = keeper.tally
    if as_json:
        show_json({"profile": profile.name, "interrupted": interrupted, **asdict(tally), "status": tally.status})
    else:
        _sum_up(tally, client.provider.display_name)
    if interrupted:
        raise Failure("interrupted; what was renewed is stored, the rest is for the next run", INTERRUPTED)
    click.get_current_context().exit(tally.status)


@contextmanager
def _progress(*, hidden: bool) -> Generator[Callable[[int, int], object]]:
    from rich.progress import Progress

    # On standard error, so that what is printed can be piped; nothing there where that is no terminal.
    console = screen(stderr=True)
    with Progress(console=console, transient=True, disable=hidden or not console.is_terminal) as bar:
        task = bar.add_task("Keeping alive", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _sum_up(tally: Tally, provider: str) -> None:
    click.echo(
        f"{tally.looked_at} of {tally.grants} grants looked at, {tally.due} due: {tally.renewed} renewed, "
        f"{tally.renewed_elsewhere} renewed by another host meanwhile, {len(tally.failed)} failed."
    )
    if tally.unknown:
        click.echo(
            f"{tally.unknown} were left: {provider} does not say when they die unused (--idle-lifetime 30d assumes it)."
        )
    _list("Must sign in again", tally.sign_in_required)
    _list("Renewed, but will end soon all the same; sign in again", tally.expiring)
    _list("Failed", [f"{each['key']}: {each['error']}" for each in tally.failed])
    if tally.gave_up:
        click.echo(f"Gave up, since all others would fail alike: {printable(tally.gave_up)}", err=True)


def _list(title: str, found: list[str | None] | list[str]) -> None:
    if not found:
        return
    click.echo(f"{title}:")
    for each in sorted(each or ITSELF for each in found)[:_SHOWN]:
        click.echo(f"  {printable(each)}")
    if len(found) > _SHOWN:
        click.echo(f"  and {len(found) - _SHOWN} more; --json lists them all")
