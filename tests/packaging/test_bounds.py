"""The bounds of the dependencies in pyproject.toml: each lower one is tried, and each upper one has a reason."""

from __future__ import annotations

import re
import tomllib
from typing import Any

from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.version import Version
from supply_chain import locks
from support.prose import ROOT

TEXT = (ROOT / "pyproject.toml").read_text("utf-8")
PROJECT: dict[str, Any] = tomllib.loads(TEXT)
OF_USERS = [
    *PROJECT["project"]["dependencies"],
    *(each for extra in PROJECT["project"]["optional-dependencies"].values() for each in extra),
]
DECLARED = [
    *(each for each in OF_USERS if not each.startswith(locks.OURSELVES)),
    *(each for group in PROJECT["dependency-groups"].values() for each in group if isinstance(each, str)),
]
TRIED = [each for each in DECLARED if each in OF_USERS or each in PROJECT["dependency-groups"]["test"]]
LOWEST = locks.read((ROOT / "requirements/lowest.txt").read_text("utf-8"))


def without_a_reason(text: str) -> list[str]:
    """The requirements with an upper bound, or without a version, that no comment on the line before explains."""
    lines = text.splitlines()
    found = [
        (number, requirement)
        for number, line in enumerate(lines)
        if not line.lstrip().startswith("#")
        for requirement in re.findall(r'"([a-z][a-z0-9-]*(?:\[[a-z0-9,]+\])?[<>=!~][^"]*)"', line)
    ]
    return [
        requirement
        for number, requirement in found
        if any(each.operator != ">=" for each in Requirement(requirement).specifier)
        and not lines[number - 1].lstrip().startswith("# ")
    ]


def test_a_dependency_has_one_lower_bound() -> None:
    """Without one, nobody knows which versions work."""
    bounds = {each: [bound.operator for bound in Requirement(each).specifier].count(">=") for each in DECLARED}
    assert [each for each, count in bounds.items() if count != 1] == []


def test_a_lower_bound_is_what_the_lowest_lock_has() -> None:
    """`make test-lowest` runs with it. If another package needs a newer one, the bound promises what is never tried."""
    assert [each for each in TRIED if not is_tried(each, LOWEST)] == []
    assert len(TRIED) > 40
    assert not is_tried("httpx>=0.26,<1", LOWEST)


def is_tried(requirement: str, lowest: list[locks.Locked]) -> bool:
    """Whether this machine runs with the lower bound: 3 is tried by 3.0 and by 3.0.1, and 3.0 not by 3.1."""
    wanted = Requirement(requirement)
    bound = next(Version(each.version) for each in wanted.specifier if each.operator == ">=").release
    here = [each for each in lowest if each.marker is None or Marker(each.marker).evaluate()]
    name = re.sub(r"[-_.]+", "-", wanted.name).lower()
    return [Version(each.version).release[: len(bound)] for each in here if each.name == name] == [bound]


def test_an_upper_bound_has_its_reason() -> None:
    """A comment before it names what breaks: a bound without a reason is never lifted."""
    assert without_a_reason(TEXT) == []
    bounded = [each for each in OF_USERS if "<" in each]
    page = (ROOT / "docs/explanation/dependencies.md").read_text("utf-8")
    for name, _, upper in (each.partition(",<") for each in bounded):
        assert re.search(
            rf"^\|.*`{re.split('[^a-z0-9-]', name)[0]}` >= [\d.]+, < {re.escape(upper)}\b", page, re.MULTILINE
        )
    assert len(bounded) >= 3


def test_a_bound_without_a_reason_is_found() -> None:
    """Also one that excludes a version."""
    assert without_a_reason('[\n# why\n"a>=1,<2",\n"b>=1,<2",\n"c>=1",\n"d[x]>=1,!=1.5"]') == [
        "b>=1,<2",
        "d[x]>=1,!=1.5",
    ]
