"""Signing in with an authorization code (RFC 6749 section 4.1): PKCE S256 (RFC 7636), state, iss (RFC 9207).

Used by `OAuthClient.start_authorization` and `finish_authorization`, and by the interactive sign-in. It promises:

* A callback is accepted only if its `state` is one that this client made, unused and not expired, and only once.
* A code is sent at most once after the request may have left this machine, whatever comes back.
* What provably spent nothing gives the pending sign-in back, so that the same callback may be tried again.
* Cancelling the caller does not cancel an exchange: its tokens are stored.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field

from .._protocol.answer_errors import spent_nothing
from .._protocol.requests import build_authorization_url, build_code_exchange
from .._renewal.authorization_grants import RefreshTokenGrant
from .._renewal.cached_token import CachedToken
from .._renewal.client_state import ClientState
from .._renewal.current_token import CurrentToken
from .._renewal.single_flight import Flight, run_on_worker
from ..errors import ConfigurationError, TemporarilyUnavailable, is_text
from ..errors._pickling import pickled_by_name, public
from ..events import Event
from .callback import check_callback, code_of, no_state, parse_callback
from .pending_sign_ins import PENDING_LIFETIME, Claim, PendingSignIn, PendingSignIns
from .wanted_grant import WantedGrant


@public
@pickled_by_name
@dataclass(frozen=True, slots=True)
class AuthorizationRequest:
    """Where to send the user.

    Attributes:
        url: The address to open in the user's browser.
        state: Ties the callback to this request. A web application keeps it in the user's session and compares.
        expires_at: When the callback is no longer accepted, in UTC epoch seconds.
    """

    url: str = field(repr=False)
    state: str = field(repr=False)
    expires_at: float


class AuthorizationCodeSignIn:
    """The authorization code sign-ins of one client. Any number may be under way; safe for threads and tasks."""

    def __init__(self, state: ClientState) -> None:
        self._state = state
        self._pending = PendingSignIns(state.store, state.registration)

    def start(self, wanted: WantedGrant, redirect_uri: str | None) -> AuthorizationRequest:
        """Begin a sign-in. Blocks. Raises `ConfigurationError`, `StoreError`, `TemporarilyUnavailable`."""
        return self._state.operations.wait_for(self._starting(wanted, redirect_uri))

    async def astart(self, wanted: WantedGrant, redirect_uri: str | None) -> AuthorizationRequest:
        """The same as `start`, for asyncio and trio."""
        return await self._state.operations.await_for(self._starting(wanted, redirect_uri))

    def finish(self, callback_url: str, unechoed_state: str | None = None) -> CurrentToken:
        """Check the callback, exchange its code, save the tokens. Blocks. Raises any `BlnkAuthError`."""
        return self._state.operations.wait_for(self._finishing(callback_url, unechoed_state))

    async def afinish(self, callback_url: str, unechoed_state: str | None = None) -> CurrentToken:
        """The same as `finish`, for asyncio and trio."""
        return await self._state.operations.await_for(self._finishing(callback_url, unechoed_state))

    # --- start -------------------------------------------------------------------------------------------------------

    def _starting(self, wanted: WantedGrant, redirect_uri: str | None) -> Flight[AuthorizationRequest]:
        if redirect_uri is None:
            raise ConfigurationError(
                "redirect_uri is missing",
                parameter="redirect_uri",
                remedy="set it to the one that is registered at the provider",
            )
        return run_on_worker(lambda: self._start(wanted, redirect_uri), self._sweep)

    def _start(self, wanted: WantedGrant, redirect_uri: str) -> AuthorizationRequest:
        state, provider = self._state, self._state.provider
        # 256 bits that nobody can guess (RFC 6749 section 10.10); RFC 7636 section 4.1 wants 43 to 128 characters.
        request_state = secrets.token_urlsafe(32)
        code_verifier = secrets.token_urlsafe(48) if provider.pkce else None
        target = provider.target_of(wanted.subject)
        url = build_authorization_url(
            provider,
            state.credentials.client_id,
            redirect_uri=redirect_uri,
            scope=wanted.scope,
            state=request_state,
            code_verifier=code_verifier,
            parameters=wanted.parameters,
            target=target,
            resource=wanted.resource,
        )
        expires_at = state.clock() + PENDING_LIFETIME
        pending = PendingSignIn(wanted.subject, redirect_uri, expires_at, code_verifier, target, wanted.resource)
        self._pending.add(request_state, pending)
        return AuthorizationRequest(url, request_state, expires_at)

    def _sweep(self) -> None:
        """Runs when the caller has been answered: nobody waits for it."""
        if self._state.is_time_to_sweep():
            self._pending.sweep(self._state.clock())

    # --- finish ------------------------------------------------------------------------------------------------------

    def _finishing(self, callback_url: str, unechoed_state: str | None) -> Flight[CurrentToken]:
        if unechoed_state is not None and not is_text(unechoed_state):
            raise ConfigurationError(
                "unechoed_state must be a string, or None",
                parameter="unechoed_state",
                remedy="pass the state of the AuthorizationRequest, kept in the user's session",
            )
        callback = parse_callback(callback_url)
        check_callback(callback, self._state.provider)
        request_state = callback.state if callback.state is not None else unechoed_state
        if request_state is None and callback.error is not None:
            raise no_state(callback)

        def work(events: list[Event]) -> CurrentToken:
            claim = self._pending.claim(request_state, self._state.clock())
            return self._exchange(claim, code_of(callback, subject=claim.pending.subject), events)

        return self._state.operations.begin(work)

    def _exchange(self, claim: Claim, code: str, events: list[Event]) -> CurrentToken:
        pending = claim.pending
        # Where the user was sent, even if a callable would name another target by now: the code is valid there.
        current = self._state.current_token(RefreshTokenGrant(pending.subject, pending.target, pending.resource))
        try:
            current.start_over(self._redeem(current, pending, code, events))
        except TemporarilyUnavailable as error:
            raise self._after_outage(error, claim) from None
        return current

    def _redeem(self, current: CurrentToken, pending: PendingSignIn, code: str, events: list[Event]) -> CachedToken:
        request = build_code_exchange(
            self._state.provider,
            self._state.credentials,
            code=code,
            redirect_uri=pending.redirect_uri,
            code_verifier=pending.code_verifier,
            resource=pending.resource,
            call=current.grant.call("authorization_code"),
            now=self._state.clock(),
        )
        exchange = current.renewal()
        try:
            return exchange.exchange(request)
        finally:
            events.extend(exchange.events)

    def _after_outage(self, error: TemporarilyUnavailable, claim: Claim) -> TemporarilyUnavailable:
        """The error to raise; the pending sign-in is given back if the code is certainly unspent."""
        if spent_nothing(error) and self._pending.give_back(claim):
            return error.replace(remedy="the code is unspent: call finish_authorization() with the same URL again")
        return error.replace(remedy="the code may be spent: begin again with start_authorization()")
