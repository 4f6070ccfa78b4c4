"""The pages that a browser shows at the end of a sign-in: what happened, and what to do next.

Used by the interactive sign-in. A page has no script and loads nothing; its Content-Security-Policy enforces both. Its
address never contains the code or the state. Every text that is not written in this file is escaped.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from html import escape
from string import Template
from typing import Literal

from .loopback import Response
from .template import CSS, HTML

Result = Literal["success", "denied", "failed"]
"""How a sign-in ended."""

Page = Literal["success", "denied", "failed", "not_begun", "invalid_link", "no_state", "wrong_address"]
"""A page for each result, and for requests that cannot begin or end the sign-in."""

_TICK = "M14 25l7 7 13-15"
_BAR = "M15 24h18"
_CROSS = "M17 17l14 14M31 17L17 31"


@dataclass(frozen=True, slots=True)
class _Content:
    status: int
    title: str
    what: str
    next: str
    mark: str


_CONTENT: Mapping[Page, _Content] = {
    "success": _Content(
        200,
        "You are signed in",
        "The application now has access to <strong>$provider</strong>.",
        "You can close this tab and go back to the application.",
        _TICK,
    ),
    "denied": _Content(
        200,
        "You did not give access",
        "You declined, so the application has no access to <strong>$provider</strong>.",
        "You can close this tab. If you change your mind, start again in the application and agree.",
        _BAR,
    ),
    "failed": _Content(
        200,
        "Signing in did not work",
        "<strong>$provider</strong> sent you back, but then something went wrong:",
        "Go back to the application and start again. If it happens again, send this message to its support.",
        _CROSS,
    ),
    "not_begun": _Content(
        200,
        "Signing in did not begin",
        "The application could not ask <strong>$provider</strong> for access:",
        "Go back to the application and start again. If it happens again, send this message to its support.",
        _CROSS,
    ),
    "invalid_link": _Content(
        400,
        "This link is not valid here",
        "It is old or incomplete, or it was not made for this sign-in.",
        "Go back to the application and open the latest link that it shows.",
        _CROSS,
    ),
    "no_state": _Content(
        400,
        "Signing in did not work",
        "<strong>$provider</strong> refused, but did not name the sign-in that it refused:",
        "Go back to the application and start again. If it happens again, send this message to its support.",
        _CROSS,
    ),
    "wrong_address": _Content(
        421,
        "Paste this address into the application",
        "This address reached the application, but with another port than the sign-in uses:",
        "Copy the whole address of this page and paste it into the application, if it asks for an address. "
        "Or forward that very port to the application, and start again.",
        _CROSS,
    ),
}


def page(which: Page, *, provider: str, problem: str = "") -> Response:
    """The page as a response. `provider` is the display name; `problem` is shown unchanged, but escaped."""
    content = _CONTENT[which]
    body = Template(HTML).substitute(
        style=CSS,
        page=which.replace("_", "-"),
        mark=content.mark,
        title=content.title,
        what=Template(content.what).substitute(provider=escape(provider)),
        problem=f'<p class="problem">{escape(problem)}</p>' if problem else "",
        next=content.next,
    )
    # A lone surrogate, as in a file name that is not UTF-8, must not make the page fail.
    encoded = body.encode("utf-8", "replace")
    return Response(content.status, {**_headers(), "content-type": "text/html; charset=utf-8"}, encoded)


def redirect(to: str) -> Response:
    """Send the browser to an address without the code, so that the code is neither shown nor kept in the history."""
    return Response(303, {**_headers(), "location": to})


def refusal(status: int, text: str, **headers: str) -> Response:
    """One line of text, for a program or a request that no user waits for."""
    body = f"{text}\n".encode()
    return Response(status, {**_headers(), **headers, "content-type": "text/plain; charset=utf-8"}, body)


@cache
def _headers() -> Mapping[str, str]:
    style = base64.b64encode(hashlib.sha256(CSS.encode()).digest()).decode()
    return {
        "content-security-policy": (
            f"default-src 'none'; style-src 'sha256-{style}'; img-src data:; "
            "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        ),
        "cache-control": "no-store",
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff",
    }
