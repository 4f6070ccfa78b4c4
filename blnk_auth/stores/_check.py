"""What a store reports about records that it cannot read, for `check_store` and `blnk-auth store check`.

Used by the stores that can find such records by themselves, and by `_copying`, which asks them. It never reads a record
itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from ..errors._pickling import public


@public
@dataclass(frozen=True, slots=True)
class Unreadable:
    """Something in a store that cannot be read.

    Attributes:
        where: The key, file or row, for people.
        problem: What is wrong and what to do, without a secret.
        moved_aside: True if the raw data now has another name, so that it does not block its key.
        key: The key of the record; None if it is not known, or if it is not about one record.
    """

    where: str
    problem: str
    moved_aside: bool = False
    key: str | None = None


@public
@runtime_checkable
class SelfChecking(Protocol):
    """A store that can look for damage beyond what its `keys` list."""

    def check(self) -> Iterator[Unreadable]:
        """Everything that cannot be read, after moving aside what can be moved. Deletes nothing."""
        ...
