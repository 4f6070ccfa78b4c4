"""`blnk-auth keepalive`: renews the grants that would expire because they are not used. For cron.

Used by `app`. It promises an exit status for cron, and a report, also after Ctrl-C. It never renews by itself:
`keepalive_run` does.
"""

from __future__ import annotations

from dataclasses import asdict

import click

from ..client import OAuthClient
from .exit_status import INTERRUPTED, Failure
from .keepalive_run import KeepaliveReport, KeepaliveRun, KeepaliveSettings
from .options import EPILOG, Selection, client_options, duration, json_option
from .terminal import print_json, printable, progress, subject_label

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
    """Renew every grant that would expire because it is not used.

    Run it from cron, on any number of hosts: a grant that one host has renewed is not renewed by the others. The exit
    status is 0 if all grants are renewed, 1 if a user must sign in again, 2 if something failed.
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
        print_json({"profile": profile.name, "interrupted": interrupted, **asdict(report), "status": report.status})
    else:
        _print_report(report, client.provider.display_name)
    if interrupted:
        raise Failure("interrupted; what was renewed is stored, and the next run does the rest", INTERRUPTED)
    click.get_current_context().exit(report.status)


def _print_report(report: KeepaliveReport, provider: str) -> None:
    click.echo(
        f"{report.looked_at} of {report.grants} grants read, {report.due} due: {report.renewed} renewed, "
        f"{report.renewed_elsewhere} renewed by another host meanwhile, {len(report.failed)} failed."
    )
    if report.unknown:
        click.echo(
            f"{report.unknown} were not renewed: {provider} does not specify when an unused refresh token expires "
            "(--idle-lifetime 30d assumes it)."
        )
    _print_list("Must sign in again", report.sign_in_required)
    _print_list("Renewed, but will expire soon nevertheless; sign in again", report.expiring)
    _print_list("Failed", [f"{each['key']}: {each['error']}" for each in report.failed])
    if report.gave_up:
        click.echo(f"Stopped, because every other grant would fail too: {printable(report.gave_up)}", err=True)


def _print_list(title: str, found: list[str | None] | list[str]) -> None:
    if not found:
        return
    click.echo(f"{title}:")
    for each in sorted(subject_label(each) for each in found)[:_SHOWN]:
        click.echo(f"  {each}")
    if len(found) > _SHOWN:
        click.echo(f"  and {len(found) - _SHOWN} more; --json lists them all")
