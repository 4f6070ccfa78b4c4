"""The hook of one request through a shell: which token it gets, and what follows a rejection.

All shells share this; they translate between it and their HTTP library and decide nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from .._protocol.http_messages import ApiAnswer, Package
from .._protocol.origins import AllowedOrigins, Origin
from .._renewal.cached_token import CachedToken
from .._renewal.single_flight import Flight
from ..errors import BlnkAuthError
from .decision import After, after
from .waits import FlightWait, Step, Steps

MAX_REJECTION_BYTES = 16_384
"""How much of a rejection's body is read, to judge it and to free its connection."""

MAX_REJECTION_SECONDS = 5.0
"""How long its reading may take."""


class Credential(Protocol):
    """What a shell needs from a source of tokens. Every method may be called from any thread or task."""

    @property
    def origins(self) -> AllowedOrigins:
        """Where its token may go."""
        ...

    @property
    def header_name(self) -> str:
        """The header that carries the token."""
        ...

    @property
    def has_api_headers(self) -> bool:
        """Whether further headers go with it."""
        ...

    @property
    def rejection_statuses(self) -> frozenset[int]:
        """The statuses of an answer that is looked at more closely."""
        ...

    @property
    def reads_rejection_body(self) -> bool:
        """Whether judging such an answer needs its body."""
        ...

    @property
    def wait_timeout(self) -> float:
        """The longest that a caller waits for a renewal, in seconds."""
        ...

    def fresh(self) -> CachedToken | None:
        """The token, if it can be sent and nothing is to be begun; None: ask `ready`. Has no effect."""
        ...

    def ready(self, package: Package | None) -> CachedToken | Flight[CachedToken]:
        """A token to send now, or the renewal to wait for. Does no I/O and waits for nothing."""
        ...

    def api_headers(self) -> Mapping[str, str]:
        """Headers that go with the token; made anew for each attempt."""
        ...

    def is_rejection(self, answer: ApiAnswer) -> bool:
        """Whether a new token could cure this answer."""
        ...

    def is_current(self, held: CachedToken) -> bool:
        """Whether this is still the newest token we have."""
        ...

    def replace(self, rejected: CachedToken, package: Package) -> Flight[CachedToken] | None:
        """Begin, or join, the renewal of a rejected token; None if renewals have lately cured nothing."""
        ...

    def note_retry(self, held: CachedToken, *, accepted: bool) -> None:
        """Say whether a token renewed after a rejection was accepted."""
        ...

    def report_withheld(self, origin: Origin) -> None:
        """Say that a request went without the token, to an origin that may not have it."""
        ...

    def report_own_header(self) -> None:
        """Say that a request went without the token, since it brought the header that carries it."""
        ...


def token_to_send(source: Credential, package: Package) -> Steps[CachedToken]:
    """The token for a first attempt."""
    ready = source.ready(package)
    if isinstance(ready, Flight):
        return (yield FlightWait(ready, source.wait_timeout))  # type: ignore[no-any-return]  # a step's result is untyped
    return ready


class ApiRejection:
    """An answer with one of the provider's rejection statuses, as a shell presents it.

    `read_body` is the step that reads up to `MAX_REJECTION_BYTES` of its body, leaving the response readable.
    `carried_ours`: the request that was answered carried the token we attached, to an origin that may have it.
    `is_replayable` says whether the request's body can provably be sent again; asked only when it matters.
    """

    __slots__ = ("carried_ours", "headers", "is_replayable", "path", "read_body", "status_code")

    def __init__(
        self,
        status_code: int,
        headers: Mapping[str, str],
        path: str,
        *,
        carried_ours: bool,
        is_replayable: Callable[[], bool],
        read_body: Step,
    ) -> None:
        self.status_code = status_code
        self.headers = headers
        self.path = path
        self.carried_ours = carried_ours
        self.is_replayable = is_replayable
        self.read_body = read_body


def token_to_retry_with(
    source: Credential, sent: CachedToken, rejection: ApiRejection, package: Package
) -> Steps[CachedToken | None]:
    """The token to repeat the request with, or None if the response goes to the caller as it is."""
    renewal_helps = rejection.carried_ours and (yield from _may_renewal_help(source, rejection))
    decision = after(
        renewal_helps=renewal_helps,
        carried_ours=rejection.carried_ours,
        retried=False,
        is_current=source.is_current(sent),
        replayable=renewal_helps and rejection.is_replayable(),
    )
    if decision is After.ACCEPT:
        return None
    if decision is After.RETRY_WITH_CURRENT:
        return (yield from token_to_send(source, package))
    try:
        newer = yield from _renewed(source, sent, package)
        if newer is sent:
            # That renewal had begun behind a caller who could make do with the old token, and failed: now tell so.
            newer = yield from _renewed(source, sent, package)
    except BlnkAuthError:
        if decision is After.RENEW_ONLY:
            return None
        raise
    return newer if decision is After.RENEW_AND_RETRY and newer is not sent else None


def _renewed(source: Credential, rejected: CachedToken, package: Package) -> Steps[CachedToken | None]:
    flight = source.replace(rejected, package)
    return None if flight is None else (yield FlightWait(flight, source.wait_timeout))


def judge_retry(source: Credential, sent: CachedToken, rejection: ApiRejection | None) -> Steps[None]:
    """Note whether the renewed token was accepted. `rejection` is None if the second answer is no rejection."""
    if rejection is None:
        source.note_retry(sent, accepted=True)
    elif rejection.carried_ours and (yield from _may_renewal_help(source, rejection)):
        source.note_retry(sent, accepted=False)


def _may_renewal_help(source: Credential, rejection: ApiRejection) -> Steps[bool]:
    body = (yield rejection.read_body) if source.reads_rejection_body else None
    return source.is_rejection(ApiAnswer(rejection.status_code, rejection.headers, rejection.path, body))
