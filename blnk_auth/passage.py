"""The passage of one request through a shell: which token it gets, and what follows a rejection.

All shells share this; they translate between it and their HTTP library and decide nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from .decision import After, after
from .errors import BlnkAuthError
from .flight import Flight
from .held import HeldToken
from .origin import AllowedOrigins, Origin
from .steps import Landing, Step, Steps
from .wire import ApiAnswer, Package

MAX_REJECTION_BYTES = 16_384
"""How much of a rejection's body is read, to judge it and to free its connection."""

MAX_REJECTION_SECONDS = 5.0
"""How long its reading may take."""


class Source(Protocol):
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

    def fresh(self) -> HeldToken | None:
        """The token, if it can be sent and nothing is to be begun; None: ask `ready`. Has no effect."""
        ...

    def ready(self, package: Package | None) -> HeldToken | Flight[HeldToken]:
        """A token to send now, or the renewal to wait for. Does no I/O and waits for nothing."""
        ...

    def api_headers(self) -> Mapping[str, str]:
        """Headers that go with the token; made anew for each attempt."""
        ...

    def is_rejection(self, answer: ApiAnswer) -> bool:
        """Whether a new token could cure this answer."""
        ...

    def is_current(self, held: HeldToken) -> bool:
        """Whether this is still the newest token we have."""
        ...

    def replace(self, rejected: HeldToken, package: Package) -> Flight[HeldToken] | None:
        """Begin, or join, the renewal of a rejected token; None if renewals have lately cured nothing."""
        ...

    def report_cure(self, held: HeldToken, *, cured: bool) -> None:
        """Say whether a token renewed after a rejection was accepted."""
        ...

    def report_withheld(self, origin: Origin) -> None:
        """Say that a request went without the token, to an origin that may not have it."""
        ...

    def report_own_header(self) -> None:
        """Say that a request went without the token, since it brought the header that carries it."""
        ...


def token_to_send(source: Source, package: Package) -> Steps[HeldToken]:
    """The token for a first attempt."""
    ready = source.ready(package)
    if isinstance(ready, Flight):
        return (yield Landing(ready, source.wait_timeout))  # type: ignore[no-any-return]  # a step's result is untyped
    return ready


class Rejection:
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
    source: Source, sent: HeldToken, rejection: Rejection, package: Package
) -> Steps[HeldToken | None]:
    """The token to repeat the request with, or None if the response goes to the caller as it is."""
    curable = rejection.carried_ours and (yield from _is_curable(source, rejection))
    decision = after(
        curable=curable,
        carried_ours=rejection.carried_ours,
        retried=False,
        is_current=source.is_current(sent),
        replayable=curable and rejection.is_replayable(),
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


def _renewed(source: Source, rejected: HeldToken, package: Package) -> Steps[HeldToken | None]:
    flight = source.replace(rejected, package)
    return None if flight is None else (yield Landing(flight, source.wait_timeout))


def judge_retry(source: Source, sent: HeldToken, rejection: Rejection | None) -> Steps[None]:
    """Note whether the renewed token was accepted. `rejection` is None if the second answer is no rejection."""
    if rejection is None:
        source.report_cure(sent, cured=True)
    elif rejection.carried_ours and (yield from _is_curable(source, rejection)):
        source.report_cure(sent, cured=False)


def _is_curable(source: Source, rejection: Rejection) -> Steps[bool]:
    body = (yield rejection.read_body) if source.reads_rejection_body else None
    return source.is_rejection(ApiAnswer(rejection.status_code, rejection.headers, rejection.path, body))
