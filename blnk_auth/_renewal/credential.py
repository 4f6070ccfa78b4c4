"""What a request needs from its source of tokens: the interface between `_renewal` and `_request`.

Used by `_request` and the auth classes, which use nothing of a source but its `Credential`. `CurrentToken` (a token
that is renewed) and the credential of a `StaticToken` (a fixed key) implement it. It promises that every member may be
called from any thread or task. A member never blocks: slow work is returned as a `Flight`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Literal, Protocol

from .._protocol.origins import is_below
from ..errors import ConfigurationError, on_one_line
from ..errors._pickling import public_in

if TYPE_CHECKING:
    # Every auth class imports this module, which needs these for annotations only.
    from .._protocol.demands import Demand
    from .._protocol.http_messages import ApiAnswer, Package
    from .._protocol.origins import AllowedOrigins, Origin
    from ..errors import SignInRequired
    from ..token import Token
    from .cached_token import CachedToken
    from .single_flight import Flight

OnDemand = Literal["event", "raise"]
"""What follows when the API asks for a new sign-in, beside the event: nothing, or an error in place of its response."""


class RequestRules:
    """What never changes about a credential: where its token may be sent, in which header, which responses to judge.

    Immutable. Not a named tuple, which takes longer to define: every auth class imports this module.

    Attributes:
        origins: The origins that the token may be sent to.
        covers: Returns whether a URL at one of these origins may have the token. None: all of them may.
        header_name: The header that carries it.
        has_api_headers: Whether further headers are sent beside the token.
        proof: How requests prove that the client has the key of the token; None: tokens are sent without a proof.
        sends_more: Whether a request gets anything but an `Authorization` header.
        rejection_statuses: The statuses that may mean a rejection. All other responses are returned unchanged.
        reads_rejection_body: Whether the body of the response is needed to judge a rejection.
        judged_statuses: `rejection_statuses`, and those with which an API may ask for a new sign-in.
        looked_at: `judged_statuses`, and 401 if there are proofs: it may be about the proof (RFC 9449 section 7.1).
        judges_consent: Whether the provider reports in a way of its own that a consent has ended.
        on_demand: What follows when the API asks for a new sign-in, by the reason; empty: nothing is raised.
        wait_timeout: The longest that a caller waits for a renewal, in seconds.
        host_suffixes: A token may name further origins for itself, if their host is one of these or a subdomain.
        origins_for: Returns the further origins of one token; None if tokens name no origins.
    """

    __slots__ = (
        "covers",
        "has_api_headers",
        "header_name",
        "host_suffixes",
        "judged_statuses",
        "judges_consent",
        "looked_at",
        "on_demand",
        "origins",
        "origins_for",
        "proof",
        "reads_rejection_body",
        "rejection_statuses",
        "sends_more",
        "wait_timeout",
    )

    def __init__(
        self,
        origins: AllowedOrigins,
        header_name: str = "Authorization",
        *,
        has_api_headers: bool = False,
        proof: ProofOfPossession | None = None,
        rejection_statuses: frozenset[int] = frozenset(),
        reads_rejection_body: bool = False,
        judged_statuses: frozenset[int] = frozenset(),
        judges_consent: bool = False,
        on_demand: Mapping[str, OnDemand] | None = None,
        wait_timeout: float = 0.0,
        host_suffixes: tuple[str, ...] = (),
        origins_for: Callable[[Token], AllowedOrigins] | None = None,
        covers: Callable[[str], bool] | None = None,
    ) -> None:
        self.origins: AllowedOrigins = origins
        self.header_name: str = header_name
        self.has_api_headers: bool = has_api_headers
        self.proof: ProofOfPossession | None = proof
        self.sends_more: bool = has_api_headers or proof is not None or header_name != "Authorization"
        self.rejection_statuses: frozenset[int] = rejection_statuses
        self.reads_rejection_body: bool = reads_rejection_body
        self.judged_statuses: frozenset[int] = rejection_statuses | judged_statuses
        self.looked_at: frozenset[int] = self.judged_statuses if proof is None else self.judged_statuses | {401}
        self.judges_consent: bool = judges_consent
        self.on_demand: Mapping[str, OnDemand] = on_demand or {}
        self.wait_timeout: float = wait_timeout
        self.host_suffixes: tuple[str, ...] = host_suffixes
        self.origins_for: Callable[[Token], AllowedOrigins] | None = origins_for
        self.covers: Callable[[str], bool] | None = covers

    @property
    def always_permitted(self) -> frozenset[Origin]:
        """The origins all of whose URLs may have every token, so that nothing else of a URL need be looked at."""
        return self.origins.listed if self.covers is None else frozenset()

    def may_permit(self, origin: Origin) -> bool:
        """Whether some token of this credential could be sent to `origin`."""
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
        """What is the same for all requests."""
        ...

    @property
    def after_rejection(self) -> RenewalAfterRejection | None:
        """What to do after a rejection; None for a fixed key, which cannot be renewed."""
        ...

    def fresh(self) -> CachedToken | None:
        """The token, if it can be sent and no renewal is due; else None: call `ready`. Starts no work."""
        ...

    def ready(self, package: Package | None) -> CachedToken | Flight[CachedToken]:
        """A token to send now, or the renewal to wait for. `package` is the caller's HTTP package."""
        ...

    def api_headers(self) -> Mapping[str, str]:
        """The headers that are sent in addition to the token; made again for each attempt."""
        ...

    def report_withheld(self, origin: Origin | None) -> None:
        """Emit that a request was sent without the token.

        `origin`: the origin that may not have it; None if the request already had the header.
        """
        ...


class ProofOfPossession(Protocol):
    """Proves with each request that the client has the key that the token is bound to (DPoP, RFC 9449)."""

    def prove(self, cached: CachedToken, method: str, url: str) -> Mapping[str, str]:
        """The header with a proof for one attempt; empty if this token is not bound to a key.

        Args:
            cached: The token that is sent with it.
            method: The method of the request.
            url: Its absolute URL.

        Raises:
            BlnkAuthError: The key cannot sign.
        """
        ...

    def observe(self, url: str, status_code: int, headers: Mapping[str, str]) -> bool:
        """Keep the nonce and the time of the server that a response brings. Called for every response.

        Args:
            url: The URL of the answered request.
            status_code: The HTTP status.
            headers: Those of the response; looked up in lower case.

        Returns:
            Whether the API rejected the proof, and another one may be accepted: it asks for a nonce, and has sent one.
        """
        ...


class RenewalAfterRejection(Protocol):
    """Judging a rejection and renewing the token that it rejected."""

    def is_rejection(self, answer: ApiAnswer) -> bool:
        """Whether a new token may resolve this response. Raises `ConfigurationError` if the provider's judge fails."""
        ...

    @property
    def demands(self) -> SignInDemands:
        """What follows when the API asks for a new sign-in."""
        ...

    def is_current(self, cached: CachedToken) -> bool:
        """Whether this is still the newest token that this process has."""
        ...

    def replace(
        self,
        rejected: CachedToken,
        package: Package,
        cause: str,
        answer: ApiAnswer | None = None,
        *,
        is_repeated: bool = True,
    ) -> Flight[CachedToken] | Flight[CachedToken | None] | None:
        """Begin, or join, the renewal of a rejected token; None during the cool-down after renewals that did not help.

        Args:
            rejected: The token, or `NoToken`.
            package: The caller's HTTP package.
            cause: What `rejections.cause_of` makes of the request and its response.
            answer: The response, which may describe how to get a token.
            is_repeated: Whether the request will be sent again. If not, nobody is asked to sign in because of it.
        """
        ...

    def note_retry(self, cached: CachedToken, cause: str, *, accepted: bool) -> bool:
        """Note whether the token that a request was repeated with was accepted.

        Args:
            cached: The token.
            cause: That of the first rejection.
            accepted: Whether the second response is not a rejection.

        Returns:
            Whether the token must be renewed now: it was rejected, and is not the answer to a rejection itself.
        """
        ...


class SignInDemands(Protocol):
    """What follows when the API asks for what no renewal gives: see `sign_in_demands`."""

    def find(self, answer: ApiAnswer, sent: CachedToken) -> Demand | None:
        """What the response asks for that only a sign-in gives; None if it asks for nothing of that kind."""
        ...

    def newer_token(self, sent: CachedToken, package: Package) -> CachedToken | Flight[CachedToken | None] | None:
        """Another valid token than the one that was sent, or a look at the store for one. Never a renewal."""
        ...

    def note(self, demand: Demand, answer: ApiAnswer, sent: CachedToken) -> SignInRequired | None:
        """Report and remember a demand. Returns the error to raise; None if the caller gets the API's response."""
        ...

    def sign_in(self, error: SignInRequired, sent: CachedToken, package: Package) -> Flight[CachedToken] | None:
        """Begin, or join, the sign-in that a demand asks for; None if no user is asked from inside a request.

        Args:
            error: What `note` returned.
            sent: The token that the request carried.
            package: The caller's HTTP package.
        """
        ...

    def note_missing_certificate(self, sent: CachedToken, *, was_renewed: bool) -> None:
        """Report, once, that a token was rejected whose HTTP client visibly lacks the certificate it is bound to."""
        ...


@public_in("source")
class Source:
    """What an auth class accepts: the base class of `TokenSource` and `StaticToken`.

    May be shared between threads and tasks. It is for annotations; an application does not derive from it.
    """

    __slots__ = ()

    @property
    def _credential(self) -> Credential:
        raise NotImplementedError


def headers_to_attach(credential: Credential, cached: CachedToken, method: str, url: str) -> dict[str, str]:
    """The headers of one attempt: the token's, the provider's own, and the proof if the token needs one.

    Args:
        credential: Supplied the token.
        cached: The token.
        method: The method of the request.
        url: Its absolute URL.

    Raises:
        BlnkAuthError: A header cannot be made.
    """
    rules = credential.rules
    # The header is in no local variable: a traceback would show it.
    headers = dict(credential.api_headers())
    if cached.header is not None:
        headers = {rules.header_name: cached.prefix + cached.token.access_token, **headers}
    if rules.proof is not None:
        headers |= rules.proof.prove(cached, method, url)
    return headers


_A_SOURCE = "pass a TokenSource, as client.for_subject(...) and client.for_itself(...) return it, or a StaticToken"
_WHAT_TO_PASS = {
    "OAuthClient": "specify whose token: pass client.for_subject(...), or client.for_itself() for the client's own",
    "ProtectedResource": "specify whose token: pass resource.for_subject(...), or resource.for_itself() for the "
    "client's own",
    "str": 'pass a StaticToken("...", api_origins=("https://api.example.com",)) for a fixed key; for a token that is '
    "renewed, what client.for_subject(...) returns",
    "Token": "pass a source that keeps and renews it: source = client.for_subject(...), then source.adopt(token)",
}


def credential_of(source: object) -> Credential:
    """The credential of a source. Raises `ConfigurationError` for anything that is not a source."""
    if isinstance(source, Source):
        return source._credential  # pyright: ignore[reportPrivateUsage]  # of this file's own base class
    name = source.__name__ if isinstance(source, type) else type(source).__name__
    what = "the class" if isinstance(source, type) else "an object of the type"
    raise ConfigurationError(
        f"source must be a source of tokens, not {what} {name}",
        parameter="source",
        remedy=_WHAT_TO_PASS.get(name, _A_SOURCE),
    )


def why_withheld(origin: Origin | None, header_name: str, how: str) -> str:
    """Why a request was sent without the token, and what to do. `how` describes where to add an origin."""
    if origin is None:
        return (
            f"the request has a header {header_name} of its own, so it was sent with that one and without the token; "
            "if an SDK sets the header, configure the SDK to omit it (docs/how-to/use-inside-api-clients.md)"
        )
    # The origin comes from any URL that was requested, and it is logged. No host name has more characters than this.
    named = on_one_line(str(origin)[:300])
    remedy = (
        f"if the token belongs there too, {how}: api_origins=({named!r},)"
        if origin.is_secure
        else "a token is sent over https only"
    )
    return f"{named} is not one of the api_origins; the request was sent without the token; {remedy}"
