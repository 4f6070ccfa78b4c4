"""Reports about records that cannot be read: `Unreadable`, and the method `check` of the stores that find them.

Used by the stores that can find such records by themselves, and by `_copying`, whose `check_store` calls them. It
promises that a report contains no secret. It never reads a record itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from ..errors._pickling import public


@public
@dataclass(frozen=True, slots=True)
class Unreadable:
    """A report about something in a store that cannot be read. Immutable.

    Attributes:
        where: The key, file or row, to show to users.
        problem: What is wrong and what to do, without a secret.
        moved_aside: True if the raw data now has another name, so that it does not block its key.
        key: The key of the record; None if it is not known, or if the report is not about one record.
    """

    where: str
    problem: str
    moved_aside: bool = False
    key: str | None = None


@public
@runtime_checkable
class SelfChecking(Protocol):
    """A store that can look for damage beyond what its `keys` list.

    `check` may be called from any thread.
    """

    def check(self) -> Iterator[Unreadable]:
        """Look for damage, and move aside what can be moved. Deletes nothing. May be called from any thread.

        Returns:
            Everything that cannot be read.

        Raises:
            StoreError: The store cannot be checked. It may be raised during the iteration.
        """
        ...
