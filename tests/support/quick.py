"""What `make unit` runs opens no socket and starts no process, or a test fails: that is why it is quick.

`tests/conftest.py` uses this in every run, so that `make test` finds such a test too. It watches the paths that
`tests/quick.txt` lists, one on a line, which `make unit` gives to pytest. A test there that needs a socket or a process
has the marker `real`; those of the store contract, which is shipped, get it here.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]
_PATHS = [_ROOT / line for line in (_ROOT / "tests/quick.txt").read_text("utf-8").splitlines()]

_REAL = frozenset(
    {
        "socket.bind",
        "socket.connect",
        "subprocess.Popen",
        "os.fork",
        "os.forkpty",
        "os.posix_spawn",
        "os.system",
    }
)
_CONTRACT = ("blnk_auth.testing.store_contract", "blnk_auth.testing._due_contract")
_watched: list[str] = []


def mark_the_contract(item: pytest.Item) -> None:
    """The tests of the store contract that start processes get the marker."""
    in_contract = isinstance(item, pytest.Function) and item.function.__module__ in _CONTRACT
    if in_contract and ("process" in item.name or "killed" in item.name):
        item.add_marker(pytest.mark.real)


def _refuse(event: str, _arguments: tuple[object, ...]) -> None:
    if event in _REAL and _watched:
        raise RuntimeError(f"{_watched[-1]} is not marked `real`, and does this: {event}")


# A hook cannot be removed: it does nothing while no test is watched.
sys.addaudithook(_refuse)


@contextmanager
def watched(item: pytest.Item) -> Iterator[None]:
    """Watch what a test does meanwhile, if `make unit` runs it."""
    if item.get_closest_marker("real") is None and any(item.path.is_relative_to(path) for path in _PATHS):
        _watched.append(item.nodeid)
    try:
        yield
    finally:
        _watched.clear()
