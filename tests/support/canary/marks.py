"""Marked secrets, and every encoding in which a server, a proxy or a program may write one.

Used by every table of the canary. The search itself is the one that ships to users, `blnk_auth.testing`; here are the
secrets that it is tried with.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterable

from blnk_auth.testing import _secret_search
from blnk_auth.testing._secret_search import PIECE, Found

__all__ = ["ENCODINGS", "PIECE", "Found", "Secrets", "in_every_encoding", "marked"]


class Secrets(_secret_search.Secrets):
    """The secrets of one trial, by kind. A kind is a word such as "refresh token"."""

    def add(self, kind: str, secret: str) -> str:
        """Search for it from now on; the secret itself, for the caller to use."""
        assert len(secret) >= PIECE, f"{kind} is too short to be searched for in pieces"
        return super().add(kind, secret)

    def new(self, kind: str, specials: str = "-._~") -> str:
        """A secret of its own, the same in each run: four letters or digits, a special character, and so on."""
        made = marked(f"{kind} {len(self._kinds)}", specials)
        return self.add(kind, made)


def marked(seed: str, specials: str = "-._~") -> str:
    """Thirty-nine characters that no other seed gives: groups of four with a special character after each."""
    alphabet = base64.b32encode(hashlib.sha256(seed.encode()).digest()).decode().rstrip("=")
    mixed = "".join(c if index % 3 else c.lower() for index, c in enumerate(alphabet))
    groups = [mixed[at : at + 4] for at in range(0, 32, 4)]
    return "".join(group + specials[index % len(specials)] for index, group in enumerate(groups))[:-1]


# --- how a server, a proxy or a program may write a secret -----------------------------------------------------------


def _percent(text: str, digits: str = "%{:02X}") -> str:
    """Every character that is not a letter or a digit."""
    return "".join(c if c.isalnum() and c.isascii() else "".join(map(digits.format, c.encode())) for c in text)


ENCODINGS: dict[str, Callable[[str], str]] = {
    "plain": lambda secret: secret,
    "percent": _percent,
    "percent in lower case": lambda secret: _percent(secret, "%{:02x}"),
    "percent twice": lambda secret: _percent(_percent(secret)),
    "JSON": lambda secret: "".join(c if c.isalnum() else f"\\u{ord(c):04x}" for c in secret),
    "HTML": lambda secret: "".join(c if c.isalnum() else f"&#{ord(c)};" for c in secret),
    "base64": lambda secret: base64.b64encode(secret.encode()).decode(),
    "base64 after one byte": lambda secret: base64.b64encode(b":" + secret.encode()).decode(),
    "base64 after two bytes": lambda secret: base64.b64encode(b"x:" + secret.encode()).decode(),
    "base64 for URLs": lambda secret: base64.urlsafe_b64encode(secret.encode()).decode().rstrip("="),
    "hexadecimal": lambda secret: secret.encode().hex(),
    "its beginning": lambda secret: secret[:PIECE],
    "its end": lambda secret: secret[-PIECE:],
    "its middle": lambda secret: secret[7 : 7 + PIECE + 3],
    "its beginning in base64": lambda secret: base64.b64encode(secret[: PIECE + 1].encode()).decode(),
}


def in_every_encoding(secrets: Iterable[str]) -> list[str]:
    """Every secret in every encoding."""
    return [encode(secret) for secret in secrets for encode in ENCODINGS.values()]
