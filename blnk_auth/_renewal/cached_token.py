"""A token as a process holds it in memory: ready to be attached, with the moments at which something must happen."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    # Every shell imports this module, and none needs these to be imported.
    from ..stores._token_store import Version
    from ..token import Token
    from .grant_record import GrantRecord
    from .schedule import Window

BEARER = "Bearer "
"""What stands before an access token in its header (RFC 6750 section 2.1)."""

# What a header field may hold without quoting (RFC 9110 section 5.5); RFC 6750's b64token is a part of it.
_SENDABLE = re.compile(r"[\x21-\x7e]+")


class Predecessor(NamedTuple):
    """The stored state that a renewal began with. `token` is the one whose refresh token it spent."""

    version: Version | None = None
    token: Token | None = None

    def was_spent_for(self, new: Token, found: Token) -> bool:
        """Whether `found` is that very pair again, written once more by somebody who does not know it is spent."""
        spent = None if self.token is None else self.token.refresh_token
        return spent is not None and found.refresh_token == spent != new.refresh_token


class CachedToken:
    """Nobody changes one. Two are the same only if they are the same object: a server may issue the same string twice,
    so "is it still current" is a question of which renewal it came from, never of comparing access tokens.

    `prefix`: what the value of its header begins with; the rest is the token itself, of which one copy is enough.
    `version`: the store's version of it; None while it could not be saved. `predecessor`: if so, what it must replace.
    """

    __slots__ = ("predecessor", "prefix", "record", "version", "window")

    def __init__(
        self,
        record: GrantRecord,
        window: Window,
        prefix: str = BEARER,
        version: Version | None = None,
        predecessor: Predecessor | None = None,
    ) -> None:
        self.record = record
        self.window = window
        self.prefix = prefix
        self.version = version
        self.predecessor = predecessor

    def __repr__(self) -> str:
        return f"<CachedToken {self.record!r} version={self.version!r}>"

    @property
    def header(self) -> str:
        """The value of the header that carries it."""
        return self.prefix + self.record.token.access_token


def is_sendable(access_token: str) -> bool:
    """Whether a header can carry it."""
    return _SENDABLE.fullmatch(access_token) is not None
