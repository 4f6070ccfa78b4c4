"""Every public name has a row in the canary's table, or a reason why it needs none; and every command has one."""

from __future__ import annotations

from support.canary.coverage import NO_ROW, needs_row, public_names
from support.canary.rows import ROWS

from blnk_auth.cli.app import group

DRIVEN = {name for each in ROWS for name in each.drives}
PUBLIC = sorted(set(public_names()))


def test_a_public_name_has_a_row() -> None:
    """A function, a class and each of its methods: add it to the `drives` of the row of tests/support/canary that
    calls it.
    """
    assert [name for name in PUBLIC if name not in DRIVEN and needs_row(name)] == []


def test_rows_drive_what_is_public() -> None:
    """A name that was removed or misspelt covers nothing."""
    assert sorted(DRIVEN - {*PUBLIC}) == []
    assert sorted(name for name in NO_ROW if name not in PUBLIC or name in DRIVEN) == []


def test_every_command_has_a_row() -> None:
    """The commands of `blnk-auth`, by the titles of the rows."""
    titles = " ".join(each.name for each in ROWS)
    commands = group.list_commands(None)  # type: ignore[arg-type]
    assert [name for name in commands if f"blnk-auth {name}" not in titles.replace("blnk auth", "blnk-auth")] == []
