"""A `.env` file: variables that are set in it, among others that stay.

Used by `blnk-auth sandbox` and by the landing page. It promises that a variable is replaced where it is, that every
other line stays as it is, and that the file is replaced wholly or not at all. It never makes a file that another user
can read.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Mapping
from pathlib import Path

from ...stores._durable_file import replace_file

_ASSIGNMENT = re.compile(r"\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=")


def lines_of(variables: Mapping[str, str]) -> list[str]:
    """One line for each variable, quoted where a shell needs that: both shells and dotenv read them."""
    return [f"{name}={shlex.quote(value)}" for name, value in variables.items()]


def with_variables(text: str, variables: Mapping[str, str], removed: Collection[str] = ()) -> str:
    """The text of a `.env` file with these variables set, where they are, else at the end, and without `removed`."""
    wanted = dict(zip(variables, lines_of(variables), strict=True))
    kept: list[str] = []
    for line in text.splitlines():
        found = _ASSIGNMENT.match(line)
        name = "" if found is None else found[1]
        if name in wanted:
            kept.append(wanted.pop(name))
        elif name not in variables and name not in removed:
            kept.append(line)
    return "\n".join([*kept, *wanted.values(), ""])


def save_variables(path: Path, variables: Mapping[str, str], removed: Collection[str] = ()) -> None:
    """Set the variables in the file, which need not exist. Raises `OSError`, or `ValueError` if it is not text."""
    path = path.resolve()
    text = path.read_text("utf-8") if path.exists() else ""
    replace_file(path, with_variables(text, variables, removed).encode("utf-8"))
