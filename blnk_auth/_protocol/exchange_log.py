"""One line of the log for each exchange with the authorization server, without a secret.

Used by the token endpoint and by discovery, and shown by `blnk-auth --verbose`. The logger is `blnk_auth.http`, at
level DEBUG. It promises names only: of all parameters and members, the values of a few are shown that are never secret
by their definition, and even those without anything that the request or the response has elsewhere. Unless the log is
switched on, nothing is read and nothing is formatted.
"""

from __future__ import annotations

import itertools
import json
import logging
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from .documents import read_json_object
from .http_messages import HttpRequest, HttpResponse, NoResponse
from .redaction import clean_code, clean_text

_logger: logging.Logger = logging.getLogger("blnk_auth.http")

_SHOWN = frozenset(
    {
        *("grant_type", "scope", "resource", "audience", "redirect_uri", "token_type_hint", "requested_token_type"),
        *("token_type", "expires_in", "refresh_expires_in", "interval", "error"),
    }
)
"""The parameters and members whose values are shown."""

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,40}")
_SCHEMES = ("Basic", "Bearer", "DPoP")
_MOST_MEMBERS = 40
_SHORTEST_SECRET = 8
_NUMBERS = ("expires_in", "refresh_expires_in", "interval")


def log_exchange(
    send: Callable[[HttpRequest], HttpResponse],
    request: HttpRequest,
    *,
    secrets: tuple[str, ...],
    monotonic: Callable[[], float],
) -> HttpResponse:
    """Send, and log what was sent and what came.

    Args:
        send: Sends the request.
        request: What is sent.
        secrets: The secrets in it.
        monotonic: A clock, in seconds, for how long it took.

    Returns:
        What `send` returns. What it raises passes.
    """
    if not _logger.isEnabledFor(logging.DEBUG):
        return send(request)
    sent_at = monotonic()
    try:
        response = send(request)
    except NoResponse as failure:
        why = clean_text(failure.problem, secrets)
        _logger.debug("%s: no response after %.2f s (%s)", _sent(request, secrets), monotonic() - sent_at, why)
        raise
    took = monotonic() - sent_at
    _logger.debug("%s: %s in %.2f s%s", _sent(request, secrets), response.status_code, took, _came(response, secrets))
    return response


def _sent(request: HttpRequest, secrets: tuple[str, ...]) -> str:
    url = urlsplit(request.url)
    # Without its query, and without a user name.
    line = f"{request.method} {url.scheme}://{url.netloc.rpartition('@')[2]}{url.path}"
    scheme = next((value.partition(" ")[0] for name, value in request.headers.items() if name == "Authorization"), "")
    further = [f"Authorization: {scheme}"] if scheme in _SCHEMES else []
    further += _pairs(_parameters(request), secrets)
    return f"{line} ({', '.join(further)})" if further else line


def _came(response: HttpResponse, secrets: tuple[str, ...]) -> str:
    members = read_json_object(response.body)
    if members is None:
        kind = clean_text(response.headers.get("content-type", ""), secrets) or "no content type"
        return f" ({kind}, {len(response.body)} bytes)"
    members = dict(itertools.islice(members.items(), _MOST_MEMBERS))
    pairs = [each for name in members for each in _pairs({name: members[name]}, (*secrets, *_others(members, name)))]
    return f" ({', '.join(pairs)})"


def _others(members: Mapping[str, Any], name: str) -> Iterator[str]:
    """The other members: a server may repeat one of its new tokens in a member that is shown."""
    for other, value in members.items():
        if other != name and isinstance(value, str) and len(value) >= _SHORTEST_SECRET:
            yield value


def _parameters(request: HttpRequest) -> Mapping[str, Any]:
    text = request.body.decode("utf-8", "replace")
    if text.startswith("{"):
        made: dict[str, Any] = json.loads(text)
        return made
    return dict(parse_qsl(text, keep_blank_values=True))


def _pairs(members: Mapping[str, Any], secrets: tuple[str, ...]) -> Iterator[str]:
    """Each name, and its value if that may be shown."""
    for name, value in members.items():
        shown = _shown(name, value, secrets) if name in _SHOWN else None
        named = name if _NAME.fullmatch(name) and clean_text(name, secrets) == name else "(another member)"
        yield named if shown is None else f"{named}={shown}"


def _shown(name: str, value: Any, secrets: tuple[str, ...]) -> str | None:
    if name in _NUMBERS:
        return str(value) if isinstance(value, int | float) or str(value).isdigit() else None
    return clean_code(value, secrets) if name == "error" else clean_text(value, secrets)
