"""`tests/failures.md`: which tests show each known failure. `make snapshots` writes the names of the tests again,
and the page of the site that has the same content.

A test shows a failure if its name has the number (`test_f01_...`, `test_trap_01_...`), or its docstring does (`F01`).
"""

from __future__ import annotations

import ast
import functools
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from blnk_auth.testing.store_contract import SharedStoreContract

FILE = Path(__file__).parents[1] / "failures.md"
PAGE = FILE.parents[1] / "docs" / "reference" / "known-failures.md"
_IN_THE_CONTRACT = {"F45": "test_the_lock_of_a_killed_process_is_free"}
"""Tests that authors of stores run too, and that are part of the package, which names no number."""

_HEAD = """\
# Known failures, and their tests

Failures of libraries of this kind, and the traps that the three providers set.
They are collected from their source, from measurements and from reports of their users.
Each entry describes the correct behaviour, and names the tests that show it here, by their file in `tests/`.
`make test` runs them.
Unless an entry states something else, refresh tokens rotate, and the server ends the grant when an old one is used.
This page is made by `make snapshots`.

"""

ENTRY = re.compile(r"^- \*\*(?P<number>F\d\d|Trap \d\d)\*\* (?P<text>[^\n]*)\n((?:  .*\n)*)", re.MULTILINE)


@functools.cache
def tests() -> tuple[tuple[str, str, str], ...]:
    """File, name and docstring of every test; read once, since that takes a second."""
    return tuple(_tests())


def _tests() -> Iterator[tuple[str, str, str]]:
    contracts = FILE.parent.glob("support/stores/*_contract.py")
    for path in sorted({*FILE.parent.rglob("test_*.py")} - {FILE.parent / "unit" / "test_failures.py"}) + sorted(
        contracts
    ):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                yield path.relative_to(FILE.parent).as_posix(), node.name, ast.get_docstring(node) or ""


@functools.cache
def shown() -> dict[str, list[str]]:
    """The tests that show each failure, as they are listed."""
    found: dict[str, list[str]] = {}
    for path, name, documentation in tests():
        numbers = {f"F{number}" for number in re.findall(r"(?<=_f)\d\d(?=_)", name)}
        numbers |= {f"Trap {number}" for number in re.findall(r"(?<=test_trap_)\d\d(?=_)", name)}
        numbers |= {f"F{number}" for number in re.findall(r"\bF(\d\d)\b", documentation)}
        for number in numbers:
            entry = f"`{path}` {name}"
            if entry not in found.setdefault(number, []):
                found[number].append(entry)
    for number, name in _IN_THE_CONTRACT.items():
        assert hasattr(SharedStoreContract, name)
        found.setdefault(number, []).append(f"`stores/test_contract.py` {name}")
    return found


def listed() -> dict[str, tuple[str, list[str]]]:
    """The content of the file: the text of each entry, and its tests."""
    return {
        match["number"]: (match["text"], [line.removeprefix("  - ") for line in match[3].splitlines()])
        for match in ENTRY.finditer(FILE.read_text("utf-8"))
    }


def written() -> str:
    """The file with the tests of today."""
    found = shown()

    def entry(match: re.Match[str]) -> str:
        lines = "".join(f"  - {test}\n" for test in found.get(match["number"], []))
        return f"- **{match['number']}** {match['text']}\n{lines}"

    return ENTRY.sub(entry, FILE.read_text("utf-8"))


def page(catalogue: str) -> str:
    """The catalogue as a page, on which each entry is a heading that others link to."""
    text = "## " + catalogue.partition("\n## ")[2]
    text = re.sub(r"^### (\w)(.+)$", lambda match: f"## Traps: {match[1].lower()}{match[2]}", text, flags=re.MULTILINE)
    text = re.sub(r"^- \*\*([^*]+)\*\* (.+)$", r"### \1\n\n\2\n", text, flags=re.MULTILINE)
    text = re.sub(r"^  - (`.+`) (test_\w+)$", r"- \1 `\2`", text, flags=re.MULTILINE)
    spaced = re.sub(r"(?<=[^\n])\n(?=#)", "\n\n", text)
    return f"{_HEAD}{spaced}"


if __name__ == "__main__":
    FILE.write_text(written(), "utf-8")
    PAGE.write_text(page(written()), "utf-8")
    sys.stdout.write(f"{FILE.name} and {PAGE.name} are written\n")
