"""What an authorization server knows: a registered client, a grant, and what was issued for it.

Used by the authorization server, which changes them under its lock, and by the personalities. They are values: a class
here never calls the server. The errors are those of RFC 6749 section 5.2.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from collections import deque
from dataclasses import dataclass, field
from typing import Any, Literal

from ._setting_checks import check_client

CODE_CHALLENGE_METHODS = ("S256", "plain")

_MOST_CREDENTIALS = 100_000

ITSELF = ""
"""The subject of a token that a client got for itself."""

_LOOPBACK_WITHOUT_PORT = re.compile(r"http://(127\.0\.0\.1|\[::1\]|localhost)(?=/|$)")

AccessState = Literal["valid", "expired", "rejected", "ended", "unknown"]
"""`rejected`: only this access token was revoked; `ended`: the grant was."""


class OAuthError(Exception):
    """The server refuses a request. `error` is a code of RFC 6749, `description` is for the developer."""

    def __init__(self, error: str, description: str) -> None:
        super().__init__(f"{error}: {description}")
        self.error = error
        self.description = description


class RefreshTokenReuse(OAuthError):
    """`invalid_grant` because the refresh token was spent before; its family has just been revoked."""


@dataclass(frozen=True, slots=True)
class RegisteredClient:
    """A client as registered with the server. `scope` is what it gets when it asks for no scope.

    Raises `SettingError` for an id or a URI that no client can have.
    """

    client_id: str
    client_secret: str = field(repr=False)
    redirect_uri: str
    scope: str
    further_redirect_uris: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_client(
            self.client_id, self.redirect_uri, *self.further_redirect_uris, has_secret=bool(self.client_secret)
        )

    def may_be_sent_to(self, redirect_uri: str) -> bool:
        """Whether it is exactly a registered one; if that is on loopback without a port, with any port.

        RFC 8252 section 7.3: "The authorization server MUST allow any port to be specified at the time of the request
        for loopback IP redirect URIs". A registered port must match, as at many servers.
        """
        return any(_fits(redirect_uri, registered) for registered in (self.redirect_uri, *self.further_redirect_uris))


def _fits(redirect_uri: str, registered: str) -> bool:
    loopback = _LOOPBACK_WITHOUT_PORT.match(registered)
    if redirect_uri == registered or loopback is None:
        return redirect_uri == registered
    host, rest = loopback[0], registered[loopback.end() :]
    return re.fullmatch(f"{re.escape(host)}:[0-9]{{1,5}}{re.escape(rest)}", redirect_uri) is not None


@dataclass(frozen=True, slots=True)
class CodeChallenge:
    """The challenge of PKCE (RFC 7636) to which a code is bound, and its method."""

    value: str = field(repr=False)
    method: str = "plain"

    def accepts(self, code_verifier: str) -> bool:
        """Whether the challenge was made of this verifier."""
        derived = code_verifier.encode()
        if self.method == "S256":
            derived = base64.urlsafe_b64encode(hashlib.sha256(derived).digest()).rstrip(b"=")
        return hmac.compare_digest(derived, self.value.encode())


@dataclass(frozen=True, slots=True)
class Confirmation:
    """What a token is bound to: the members of `cnf` (RFC 7800). Immutable.

    `jkt`: the thumbprint of a key (RFC 9449 section 6.1). `x5t`: that of a certificate, `x5t#S256` (RFC 8705 section
    3.1). None: not bound.
    """

    jkt: str | None = None
    x5t: str | None = None

    def covers(self, shown: Confirmation) -> bool:
        """Whether a request that proves `shown` may use what is bound to this."""
        return self.jkt in (None, shown.jkt) and self.x5t in (None, shown.x5t)


@dataclass(frozen=True, slots=True)
class Terms:
    """What an authorization request asks for beside a scope. Immutable."""

    authorization_details: tuple[dict[str, Any], ...] = ()
    grant_management_action: str | None = None
    grant: Grant | None = None
    """The grant that is merged with, or replaced by, what is asked for; None: a new one."""
    dpop_jkt: str | None = None
    """The thumbprint of the key that the code is bound to (RFC 9449 section 10)."""
    acr: str = ""


@dataclass(slots=True)
class Grant:
    """The access that one user allowed one client, and the family of all tokens that were issued for it."""

    client_id: str
    subject: str
    scope: str
    target: str | None = None
    """The party behind the server that it is for, where there are several."""
    authorization_details: tuple[dict[str, Any], ...] = ()
    """As granted (RFC 9396 section 7)."""
    acr: str = ""
    """How the user signed in, and when: what RFC 9470 is about."""
    authenticated_at: float = 0.0
    grant_id: str = field(default_factory=lambda: secrets.token_urlsafe(16))
    revoked: bool = False
    number: int = 0
    refreshes: int = 0
    access_token: str = field(default="", repr=False)
    """The latest one; empty before the first."""
    access_tokens: deque[AccessToken] = field(default_factory=lambda: deque(maxlen=100), repr=False)
    """The latest hundred."""
    refresh_token: str = field(default="", repr=False)
    """The latest one; empty if there is none."""


@dataclass(slots=True)
class Code:
    grant: Grant
    redirect_uri: str
    code_challenge: CodeChallenge | None
    expires_at: float
    change: tuple[str, Terms] | None = None
    """The scope and the terms by which the exchange merges with or replaces the grant; None: it is a new grant."""
    dpop_jkt: str | None = None
    spent: bool = False


@dataclass(slots=True)
class AccessToken:
    grant: Grant
    issued_at: float
    expires_at: float
    revoked: bool = False
    confirmation: Confirmation = Confirmation()

    def state(self, now: float) -> AccessState:
        """What an API that is asked now makes of it."""
        if self.grant.revoked:
            return "ended"
        if self.revoked:
            return "rejected"
        return "expired" if now >= self.expires_at else "valid"


@dataclass(slots=True)
class RefreshToken:
    grant: Grant
    access_token: AccessToken
    used_at: float
    spent: bool = False
    revoked: bool = False
    confirmation: Confirmation = Confirmation()
    """What a public client must prove with it. That of a confidential client is bound to the client itself."""


@dataclass(frozen=True, slots=True)
class Superseded:
    """An access token when its refresh token was exchanged for the next pair, to judge whether that was needed.

    Times are seconds on the server's clock. `revoked`: it had been revoked before, by `revoke_access_tokens`.
    """

    subject: str
    issued_at: float
    expires_at: float
    superseded_at: float
    revoked: bool


class IssuedCredentials:
    """The latest 100,000 codes and tokens that were issued, each after its kind. Its repr shows none. Thread-safe."""

    def __init__(self) -> None:
        self._issued: deque[tuple[str, str]] = deque(maxlen=_MOST_CREDENTIALS)

    def add(self, kind: str, credential: str) -> None:
        """Remember one. A kind is a word such as "refresh token"."""
        self._issued.append((kind, credential))

    def all(self) -> tuple[tuple[str, str], ...]:
        """Those so far, oldest first."""
        # A copy is made in one step, while other threads add to it.
        return tuple(self._issued.copy())
