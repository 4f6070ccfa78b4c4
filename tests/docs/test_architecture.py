"""docs/explanation/architecture.md describes the code as it is: the picture is current, and every file that it names
exists.
"""

from __future__ import annotations

import re

import pytest
from support.architecture import FILE, needed, picture
from support.imports import PACKAGE, graph

ROOT = FILE.parents[2]
PAGE = (FILE.parent / "architecture.md").read_text("utf-8")


def test_the_picture_is_current() -> None:
    """If the imports have changed as they should: make snapshots."""
    assert picture() == FILE.read_text("utf-8")


def test_the_size_of_the_graph_is_current() -> None:
    """The page names its nodes."""
    assert f"The graph has {len(graph())} nodes," in PAGE


def test_arrows_that_others_imply_are_left_out() -> None:
    """Of a chain and a short cut, the chain is drawn."""
    assert needed({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == {"a": {"b"}, "b": {"c"}, "c": set()}


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`([\w/]+\.(?:py|txt))`", PAGE))))
def test_every_file_that_is_named_exists(name: str) -> None:
    """Named from the package, or from the root of the project."""
    assert (PACKAGE / name).is_file() or (ROOT / name).is_file()


def test_the_table_has_every_module_of_the_root() -> None:
    """Those of the packages are listed in their heads; see tests/unit/test_package_heads.py."""
    table = PAGE.partition("## The layout")[2].partition("## What imports what")[0]
    modules = {path.name for path in PACKAGE.glob("*.py")} - {"__init__.py", "__main__.py"}
    assert sorted(modules - set(re.findall(r"`(\w+\.py)`", PAGE))) == []
    assert sorted(modules - set(re.findall(r"`(\w+\.py)`", table))) == ["_pickles.py"]
    questions = re.findall(r"^\| ([^|]+\?) \|", table, re.MULTILINE)
    assert len(questions) == len(set(questions)) > 40


def test_the_files_of_a_renewal_exist() -> None:
    """The page about renewals begins with the files that it describes."""
    listed = (FILE.parent / "renewal.md").read_text("utf-8").partition("## The danger")[0]
    named = re.findall(r"`(\w+\.py)`", listed)
    assert [name for name in named if not (PACKAGE / "_renewal" / name).is_file()] == []
    assert len(named) > 8


def test_every_word_of_code_exists() -> None:
    """Classes and functions that the walks name are in the package."""
    source = "\n".join(path.read_text("utf-8") for path in PACKAGE.rglob("*.py"))
    walks = PAGE.partition("## Five walks")[2].partition("## Words")[0]
    named = {name.rpartition(".")[2].partition("(")[0] for name in re.findall(r"`([A-Za-z_.]+(?:\([^`]*\))?)`", walks)}
    assert [name for name in sorted(named - {"iss", "state"}) if not re.search(rf"\b{re.escape(name)}\b", source)] == []
