"""What users do with a grant by hand: read its state, store a token obtained elsewhere, revoke it, delete its record.

Used by `TokenSource` and `keepalive`, on a worker thread. Each function appends its events. It promises that memory
changes only after the store has changed. It never renews, except for a revocation that needs a valid access token.
"""

from __future__ import annotations

from .._protocol.dpop_key import DpopKey
from .._protocol.requests import ServerRequest, build_revocation
from .._protocol.token_response import is_dpop_type
from ..errors import ConfigurationError, Conflict, SignInRequired, kind_of
from ..events import Event
from ..stores._calls import load_record
from ..token import Token
from .cached_token import how_to_pass, is_sendable
from .current_token import CurrentToken, State
from .predecessor import Predecessor
from .revocation import revoke_connection, revoke_tokens
from .schedule import Action
from .stored_record import GrantRecord, why_not_storable


def state_of(current: CurrentToken) -> State:
    """See `TokenSource.state`. Reads the store. Raises `StoreError`, and `ConfigurationError` without the DPoP key."""
    cached, known = current.unsaved, current.cached
    if cached is None:
        grant = current.renewal().stored
        stored = grant.load()
        if stored is None:
            return "missing"
        grant.key_of(stored.record)
        # The store has lost a write if it has a pair that this one has replaced.
        is_newer = known is not None and known.supersedes(stored.token)
        cached = known if known is not None and is_newer else stored.cached
    if cached.ended is not None:
        return "sign_in_required"
    action = cached.schedule.action_at(current.state.clock())
    if action is Action.RENEW_FIRST:
        can_renew = current.grant.is_renewable(cached.token, current.state.attempt())
        return "expired" if can_renew else "sign_in_required"
    return "fresh" if action is Action.USE else "stale"


def adopt(current: CurrentToken, token: Token, events: list[Event]) -> None:
    """Store a token that was obtained elsewhere, in place of any other. Raises `ConfigurationError`, `StoreError`."""
    record = _adopted(current, token)
    current.start_over(current.renewal(events=events).stored.put(record))
    events.append(Event("signed_in", current.store_key, repr(token)))


def adopt_if_missing(current: CurrentToken, token: Token, events: list[Event]) -> bool:
    """The same only if nothing is stored; else return False. Raises `ConfigurationError`, `StoreError`."""
    record = _adopted(current, token)
    if current.unsaved is not None:
        # A pair that the store does not have yet is newer than any that comes from elsewhere.
        return False
    stored = current.renewal(events=events).stored
    with stored.locked():
        if load_record(stored.ports.store, stored.key) is not None:
            return False
        try:
            cached = stored.cache(record, stored.write(record, None), predecessor=Predecessor())
        except Conflict:
            # Where the lock does not exclude, another process may have stored a pair since.
            return False
    current.start_over(cached)
    events.append(Event("signed_in", current.store_key, repr(token)))
    return True


def save_again(current: CurrentToken, events: list[Event]) -> None:
    """Save the pair that only memory has, if there is one. Raises `StoreError` if it still cannot be saved."""
    stored = current.renewal(events=events).stored
    with stored.locked():
        unsaved = current.unsaved
        if unsaved is None:
            return
        try:
            saved = stored.save_at_last(unsaved)
        except SignInRequired:
            # The grant was forgotten meanwhile.
            saved = None
        current._install_instead(unsaved, saved)  # pyright: ignore[reportPrivateUsage]


def _adopted(current: CurrentToken, token: Token) -> GrantRecord:
    """The record of a token that was obtained elsewhere. Raises `ConfigurationError`."""
    now = current.state.clock()
    _check_adoptable(token)
    key = _key_of_adopted(current, token)
    return GrantRecord.signed_in(token if token.issued_at is not None else token.replace(issued_at=now), key)


def _key_of_adopted(current: CurrentToken, token: Token) -> DpopKey | None:
    """The key that an adopted token is bound to; None if it is not bound. Raises `ConfigurationError`."""
    if not is_dpop_type(token.token_type) or is_dpop_type(current.state.provider.token_scheme):
        return None
    key = current.state.proofs.new_key()
    if key is not None and key.is_own:
        return key
    raise ConfigurationError(
        "the token is bound to a DPoP key that this client does not have",
        parameter="token",
        remedy="pass that key to the client as dpop; a sign-in of this client makes a key by itself",
    )


def revoke(current: CurrentToken, events: list[Event]) -> None:
    """Revoke the grant at the provider, then delete the record. Raises `BlnkAuthError` if the provider refuses."""
    state, renewal = current.state, current.renewal(events=events)

    def build(token: str, hint: str) -> ServerRequest:
        call = current.grant.call("revocation")
        return build_revocation(state.provider, state.credentials, token, hint, call=call, now=state.clock())

    if state.provider.revocation == "connection":
        revoke_connection(renewal, build)
    else:
        revoke_tokens(renewal, build, current.cached)
    current.start_over(None)
    events.append(Event("revoked", current.store_key))


def forget(current: CurrentToken, events: list[Event]) -> None:
    """Delete the record; the provider is not asked. Raises `StoreError`."""
    stored = current.renewal(events=events).stored
    with stored.locked():
        stored.delete()
    current.start_over(None)
    events.append(Event("forgotten", current.store_key))


def _check_adoptable(token: Token) -> None:
    """Raise `ConfigurationError` for a value that is not a token, or that could not be read back from a store."""
    if not isinstance(token, Token):
        raise ConfigurationError(
            f"token must be a Token, not {kind_of(token)}",
            parameter="token",
            remedy="make one from the server's response with Token.from_response(...)",
        )
    if not isinstance(token.access_token, str) or not is_sendable(token.access_token):
        raise ConfigurationError(
            "token.access_token is empty or has characters that no header can carry",
            parameter="token",
            remedy=how_to_pass(str(token.access_token), otherwise="pass the access token as the server issued it"),
        )
    why = why_not_storable(token)
    if why is not None:
        raise ConfigurationError(
            f"the token cannot be stored ({why})",
            parameter="token",
            remedy="make it with Token.from_response(...)",
        )
