"""Begins a sign-in with an authorization code (RFC 6749 section 4.1.1): makes the URL at which the user signs in.

Used by `OAuthClient.start_authorization`, and by the interactive sign-in. It promises:

* Each sign-in has a `state` of its own, which cannot be guessed, and a PKCE verifier (RFC 7636, S256).
* Both are in the store before the URL is returned, so that any process that shares the store may finish the sign-in.
* Where the provider requires it, the request is pushed first (RFC 9126), and the URL only refers to it. If the server
  does not accept the request, nothing is stored.

It never reads a callback. `finish_authorization` does the rest, in a class of its own: a callback may arrive in another
process, minutes later, and the store is all that the two halves share. The other sign-ins run in one process, so each
is one class.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field

from .._protocol.dpop_key import DpopKey
from .._protocol.pushed_authorization import PushedRequest, judge_pushed_authorization
from .._protocol.requests import (
    ServerRequest,
    authorization_parameters,
    build_authorization_url,
    build_pushed_authorization,
)
from .._renewal.client_state import ClientState
from .._renewal.single_flight import Flight
from ..errors import ConfigurationError
from ..errors._pickling import pickled_by_name, public
from ..events import Event
from .pending_sign_ins import PENDING_LIFETIME, PendingSignIn, PendingSignIns
from .wanted_grant import WantedGrant


@public
@pickled_by_name
@dataclass(frozen=True, slots=True)
class AuthorizationRequest:
    """Where to send the user. Immutable.

    The request is that of RFC 6749 section 4.1.1, with PKCE (RFC 7636 section 4.3) unless the provider has none. If it
    was pushed (RFC 9126 section 4), the URL has only a reference to it, which the server accepts once.

    Attributes:
        url: The address to open in the user's browser.
        state: Identifies this request in the callback. A web application stores it in the user's session, and compares
            it with the `state` of the callback.
        expires_at: From then on the URL is of no use, in UTC epoch seconds: the callback would not be accepted, or the
            server no longer has the request that was pushed, whichever is earlier.
    """

    url: str = field(repr=False)
    state: str = field(repr=False)
    expires_at: float


class AuthorizationStart:
    """The start of one sign-in, to be run once.

    Args:
        state: The state of the client.
        wanted: The grant that the user is asked for.
        redirect_uri: Where the user is sent back to.

    Raises:
        ConfigurationError: There is no redirect_uri.
    """

    def __init__(self, state: ClientState, wanted: WantedGrant, redirect_uri: str | None) -> None:
        if redirect_uri is None:
            raise ConfigurationError(
                "redirect_uri is missing",
                parameter="redirect_uri",
                remedy="set it to the one that is registered at the provider",
            )
        self._state = state
        self._wanted = wanted
        self._redirect_uri = redirect_uri
        self._pending = PendingSignIns(state.store, state.registration)

    def run(self) -> AuthorizationRequest:
        """Begin the sign-in. Blocks on the store.

        Returns:
            Where to send the user.

        Raises:
            ConfigurationError: The provider has no authorization endpoint, or an argument cannot work.
            ProtocolError: The response to the pushed request is not valid.
            StoreError: The store fails.
            TemporarilyUnavailable: The provider's `target` callable failed, or the server cannot take the request now.
        """
        return self._state.operations.wait_for(self._launch())

    async def arun(self) -> AuthorizationRequest:
        """The same as `run`, for a task of asyncio or trio."""
        return await self._state.operations.await_for(self._launch())

    async def acheck(self) -> None:
        """Raise the error for a sign-in that cannot work. Sends and stores nothing."""
        await self._state.operations.await_for(self._state.operations.begin(self._check))

    def _launch(self) -> Flight[AuthorizationRequest]:
        return self._state.operations.begin(self._start, self._sweep)

    def _start(self, events: list[Event]) -> AuthorizationRequest:
        state, wanted, provider = self._state, self._wanted, self._state.provider
        # 256 bits that nobody can guess (RFC 6749 section 10.10); RFC 7636 section 4.1 wants 43 to 128 characters.
        request_state = secrets.token_urlsafe(32)
        code_verifier = secrets.token_urlsafe(48) if provider.pkce else None
        target = provider.target_of(wanted.subject)
        key = state.proofs.new_key()
        parameters = self._parameters(request_state, code_verifier, key)
        url, ends_at = build_authorization_url(provider, target, parameters), math.inf
        if provider.requires_pushed_authorization_requests:
            pushed = self._push(parameters, target, key, events)
            reference = {"client_id": parameters["client_id"], "request_uri": pushed.request_uri}
            url = build_authorization_url(provider, target, reference)
            ends_at = math.inf if pushed.lifetime is None else state.clock() + pushed.lifetime
        expires_at = state.clock() + PENDING_LIFETIME
        pending = PendingSignIn(
            wanted.subject,
            self._redirect_uri,
            expires_at,
            code_verifier,
            target,
            wanted.resource,
            scope=wanted.scope,
            grant_id=wanted.parameters.get("grant_id"),
            expected=_expected(wanted.parameters),
            dpop=key,
        )
        self._pending.add(request_state, pending)
        return AuthorizationRequest(url, request_state, min(expires_at, ends_at))

    def _check(self, _events: list[Event]) -> None:
        provider = self._state.provider
        build_authorization_url(provider, provider.target_of(self._wanted.subject), self._parameters("", None, None))

    def _parameters(self, request_state: str, code_verifier: str | None, key: DpopKey | None) -> dict[str, str]:
        # `dpop_jkt`: the server then gives the code to no other key (RFC 9449 section 10).
        return authorization_parameters(
            self._state.provider,
            self._state.credentials.client_id,
            redirect_uri=self._redirect_uri,
            scope=self._wanted.scope,
            state=request_state,
            code_verifier=code_verifier,
            further={**self._wanted.parameters, **({} if key is None else {"dpop_jkt": key.thumbprint})},
        )

    def _push(
        self, parameters: Mapping[str, str], target: str | None, key: DpopKey | None, events: list[Event]
    ) -> PushedRequest:
        """Send the request to the server (RFC 9126 section 2), with a proof of `key` (RFC 9449 section 10.1)."""
        state = self._state
        current = state.current_token(self._wanted.grant(target))

        def build() -> ServerRequest:
            return build_pushed_authorization(
                state.provider,
                state.credentials,
                parameters,
                call=current.grant.call("pushed_authorization_request"),
                now=state.clock(),
            )

        exchange = current.renewal()
        try:
            request, response = exchange.endpoint.ask(build, key=key)
        finally:
            events.extend(exchange.events)
        return judge_pushed_authorization(response, request, now=state.clock())

    def _sweep(self) -> None:
        """Called after the caller has the URL, so that nobody waits for it."""
        now = self._state.clock()
        if self._state.sign_ins.last_sweep.is_over(now):
            self._pending.sweep(now)


def _expected(parameters: Mapping[str, str]) -> str | None:
    """The members that the token response must have: RFC 9396 section 7, Grant Management for OAuth 2.0 section 5.4."""
    details = ("authorization_details",) if "authorization_details" in parameters else ()
    grant_id = ("grant_id",) if "grant_management_action" in parameters else ()
    return " ".join((*details, *grant_id)) or None
