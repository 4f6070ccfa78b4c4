"""A token as a process caches it in memory: ready to be attached, with the moments at which something must happen.

Used by everything that sends or renews a token. It promises that a token is never changed: a renewed one is another
object. Every auth class imports this file, so it imports nothing heavy.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    # Every auth class imports this module, and none needs these to be imported.
    from ..errors import SignInReason
    from ..stores._token_store import Version
    from ..token import Token
    from .loading_and_saving import Predecessor
    from .schedule import Schedule

BEARER = "Bearer "
"""What precedes an access token in its header (RFC 6750 section 2.1)."""

# What a header field may contain without quoting (RFC 9110 section 5.5); RFC 6750's b64token is a part of it. Not
# compiled here: every auth class imports this module.
_SENDABLE = r"[\x21-\x7e]+"


class CachedToken:
    """A token in memory. Immutable, except `was_accepted`. It has slots, since a process may have many of them.

    Attributes:
        token: The token.
        ended: Why its grant has ended; None while it has not.
        prefix: What the value of its header begins with. The rest is the token itself, of which one copy is enough.
        version: The store's version of the record; None while it could not be saved.
        predecessor: Where it could not be saved: what it must replace.
        renew_at: See `Schedule`, as for the next two.
        must_renew_at: From then on callers wait for its renewal.
        expires_at: From then on it cannot be used.
        superseded: Hashes of the refresh tokens that this process has seen replaced on the way to this one: the last
            few. A store that has one of them again has lost a write.
        was_accepted: Whether the API has answered a request that carried it with anything but a rejection. Set by the
            request flow, without a lock; from False to True only.
    """

    __slots__ = (
        "ended",
        "expires_at",
        "must_renew_at",
        "predecessor",
        "prefix",
        "renew_at",
        "superseded",
        "token",
        "version",
        "was_accepted",
    )
    token: Token
    ended: SignInReason | None
    prefix: str
    version: Version | None
    predecessor: Predecessor | None
    renew_at: float
    must_renew_at: float
    expires_at: float
    superseded: tuple[int, ...]
    was_accepted: bool

    def __init__(
        self,
        token: Token,
        schedule: Schedule,
        *,
        ended: SignInReason | None = None,
        prefix: str = BEARER,
        version: Version | None = None,
        predecessor: Predecessor | None = None,
        superseded: tuple[int, ...] = (),
    ) -> None:
        self.token = token
        self.ended = ended
        self.prefix = prefix
        self.version = version
        self.predecessor = predecessor
        self.renew_at, self.must_renew_at, self.expires_at = schedule
        self.superseded = superseded
        self.was_accepted = False

    def __repr__(self) -> str:
        return f"<CachedToken {self.token!r} ended={self.ended!r} version={self.version!r}>"

    @property
    def schedule(self) -> Schedule:
        """When it is renewed."""
        from .schedule import Schedule

        return Schedule(self.renew_at, self.must_renew_at, self.expires_at)

    def is_same_token(self, other: CachedToken) -> bool:
        """Whether it is the same token: saved at last, or marked as ended, it is another object and no other token."""
        return self is other or self.token == other.token

    def supersedes(self, found: Token) -> bool:
        """Whether `found` was replaced on the way to this token, so that its refresh token is spent."""
        return found.refresh_token is not None and hash(found.refresh_token) in self.superseded

    @property
    def header(self) -> str:
        """The value of the header that carries it."""
        return self.prefix + self.token.access_token


def is_sendable(access_token: str) -> bool:
    """Whether a header can carry it."""
    return re.fullmatch(_SENDABLE, access_token) is not None
