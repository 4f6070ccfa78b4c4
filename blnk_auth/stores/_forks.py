"""The one registry of what must be done around a fork. No other module of this package registers with `os`.

Used by every class that has locks, threads or connections. It promises that a forked child can use such an object.
Without it, a lock that another thread of the parent had during the fork would stay locked for ever in the child,
because that thread does not exist there. Nor may the child use its parent's connections.

It never keeps an object alive, and does nothing on systems that cannot fork.
"""

from __future__ import annotations

import os
import threading
import weakref
from typing import Protocol


class Resettable(Protocol):
    """Something that has locks or refers to threads."""

    def reset_after_fork(self) -> None:
        """Start again as if just made. Called in the child, before any other code of this package runs there."""
        ...


class Pausable(Protocol):
    """Something that must not be in use while the process forks."""

    def pause_before_fork(self) -> None:
        """Wait until no thread uses the object, and do not let another thread begin."""
        ...

    def resume_after_fork(self) -> None:
        """Allow its use again. Called in the parent and in the child, by the thread that forked."""
        ...


_resettables: weakref.WeakSet[Resettable] = weakref.WeakSet()
_pausables: weakref.WeakSet[Pausable] = weakref.WeakSet()
_paused: list[Pausable] = []
_adding: dict[str, threading.Lock] = {}
"""The lock that is taken during a fork, so that no object is added that was not paused. It is made at its first use: a
program may patch `threading` after its imports."""


def _lock() -> threading.Lock:
    # In one step, so that two threads get the same.
    return _adding.setdefault("lock", threading.Lock())


def reset_in_child(resettable: Resettable) -> None:
    """Reset this object in every child that is forked while the object exists."""
    _resettables.add(resettable)


def pause_during_fork(pausable: Pausable) -> None:
    """Pause this object during every fork that happens while the object exists."""
    with _lock():
        _pausables.add(pausable)


def _before() -> None:
    _lock().acquire()
    for pausable in _pausables:
        _paused.append(pausable)
        pausable.pause_before_fork()


def _resume() -> None:
    while _paused:
        _paused.pop().resume_after_fork()
    # The lock is not taken if a program forked without calling `_before`, and then called this.
    if _lock().locked():
        _lock().release()


def _in_child() -> None:
    _resume()
    for resettable in list(_resettables):
        resettable.reset_after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_resume, after_in_child=_in_child)
