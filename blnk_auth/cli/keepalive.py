"""`blnk-auth keepalive`: renews the grants that would expire because they are not used. For cron.

Used by `app`. It promises an exit status for cron, and a report, also after Ctrl-C. It never renews by itself:
`_renewal.keepalive` does.
"""

from __future__ import annotations

import dataclasses
from dataclasses import fields
from typing import Any, NoReturn

import click

from .._renewal.keepalive import KeepaliveReport
from .._renewal.keepalive_settings import MOST_WORKERS
from ..errors import BlnkAuthError, TemporarilyUnavailable
from .exit_status import CONFIGURATION, INTERRUPTED, OK, SIGN_IN, Failure
from .options import EPILOG, Duration, Selection, client_options, complete_profile, json_option
from .remedies import message_of
from .terminal import print_json, printable, progress, subject_label

_SHOWN = 10


def _shard(_ctx: click.Context, parameter: click.Parameter, text: str) -> tuple[int, int]:
    part, slash, parts = text.partition("/")
    if not (slash and part.isascii() and part.isdigit() and parts.isascii() and parts.isdigit()):
        raise click.BadParameter("write it as 0/4, which is the first of four parts", param=parameter)
    if not int(part) < int(parts):
        raise click.BadParameter(
            f"there is no part {part} of {parts}: count from 0, so that 0/4 is the first and 3/4 the last",
            param=parameter,
        )
    return int(part), int(parts)


def _complete_profiles(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    return [name for name in complete_profile(ctx, parameter, incomplete) if name not in ctx.params.get("profiles", ())]


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
@click.option(
    "--shard",
    default="0/1",
    show_default=True,
    callback=_shard,
    metavar="I/N",
    help="Only part I of N, counted from 0, such as 0/4 on the first of four hosts.",
)
@click.option("--all-profiles", is_flag=True, help="Every profile of the configuration file, one after the other.")
@json_option
@click.argument("profiles", nargs=-1, shell_complete=_complete_profiles)
def command(
    selection: Selection,
    *,
    profiles: tuple[str, ...],
    all_profiles: bool,
    as_json: bool,
    **settings: Any,
) -> None:
    """Renew every grant that would expire because it is not used.

    With PROFILES, or with --all-profiles, several clients in one run, one after the other.

    Run it from cron, on any number of hosts: a grant that one host has renewed is not renewed by the others. The exit
    status is 0 if all grants are renewed, 1 if a user must sign in again, 2 if something failed.
    """
    if all_profiles and profiles:
        raise click.UsageError("--all-profiles and the names of profiles exclude each other; leave one of them out")
    names = selection.all_names() if all_profiles else profiles
    if not names:
        _exit_with(_kept_alive(selection, settings, as_json=as_json), as_json=as_json)
    members: list[dict[str, Any]] = []
    for name in names:
        each = dataclasses.replace(selection, name=name)
        try:
            members.append(_kept_alive(each, settings, as_json=as_json, title=name))
        except BlnkAuthError as error:
            # One profile that cannot be used does not keep the others from being kept alive.
            members.append({"profile": name, "error": message_of(error), "status": CONFIGURATION})
            click.echo(f"{printable(name)}: {printable(message_of(error))}", err=True)
        if members[-1].get("interrupted"):
            break
    # The worst one: 2 for what failed, 1 for who must sign in again.
    worst = {
        "profiles": members,
        "interrupted": any(each.get("interrupted") for each in members),
        "status": max(each["status"] for each in members),
    }
    _exit_with(worst, as_json=as_json)


def _kept_alive(
    selection: Selection, settings: dict[str, Any], *, as_json: bool, title: str | None = None
) -> dict[str, Any]:
    """Keep the grants of one profile alive, and print what was done. Returns the members of the JSON report."""
    profile = selection.load()
    client = selection.open(profile)
    # Not `client.keepalive`, which has no report to return after Ctrl-C.
    run = client._keepalive_run(**settings)  # pyright: ignore[reportPrivateUsage]
    interrupted = False
    with progress("Keeping alive", enabled=not as_json) as on_progress:
        try:
            run.run(on_progress)
        except KeyboardInterrupt:
            interrupted = True
    if not as_json:
        if title is not None:
            click.echo(f"{printable(title)}:")
        _print_report(run.report, client.provider.display_name)
    return {
        "profile": profile.name,
        "interrupted": interrupted,
        **_members(run.report),
        "status": _status(run.report),
    }


def _exit_with(report: dict[str, Any], *, as_json: bool) -> NoReturn:
    if as_json:
        print_json(report)
    if report["interrupted"]:
        raise Failure("interrupted; what was renewed is stored, and the next run does the rest", INTERRUPTED)
    click.get_current_context().exit(report["status"])


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
