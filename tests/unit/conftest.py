"""`make unit` is quick because a test here opens no socket and starts no process, unless it has the marker
`real`: the audit hook makes anything else fail.
"""

from __future__ import annotations

import sys
from collections.abc import Generator

import pytest
from hypothesis import settings

# A machine that is busy with something else must not fail a property, so an example has no time limit.
settings.register_profile("blnk_auth", deadline=None)
settings.load_profile("blnk_auth")

_REAL = frozenset({"socket.bind", "socket.connect", "subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn"})
_watched: list[str] = []


def _refuse(event: str, _arguments: tuple[object, ...]) -> None:
    if event in _REAL and _watched:
        raise RuntimeError(f"{_watched[-1]} is not marked `real`, and does this: {event}")


# A hook cannot be removed: it does nothing while no test is watched.
sys.addaudithook(_refuse)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Watch the tests of this directory that have no marker `real`, their fixtures included."""
    if item.get_closest_marker("real") is None and "unit" in item.path.parts:
        _watched.append(item.nodeid)
    try:
        return (yield)
    finally:
        _watched.clear()
