"""What every store class of this package shares: how it is copied, pickled and closed.

Used by the store classes. A store is a handle to what it keeps, and carries no records itself. So a copy, deep or not,
is the same store, and a pickle carries what is needed to open the store again in another process: never a record, and
never a private name of this package, so that later versions can read it.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Self


class StoreHandle:
    """Copies, and the context manager that closes. A subclass that keeps anything open overrides `close`."""

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Close what the store keeps open. A later use opens it again: a renewal under way must still be saved."""


class PickledByArguments(StoreHandle):
    """A store whose pickle carries the arguments that open it, and nothing else."""

    def _arguments(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments, positional and by name, that open the same store in another process.

        Raises `TypeError`, saying what to do instead, if it cannot be opened there.
        """
        return (), {}

    def __reduce__(self) -> str | tuple[Any, ...]:
        args, options = self._arguments()
        return (partial(type(self), **options) if options else type(self)), args
