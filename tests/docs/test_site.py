"""The site: every page has a place in its navigation, and every public name has one in its reference.

`make docs` builds it, and ends if a link, an anchor or a name leads nowhere. These tests need no build.
"""

from __future__ import annotations

import importlib
import re
import tomllib
from collections.abc import Iterator
from typing import Any

from support.prose import ROOT
from support.scripts import script

import blnk_auth

DOCS = ROOT / "docs"
NAVIGATION: list[Any] = tomllib.loads((ROOT / "zensical.toml").read_text("utf-8"))["project"]["nav"]
MODULES = sorted(
    path.stem if path.parent == ROOT / "blnk_auth" else path.parent.name
    for path in (*(ROOT / "blnk_auth").glob("[!_]*.py"), *(ROOT / "blnk_auth").glob("[!_]*/__init__.py"))
    if "__all__" in path.read_text("utf-8")
)


def pages(entries: list[Any], depth: int = 1) -> Iterator[tuple[str, int]]:
    """Each page of the navigation, and how many levels deep it is."""
    for entry in entries:
        if isinstance(entry, str):
            yield entry, depth
        else:
            for below in entry.values():
                yield from pages(below if isinstance(below, list) else [below], depth + isinstance(below, list))


def test_every_page_has_one_place_in_the_navigation() -> None:
    """Who looks for a page need not know that it exists."""
    listed = [page for page, _ in pages(NAVIGATION)]
    assert sorted(listed) == sorted(path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md"))


def test_the_navigation_has_two_levels_at_most() -> None:
    """A page below the second level is found by nobody who does not search for it."""
    assert max(depth for _, depth in pages(NAVIGATION)) == 2


def test_every_public_name_is_in_the_reference() -> None:
    """Under the module that lists it, or under the package. The build ends if a name there does not exist."""
    text = "".join(path.read_text("utf-8") for path in (DOCS / "api").glob("*.md"))
    documented = {name.rpartition(".")[2] for name in re.findall(r"^::: (\S+)$", text, re.MULTILINE)}
    public = {name for name in blnk_auth.__all__ if name != "__version__"}
    for module in MODULES:
        public |= set(importlib.import_module(f"blnk_auth.{module}").__all__)
    # A module that is a member of another has a heading of its own.
    assert public - documented - {"store_contract"} == set()
    assert len(public) > 100


def test_llms_txt_agrees_with_the_pages() -> None:
    """Every page with its title and its first sentence, as they are now. If not: `make snapshots`."""
    assert (DOCS / "llms.txt").read_text("utf-8") == script("tools/llms.py").index()


def test_contributing_describes_every_target() -> None:
    """Each target of the Makefile that a maintainer calls is in the table, with what it does and how long it takes."""
    makefile, table = ((ROOT / name).read_text("utf-8") for name in ("Makefile", "CONTRIBUTING.md"))
    targets = re.findall(r"^([a-z-]+):", makefile, re.MULTILINE)
    rows = dict(re.findall(r"^\| `make ([a-z-]+)[^`]*` \| (?:[^|]+) \| ([^|]+) \| [^|]*\|$", table, re.MULTILINE))
    # What another target runs is described there.
    assert {*targets} - {*rows} == {"clean"}
    assert {*rows} <= {*targets}
    assert len(rows) > 20
