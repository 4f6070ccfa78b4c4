"""The body of a response of the authorization server, as an object. Pure.

Used by the judges of responses, and by discovery. What this file promises:

* The result is an object or None for any body; parsing never raises.
* Depth and size are bounded, and one member that cannot be read never makes the others unreadable.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, cast
from urllib.parse import parse_qsl

from ..token import read_seconds

_LONGEST_INTEGER = 300
"""In digits. Python refuses to read integers with thousands of digits."""

_DEEPEST = 64
"""How many levels are kept of a response that is nested too deeply to be read whole."""

_MOST_FORM_FIELDS = 1000

# The closing quote may be missing: otherwise each quote in such a string would start another search to the end.
_STRING_OR_BRACKET = re.compile(r'"(?:[^"\\]++|\\.)*+"?|[\[\]{}]', re.DOTALL)


def read_document(body: bytes) -> Mapping[str, Any] | None:
    """The object in a body, whether JSON (with or without a byte order mark) or form-encoded; None if it is neither."""
    document = _read_json(_text(body))
    if isinstance(document, dict):
        return cast("dict[str, Any]", document)
    return _read_form(_text(body)) if document is None else None


def read_json_object(body: bytes) -> Mapping[str, Any] | None:
    """The JSON object in a body; None if it is anything else."""
    document = _read_json(_text(body))
    return cast("dict[str, Any]", document) if isinstance(document, dict) else None


def _text(body: bytes) -> str:
    # A member in another encoding must not make the others unreadable; a token is ASCII.
    return body.decode("utf-8-sig", errors="replace")


def _read_json(text: str) -> Any:
    """The value, None if the text is not JSON."""
    try:
        try:
            return _loads(text)
        except RecursionError:
            return _loads(without_deep_values(text))
    except (ValueError, RecursionError):
        return None


def _loads(text: str) -> Any:
    # NaN and infinity are read as None: a store that writes JSON could not save them.
    return json.loads(text, parse_constant=lambda _: None, parse_float=read_seconds, parse_int=_integer)


def _integer(digits: str) -> int | None:
    return int(digits) if len(digits) < _LONGEST_INTEGER else None


def without_deep_values(text: str, *, deepest: int = _DEEPEST) -> str:
    """The same JSON text with null in the place of each value that begins below `deepest` levels."""
    kept: list[str] = []
    depth, copied = 0, 0
    for found in _STRING_OR_BRACKET.finditer(text):
        if found[0] in ("[", "{"):
            depth += 1
            if depth == deepest:
                kept.extend((text[copied : found.start()], "null"))
        elif found[0] in ("]", "}"):
            if depth == deepest:
                copied = found.end()
            depth -= 1
    kept.append(text[copied:])
    return "".join(kept)


def _read_form(text: str) -> Mapping[str, Any] | None:
    # GitHub and older servers answer form-encoded. A page, or JSON that is damaged, is not a form.
    if "<" in text or text.lstrip().startswith(("{", "[")):
        return None
    try:
        form = dict(parse_qsl(text, max_num_fields=_MOST_FORM_FIELDS))
    except ValueError:
        return None
    return form if "access_token" in form or "error" in form else None
