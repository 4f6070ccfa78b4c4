"""A token as a process caches it in memory: ready to be attached, with the times at which it is renewed and expires.

Used by everything that sends or renews a token. It promises that a token is never changed: a renewed token is another
object. Every auth class imports this file, so it never imports anything heavy.
"""

from __future__ import annotations

import functools
import math
import re
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    # Every auth class imports this module, and none needs these to be imported.
    from .._protocol.dpop_key import DpopKey
    from ..errors import SignInReason
    from ..stores._token_store import Version
    from ..token import Token
    from .predecessor import Predecessor
    from .schedule import Schedule

BEARER = "Bearer "
"""What the header has before the access token (RFC 6750 section 2.1)."""

DPOP = "DPoP "
"""The same for a token that is bound to a key, and is sent with a proof of that key (RFC 9449 section 7.1)."""

# The visible characters of a header field (RFC 9110 section 5.5). RFC 6750's b64token uses some of them. Not compiled
# here: every auth class imports this module.
_SENDABLE = r"[\x21-\x7e]+"


class _Origin:
    """What is the same for nearly all tokens, which share one object for it. Attributes: see `CachedToken`."""

    __slots__ = ("dpop", "ended", "predecessor", "written_here")

    def __init__(
        self, dpop: DpopKey | None, ended: SignInReason | None, predecessor: Predecessor | None, written_here: bool
    ) -> None:
        self.dpop: DpopKey | None = dpop
        self.ended: SignInReason | None = ended
        self.predecessor: Predecessor | None = predecessor
        self.written_here: bool = written_here


_USUAL = {written_here: _Origin(None, None, None, written_here) for written_here in (False, True)}


@functools.lru_cache(maxsize=64)
def _shared_seconds(milliseconds: int) -> float:
    """The same object for equal numbers: lifetimes are alike."""
    return milliseconds / 1000


class CachedToken:
    """A token in memory. Immutable, except `was_accepted`. It has slots, since a process may have many of them.

    Attributes:
        token: The token.
        ended: Why its grant has ended; None while it has not.
        dpop: The key that the grant is bound to (RFC 9449); None if it is not bound. The token may be older than the
            binding: `needs_proof`.
        prefix: The beginning of the header's value, such as `Bearer `. The access token follows it.
        version: The store's version of the record; None if the token has not been saved yet.
        predecessor: What the token must replace in the store, if it has not been saved yet; else None.
        renew_at: From then on it is renewed in the background. All three times: see `Schedule`.
        must_renew_at: From then on callers wait for its renewal.
        expires_at: From then on it cannot be used.
        superseded: Hashes of the last few refresh tokens that earlier tokens of this grant had, as far as this process
            has seen them. A store that has one of them again has lost a write.
        written_here: Whether this process stored it, or has still to store it. False: it was found in the store.
        was_accepted: Whether the API has accepted a request with this token. The request flow sets it to True, without
            a lock; it never becomes False again.
    """

    __slots__ = (
        "_last_seconds",
        "_origin",
        "expires_at",
        "prefix",
        "renew_at",
        "superseded",
        "token",
        "version",
        "was_accepted",
    )
    token: Token
    prefix: str
    version: Version | None
    renew_at: float
    expires_at: float
    superseded: tuple[int, ...]
    was_accepted: bool

    def __init__(
        self,
        token: Token,
        schedule: Schedule,
        *,
        dpop: DpopKey | None = None,
        ended: SignInReason | None = None,
        prefix: str = BEARER,
        version: Version | None = None,
        predecessor: Predecessor | None = None,
        superseded: tuple[int, ...] = (),
        written_here: bool = False,
    ) -> None:
        self.token = token
        self.prefix = prefix
        self.version = version
        is_usual = dpop is None and ended is None and predecessor is None
        self._origin = _USUAL[written_here] if is_usual else _Origin(dpop, ended, predecessor, written_here)
        self.renew_at, must_renew_at, self.expires_at = schedule
        # Not the time itself, which would be an object of its own for each token.
        is_last = must_renew_at == self.expires_at
        self._last_seconds = 0.0 if is_last else _shared_seconds(round((self.expires_at - must_renew_at) * 1000))
        self.superseded = superseded
        self.was_accepted = False

    def __repr__(self) -> str:
        return f"<CachedToken {self.token!r} ended={self.ended!r} version={self.version!r}>"

    @property
    def dpop(self) -> DpopKey | None:
        return self._origin.dpop

    @property
    def ended(self) -> SignInReason | None:
        return self._origin.ended

    @property
    def predecessor(self) -> Predecessor | None:
        return self._origin.predecessor

    @property
    def written_here(self) -> bool:
        return self._origin.written_here

    @property
    def must_renew_at(self) -> float:
        return self.expires_at - self._last_seconds

    @property
    def schedule(self) -> Schedule:
        """When it is renewed."""
        from .schedule import Schedule

        return Schedule(self.renew_at, self.must_renew_at, self.expires_at)

    def is_same_token(self, other: CachedToken) -> bool:
        """Whether both have the same token. Saving a token, or marking its grant as ended, makes another object."""
        return self is other or self.token == other.token

    def supersedes(self, found: Token) -> bool:
        """Whether `found` is an earlier token of this grant, so that its refresh token is spent."""
        return found.refresh_token is not None and hash(found.refresh_token) in self.superseded

    @property
    def needs_proof(self) -> bool:
        """Whether the token is bound to a key, so that each request with it needs a proof of that key."""
        return self.prefix == DPOP

    @property
    def header(self) -> str | None:
        """The value of the header with this token; None if a request is sent without one: see `NoToken`.

        Raises as `check_sendable`.
        """
        return self.prefix + self.token.access_token

    def check_sendable(self) -> None:
        """Raise `ConfigurationError` if this is not an access token, and so is never sent to an API."""


class UnsendableToken(CachedToken):
    """What is not an access token, such as an assertion that a token exchange issued. It is never sent to an API.

    It is never fresh for a request: `renew_at` is in the past. So a request asks for it by another way than the fastest
    one, and gets an error there (`check_sendable`).
    """

    __slots__ = ("_renew_at",)

    def __init__(self, token: Token, schedule: Schedule, **further: Any) -> None:
        super().__init__(token, schedule, **further)
        self._renew_at, self.renew_at = schedule.renew_at, -math.inf

    @property
    def schedule(self) -> Schedule:
        return super().schedule._replace(renew_at=self._renew_at)

    @property
    def header(self) -> NoReturn:
        raise _not_sendable()

    def check_sendable(self) -> NoReturn:
        raise _not_sendable()


def _not_sendable() -> Exception:
    from ..errors import ConfigurationError

    return ConfigurationError(
        "the token was issued to be presented to an authorization server, and is not an access token for an API",
        parameter="requested_token_type",
        remedy="pass it on, as in for_assertion(assertion=lambda: source.renew().access_token), and use that source",
    )


class NoToken(CachedToken):
    """Stands for the token where a request needs none, as far as is known: it is sent without the header.

    A rejection of such a request is handled like that of a token. It is never what `Credential.fresh` returns.
    """

    __slots__ = ()

    @property
    def header(self) -> None:
        return None


def how_to_pass(access_token: str, *, otherwise: str) -> str:
    """The remedy for a token that cannot be sent; `otherwise` where nothing more is known."""
    if access_token[:7].lower() == "bearer ":
        return "pass it without the word Bearer, which is added to the header"
    return otherwise


def is_sendable(access_token: str) -> bool:
    """Whether an access token can be sent in a header."""
    return re.fullmatch(_SENDABLE, access_token) is not None
