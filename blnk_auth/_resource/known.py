"""Keeps what was learned of resources: for an hour in this process, and in the store.

Used by `learning.py`. What this file promises:

* 256 resources are kept in this process for each store; those that were used longest ago are forgotten.
* That a URL is not a protected resource is kept in this process only.
* A record that cannot be read counts as missing. One that cannot be saved is learned again later.

It never asks a server.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from contextlib import suppress
from typing import NamedTuple
from weakref import WeakKeyDictionary

from .._renewal.store_keys import resource_key
from ..errors import StoreError
from ..stores._calls import load_record, save_record
from ..stores._due import NEVER_DUE
from ..stores._forks import reset_in_child
from ..stores._token_store import TokenStore
from .learned import Learned

LIFETIME = 3600.0
"""Seconds for which what was learned is used without asking again."""

MOST_KEPT = 256
"""How many resources are kept in this process for each store."""


class Known(NamedTuple):
    """What is known of a resource.

    Attributes:
        learned: What was learned. None: it is not a protected resource.
        is_fresh: Whether that was less than an hour ago.
    """

    learned: Learned | None
    is_fresh: bool


_Kept = OrderedDict[str, tuple[float, Learned | None]]


class KnownResources:
    """What is known of the resources, by store. May be used from any thread."""

    def __init__(self) -> None:
        self._lock: threading.Lock = threading.Lock()
        self._by_store: WeakKeyDictionary[TokenStore, _Kept] = WeakKeyDictionary()
        reset_in_child(self)

    def reset_after_fork(self) -> None:
        """Called in the child of a fork: another thread of the parent may have had the lock."""
        self._lock = threading.Lock()

    def load(self, url: str, store: TokenStore, now: float) -> Known | None:
        """What is known of the resource at `url`; None: nothing. Raises `StoreError`."""
        with self._lock:
            kept_at, learned = self._kept(store).get(url, (0.0, None))
        if _is_fresh(kept_at, now):
            return Known(learned, is_fresh=True)
        record = load_record(store, resource_key(url))
        stored = None if record is None else Learned.from_data(record.data)
        if stored is None or stored.url != url:
            return None
        self._keep(url, store, stored.learned_at, stored)
        return Known(stored, _is_fresh(stored.learned_at, now))

    def save(self, url: str, store: TokenStore, now: float, learned: Learned | None) -> None:
        """Keep what was learned. Never raises for a store that fails."""
        self._keep(url, store, now if learned is None else learned.learned_at, learned)
        if learned is None:
            return
        # If another process has saved in between, that is as good.
        with suppress(StoreError):
            record = load_record(store, resource_key(url))
            data = {**learned.to_data(), **NEVER_DUE}
            save_record(store, resource_key(url), data, expected=None if record is None else record.version)

    def _keep(self, url: str, store: TokenStore, now: float, learned: Learned | None) -> None:
        with self._lock:
            kept = self._kept(store)
            kept[url] = now, learned
            kept.move_to_end(url)
            while len(kept) > MOST_KEPT:
                kept.popitem(last=False)

    def _kept(self, store: TokenStore) -> _Kept:
        try:
            return self._by_store.setdefault(store, OrderedDict())
        except TypeError:
            # A store that cannot be a key is asked each time.
            return OrderedDict()


def _is_fresh(kept_at: float, now: float) -> bool:
    return 0 <= now - kept_at < LIFETIME
