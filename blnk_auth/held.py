"""A token as a process holds it in memory: ready to be attached, with the moments at which something must happen."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field

from .decision import Window
from .record import Grant
from .stores.base import Version
from .token import Token

# What a header field may hold without quoting (RFC 9110 section 5.5); RFC 6750's b64token is a part of it.
_SENDABLE = re.compile(r"[\x21-\x7e]+")


@dataclass(frozen=True, slots=True)
class Predecessor:
    """The stored state that a renewal began with. `token` is the one whose refresh token it spent."""

    version: Version | None = None
    token: Token | None = None

    def was_spent_for(self, new: Token, found: Token) -> bool:
        """Whether `found` is that very pair again, written once more by somebody who does not know it is spent."""
        spent = None if self.token is None else self.token.refresh_token
        return spent is not None and found.refresh_token == spent != new.refresh_token


@dataclass(frozen=True, slots=True, eq=False)
class HeldToken:
    """Immutable. Two are the same only if they are the same object: a server may issue the same string twice, so
    "is it still current" is a question of which renewal it came from, never of comparing access tokens.
    """

    grant: Grant
    window: Window
    header: str = field(repr=False)
    """The value of the header that carries it."""

    version: Version | None = None
    """The store's version of it; None while it could not be saved."""

    predecessor: Predecessor | None = None
    """If it could not be saved: what it must replace."""

    renew_at: float = math.inf
    """The window's, kept here too because every request reads it."""


def bearer(access_token: str) -> str | None:
    """The Authorization header for a token, RFC 6750 section 2.1; None if no header can carry it."""
    return f"Bearer {access_token}" if _SENDABLE.fullmatch(access_token) else None
