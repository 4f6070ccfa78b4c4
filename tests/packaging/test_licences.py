"""The licence of each package in the locks is known and allowed, and the check notices what it is for."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from supply_chain import licences, locks
from support.prose import ROOT

KNOWN = licences.known()
ENVIRONMENTS = [path.parent.parent for path in sorted((ROOT / ".venv").glob("*/bin/python"))]


def test_every_locked_package_has_a_licence_that_is_allowed() -> None:
    """Or an exception with its reason. For a package that is new: `make licences`."""
    assert licences.complaints(locks.names(locks.locks()), KNOWN) == []


def test_what_users_install_needs_no_exception() -> None:
    """Exceptions are for tests and tools."""
    assert locks.names([locks.REQUIREMENTS / "runtime.txt"]) & {*KNOWN["exceptions"]} == set()


def test_what_is_installed_declares_the_licence_that_is_known() -> None:
    """A package that changes its licence is noticed with the lock that brings the change."""
    newest = [path for path in ENVIRONMENTS if path.name in {"clients", "niquests", "site", "bench", "audit"}]
    here = Path(metadata.distribution("packaging").locate_file(""))
    assert licences.disagreements([here, *newest], KNOWN) == []
    assert len(list(licences.installed([here]))) > 50


SAMPLE: dict[str, Any] = {
    "allowed": ["MIT", "BSD-3-Clause"],
    "read_by_hand": [],
    "exceptions": {"c": "only tests use it"},
    "packages": {"a": "MIT", "b": "Apache-2.0 OR MIT", "c": "LGPL-3.0-only"},
}


@pytest.mark.parametrize(
    ("locked", "change", "complaint"),
    [
        ("abc", {}, None),
        ("abcd", {}, "d: its licence is not known"),
        ("ab", {}, "c: in no lock"),
        ("abc", {"allowed": ["MIT", "LGPL-3.0-only"]}, "c: the exception is not needed"),
        ("abc", {"exceptions": {}}, "c: LGPL-3.0-only is not allowed"),
        ("abc", {"exceptions": {"c": " "}}, "c: LGPL-3.0-only is not allowed"),
        ("abc", {"allowed": ["Apache-2.0"]}, "a: MIT is not allowed"),
    ],
)
def test_the_check_complains(locked: str, change: dict[str, Any], complaint: str | None) -> None:
    """Of what is unknown, not allowed, without a reason, or no longer needed."""
    found = licences.complaints(locked, {**SAMPLE, **change})
    assert [each[: len(complaint or "")] for each in found] == ([] if complaint is None else [complaint])


@pytest.mark.parametrize(
    ("expression", "permitted"),
    [
        ("MIT", True),
        ("GPL-3.0-only", False),
        ("GPL-3.0-only OR MIT", True),
        ("MIT AND GPL-3.0-only", False),
        ("(GPL-3.0-only OR MIT) AND BSD-3-Clause", True),
        ("GPL-3.0-only OR MIT AND Zlib", False),
        ("MIT WITH Some-exception", False),
    ],
)
def test_an_expression_is_read_as_spdx_defines_it(expression: str, permitted: bool) -> None:
    """AND binds more tightly than OR, and an exception makes another licence."""
    assert licences.permits(expression, {"MIT", "BSD-3-Clause"}) is permitted


@pytest.mark.parametrize("expression", ["", "MIT OR", "(MIT", "MIT)", "MIT MIT", "MIT/BSD", "AND MIT"])
def test_what_is_not_an_expression_is_refused(expression: str) -> None:
    """A licence in free words is never taken for one that is allowed."""
    with pytest.raises(ValueError, match="SPDX"):
        licences.permits(expression, {"MIT"})


def test_a_changed_licence_is_noticed(tmp_path: Path) -> None:
    """By what the installed package declares, in each form that metadata has for it."""
    for name, header in {
        "a": "License-Expression: GPL-3.0-only",
        "b": "License: MIT",
        "c": "Classifier: License :: OSI Approved :: MIT License",
        "d": "License-Expression: Unheard-Of",
    }.items():
        directory = tmp_path / f"{name}-1.dist-info"
        directory.mkdir()
        (directory / "METADATA").write_text(f"Metadata-Version: 2.4\nName: {name}\nVersion: 1\n{header}\n")
    found = licences.disagreements([tmp_path], SAMPLE)
    assert [each.partition(":")[0] for each in found] == ["a 1", "b 1", "c 1"]
