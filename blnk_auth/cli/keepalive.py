"""`blnk-auth keepalive`: for cron, so that no grant expires because nobody used it.

`keepalive_run` does the work; this module has the options and prints the report.
"""

from __future__ import annotations

from dataclasses import asdict

import click

from ..client import OAuthClient
from .exit_status import INTERRUPTED, Failure
from .keepalive_run import KeepaliveReport, KeepaliveRun, KeepaliveSettings
from .options import EPILOG, Selection, client_options, duration, json_option
from .terminal import printable, progress, show_json, subject_label

_SHOWN = 10


@click.command("keepalive", epilog=EPILOG)
@client_options()
@click.option(
    "--horizon",
    callback=duration,
    default="7d",
    show_default=True,
    help="Renew what would expire within this time, such as 12h or 7d.",
)
@click.option(
    "--idle-lifetime",
    callback=duration,
    help="How long an unused refresh token lives, where the provider does not specify it.",
)
@click.option(
    "--rate",
    type=click.FloatRange(min=0, min_open=True),
    default=10.0,
    show_default=True,
    help="Renewals per second, at most.",
)
@click.option(
    "--workers", type=click.IntRange(1, 64), default=4, show_default=True, help="Concurrent renewals, at most."
)
@json_option
def command(
    selection: Selection, *, horizon: float, idle_lifetime: float | None, rate: float, workers: int, as_json: bool
) -> None:
    """Renew every grant that would expire because nobody uses it.

    Run it from cron, on any number of hosts: what one has renewed, the others leave. The exit status is 0 if all is
    well, 1 if someone must sign in again, 2 if something failed.
    """
    profile = selection.load()
    run = KeepaliveRun(KeepaliveSettings(horizon, idle_lifetime, rate, workers))
    client = profile.make(OAuthClient, on_event=run.count_renewal)
    interrupted = False
    with progress("Keeping alive", enabled=not as_json) as on_progress:
        try:
            run.run(client, on_progress)
        except KeyboardInterrupt:
            interrupted = True
    report = run.report
    if as_json:
        show_json({"profile": profile.name, "interrupted": interrupted, **asdict(report), "status": report.status})
    else:
        _sum_up(report, client.provider.display_name)
    if interrupted:
        raise Failure("interrupted; what was renewed is stored, and the next run does the rest", INTERRUPTED)
    click.get_current_context().exit(report.status)


def _sum_up(report: KeepaliveReport, provider: str) -> None:
    click.echo(
        f"{report.looked_at} of {report.grants} grants looked at, {report.due} due: {report.renewed} renewed, "
        f"{report.renewed_elsewhere} renewed by another host meanwhile, {len(report.failed)} failed."
    )
    if report.unknown:
        click.echo(
            f"{report.unknown} were left: {provider} does not specify when an unused refresh token expires "
            "(--idle-lifetime 30d assumes it)."
        )
    _list("Must sign in again", report.sign_in_required)
    _list("Renewed, but will expire soon nevertheless; sign in again", report.expiring)
    _list("Failed", [f"{each['key']}: {each['error']}" for each in report.failed])
    if report.gave_up:
        click.echo(f"Gave up, because every other grant would fail too: {printable(report.gave_up)}", err=True)


def _list(title: str, found: list[str | None] | list[str]) -> None:
    if not found:
        return
    click.echo(f"{title}:")
    for each in sorted(subject_label(each) for each in found)[:_SHOWN]:
        click.echo(f"  {each}")
    if len(found) > _SHOWN:
        click.echo(f"  and {len(found) - _SHOWN} more; --json lists them all")
