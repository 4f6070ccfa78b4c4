"""`blnk-auth doctor`: checks the whole set-up, and prints what to fix.

Used by `app`. It promises an exit status for scripts; the checks are in `checks`. It never changes a grant.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict

import click

from ..errors import BlnkAuthError, StoreError
from .checks import run_checks
from .exit_status import CONFIGURATION, OK, UNAVAILABLE
from .finding import CheckedSetup, Finding, finding_of
from .options import EPILOG, Selection, client_options, json_option
from .terminal import console, print_json, printable, waiting

_WIDTHS = (12, 14)
_STYLES = {"ok": "green", "warning": "yellow", "failed": "bold red", "unavailable": "red"}


@click.command("doctor", epilog=EPILOG)
@client_options()
@json_option
def command(selection: Selection, as_json: bool) -> None:
    """Check configuration, files, redirect, network, clock, server, credentials and store.

    The exit status is 0 if nothing is wrong, 2 if something must be fixed, 3 if something could not be reached.
    """
    found: list[Finding] = []
    for finding in _findings(selection):
        found.append(finding)
        if not as_json:
            _print_finding(finding)
    if as_json:
        print_json([asdict(each) for each in found])
    statuses = {each.status for each in found}
    status = next((each for each in (CONFIGURATION, UNAVAILABLE) if each in statuses), OK)
    click.get_current_context().exit(status)


def _findings(selection: Selection) -> Iterator[Finding]:
    try:
        profile = selection.load()
        with waiting("Opening the store and the server's metadata"):
            setup = CheckedSetup.of(profile)
    except BlnkAuthError as error:
        yield finding_of("store" if isinstance(error, StoreError) else "configuration", error)
    else:
        yield from run_checks(setup)


def _print_finding(finding: Finding) -> None:
    from rich.table import Table
    from rich.text import Text

    lines = [finding.detail, *([f"-> {finding.remedy}"] if finding.remedy else ())]
    row = Table.grid()
    for width in _WIDTHS:
        row.add_column(width=width)
    row.add_column(overflow="fold")
    row.add_row(Text(finding.verdict, _STYLES[finding.verdict]), finding.check, Text("\n".join(map(printable, lines))))
    console().print(row)
