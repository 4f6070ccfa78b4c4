"""The locks in requirements/: which packages, in which versions, with which hashes, and what wants each of them.

Used by the other modules of this package. It promises to read what `make lock` writes, or to fail: a line that it does
not understand is an error, and so is a package without a hash, and an address.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
REQUIREMENTS = ROOT / "requirements"
OURSELVES = "blnk-auth"

_PINNED = re.compile(r"^([a-z0-9][a-z0-9._-]*)(?:\[[^\]]*\])?==([^\s;\\]+)(?: ; ([^\\]+?))? \\$")
_HASH = re.compile(r"^    --hash=sha256:([0-9a-f]{64})(?: \\)?$")
_VIA = re.compile(r"^    #(?: via)?\s*(.*)$")


@dataclass
class Locked:
    """One line of a lock: a package, in the version that its marker selects (None: always)."""

    name: str
    version: str
    marker: str | None = None
    hashes: list[str] = field(default_factory=list)
    wanted_by: list[str] = field(default_factory=list)


def locks() -> list[Path]:
    """The locks of the project, by name."""
    return sorted(REQUIREMENTS.glob("*.txt"))


def read(text: str) -> list[Locked]:
    """The packages of a lock.

    Raises:
        ValueError: A line is not what `make lock` writes, an address is in it, or a package has no hash.
    """
    found: list[Locked] = []
    for number, line in enumerate(text.splitlines(), start=1):
        if "://" in line:
            raise ValueError(f"line {number} has an address: where packages come from is not the lock's business")
        if pinned := _PINNED.match(line):
            found.append(Locked(*pinned.groups()))
        elif found and (hashed := _HASH.match(line)):
            found[-1].hashes.append(hashed[1])
        elif found and (via := _VIA.match(line)):
            found[-1].wanted_by += [via[1]] if via[1] and not via[1].startswith("-c ") else []
        else:
            raise ValueError(f"line {number} is not a line of a lock: {line!r}")
    if without := [package.name for package in found if not package.hashes]:
        raise ValueError(f"{', '.join(without)}: no hash, so anything could be installed under that name")
    return found


def names(files: Iterable[Path]) -> set[str]:
    """The packages of some locks."""
    return {package.name for file in files for package in read(file.read_text("utf-8"))}
