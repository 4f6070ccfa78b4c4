"""The requests that are sent to the authorization server for one grant: renewals, code exchanges and revocations.

Used by `renewal`, `revocation` and the sign-ins. What this file promises:

* Any exception of a user's callable or HTTP client is raised as a `BlnkAuthError` that contains no secret.
* What a token response leaves out keeps its old value. A member that cannot be read causes the event `odd_answer`.
* Each attempt has a client assertion and a DPoP proof of its own. An attempt whose proof the server refuses is repeated
  at most once, with the nonce that it asks for or by its clock.

It never reads or writes the store.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable

from .._protocol.documents import read_document
from .._protocol.dpop import DPOP
from .._protocol.dpop_key import DpopKey
from .._protocol.exchange_log import log_exchange
from .._protocol.http_messages import HttpRequest, HttpResponse, NoResponse
from .._protocol.requests import ServerRequest
from .._protocol.response_errors import after_lost_response, no_response
from .._protocol.token_response import (
    Issued,
    Judge,
    judge_binding,
    judge_revocation_response,
    judge_token_response,
)
from ..errors import BlnkAuthError, ProtocolError, SignInRequired, TemporarilyUnavailable
from ..events import Event
from ..token import Token
from .cooldown import doubled
from .ports import Ports
from .succession import merge_extra, succeed

_MOVED = 60.0
"""A refresh token's expiry counts as extended only if it moved by more than this many seconds: servers round."""

_LEAST_TIME = 5.0
"""Another attempt is made only if this many seconds are left before the deadline: in less, it may fail the same way."""


class TokenEndpoint:
    """Sends the requests for one grant and judges the responses. Blocking; for one operation on one thread.

    Attributes:
        key: The store key of the grant, for events.
        ports: The store, the authorization server, clocks and randomness.
        events: A list to which events are appended; the caller emits them after all locks have been released.
        unusable: The error to raise after the token that was issued last has been saved; None if that token can be
            used.
    """

    def __init__(self, key: str, ports: Ports, events: list[Event]) -> None:
        self.key = key
        self.ports = ports
        self.events = events
        self.unusable: BlnkAuthError | None = None

    def renew(
        self,
        build: Callable[[], ServerRequest],
        current: Token | None,
        *,
        repeats_lost: bool,
        key: DpopKey | None = None,
    ) -> Token:
        """The token that follows `current`.

        Args:
            build: Makes the request. Called again for each attempt.
            current: The token that is renewed; None if there is none.
            repeats_lost: Whether to send the request again if the response is lost.
            key: The key that the token is bound to (RFC 9449); None: it is not bound.
        """
        retries = self.ports.policy.lost_answer_retries if repeats_lost else 0
        request, issued = self._ask_until_answered(build, current, key, retries)
        if issued.token is None:
            return self._with_refresh_token(issued, current)
        renewed = succeed(issued.token, current, slides=request.provider.refresh_idle_lifetime is not None)
        if current is not None:
            self._note(merge_extra(current.extra, issued.token.extra)[1])
        self._warn_of_expiry(renewed, current)
        return renewed

    def exchange(
        self, build: Callable[[], ServerRequest], judge: Judge = judge_token_response, *, key: DpopKey | None = None
    ) -> Token:
        """The token that the server issues for a request, such as one with a code.

        The request is not sent again if its response is lost: the second use of a code may revoke the grant (RFC 6749
        section 4.1.2). `build` and `key`: as for `renew`.
        """
        issued = self._judge(*self.ask(build, key=key), judge, None, key)
        return self._with_refresh_token(issued, None) if issued.token is None else issued.token

    def ask(
        self, build: Callable[[], ServerRequest], *, key: DpopKey | None = None
    ) -> tuple[ServerRequest, HttpResponse]:
        """Send a request, with a proof of `key` if there is one, and return it with the server's response.

        If the server refuses the proof, another request is made and sent, within the same deadline. Raises
        `BlnkAuthError`, or the `AssertionError` of a mock.
        """
        return self._send_proven(self._build(build), build, key, self.ports.monotonic() + self._deadline)

    def revoke(self, request: ServerRequest) -> None:
        """Send a request that makes the server revoke a token or end the grant."""
        judge_revocation_response(self.send(request), request, now=self.ports.clock())

    def check_usable(self) -> None:
        """Raise `BlnkAuthError` if the token that was issued last cannot be used. Call it after saving that token."""
        if self.unusable is not None:
            raise self.unusable

    def _ask_until_answered(
        self, build: Callable[[], ServerRequest], current: Token | None, key: DpopKey | None, retries: int
    ) -> tuple[ServerRequest, Issued]:
        """Send the request, and send it again if its response is lost.

        A server with a grace period then issues the lost pair again. All attempts share one deadline, so that the
        store's lock is not kept any longer, and no caller waits any longer. Each attempt may be sent once more for its
        proof, so there are at most twice as many requests.
        """
        request, now, repeated = self._build(build), self.ports.monotonic, 0
        ends_at = now() + self._deadline
        lost: TemporarilyUnavailable | None = None
        while True:
            try:
                request, response = self._send_proven(request, build, key, ends_at)
                return request, self._judge(request, response, judge_token_response, current, key)
            except SignInRequired as verdict:
                raise (verdict.replace() if lost is None else after_lost_response(verdict)) from None
            except TemporarilyUnavailable as error:
                if lost is not None and not error.outcome_unknown:
                    # The result of the attempt before this one is still unknown.
                    raise error.replace(outcome_unknown=True) from None
                if repeated == retries or not error.outcome_unknown or error.status_code is not None:
                    raise
                lost = error.replace()
            pause = doubled(self.ports.policy.lost_answer_delay, repeated)
            if ends_at - now() - pause < _LEAST_TIME:
                raise lost
            self.events.append(Event("renewal_failed", self.key, str(lost), lost.replace()))
            self.ports.wait(pause)
            request = self._build_again(build, lost)
            if ends_at - now() < _LEAST_TIME:
                raise lost
            repeated += 1

    def _build_again(self, build: Callable[[], ServerRequest], lost: TemporarilyUnavailable) -> ServerRequest:
        """The request for another attempt. If it cannot be made, raise the error of the lost response."""
        try:
            return self._build(build)
        except BlnkAuthError:
            raise lost from None

    def _build(self, build: Callable[[], ServerRequest]) -> ServerRequest:
        try:
            return build()
        except BlnkAuthError as error:
            failure = error.replace()
        except Exception as error:  # noqa: BLE001 - a user's callable, such as one in a provider's parameters
            failure = TemporarilyUnavailable(
                f"a callable of the client or its provider raised {type(error).__name__}",
                remedy="correct the callable, or try again if it depends on something that is unavailable now",
            )
        # Raised here and not above: the traceback of the original error refers to the refresh token.
        raise failure

    def send(self, request: ServerRequest, seconds: float | None = None) -> HttpResponse:
        """Send a request and return the server's response. Raises `BlnkAuthError`, or the `AssertionError` of a mock.

        `seconds`: how long it may take; None means the policy's `request_deadline`.
        """
        try:
            return log_exchange(
                functools.partial(self.ports.transport.send, seconds=seconds),
                request.request,
                secrets=request.secrets,
                monotonic=self.ports.monotonic,
            )
        except NoResponse as failure:
            raise no_response(failure, request) from None
        except (BlnkAuthError, AssertionError):
            # A mock of an HTTP client raises an AssertionError to make its test fail.
            raise
        except Exception as error:  # noqa: BLE001 - the user's own HTTP client and its hooks
            lost = NoResponse(f"the HTTP client for the token endpoint raised {type(error).__name__}", sent=True)
        raise no_response(lost, request)

    def _send_proven(
        self, request: ServerRequest, build: Callable[[], ServerRequest], key: DpopKey | None, ends_at: float
    ) -> tuple[ServerRequest, HttpResponse]:
        """Send a request before `ends_at`; if the server refuses only its proof, another one from `build`, once."""
        left = ends_at - self.ports.monotonic()
        if key is None:
            return request, self.send(request, left)
        response = self.send(self._with_proof(request, key), left)
        refused = self._observe(request, response)
        if refused and ends_at - self.ports.monotonic() >= _LEAST_TIME:
            request = self._build(build)
            response = self.send(self._with_proof(request, key), ends_at - self.ports.monotonic())
            if self._observe(request, response):
                raise _proof_refused_again(response)
        return request, response

    def _with_proof(self, request: ServerRequest, key: DpopKey) -> ServerRequest:
        made = request.request
        proof = self.ports.proofs.nonces.proof(key, method=made.method, url=made.url, now=self.ports.clock())
        headers = {**made.headers, DPOP: proof}
        return request._replace(request=HttpRequest(made.method, made.url, headers, made.body))

    def _observe(self, request: ServerRequest, response: HttpResponse) -> bool:
        """Keep the server's nonce and clock. Returns whether it refused the proof, and may accept another one."""
        return self.ports.proofs.nonces.observe(
            request.request.url, response.headers, self.ports.clock(), refusal=_refusal(response)
        )

    @property
    def _deadline(self) -> float:
        return self.ports.policy.request_deadline

    def _judge(
        self, request: ServerRequest, response: HttpResponse, judge: Judge, current: Token | None, key: DpopKey | None
    ) -> Issued:
        now = self.ports.clock()
        issued = judge(response, request, now=now)
        if key is not None:
            issued = judge_binding(issued, request, current, now=now)
        self._note(issued.notes)
        self.unusable = issued.unusable
        return issued

    def _with_refresh_token(self, issued: Issued, current: Token | None) -> Token:
        """The current token with a new refresh token, for a response without an access token.

        The new one must be kept, because the old one may already be spent.
        """
        if current is None or current.refresh_token is None:
            raise issued.unusable or ProtocolError(
                "the token endpoint sent a response without an access token",
                remedy="check that token_endpoint is right, and report the response to the provider",
            )
        return current.replace(refresh_token=issued.refresh_token, refresh_expires_at=None)

    def _note(self, notes: Iterable[str]) -> None:
        self.events.extend(Event("odd_answer", self.key, note) for note in notes)

    def _warn_of_expiry(self, renewed: Token, current: Token | None) -> None:
        """Emit `refresh_token_expiring` if the refresh token expires soon and renewals do not extend it."""
        expires_at, expired_at = renewed.refresh_expires_at, None if current is None else current.refresh_expires_at
        if expires_at is None or expired_at is None or expires_at > expired_at + _MOVED:
            return
        left = expires_at - self.ports.clock()
        if left <= self.ports.policy.refresh_warning:
            self.events.append(Event("refresh_token_expiring", self.key, f"sign in again within {left:.0f} seconds"))


def _refusal(response: HttpResponse) -> str | None:
    """The code of a refusal. RFC 9449 section 8: it is in the body here, and in a challenge at an API."""
    document = read_document(response.body) if response.status_code in (400, 401) else None
    return None if document is None else document.get("error")


def _proof_refused_again(response: HttpResponse) -> TemporarilyUnavailable:
    """The error for a second refusal, to which the server may have accepted a third proof."""
    return TemporarilyUnavailable(
        "the authorization server asked for another nonce in each of two responses, or its clock changed in between",
        remedy="try again",
        error=_refusal(response),
        status_code=response.status_code,
    )
