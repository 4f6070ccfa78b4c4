"""The page that ends a sign-in in the browser: what happened, and what to do next.

Self-contained: no script, nothing loaded from anywhere, and a policy that holds the browser to it. Its address has
neither code nor state, and every text that is not ours is escaped.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from html import escape
from importlib.resources import files
from string import Template
from typing import Literal

from .loopback import Answer

Outcome = Literal["success", "denied", "failed"]
Page = Literal["success", "denied", "failed", "stray"]

_TICK = "M14 25l7 7 13-15"
_BAR = "M15 24h18"
_CROSS = "M17 17l14 14M31 17L17 31"


@dataclass(frozen=True, slots=True)
class _Words:
    status: int
    title: str
    what: str
    next: str
    mark: str


_WORDS: Mapping[Page, _Words] = {
    "success": _Words(
        200,
        "You are signed in",
        "The application now has access to <strong>$provider</strong>.",
        "You can close this tab and go back to the application.",
        _TICK,
    ),
    "denied": _Words(
        200,
        "You did not give access",
        "You said no, so the application has no access to <strong>$provider</strong>.",
        "You can close this tab. If you change your mind, start again in the application and agree.",
        _BAR,
    ),
    "failed": _Words(
        200,
        "Signing in did not work",
        "You are back from <strong>$provider</strong>, but then something went wrong:",
        "Go back to the application and start again. If it happens again, tell whoever runs it what is said here.",
        _CROSS,
    ),
    "stray": _Words(
        400,
        "This link is not valid here",
        "It is old, incomplete, or was made by somebody else.",
        "Go back to the application and open the latest link that it shows.",
        _CROSS,
    ),
}


def page(which: Page, *, provider: str, problem: str = "") -> Answer:
    """The page for an outcome, as an answer. `provider` is the name that people read, `problem` what an error says."""
    words = _WORDS[which]
    body = Template(_resource("sign_in.html")).substitute(
        style=_resource("sign_in.css"),
        outcome=which,
        mark=words.mark,
        title=words.title,
        what=Template(words.what).substitute(provider=escape(provider)),
        problem=f'<p class="problem">{escape(problem)}</p>' if problem else "",
        next=words.next,
    )
    return Answer(words.status, {**_headers(), "content-type": "text/html; charset=utf-8"}, body.encode())


def redirect(to: str) -> Answer:
    """Take the browser to a clean address, so that the one with the code is neither shown nor kept."""
    return Answer(303, {**_headers(), "location": to})


def refusal(status: int, text: str, **headers: str) -> Answer:
    """A line of text for who is no person at the end of a sign-in."""
    return Answer(status, {**_headers(), **headers, "content-type": "text/plain; charset=utf-8"}, f"{text}\n".encode())


@cache
def _resource(name: str) -> str:
    return (files(__package__ or "") / "templates" / name).read_text("utf-8")


@cache
def _headers() -> Mapping[str, str]:
    style = base64.b64encode(hashlib.sha256(_resource("sign_in.css").encode()).digest()).decode()
    return {
        "content-security-policy": (
            f"default-src 'none'; style-src 'sha256-{style}'; img-src data:; "
            "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        ),
        "cache-control": "no-store",
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff",
    }
