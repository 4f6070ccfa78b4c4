"""Finishes a sign-in with an authorization code: checks the callback, exchanges the code, and stores the tokens.

Used by `OAuthClient.finish_authorization`, and by the interactive sign-in (RFC 6749 section 4.1.3). It promises:

* A callback is accepted only once, and only if this client made its `state` and it has not expired.
* If the request with the code may have been sent, the code is not sent again, whether or not a response came.
* If the code is certainly unspent, the same callback may be tried again.
* Cancelling the caller does not cancel the exchange: its tokens are stored.

It never begins a sign-in: `start_authorization` does.
"""

from __future__ import annotations

import asyncio
from functools import partial
from types import MappingProxyType

from .._protocol.dpop_key import DpopKey
from .._protocol.http_messages import HttpResponse
from .._protocol.requests import ServerRequest, build_code_exchange
from .._protocol.response_errors import spent_nothing
from .._protocol.token_response import Issued, judge_token_response, with_requested_scope
from .._renewal.authorization_grants import RefreshTokenGrant
from .._renewal.cached_token import CachedToken
from .._renewal.client_state import ClientState
from .._renewal.cooldown import doubled
from .._renewal.current_token import CurrentToken
from .._renewal.single_flight import Flight
from ..errors import BlnkAuthError, ConfigurationError, SignInRequired, TemporarilyUnavailable, is_text, kind_of
from ..events import Event
from .callback_url import check_callback, code_of, no_state, parse_callback
from .pending_sign_ins import Claim, PendingSignIn, PendingSignIns

CODE_IS_UNSPENT = "the code is unspent: call finish_authorization() with the same URL again"
CODE_MAY_BE_SPENT = "the code may be spent: begin again with start_authorization()"
"""What to do after a failure of the token endpoint: the remedies of the errors that `_after_outage` makes."""


_PAUSES = tuple(doubled(1.0, times) for times in range(3))
"""Seconds before a code exchange is repeated, if the code is unspent and the server sent no Retry-After."""


async def finish_patiently(state: ClientState, callback_url: str) -> CurrentToken:
    """Finish a sign-in for a caller that cannot repeat it: repeated while the code is certainly unspent.

    For asyncio. Raises as `AuthorizationFinish`; after `TemporarilyUnavailable` the sign-in must be started again.
    """
    time_left, pauses = state.policy.request_deadline, iter(_PAUSES)
    failure: TemporarilyUnavailable | None = None
    while True:
        try:
            return await AuthorizationFinish(state, callback_url).arun()
        except TemporarilyUnavailable as error:
            failure = error.replace(remedy="start the sign-in again")
            pause = next(pauses, None)
            wait = pause if error.retry_after is None else error.retry_after
            if error.outcome_unknown or pause is None or wait is None or wait > time_left:
                raise failure from None
        except SignInRequired as error:
            # After a failure: the pending sign-in was not given back, since the code may be spent.
            if failure is None or error.reason != "restart":
                raise
            raise failure from None
        await asyncio.sleep(wait)
        time_left -= wait


class AuthorizationFinish:
    """The end of one sign-in, to be run once.

    Args:
        state: The state of the client.
        callback_url: The whole URL that the browser came back to.
        unechoed_state: The `state` that was sent, for a server that does not send it back. None: the callback has it.

    Raises:
        ConfigurationError: An argument cannot work.
        ProtocolError: The callback is not an authorization response of this provider.
        SignInRequired: The server refused, and it is not known which sign-in.
    """

    def __init__(self, state: ClientState, callback_url: str, unechoed_state: str | None = None) -> None:
        if unechoed_state is not None and not is_text(unechoed_state):
            raise ConfigurationError(
                f"unechoed_state must be a string, not {kind_of(unechoed_state)}",
                parameter="unechoed_state",
                remedy="pass the state of the AuthorizationRequest, kept in the user's session",
            )
        callback = parse_callback(callback_url)
        check_callback(callback, state.provider)
        self._request_state = callback.state if callback.state is not None else unechoed_state
        if self._request_state is None and callback.error is not None:
            raise no_state(callback)
        self._state = state
        self._callback = callback
        self._pending = PendingSignIns(state.store, state.registration)

    def run(self) -> CurrentToken:
        """Exchange the code and save the tokens. Blocks.

        Returns:
            The current token of the user's grant.

        Raises:
            SignInRequired: The user refused (`denied`), or must begin again (`restart`).
            TemporarilyUnavailable: The server cannot answer now; `remedy` specifies whether the same callback may be
                tried again.
            BlnkAuthError: The registration, the response or the store is at fault.
        """
        return self._state.operations.wait_for(self._launch())

    async def arun(self) -> CurrentToken:
        """The same as `run`, for a task of asyncio or trio."""
        return await self._state.operations.await_for(self._launch())

    def _launch(self) -> Flight[CurrentToken]:
        return self._state.operations.begin(self._finish)

    def _finish(self, events: list[Event]) -> CurrentToken:
        claim = self._pending.claim(self._request_state, self._state.clock())
        pending, code = claim.pending, code_of(self._callback, self._state.provider, subject=claim.pending.subject)
        # The target that the user was sent to, where the code is valid. A callable may return another one by now.
        current = self._state.current_token(RefreshTokenGrant(pending.subject, pending.target, pending.resource))
        key = self._key_of(claim)
        try:
            current.start_over(self._exchange(current, pending, code, key, events))
        except TemporarilyUnavailable as error:
            raise self._after_outage(error, claim) from None
        return current

    def _key_of(self, claim: Claim) -> DpopKey | None:
        """The key that the tokens will be bound to: the one that the code is bound to; None: they will not be bound."""
        proofs, pending = self._state.proofs, claim.pending
        try:
            return proofs.key_of(pending.dpop, f"subject {pending.subject!r}") or proofs.new_key()
        except BlnkAuthError:
            # Nothing was sent: a client that has the key can still finish the sign-in.
            self._pending.give_back(claim)
            raise

    def _exchange(
        self, current: CurrentToken, pending: PendingSignIn, code: str, key: DpopKey | None, events: list[Event]
    ) -> CachedToken:
        def build() -> ServerRequest:
            return build_code_exchange(
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
            return exchange.exchange(build, partial(_judge, pending), key=key, requested_scope=pending.scope)
        finally:
            events.extend(exchange.events)

    def _after_outage(self, error: TemporarilyUnavailable, claim: Claim) -> TemporarilyUnavailable:
        """The error to raise; the pending sign-in is given back if the code is certainly unspent."""
        if spent_nothing(error) and self._pending.give_back(claim):
            return error.replace(remedy=CODE_IS_UNSPENT)
        return error.replace(remedy=CODE_MAY_BE_SPENT)


def _judge(pending: PendingSignIn, response: HttpResponse, request: ServerRequest, *, now: float) -> Issued:
    """The token, with what a response may leave out because the client knows it.

    That is the scope, and the `grant_id` of a grant that the client asked to change. What the server should have sent
    and did not is a note.
    """
    issued = with_requested_scope(judge_token_response(response, request, now=now), pending.scope, response)
    token = issued.token
    if token is None:
        return issued
    known = {"grant_id": pending.grant_id} if pending.grant_id is not None else {}
    missing = [name for name in (pending.expected or "").split() if name not in token.extra]
    completed = token.replace(extra=MappingProxyType({**known, **token.extra})) if known else token
    notes = tuple(f"the sign-in asked for {name}, and the response has none" for name in missing)
    return issued._replace(token=completed, notes=(*issued.notes, *notes))
