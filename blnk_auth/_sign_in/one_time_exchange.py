"""Exchanges something that may be used once for a user's tokens, by a grant of the provider's own (RFC 6749, 4.5).

Used by `OAuthClient.authorize_by_exchange`; bLink's PermissionId is an example. What this file promises:

* The same thing is sent once by all processes that share the store, whether or not a response came.
* It may be sent again only if it is certainly unspent: it was not sent, or the server refused it and issued nothing.
* Cancelling the caller does not cancel the exchange: its tokens are stored as those of a sign-in.

It never stores what is exchanged, only its hash.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from .._protocol.dpop_key import DpopKey
from .._protocol.http_values import checked_exchange_parameters
from .._protocol.requests import ServerRequest, build_one_time_exchange
from .._protocol.response_errors import spent_nothing
from .._renewal.authorization_grants import RefreshTokenGrant
from .._renewal.cached_token import CachedToken
from .._renewal.client_state import ClientState
from .._renewal.current_token import CurrentToken
from .._renewal.single_flight import Flight
from .._renewal.store_keys import exchange_key
from ..errors import BlnkAuthError, ConfigurationError, Conflict, SignInRequired, StoreError, is_number, is_text, quoted
from ..events import Event
from ..stores._calls import call_store, load_record, save_record
from ..stores._due import NEVER_DUE
from .wanted_grant import WantedGrant

_OWN_METHODS: Mapping[str, str] = {
    "authorization_code": "finish_authorization()",
    "refresh_token": "adopt() of the source",
    "client_credentials": "for_itself()",
    "urn:ietf:params:oauth:grant-type:device_code": "authorize_device()",
}

_MAY_BE_SPENT = (
    "what was exchanged may be spent, and is not sent again: if the source of the subject has no tokens, let the user "
    "sign in with start_authorization()"
)


class Exchange(NamedTuple):
    """A one-time exchange, checked.

    Attributes:
        subject: Whose tokens it brings: the application's own lasting id of the user.
        grant_type: The `grant_type` of the request.
        parameters: Its other parameters. They hold secrets.
    """

    subject: str
    grant_type: str
    parameters: Mapping[str, str]

    @classmethod
    def checked(cls, subject: str, grant_type: str, parameters: Mapping[str, str]) -> Exchange:
        """From what the user of the library passed. Raises `ConfigurationError`."""
        if not is_text(grant_type) or not grant_type.strip():
            raise ConfigurationError(
                f"grant_type must be a string that is not empty, not {quoted(grant_type)}",
                parameter="grant_type",
                remedy="pass the grant_type that the provider documents",
            )
        if grant_type in _OWN_METHODS:
            raise ConfigurationError(
                f"grant_type {quoted(grant_type)} has a method of its own",
                parameter="grant_type",
                remedy=f"use {_OWN_METHODS[grant_type]}",
            )
        return cls(WantedGrant.checked(subject).subject, grant_type, checked_exchange_parameters(parameters))

    def __repr__(self) -> str:
        return f"<Exchange {self.grant_type} for {self.subject!r}>"


class OneTimeExchange:
    """One exchange, to be run once.

    Args:
        state: The state of the client.
        wanted: What is exchanged.
    """

    def __init__(self, state: ClientState, wanted: Exchange) -> None:
        self._state = state
        self._wanted = wanted
        self._key = exchange_key(state.registration, wanted.grant_type, wanted.parameters)

    def run(self) -> CurrentToken:
        """Exchange it and save the tokens. Blocks. Raises `BlnkAuthError`."""
        return self._state.operations.wait_for(self._launch())

    async def arun(self) -> CurrentToken:
        """The same as `run`, for a task of asyncio or trio."""
        return await self._state.operations.await_for(self._launch())

    def _launch(self) -> Flight[CurrentToken]:
        return self._state.operations.begin(self._exchange)

    def _exchange(self, events: list[Event]) -> CurrentToken:
        state, subject = self._state, self._wanted.subject
        current = state.current_token(RefreshTokenGrant(subject, state.provider.target_of(subject)))
        # Made before the mark: what cannot be asked for is not marked as used.
        first, key = [self._request(current)], state.proofs.new_key()
        self._mark()
        current.start_over(self._send(current, lambda: first.pop() if first else self._request(current), key, events))
        return current

    def _request(self, current: CurrentToken) -> ServerRequest:
        return build_one_time_exchange(
            self._state.provider,
            self._state.credentials,
            self._wanted.grant_type,
            self._wanted.parameters,
            call=current.grant.call("exchange"),
            now=self._state.clock(),
        )

    def _send(
        self, current: CurrentToken, build: Callable[[], ServerRequest], key: DpopKey | None, events: list[Event]
    ) -> CachedToken:
        renewal = current.renewal()
        try:
            return renewal.exchange(build, key=key)
        except BlnkAuthError as error:
            # A token that was issued and cannot be used is stored: that it was issued is what counts here.
            refused = isinstance(error, ConfigurationError) and renewal.endpoint.unusable is None
            failure = self._after_failure(error, is_unspent=refused or spent_nothing(error))
        finally:
            events.extend(renewal.events)
        # Raised here and not above: the traceback of the original error refers to the request.
        raise failure

    def _after_failure(self, error: BlnkAuthError, *, is_unspent: bool) -> BlnkAuthError:
        if is_unspent and self._unmark():
            return error.replace()
        if isinstance(error, SignInRequired):
            return error.replace(subject=self._wanted.subject)
        return error.replace(remedy=_MAY_BE_SPENT)

    def _mark(self) -> None:
        """Note in the store that it is sent. Raises `SignInRequired` if it was sent before, `StoreError`."""
        store = self._state.store
        try:
            save_record(store, self._key, {"sent_at": self._state.clock(), **NEVER_DUE}, expected=None)
        except Conflict:
            raise SignInRequired(
                "this was exchanged before, or its exchange has no known result",
                remedy=_MAY_BE_SPENT,
                reason="restart",
                subject=self._wanted.subject,
            ) from None

    def _unmark(self) -> bool:
        """Undo the note, so that it can be sent again. Returns whether that was possible."""
        try:
            call_store("written", self._state.store.delete, self._key)
        except StoreError:
            return False
        return True


def delete_exchanges(state: ClientState, before: float) -> int:
    """Delete the notes of what was exchanged before a moment, in UTC epoch seconds. Returns how many.

    Raises `StoreError` if they cannot be listed. One that cannot be read is left.
    """
    keys = call_store("read", lambda: list(state.store.keys(state.registration.exchanges)))
    return sum(_delete_if_older(state, key, before) for key in keys)


def _delete_if_older(state: ClientState, key: str, before: float) -> bool:
    try:
        record = load_record(state.store, key)
        sent_at: Any = None if record is None else record.data.get("sent_at")
        if not is_number(sent_at) or sent_at >= before:
            return False
        call_store("written", state.store.delete, key)
    except StoreError:
        return False
    return True
