"""Which source and which current token there is of each grant, in this process.

Used by `ClientState`. It promises that all callers get the same source of a grant while the application refers to it. A
current token that has the only copy of a pair, or that a renewal is changing, is not lost with its source. It never
waits under its lock.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar, cast

from ..stores._forks import reset_in_child
from .authorization_grants import AuthorizationGrant
from .credential import Source, credential_of

if TYPE_CHECKING:
    from .current_token import CurrentToken

AnySource = TypeVar("AnySource", bound=Source)


class Sources:
    """One for each client, which it does not refer to. May be used from any thread or task."""

    def __init__(self) -> None:
        self._sources: weakref.WeakValueDictionary[AuthorizationGrant, Source] = weakref.WeakValueDictionary()
        self._kept: dict[AuthorizationGrant, CurrentToken] = {}
        self.reset_after_fork()
        reset_in_child(self)

    def reset_after_fork(self) -> None:
        """Called in the child of a fork: threads that have a lock, or a renewal under way, are not in it."""
        self._lock = threading.Lock()
        self.installing: threading.Lock = threading.Lock()
        """For the moment in which a current token changes what it remembers. Nothing waits under it."""
        self._kept = {grant: current for grant, current in self._kept.items() if current.unsaved is not None}

    def current_token(self, grant: AuthorizationGrant, make: Callable[[], CurrentToken]) -> CurrentToken:
        """The current token of this grant: the one that its source has or that is kept, else one made by `make`."""
        with self._lock:
            source = self._sources.get(grant)
            if source is None:
                return self._kept.get(grant) or make()
            return cast("CurrentToken", credential_of(source))

    def source_of(self, current: CurrentToken, make: Callable[[CurrentToken], AnySource]) -> AnySource:
        """The source that users have of this grant, made by `make` if none has.

        It is shared by all who ask, and dropped when nothing refers to it.
        """
        with self._lock:
            source = self._sources.get(current.grant)
            if source is None:
                source = self._sources[current.grant] = make(self._kept.get(current.grant) or current)
            return cast("AnySource", source)

    def keep(self, current: CurrentToken, *, kept: bool) -> None:
        """Keep a current token although nothing refers to its source any more, or no longer.

        Kept are those that have the only copy of a pair, and those that a renewal is changing.
        """
        with self._lock:
            if kept:
                self._kept[current.grant] = current
            elif self._kept.get(current.grant) is current:
                del self._kept[current.grant]
