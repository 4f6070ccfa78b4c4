"""The search for secrets in a text, in every encoding in which they may appear there.

Used by `assert_no_secret_in`, and by this project's own canary. A secret is found by any twelve characters of it, or as
a whole if it is shorter: as they are, percent-encoded, escaped as in JSON or HTML, in base64 of either alphabet, in
hexadecimal, or in two of these. Case, padding and alignment make no difference. It never searches for fewer than twelve
characters of a longer secret, since a shorter piece also occurs in other words.
"""

from __future__ import annotations

import base64
import binascii
import html
import re
from collections.abc import Iterator
from typing import NamedTuple
from urllib.parse import unquote, unquote_plus

PIECE = 12
"""Characters that betray a secret."""

_KEY = 6
_STRIDE = PIECE - _KEY + 1
"""Twelve characters in a row contain six that begin at a multiple of this number."""

_MOST = 300_000
"""Characters of one text that are searched in other encodings than plain."""

_ESCAPE = re.compile(r"\\(?:u([0-9A-Fa-f]{4})|x([0-9A-Fa-f]{2})|(.))", re.DOTALL)
_CONTROL = {"n": "\n", "t": "\t", "r": "\r"}
_BASE64_RUN = re.compile(r"[A-Za-z0-9+/_-]{16,}")
_HEX_RUN = re.compile(r"[0-9A-Fa-f]{24,}")


class Found(NamedTuple):
    """A secret in a text: of which kind, in which encoding, and some of what is around it."""

    kind: str
    encoding: str
    excerpt: str


class Secrets:
    """The secrets to search for, by kind. A kind is a word such as "refresh token"."""

    def __init__(self) -> None:
        self._kinds: dict[str, str] = {}
        self._short: dict[str, str] = {}
        self._pieces: dict[str, str] = {}
        self._keys: set[str] = set()

    def __iter__(self) -> Iterator[tuple[str, str]]:
        """Each secret and its kind."""
        return iter(list(self._kinds.items()))

    def add(self, kind: str, secret: str) -> str:
        """Search for the secret from now on. Returns it, so that a caller can add and use it in one expression."""
        if secret and secret not in self._kinds:
            self._kinds[secret] = kind
            if len(secret) < PIECE:
                self._short[secret] = kind
            for start in range(len(secret) - PIECE + 1):
                piece = secret[start : start + PIECE]
                self._pieces.setdefault(piece, kind)
                self._keys.update(piece[offset : offset + _KEY] for offset in range(_STRIDE))
        return secret

    def found_in(self, text: str) -> list[Found]:
        """Each kind once, with the encoding in which it was found first."""
        found: dict[str, Found] = {}
        for encoding, decoded in _forms(text):
            for kind, excerpt in self._plain_in(decoded):
                found.setdefault(kind, Found(kind, encoding, excerpt))
        return list(found.values())

    def _plain_in(self, text: str) -> Iterator[tuple[str, str]]:
        for secret, kind in self._short.items():
            if (at := text.find(secret)) >= 0:
                yield kind, _around(text, at)
        keys, pieces = self._keys, self._pieces
        for start in range(0, len(text) - _KEY + 1, _STRIDE):
            if text[start : start + _KEY] in keys:
                first = max(0, start - _STRIDE + 1)
                for at in range(first, start + 1):
                    piece = text[at : at + PIECE]
                    if piece in pieces:
                        yield pieces[piece], _around(text, at)
                        break


def _around(text: str, at: int) -> str:
    return text[max(0, at - 60) : at + 60]


# --- the other forms of a text ---------------------------------------------------------------------------------------


def _forms(text: str) -> Iterator[tuple[str, str]]:
    """The text as it is, and everything that one or two encodings may have been applied to, decoded."""
    yield "plain", text
    seen = {text}
    layer = [("", text[:_MOST])]
    for _ in range(2):
        following: list[tuple[str, str]] = []
        for encoding, each in layer:
            for name, decoded in _decoded(each):
                if decoded not in seen:
                    seen.add(decoded)
                    following.append((f"{name} {encoding}".strip(), decoded))
        yield from following
        layer = following


def _decoded(text: str) -> Iterator[tuple[str, str]]:
    if "%" in text:
        yield "percent", unquote(text, errors="replace")
    if "+" in text:
        yield "form", unquote_plus(text, errors="replace")
    if "&" in text:
        yield "HTML", html.unescape(text)
    if "\\" in text:
        yield "escaped", _ESCAPE.sub(_unescaped, text)
    runs = {run.replace("-", "+").replace("_", "/") for run in _BASE64_RUN.findall(text)}
    for offset in range(4) if runs else ():
        yield "base64", "\n".join(_base64(run[offset:]) for run in runs)
    digits = set(_HEX_RUN.findall(text))
    for offset in range(2) if digits else ():
        yield "hexadecimal", "\n".join(_hexadecimal(run[offset:]) for run in digits)


def _unescaped(found: re.Match[str]) -> str:
    code = found[1] or found[2]
    return chr(int(code, 16)) if code else _CONTROL.get(found[3], found[3])


def _base64(text: str) -> str:
    whole = text[: len(text) // 4 * 4]
    return base64.b64decode(whole).decode("utf-8", "replace")


def _hexadecimal(text: str) -> str:
    return binascii.unhexlify(text[: len(text) // 2 * 2]).decode("utf-8", "replace")
