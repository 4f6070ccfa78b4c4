"""What a store says about records that it cannot read, for `blnk-auth store check`.

A store that can find them by itself has `check`, besides the five verbs; `copying` calls it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable


@dataclass(frozen=True, slots=True)
class Unreadable:
    """`where` is the key, file or row; `problem` says what is wrong and what to do, without a secret.

    `moved_aside` is True if the raw data now lies under another name, so that it is in nobody's way.
    """

    where: str
    problem: str
    moved_aside: bool = False


@runtime_checkable
class SelfChecking(Protocol):
    """A store that can look for damage beyond what its `keys` list."""

    def check(self) -> Iterator[Unreadable]:
        """Everything that cannot be read, after moving aside what can be. Deletes nothing."""
        ...
