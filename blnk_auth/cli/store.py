"""`blnk-auth store`: copy, list, check and migrate stores, which are named by URL.

Used by `app`. It promises exit status 1 where a record could not be copied or read. It never shows a token, and never
deletes a record.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from ..stores._self_checking import Unreadable
from .exit_status import INTERRUPTED, Failure
from .groups import SuggestingGroup
from .terminal import escaped, print_json, progress

_URLS = """\b
Stores are named by URL:
  sqlite:///tokens.db   file:///var/lib/acme/tokens   keyring:acme   memory:
  postgresql+psycopg://user@host/name   mysql+pymysql://...   redis://host:6379/0   rediss://...
"""

_as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object and no progress bar.")


@click.group("store", cls=SuggestingGroup, epilog=_URLS)
def command() -> None:
    """Copy, list and check the records of stores, and create the tables of an SQL store."""


@command.command("copy", epilog=_URLS)
@click.argument("source", metavar="FROM")
@click.argument("target", metavar="TO")
@click.option("--overwrite", is_flag=True, help="Replace records of the target that differ.")
@_as_json
def copy_command(source: str, target: str, overwrite: bool, as_json: bool) -> None:
    """Copy every record from one store to another, and read each back.

    First stop every process that renews tokens in FROM. The command can be repeated: equal records are skipped,
    different ones are reported and left. It ends with status 1 unless TO then has every record of FROM.
    """
    from ..stores._copying import copy_store
    from ..stores._urls import open_store

    opened = open_store(source, create=False), open_store(target)
    try:
        with progress("Copying", enabled=not as_json) as on_progress:
            report = copy_store(*opened, on_progress, overwrite=overwrite)
    except KeyboardInterrupt:
        raise Failure("interrupted; run the same command again to copy the rest", INTERRUPTED) from None
    found = {
        "copied": len(report.copied),
        "equal": len(report.equal),
        "different": report.different,
        "failed": _described(report.failed),
        "complete": report.is_complete,
    }
    if as_json:
        print_json(found)
    else:
        click.echo(f"{len(report.copied)} copied and read back, {len(report.equal)} were equal already.")
        _print_list("Different in the target and left (--overwrite replaces them)", report.different)
        _print_list("Not copied", [f"{each.where}: {each.problem}" for each in report.failed])
    _exit_unless(report.is_complete)


@command.command("list", epilog=_URLS)
@click.argument("store")
@click.option("--prefix", default="", help="Only keys that begin with this.")
@_as_json
def list_command(store: str, prefix: str, as_json: bool) -> None:
    """List the keys of a store."""
    from ..stores._urls import open_store

    keys = open_store(store, create=False).keys(prefix)
    if as_json:
        print_json({"keys": list(keys)})
        return
    for key in keys:
        click.echo(escaped(key))


@command.command("check", epilog=_URLS)
@click.argument("store")
@_as_json
def check_command(store: str, as_json: bool) -> None:
    """Read every record of a store, and list those that cannot be read.

    Where the store supports it, data that is not a record is moved aside. Nothing is deleted. It ends with status 1 if
    a record cannot be read.
    """
    from ..stores._copying import check_store
    from ..stores._urls import open_store

    opened = open_store(store, create=False)
    with progress("Checking", enabled=not as_json) as on_progress:
        report = check_store(opened, on_progress)
    if as_json:
        print_json({"sound": report.sound, "unreadable": _described(report.unreadable)})
    else:
        click.echo(f"{report.sound} records can be read.")
        _print_list("Cannot be read", [_problem(each) for each in report.unreadable])
    _exit_unless(not report.unreadable)


@command.command("migrate", epilog=_URLS)
@click.argument("store")
def migrate_command(store: str) -> None:
    """Create the tables of an SQL store, or bring those of an earlier release up to date.

    Every record is kept, and the command can be repeated. Other stores need no tables, and are not changed.
    """
    from ..stores._urls import open_store

    opened = open_store(store)
    create_schema: Callable[[], None] | None = getattr(opened, "create_schema", None)
    if create_schema is None:
        click.echo(f"{opened!r} has no tables to create.")
        return
    create_schema()
    click.echo(f"{opened!r} is up to date.")


def _described(unreadable: list[Unreadable]) -> list[dict[str, Any]]:
    return [{"where": each.where, "problem": each.problem, "moved_aside": each.moved_aside} for each in unreadable]


def _problem(each: Unreadable) -> str:
    return f"{each.where}: {each.problem}" + (" [moved aside]" if each.moved_aside else "")


def _print_list(title: str, lines: list[str]) -> None:
    if lines:
        click.echo(f"{title}:")
    for line in lines:
        click.echo(f"  {escaped(line)}")


def _exit_unless(is_good: bool) -> None:
    if not is_good:
        raise SystemExit(1)
