"""The sources and current tokens of one client that exist in this process, by grant.

Used by `ClientState`. What this file promises:

* All callers get the same source of a grant, as long as the application refers to it.
* A current token outlives its source while a renewal is changing it, or while it has the only copy of a token pair.

It never waits while it has its lock.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar, cast

from ..stores._forks import reset_in_child
from .authorization_grants import AuthorizationGrant, GrantKey, grant_key
from .credential import Source, credential_of
from .presenting_grants import PresentingGrant, indistinguishable, is_unnamed, presents_same

if TYPE_CHECKING:
    from .current_token import CurrentToken

AnySource = TypeVar("AnySource", bound=Source)


class Sources:
    """Finds the source and the current token of a grant. One for each client. May be used from any thread or task."""

    def __init__(self) -> None:
        self._sources: weakref.WeakValueDictionary[GrantKey, Source] = weakref.WeakValueDictionary()
        self._kept: dict[GrantKey, CurrentToken] = {}
        self._unnamed: dict[PresentingGrant, PresentingGrant] = {}
        self.reset_after_fork()
        reset_in_child(self)

    def reset_after_fork(self) -> None:
        """Called in the child of a fork: the threads that had a lock, or that were renewing, do not exist here."""
        self._lock = threading.Lock()
        self.installing: threading.Lock = threading.Lock()
        """Taken for the moment in which a current token changes what it remembers. Nothing waits while it is taken."""
        self._kept = {key: current for key, current in self._kept.items() if current.unsaved is not None}

    def current_token(self, grant: AuthorizationGrant, make: Callable[[], CurrentToken]) -> CurrentToken:
        """The current token of this grant: that of its source, else the kept one, else a new one from `make`."""
        with self._lock:
            source = self._sources.get(grant_key(grant))
            if source is None:
                return self._kept.get(grant_key(grant)) or make()
            return cast("CurrentToken", credential_of(source))

    def presenting(self, grant: PresentingGrant, make: Callable[[], CurrentToken]) -> CurrentToken:
        """The same for a grant that presents what the application has just passed.

        Raises `ConfigurationError` if that cannot be distinguished from what was passed before.
        """
        # Kept for as long as the client exists: a later callable may be for somebody else.
        if is_unnamed(grant) and not presents_same(self._unnamed.setdefault(grant, grant), grant):
            raise indistinguishable(grant)
        current = self.current_token(grant, make)
        current.grant = grant
        return current

    def source_of(self, current: CurrentToken, make: Callable[[CurrentToken], AnySource]) -> AnySource:
        """The source of this grant that the application uses; a new one from `make` if it uses none.

        All callers share it. It is dropped when nothing refers to it any more.
        """
        with self._lock:
            key = grant_key(current.grant)
            source = self._sources.get(key)
            if source is None:
                source = self._sources[key] = make(self._kept.get(key) or current)
            return cast("AnySource", source)

    def keep(self, current: CurrentToken, *, kept: bool) -> None:
        """Begin (`kept=True`) or stop (`kept=False`) to keep a current token whose source may no longer exist.

        A current token is kept while it has the only copy of a pair, and while a renewal is changing it.
        """
        with self._lock:
            key = grant_key(current.grant)
            if kept:
                self._kept[key] = current
            elif self._kept.get(key) is current:
                del self._kept[key]
