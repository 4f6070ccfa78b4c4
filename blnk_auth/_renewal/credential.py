"""What a request needs from its source of tokens: the seam between renewing and sending.

Used by `_request` and the auth classes, which bind a `Credential` and ask nothing else. `CurrentToken` (renewed) and
the credential of a `StaticToken` (a fixed key) implement it. It promises that every member may be called from any
thread or task. A member never blocks; slow work is returned as a `Flight`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Protocol

from .._protocol.origins import is_below
from ..errors import ConfigurationError

if TYPE_CHECKING:
    # Every auth class imports this module, which needs these for annotations only.
    from .._protocol.http_messages import ApiAnswer, Package
    from .._protocol.origins import AllowedOrigins, Origin
    from ..token import Token
    from .cached_token import CachedToken
    from .single_flight import Flight


class RequestRules:
    """What is fixed about a credential: where its token may be sent, in which header, and which responses to judge.

    Immutable. A plain class, since every auth class imports this module, and a named tuple takes longer to define.

    Attributes:
        origins: The origins that may have the token.
        header_name: The header that carries it.
        has_api_headers: Whether further headers are sent beside the token.
        rejection_statuses: The statuses that may be a rejection. All other responses pass untouched.
        reads_rejection_body: Whether judging a rejection needs the body.
        wait_timeout: The longest that a caller waits for a renewal, in seconds.
        host_suffixes: The hosts at or below which a token may name a further origin for itself.
        origins_for: Which origins may have one token; None where no token names any.
    """

    __slots__ = (
        "has_api_headers",
        "header_name",
        "host_suffixes",
        "origins",
        "origins_for",
        "reads_rejection_body",
        "rejection_statuses",
        "wait_timeout",
    )

    def __init__(
        self,
        origins: AllowedOrigins,
        header_name: str = "Authorization",
        *,
        has_api_headers: bool = False,
        rejection_statuses: frozenset[int] = frozenset(),
        reads_rejection_body: bool = False,
        wait_timeout: float = 0.0,
        host_suffixes: tuple[str, ...] = (),
        origins_for: Callable[[Token], AllowedOrigins] | None = None,
    ) -> None:
        self.origins: AllowedOrigins = origins
        self.header_name: str = header_name
        self.has_api_headers: bool = has_api_headers
        self.rejection_statuses: frozenset[int] = rejection_statuses
        self.reads_rejection_body: bool = reads_rejection_body
        self.wait_timeout: float = wait_timeout
        self.host_suffixes: tuple[str, ...] = host_suffixes
        self.origins_for: Callable[[Token], AllowedOrigins] | None = origins_for

    def may_permit(self, origin: Origin) -> bool:
        """Whether there can be a token that may be sent to `origin`."""
        return self.origins.permits(origin) or is_below(origin, self.host_suffixes)

    def permits(self, origin: Origin, token: Token) -> bool:
        """Whether this token may be sent to `origin`."""
        return self.origins.permits(origin) or (
            self.origins_for is not None and self.origins_for(token).permits(origin)
        )


class Credential(Protocol):
    """A token to send, and where it may be sent."""

    @property
    def rules(self) -> RequestRules:
        """What does not change from request to request."""
        ...

    @property
    def after_rejection(self) -> RenewalAfterRejection | None:
        """What to do after a rejection; None for a fixed key, which nothing renews."""
        ...

    def fresh(self) -> CachedToken | None:
        """The token, if it can be sent and no renewal is due; None: ask `ready`. Has no effect."""
        ...

    def ready(self, package: Package | None) -> CachedToken | Flight[CachedToken]:
        """A token to send now, or the renewal to wait for. `package` is the caller's HTTP package."""
        ...

    def api_headers(self) -> Mapping[str, str]:
        """Headers that are sent beside the token; made again for each attempt."""
        ...

    def report_withheld(self, origin: Origin | None) -> None:
        """Emit that a request was sent without the token: to this origin, or (None) with a header of its own."""
        ...


class RenewalAfterRejection(Protocol):
    """Judging a rejection and renewing the token that it rejected."""

    def is_rejection(self, answer: ApiAnswer) -> bool:
        """Whether a new token may resolve this response. Raises `ConfigurationError` if the provider's judge fails."""
        ...

    def is_current(self, cached: CachedToken) -> bool:
        """Whether this is still the newest token that this process has."""
        ...

    def replace(self, rejected: CachedToken, package: Package, cause: str) -> Flight[CachedToken] | None:
        """Begin, or join, the renewal of a rejected token; None if renewals have lately resolved nothing.

        `cause` is what `rejections.cause_of` makes of the request and its response.
        """
        ...

    def note_retry(self, cached: CachedToken, cause: str, *, accepted: bool) -> None:
        """Note whether a token renewed after a rejection was accepted. `cause` is that of the first rejection."""
        ...


class Source:
    """The base of what users pass to the auth classes: something with a credential behind it."""

    __slots__ = ()

    @property
    def _credential(self) -> Credential:
        raise NotImplementedError


_A_SOURCE = "pass a TokenSource, as client.for_subject(...) and client.for_itself(...) return it, or a StaticToken"
_WHAT_TO_PASS = {
    "OAuthClient": "specify whose token: pass client.for_subject(...), or client.for_itself() for the client's own",
    "str": 'pass a StaticToken("...", api_origins=("https://api.example.com",)) for a fixed key; for a token that is '
    "renewed, what client.for_subject(...) returns",
    "Token": "pass a source that keeps and renews it: source = client.for_subject(...), then source.adopt(token)",
}


def credential_of(source: object) -> Credential:
    """What the auth classes bind. Raises `ConfigurationError` for anything but a source."""
    if isinstance(source, Source):
        return source._credential  # pyright: ignore[reportPrivateUsage]  # of this file's own base class
    name = source.__name__ if isinstance(source, type) else type(source).__name__
    what = "the class" if isinstance(source, type) else "of the type"
    raise ConfigurationError(
        f"source is {what} {name}, which is not a source of tokens",
        parameter="source",
        remedy=_WHAT_TO_PASS.get(name, _A_SOURCE),
    )
