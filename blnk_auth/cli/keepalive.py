"""`blnk-auth keepalive`: renews the grants that would expire because they are not used. For cron.

Used by `app`. It promises an exit status for cron, and a report, also after Ctrl-C. It never renews by itself:
`_renewal.keepalive` does.
"""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import click

from .._renewal.keepalive import MOST_WORKERS, KeepaliveReport
from ..errors import TemporarilyUnavailable
from .exit_status import CONFIGURATION, INTERRUPTED, OK, SIGN_IN, Failure
from .options import EPILOG, Duration, Selection, client_options, json_option
from .remedies import message_of
from .terminal import print_json, printable, progress, subject_label

_SHOWN = 10


@click.command("keepalive", epilog=EPILOG)
@client_options()
@click.option(
    "--horizon",
    type=Duration(),
    default="7d",
    show_default=True,
    help="Renew what would expire within this time, such as 12h or 7d.",
)
@click.option(
    "--idle-lifetime",
    type=Duration(),
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
    "--workers",
    type=click.IntRange(1, MOST_WORKERS),
    default=4,
    show_default=True,
    help="Concurrent renewals, at most.",
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
    client = selection.open(profile)
    # Not `client.keepalive`, which has no report to return after Ctrl-C.
    run = client._keepalive_run(horizon, idle_lifetime, rate, workers, (0, 1))  # pyright: ignore[reportPrivateUsage]
    interrupted = False
    with progress("Keeping alive", enabled=not as_json) as on_progress:
        try:
            run.run(on_progress)
        except KeyboardInterrupt:
            interrupted = True
    report = run.report
    status = _status(report)
    if as_json:
        print_json({"profile": profile.name, "interrupted": interrupted, **_members(report), "status": status})
    else:
        _print_report(report, client.provider.display_name)
    if interrupted:
        raise Failure("interrupted; what was renewed is stored, and the next run does the rest", INTERRUPTED)
    click.get_current_context().exit(status)


def _status(report: KeepaliveReport) -> int:
    """The exit status, for cron."""
    if report.failed or report.gave_up is not None:
        return CONFIGURATION
    return SIGN_IN if report.sign_in_required or report.expiring else OK


def _members(report: KeepaliveReport) -> dict[str, Any]:
    """The members of a JSON object: the fields, with errors as text."""
    failed = [
        {
            "key": each.store_key,
            "error": message_of(each.error),
            "outcome_unknown": isinstance(each.error, TemporarilyUnavailable) and each.error.outcome_unknown,
        }
        for each in report.failed
    ]
    gave_up = None if report.gave_up is None else message_of(report.gave_up)
    return {**{each.name: getattr(report, each.name) for each in fields(report)}, "failed": failed, "gave_up": gave_up}


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
    _print_list("Failed", [f"{each.store_key}: {message_of(each.error)}" for each in report.failed])
    if report.gave_up is not None:
        why = printable(message_of(report.gave_up))
        click.echo(f"Stopped, because every other grant would fail too: {why}", err=True)


def _print_list(title: str, found: list[str | None] | list[str]) -> None:
    if not found:
        return
    click.echo(f"{title}:")
    for each in sorted(subject_label(each) for each in found)[:_SHOWN]:
        click.echo(f"  {each}")
    if len(found) > _SHOWN:
        click.echo(f"  and {len(found) - _SHOWN} more; --json lists them all")
