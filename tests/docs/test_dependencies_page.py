"""docs/explanation/dependencies.md has a reason for each package that an installation brings, and no other."""

from __future__ import annotations

import re
import tomllib

from support.prose import ROOT
from support.rows_of_tests import rows

CONFIGURATION = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
PROJECT = CONFIGURATION["project"]
TABLES = rows("explanation/dependencies.md", "package", "group")
ROWS = [cells for section, cells in TABLES if not section]
GROUPS = [cells for section, cells in TABLES if section == "For those who work on it"]


def declared() -> set[tuple[str, str]]:
    """Each package, and the extra that brings it; an empty one: every installation does."""
    needed = {"": PROJECT["dependencies"], **PROJECT["optional-dependencies"]}
    names = ((re.split("[^a-z0-9-]", each)[0], extra) for extra, listed in needed.items() for each in listed)
    return {(name, extra) for name, extra in names if name != PROJECT["name"]}


def explained() -> set[tuple[str, str]]:
    """The same, as the first cells have it: `(extra)` is one with the name of its package."""
    found: set[tuple[str, str]] = set()
    for package, *_ in ROWS:
        named, _, extra = package.partition("(extra")
        names = re.findall(r"`([a-z0-9-]+)`", named)
        of = re.findall(r"`([a-z0-9-]+)`", extra) or (names if extra else [""])
        found |= {(name, each) for name in names for each in of}
    return found


def test_every_dependency_has_its_reason() -> None:
    """Under the extra that brings it. If one is no longer needed, its row is removed with it."""
    assert explained() == declared()
    assert len(ROWS) > 15


def test_a_reason_is_more_than_a_name() -> None:
    """What it is for, and why this one and no other."""
    assert [cells[0] for cells in ROWS if len(cells) != 3 or not cells[1] or len(cells[2].split()) < 5] == []


def test_every_group_has_its_reason() -> None:
    """What those who work on the project install beside it, and users never do."""
    assert [cells[0].strip("`") for cells in GROUPS] == sorted(CONFIGURATION["dependency-groups"])
    assert [cells[0] for cells in GROUPS if len(cells) != 3 or not all(cells)] == []
