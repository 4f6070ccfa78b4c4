"""`blnk-auth store`: copy, list, check and migrate stores: that of the profile, or those named by URL; and import.

Used by `app`. It promises that the configuration is read only where no URL is given, and exit status 1 where a record
could not be copied or read. It never shows a token, and never deletes a record.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from ..config import Profile
from ..errors import BlnkAuthError, ConfigurationError
from ..stores._self_checking import Unreadable
from ..stores._token_store import TokenStore
from .exit_status import INTERRUPTED, Failure
from .groups import SuggestingGroup
from .import_token import import_command
from .options import Selection, client_options
from .terminal import escaped, print_json, progress, waiting

_URLS = """\b
Without a URL, it is the store of the profile. Stores are named by URL:
  sqlite:///tokens.db   file:///var/lib/acme/tokens   keyring:acme   memory:
  postgresql+psycopg://user@host/name   mysql+pymysql://...   redis://host:6379/0   rediss://...
"""

_as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object and no progress bar.")


def _from_and_to(_ctx: click.Context, _parameter: click.Parameter, urls: tuple[str, ...]) -> tuple[str | None, str]:
    if len(urls) == 1:
        return None, urls[0]
    if len(urls) == 2:
        return urls[0], urls[1]
    raise click.UsageError(
        "name the store to copy to by its URL, and before it the one to copy from unless that is the profile's"
    )


@click.group("store", cls=SuggestingGroup, epilog=_URLS)
def command() -> None:
    """Copy, list and check the records of stores, import tokens, and create the tables of an SQL store."""


command.add_command(import_command)


@command.command("copy", epilog=_URLS)
@client_options()
@click.argument("urls", metavar="[FROM] TO", nargs=-1, callback=_from_and_to)
@click.option("--overwrite", is_flag=True, help="Replace records of the target that differ.")
@_as_json
def copy_command(selection: Selection, *, urls: tuple[str | None, str], overwrite: bool, as_json: bool) -> None:
    """Copy every record from one store to another, and read each back.

    First stop every process that renews tokens in FROM. The command can be repeated: equal records are skipped,
    different ones are reported and left. It ends with status 1 unless TO then has every record of FROM.
    """
    from ..stores._copying import copy_store

    opened = _opened(urls[0], selection, argument="FROM"), _opened(urls[1], selection, create=True, argument="TO")
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
@client_options()
@click.argument("url", required=False)
@click.option("--prefix", default="", help="Only keys that begin with this.")
@_as_json
def list_command(selection: Selection, url: str | None, prefix: str, as_json: bool) -> None:
    """List the keys of a store."""
    keys = _opened(url, selection).keys(prefix)
    if as_json:
        print_json({"keys": list(keys)})
        return
    for key in keys:
        click.echo(escaped(key))


@command.command("check", epilog=_URLS)
@client_options()
@click.argument("url", required=False)
@_as_json
def check_command(selection: Selection, url: str | None, as_json: bool) -> None:
    """Read every record of a store, and list those that cannot be read.

    Where the store supports it, data that is not a record is moved aside. Nothing is deleted. It ends with status 1 if
    a record cannot be read.
    """
    from ..stores._copying import check_store

    opened = _opened(url, selection)
    with progress("Checking", enabled=not as_json) as on_progress:
        report = check_store(opened, on_progress)
    if as_json:
        print_json({"sound": report.sound, "unreadable": _described(report.unreadable)})
    else:
        click.echo(f"{report.sound} records can be read.")
        _print_list("Cannot be read", [_problem(each) for each in report.unreadable])
    _exit_unless(not report.unreadable)


@command.command("migrate", epilog=_URLS)
@client_options()
@click.argument("url", required=False)
def migrate_command(selection: Selection, url: str | None) -> None:
    """Create the tables of an SQL store, or bring those of an earlier release up to date.

    Every record is kept, and the command can be repeated. Other stores need no tables, and are not changed.
    """
    opened = _opened(url, selection, create=True)
    create_schema: Callable[[], None] | None = getattr(opened, "create_schema", None)
    if create_schema is None:
        click.echo(f"{opened!r} has no tables to create.")
        return
    create_schema()
    click.echo(f"{opened!r} is up to date.")


def _opened(url: str | None, selection: Selection, *, create: bool = False, argument: str | None = None) -> TokenStore:
    """The store that the URL names; None: that of the profile. `argument`: which of two, for the error."""
    from ..stores._urls import open_store

    with waiting("Opening the store"):
        if url is None:
            return _of_profile(selection).open_store(create=create)
        try:
            return open_store(url, create=create)
        except BlnkAuthError as error:
            failure = error if argument is None else error.replace(problem=f"{argument}: {error.problem}")
    raise failure


def _of_profile(selection: Selection) -> Profile:
    try:
        return selection.load()
    except ConfigurationError as error:
        if error.parameter not in ("path", "profile"):
            raise
        failure = error.replace(remedy=f"{error.remedy}; or name the store by its URL")
    raise failure


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
