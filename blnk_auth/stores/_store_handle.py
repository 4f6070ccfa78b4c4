"""What every store class of this package shares: how it is copied, pickled and closed.

Used by the store classes. A store is only a handle to its data. It promises that a copy, deep or not, is the same
store, and that a pickle carries the arguments that open the store in another process. A pickle never carries a record,
and never a private name of this package, so that later versions can read it.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Self

from ._token_store import TokenStore


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
        """Close the files and connections that the store keeps open. May be called from any thread, and repeatedly.

        A later use opens them again, because a renewal under way must still be saved. If the store keeps nothing open,
        `close` does nothing.
        """


class PickledByArguments(StoreHandle, TokenStore):
    """A store whose pickle carries the arguments that open it, and nothing else.

    Its methods are documented where `TokenStore` declares them; a store documents only the differences.
    """

    def _arguments(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments, positional and by name, that open the same store in another process.

        Raises `TypeError`, which names the remedy, if it cannot be opened there.
        """
        return (), {}

    def __reduce__(self) -> str | tuple[Any, ...]:
        args, options = self._arguments()
        return (partial(type(self), **options) if options else type(self)), args
