"""A server's text, made fit for an error message.

Used by the judges of answers. What this file promises: the text is printable, at most 200 characters long, and holds
no secret that was sent and nothing that looks like a token that was issued.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote, quote_plus

_LONGEST = 200

# Part of a request that is quoted, perhaps cut off in the middle of a secret.
_QUOTED_PARAMETER = re.compile(
    r"""((?:refresh_token|access_token|client_secret|client_assertion|code|code_verifier|token)["']?\s*[=:]\s*)["']?\S+"""
)

_IDENTIFIER = re.compile(r"[0-9A-Fa-f-]{1,64}")


def clean_text(text: Any, secrets: tuple[str, ...]) -> str | None:
    """The text on one line, without `secrets` and without what may be a token; None if it is not a text, or empty."""
    if not isinstance(text, str) or not text.strip():
        return None
    # One may be the beginning of another.
    for secret in sorted(secrets, key=len, reverse=True):
        for written in (secret, quote_plus(secret), quote(secret, safe="")):
            text = text.replace(written, "[redacted]")
    text = _QUOTED_PARAMETER.sub(r"\1[redacted]", text)
    # A server may quote a token that we did not send; no word of prose, and no part of a path, is this long.
    text = re.sub(r"[^\s/]{32,}", "[redacted]", text)
    return re.sub(r"[^\x20-\x7e\xa0-\U0010ffff]+", " ", text).strip()[:_LONGEST]


def clean_identifier(text: str | None, secrets: tuple[str, ...]) -> str | None:
    """A correlation id: a UUID or its like as it is, although it is as long as a token; else as `clean_text`."""
    if text is not None and _IDENTIFIER.fullmatch(text) and text not in secrets:
        return text
    return clean_text(text, secrets)
