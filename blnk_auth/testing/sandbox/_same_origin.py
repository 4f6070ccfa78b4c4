"""Refuses what another site could make a browser send to the sandbox's pages and controls.

Used for the landing page, the live page and every control. It promises that only a loopback name reaches them, so that
a site whose name leads to 127.0.0.1 (DNS rebinding) does not, and that a change comes from the sandbox's own pages or
from a program that is not a browser. It never looks at the API or the authorization server, which clients reach under
names of their own.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from ._answer import Answer
from ._journal import RecordedRequest

_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_FROM_HERE = ("same-origin", "none")
"""The page's own requests, and what the user typed (Fetch Metadata)."""


def refuse_foreign(request: RecordedRequest, scheme: str) -> Answer | None:
    """The response to a request that may come from another site; None if it may not."""
    host = request.headers.get("host", "")
    if not _is_loopback(host):
        return Answer.json(421, {"error": "The sandbox is reached by a loopback name only, such as 127.0.0.1"})
    if request.method in ("GET", "HEAD"):
        return None
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    # A program sends neither; a browser sends both, or, an old one, the second.
    if (site is not None and site not in _FROM_HERE) or (origin is not None and origin != f"{scheme}://{host}"):
        return Answer.json(403, {"error": "Another site asked for this change"})
    return None


def _is_loopback(host: str) -> bool:
    try:
        return urlsplit(f"//{host}").hostname in _LOOPBACK
    except ValueError:
        return False
