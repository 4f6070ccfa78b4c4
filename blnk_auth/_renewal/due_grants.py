"""Finding the grants of a client that are due, because they end soon unless they are renewed.

Used by `OAuthClient.due`, and by `keepalive`. What this file promises:

* Grants are found in the order of (due_at, key), page by page: one that cannot be renewed does not hide those after it.
* An entry of an index that does not describe its record is decided by the record, and corrected in the index.
* Memory does not grow with the number of grants.

It never renews a grant.
"""

from __future__ import annotations

import itertools
import logging
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ..errors import StoreError
from ..stores._calls import call_store, load_record
from ..stores._due import UNKNOWN, DueStore, Place, due_page, has_index
from .authorization_grants import AuthorizationGrant
from .client_grants import grant_at
from .stored_record import GrantRecord

if TYPE_CHECKING:
    from .client_state import ClientState

_MOST_READ = 5_000
"""How many records one call reads because their entries do not describe them: after an upgrade there may be a million.
The next calls continue, since each that was read is corrected."""

_BEHIND_UNKNOWN: Place = (UNKNOWN, "\U0010ffff")

_logger: logging.Logger = logging.getLogger("blnk_auth")


def due_grants(state: ClientState, before: float, limit: int | None) -> Iterator[AuthorizationGrant]:
    """The grants that are due before a moment, in UTC epoch seconds, by (due_at, key). Raises `StoreError`.

    `limit`: how many at most; None: all.
    """
    return itertools.islice(_due_grants(state, before), limit)


def _due_grants(state: ClientState, before: float) -> Iterator[AuthorizationGrant]:
    is_indexed = has_index(state.store)
    left: float = _MOST_READ if is_indexed else math.inf
    after: Place | None = None
    while entries := due_page(state.store, state.registration.tokens, before, after):
        after = entries[-1].due_at, entries[-1].key
        inexact = [entry.key for entry in entries if not entry.is_exact]
        inexact = inexact if len(inexact) <= left else inexact[: int(left)]
        left -= len(inexact)
        # A corrected entry may be found again, at its own place.
        due = _decide(state, inexact, before, after if is_indexed else None)
        for entry in entries:
            grant = grant_at(state, entry.key) if entry.is_exact or entry.key in due else None
            if grant is not None:
                yield grant
        if not left:
            after = max(after, _BEHIND_UNKNOWN)


def _decide(state: ClientState, keys: list[str], before: float, page_end: Place | None) -> set[str]:
    """Read the records of these keys, and correct their entries. Returns those that are due.

    A record that cannot be read is due, and the renewal raises the error. `page_end`: the place up to which the
    index has been read; what is due and will be found behind it is left out. None: nothing will be found again.
    """
    due: dict[str, float] = {}
    found: list[tuple[str, str, float | None]] = []
    for key in keys:
        try:
            record = load_record(state.store, key)
            read = None if record is None else GrantRecord.from_data(record.data, key)
        except StoreError as failure:
            if failure.key is None:
                raise
            due[key] = UNKNOWN
            continue
        if record is not None and read is not None:
            due_at = read.due_at(state.provider.refresh_idle_lifetime)
            found.append((key, record.version, due_at))
            if due_at is not None and due_at < before:
                due[key] = due_at
    if not note_due(state, found) or page_end is None:
        return set(due)
    return {key for key, due_at in due.items() if (due_at, key) <= page_end}


def note_due(state: ClientState, found: list[tuple[str, str, float | None]]) -> bool:
    """Correct the entries of records that were read; whether that was done. If it fails, the next run does it."""
    store = state.store
    if not found or not isinstance(store, DueStore):
        return True
    try:
        call_store("written", store.note_due, found)
    except StoreError as failure:
        _logger.debug("the index of due grants is not corrected: %s", failure)
        return False
    return True
