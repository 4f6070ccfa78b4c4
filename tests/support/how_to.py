"""The programs of the how-to pages about other packages, for tests that run them with the real packages.

Used by tests/clients. `read_along` of tests/docs/test_readme.py runs a page from top to bottom, as a reader would. Here
a test runs one program of a page by itself, with a user of its own and a clock that it moves.
"""

from __future__ import annotations

from typing import Any

from docs.test_readme import HOW_TO, python_blocks

MOST_LINES = 20
"""Of one program: a reader sees it at a glance."""


def run_program(page: str, mark: str, **names: Any) -> dict[str, Any]:
    """Run the one program of a page that has `mark` in it, with these names; return the names afterwards."""
    path = HOW_TO / f"{page}.md"
    [block] = [block for block in python_blocks(path.read_text("utf-8")) if mark in block.source]
    # The empty lines make a traceback point into the page.
    exec(compile("\n" * (block.line - 1) + block.source, str(path), "exec", dont_inherit=True), names)
    return names
