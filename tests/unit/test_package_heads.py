"""The head of each package lists its modules, and lists no module that was renamed or removed."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import blnk_auth

PACKAGE = Path(blnk_auth.__file__).parent
PACKAGES = {path.parent.relative_to(PACKAGE).as_posix(): path for path in sorted(PACKAGE.glob("*/**/__init__.py"))}
"""All but the root, whose modules are in the table of docs/explanation/architecture.md."""

PARTS_BY_NAME = "begins with the same word is a part of that"
"""The rule by which the head of `stores` names the parts of a store."""

NO_MODULES = {
    "_sign_in": {"run", "arun"},
    "config": {"parameter", "remedy", "repr"},
    "errors": {"problem", "remedy", "replace"},
    "stores": {"copy_store", "check_store"},
}
"""What else such lists have between backticks: functions and fields."""


def modules_of(directory: Path) -> set[str]:
    """The modules and packages in a package, without those that run it."""
    packages = {path.parent.name for path in directory.glob("*/__init__.py")}
    return ({path.stem for path in directory.glob("*.py")} | packages) - {"__init__", "__main__"}


def names_between_backticks(text: str) -> set[str]:
    return set(re.findall(r"`([a-z_0-9]+)`", text))


def not_named(head: str, modules: set[str]) -> set[str]:
    """The modules that a head leaves out."""
    named = names_between_backticks(head)
    if PARTS_BY_NAME in " ".join(head.split()):
        named |= {module for module in modules if module.startswith(tuple(f"{each}_" for each in named))}
    return modules - named


def not_there(head: str, modules: set[str]) -> set[str]:
    """The names in the lists of a head that are not modules."""
    lists = " ".join(re.findall(r"^\* .*(?:\n  .*)*", head, re.MULTILINE))
    return names_between_backticks(lists) - modules


@pytest.mark.parametrize("package", PACKAGES)
def test_the_head_of_a_package_lists_its_modules(package: str) -> None:
    """Each one, and no other: so a reader finds the file, and a renamed one is renamed there too."""
    path = PACKAGES[package]
    head, modules = ast.get_docstring(ast.parse(path.read_text("utf-8"))) or "", modules_of(path.parent)
    assert not_named(head, modules) == set()
    assert not_there(head, modules) == NO_MODULES.get(package, set())


def test_a_head_that_is_wrong_is_seen() -> None:
    """A module that is left out, and one that is not there."""
    head = "Reads files.\n\n* `reading`: one file.\n* `waits`:\n  `locks`."
    assert not_named(head, {"reading", "reading_parts", "locks"}) == {"reading_parts"}
    assert not_there(head, {"reading", "locks"}) == {"waits"}
    assert not_named(f"{head} What {PARTS_BY_NAME} file.", {"reading", "reading_parts"}) == set()
