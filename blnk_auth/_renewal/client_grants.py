"""The grants of one client in its store: listing them, reading them, and deleting those that have ended.

Used by `OAuthClient.subjects` and `prune`, by `keepalive`, and by the command line. It promises to return only grants
of this client. It never renews a grant, and deletes only ended grants, under the store's lock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import ConfigurationError, StoreError
from ..events import Event
from ..stores._calls import call_store, load_record
from .authorization_grants import AuthorizationGrant, ClientCredentialsGrant, RefreshTokenGrant
from .current_token import CurrentToken
from .store_keys import parse_token_key, subjects_prefix
from .stored_record import GrantRecord

if TYPE_CHECKING:
    from .client_state import ClientState


def grant_keys(state: ClientState) -> list[str]:
    """The store keys of all grants of this client, ascending. Raises `StoreError`."""
    return _keys(state, state.registration.tokens)


def subjects(state: ClientState, prefix: str, resource: str | None = None) -> list[str]:
    """Whose grants are stored, ascending, each once. Raises `StoreError`.

    `resource`: only grants for this resource. None: all.
    """
    found: set[str] = set()
    for key in _keys(state, subjects_prefix(state.registration, prefix)):
        parsed = parse_token_key(key)
        if parsed is not None and parsed[1].subject is not None and resource in (None, parsed[1].resource):
            found.add(parsed[1].subject)
    return sorted(found)


def grant_at(state: ClientState, key: str) -> AuthorizationGrant | None:
    """The grant with this store key; None if this client cannot use it, such as a token for another bank."""
    parsed = parse_token_key(key)
    try:
        return parsed[1] if parsed is not None and _is_usable(state, parsed[1]) else None
    except ConfigurationError:
        return None


def _is_usable(state: ClientState, grant: AuthorizationGrant) -> bool:
    """Whether a method such as `for_subject` would give its source today."""
    if isinstance(grant, RefreshTokenGrant):
        return grant == RefreshTokenGrant(grant.subject, state.provider.target_of(grant.subject), grant.resource)
    if not isinstance(grant, ClientCredentialsGrant):
        return grant == grant.at(state.provider)
    parameters = dict(grant.parameters or ())
    return grant == ClientCredentialsGrant.checked(
        state.provider, grant.scope, grant.resource, grant.audience, parameters
    )


def _keys(state: ClientState, prefix: str) -> list[str]:
    # A list, so that an exception that a store raises during the iteration becomes a `StoreError` too.
    return call_store("read", lambda: list(state.store.keys(prefix)))


def stored_record(state: ClientState, key: str) -> GrantRecord | None:
    """The stored record of a grant; None if there is none. Raises `StoreError` if it cannot be read."""
    record = load_record(state.store, key)
    return None if record is None else GrantRecord.from_data(record.data, key)


def delete_ended(state: ClientState, before: float) -> int:
    """Delete the records of grants that ended before a moment, in UTC epoch seconds. Returns how many.

    A record that cannot be read, or whose lock is not free in time, is left. Raises `StoreError` if the keys cannot be
    listed.
    """
    return sum(_delete_if_ended(state, key, before) for key in grant_keys(state))


def ended_at(record: GrantRecord) -> float | None:
    """When a grant ended or will end, in UTC epoch seconds; None if that is not known."""
    token = record.token
    if record.ended is not None:
        # The mark of an earlier version has no time: it was made at or before the end of the last access token.
        return record.ended_at or token.expires_at
    if token.refresh_token is None:
        return token.expires_at
    return None if token.refresh_expires_at is None else max(token.refresh_expires_at, token.expires_at or 0.0)


def _delete_if_ended(state: ClientState, key: str, before: float) -> bool:
    parsed = parse_token_key(key)
    if parsed is None or isinstance(parsed[1], ClientCredentialsGrant):
        return False
    try:
        return _has_ended(state, key, before) and _delete(state, state.current_token(parsed[1]), before)
    except StoreError:
        return False


def _has_ended(state: ClientState, key: str, before: float) -> bool:
    record = stored_record(state, key)
    end = None if record is None else ended_at(record)
    return end is not None and end < before


def _delete(state: ClientState, current: CurrentToken, before: float) -> bool:
    """Delete the record, unless a user has signed in since it was read."""
    events: list[Event] = []
    stored = current.renewal(events=events).stored
    with stored.locked():
        # Read again, because a user may have signed in before the lock was taken.
        if current.unsaved is not None or not _has_ended(state, current.store_key, before):
            return False
        stored.delete()
    current.start_over(None)
    events.append(Event("forgotten", current.store_key, "the grant had ended"))
    state.operations.emit(events)
    return True
