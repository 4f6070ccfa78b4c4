"""Removes secrets from a server's text, so that it can be part of an error message.

Used by the judges of responses. What this file promises: the text is printable and at most 200 characters long. It
never contains a secret that was sent, and nothing that looks like an issued token. A secret is recognized by any twelve
characters of it: in plain text, in base64, hexadecimal or percent encoding, escaped as in JSON or HTML, or encoded in
two of these ways, one after the other.
"""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote, unquote_plus

_REDACTED = "[redacted]"

_LONGEST = 200
"""The most characters of the result."""

_LONGEST_READ = 4000
"""The most characters that are read: a server may send a megabyte."""

# A parameter of our request that the server quotes, perhaps cut off in the middle of a secret.
_QUOTED_PARAMETER = re.compile(
    r"""((?:refresh_token|access_token|client_secret|client_assertion|code|code_verifier|token)["']?\s*+[=:]\s*+)["']?\S+"""
)

# Words and parts of a path are shorter than this. A server may quote a token that we did not send.
_LIKE_A_TOKEN = re.compile(r"[^\s/]{32,}")

_PIECE = 12
"""So many characters of a secret in a row must not be shown. Fewer reveal little, and also occur in ordinary words."""

_ENCODINGS = 2
"""How many encodings are removed, one after the other: a text may be percent-encoded and then escaped."""

_ESCAPE = re.compile(r"\\(?:u([0-9A-Fa-f]{4})|(.))", re.DOTALL)

# Both are long enough to contain `_PIECE` characters of a secret.
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{16,}")
_HEXADECIMAL = re.compile(r"[0-9A-Fa-f]{24,}")

_IDENTIFIER = re.compile(r"[0-9A-Fa-f-]{1,64}")

# RFC 6749 section 5.2 allows %x20-21 / %x23-5B / %x5D-7E. Spaces (%x20) are not accepted here: a code has none.
_CODE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,31}|[A-Za-z]{1,20}(?:[_.-][A-Za-z]{1,20}){1,7}")


def clean_text(text: Any, secrets: tuple[str, ...]) -> str | None:
    """The text on one line, without `secrets` and possible tokens. None if it is empty or not a string."""
    if not isinstance(text, str) or not text.strip():
        return None
    if len(text) > _LONGEST_READ:
        # Cut between words: the first part of a secret would not be recognized.
        text = text[:_LONGEST_READ].rpartition(" ")[0]
    # Longest first: one secret may be the beginning of another.
    for secret in sorted(set(secrets), key=len, reverse=True):
        text = _without(text, secret)
    if holds_piece(text, secrets):
        text = " ".join(_REDACTED if holds_piece(word, secrets) else word for word in text.split())
        if holds_piece(text, secrets):
            # The piece of the secret contains a space, or is spread over several words.
            return _REDACTED
    text = _QUOTED_PARAMETER.sub(rf"\1{_REDACTED}", text)
    text = _LIKE_A_TOKEN.sub(_REDACTED, text)
    # Removes control characters, which a terminal obeys, and invisible ones, such as those that reverse a line.
    printable = "".join(character if character.isprintable() else " " for character in text)
    return " ".join(printable.split())[:_LONGEST] or None


def clean_code(text: Any, secrets: tuple[str, ...]) -> str | None:
    """An error code in RFC 6749's characters, registered or not. None for anything else, or if it contains a secret."""
    if not isinstance(text, str) or _CODE.fullmatch(text) is None:
        return None
    if holds_piece(text, secrets) or any(_without(text, secret) != text for secret in secrets):
        return None
    return text


def clean_identifier(text: str | None, secrets: tuple[str, ...]) -> str | None:
    """A correlation id. A hexadecimal one, such as a UUID, is kept although it is as long as a token.

    For any other text, the result is that of `clean_text`.
    """
    if text is not None and _IDENTIFIER.fullmatch(text) and not _is_secret(text, secrets):
        return text
    return clean_text(text, secrets)


def holds_piece(text: str, secrets: tuple[str, ...]) -> bool:
    """Whether the text contains twelve or more characters of a secret in a row, in any case and encoding."""
    # Decoding never makes a text longer, so a shorter text cannot contain a piece.
    return len(text) >= _PIECE and _holds_any(text, _pieces_of(secrets))


def _pieces_of(secrets: tuple[str, ...]) -> frozenset[str]:
    lowered = [secret.lower() for secret in secrets]
    return frozenset(each[at : at + _PIECE] for each in lowered for at in range(len(each) - _PIECE + 1))


def _holds_any(text: str, pieces: frozenset[str]) -> bool:
    return bool(pieces) and any(
        form[at : at + _PIECE] in pieces
        for form in map(str.lower, _forms(text))
        for at in range(len(form) - _PIECE + 1)
    )


def _is_secret(text: str, secrets: tuple[str, ...]) -> bool:
    return holds_piece(text, secrets) or text in secrets


def _forms(text: str) -> Iterator[str]:
    """The text itself, and the text with one encoding or two removed."""
    known, forms = {text}, [text]
    for _ in range(_ENCODINGS + 1):
        yield from forms
        forms = [form for each in forms for form in _decoded(each) if form not in known]
        known.update(forms)


def _decoded(text: str) -> Iterator[str]:
    for decode in (unquote, unquote_plus, html.unescape, _unescape):
        yield decode(text)
    # In base64 four characters encode three bytes, in hexadecimal two encode one. It is not known where such a group
    # begins, so each possible beginning is tried.
    for offset in range(4):
        yield " ".join(_from_base64(found[0][offset:]) for found in _BASE64.finditer(text))
    for offset in range(2):
        yield " ".join(_from_hexadecimal(found[0][offset:]) for found in _HEXADECIMAL.finditer(text))


def _from_base64(text: str) -> str:
    standard = text.replace("-", "+").replace("_", "/")
    return base64.b64decode(standard[: len(text) // 4 * 4]).decode("utf-8", errors="replace")


def _from_hexadecimal(text: str) -> str:
    return bytes.fromhex(text[: len(text) // 2 * 2]).decode("utf-8", errors="replace")


def _without(text: str, secret: str) -> str:
    """The text without a secret, in upper or lower case, plain, escaped or encoded."""
    text = _cut(text, secret)
    for decode in (unquote, unquote_plus, html.unescape, _unescape):
        decoded = decode(text)
        cut = _cut(decoded, secret)
        if cut != decoded:
            text = cut
    encoded = secret.encode("utf-8", errors="replace")
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        written = encode(encoded).decode("ascii")
        text = _cut(_cut(text, written), written.rstrip("="))
    return text


def _cut(text: str, secret: str) -> str:
    lowered, sought = text.lower(), secret.lower()
    if len(lowered) != len(text):
        # A few letters have more characters in lower case: then the positions would be wrong.
        lowered, sought = text, secret
    kept: list[str] = []
    position = 0
    while (found := lowered.find(sought, position)) >= 0:
        kept.extend((text[position:found], _REDACTED))
        position = found + len(secret)
    return "".join((*kept, text[position:]))


def _unescape(text: str) -> str:
    """The text without the backslashes with which JSON or a programming language escapes characters."""
    return _ESCAPE.sub(lambda found: chr(int(found[1], 16)) if found[1] else found[2], text)
