"""What must be made anew in the child of a fork.

The child has none of its parent's threads, so a lock that one of them held at that moment would stay locked for ever.
"""

from __future__ import annotations

import os
import weakref
from typing import Protocol


class Resettable(Protocol):
    """Something that holds locks or refers to threads."""

    def reset_after_fork(self) -> None:
        """Begin anew; called in the child, before any other code of ours runs there."""
        ...


_resettables: weakref.WeakSet[Resettable] = weakref.WeakSet()


def reset_in_child(resettable: Resettable) -> None:
    """From now on, for as long as it lives, reset this object in every forked child."""
    _resettables.add(resettable)


def _reset_all() -> None:
    for resettable in list(_resettables):
        resettable.reset_after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_reset_all)
