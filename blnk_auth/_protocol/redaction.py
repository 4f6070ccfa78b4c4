"""A server's text, made fit for an error message.

Used by the judges of responses. What this file promises: the text is printable and at most 200 characters long. It
never contains a secret that was sent, in any usual encoding, nor anything that looks like a token that was issued.
"""

from __future__ import annotations

import base64
import html
import re
from typing import Any
from urllib.parse import unquote, unquote_plus

_REDACTED = "[redacted]"

_LONGEST = 200
"""Characters that are shown."""

_LONGEST_READ = 4000
"""Characters that are looked at: a server may send a megabyte."""

# Part of a request that is quoted, perhaps cut off in the middle of a secret.
_QUOTED_PARAMETER = re.compile(
    r"""((?:refresh_token|access_token|client_secret|client_assertion|code|code_verifier|token)["']?\s*+[=:]\s*+)["']?\S+"""
)

# No word of prose, and no part of a path, is this long: a server may quote a token that we did not send.
_LIKE_A_TOKEN = re.compile(r"[^\s/]{32,}")

_ESCAPE = re.compile(r"\\(?:u([0-9A-Fa-f]{4})|(.))", re.DOTALL)

_IDENTIFIER = re.compile(r"[0-9A-Fa-f-]{1,64}")

# RFC 6749 section 5.2 allows %x20-21 / %x23-5B / %x5D-7E; with a space it is prose.
_CODE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,31}|[A-Za-z]{1,20}(?:[_.-][A-Za-z]{1,20}){1,7}")


def clean_text(text: Any, secrets: tuple[str, ...]) -> str | None:
    """The text on one line, without `secrets` and without what may be a token; None if it is not a text, or empty."""
    if not isinstance(text, str) or not text.strip():
        return None
    if len(text) > _LONGEST_READ:
        # Not in the middle of a word, which may be a secret.
        text = text[:_LONGEST_READ].rpartition(" ")[0]
    # One may be the beginning of another.
    for secret in sorted(set(secrets), key=len, reverse=True):
        text = _without(text, secret)
    text = _QUOTED_PARAMETER.sub(rf"\1{_REDACTED}", text)
    text = _LIKE_A_TOKEN.sub(_REDACTED, text)
    # Neither what a terminal obeys nor what turns the direction of a line or hides in it.
    printable = "".join(character if character.isprintable() else " " for character in text)
    return " ".join(printable.split())[:_LONGEST] or None


def clean_code(text: Any, secrets: tuple[str, ...]) -> str | None:
    """An error code of RFC 6749's characters, registered or not; None if it is not one, or holds a secret."""
    if not isinstance(text, str) or _CODE.fullmatch(text) is None:
        return None
    if any(_without(text, secret) != text for secret in secrets):
        return None
    return text


def clean_identifier(text: str | None, secrets: tuple[str, ...]) -> str | None:
    """A correlation id: a UUID or its like as it is, although it is as long as a token; else as `clean_text`."""
    if text is not None and _IDENTIFIER.fullmatch(text) and text not in secrets:
        return text
    return clean_text(text, secrets)


def _without(text: str, secret: str) -> str:
    """The text without a secret, in whichever case, and however the server escaped or encoded it."""
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
        # In a few alphabets a letter has another length in lower case.
        lowered, sought = text, secret
    kept: list[str] = []
    position = 0
    while (found := lowered.find(sought, position)) >= 0:
        kept.extend((text[position:found], _REDACTED))
        position = found + len(secret)
    return "".join((*kept, text[position:]))


def _unescape(text: str) -> str:
    """The text as it is if a server wrote it for JSON or a program's source twice."""
    return _ESCAPE.sub(lambda found: chr(int(found[1], 16)) if found[1] else found[2], text)
