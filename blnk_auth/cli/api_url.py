"""Whether a URL that a user typed may receive the token.

Used by `request` and `token --headers`. It promises that no token is sent to, or shown for, an origin that the profile
does not list: the same rule by which the auth classes decide. It never shows what was typed if that is not a URL.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from .._protocol.origins import Origin, normalize
from .._renewal.credential import credential_of
from ..source import TokenSource
from ..token import Token
from .exit_status import CONFIGURATION, Failure


def checked_url(source: TokenSource, url: str, token: Token | None = None) -> str:
    """The URL, if it may have the token.

    Args:
        source: Whose token.
        url: What was typed.
        token: The token that is sent. None: there is none yet, so an origin that a token names is not refused.

    Raises:
        Failure: The URL is not absolute, or its origin may not have the token.
    """
    origin = _origin(url)
    rules = credential_of(source).rules
    if rules.may_permit(origin) if token is None else rules.permits(origin, token):
        return url
    listed = ", ".join(map(str, rules.origins.listed))
    if origin.scheme == "http" and rules.may_permit(normalize("https", origin.host, None)):
        raise Failure("URL: the token is not sent over http", CONFIGURATION, remedy="write https:// in the URL")
    raise Failure(
        f"URL: {origin} may not receive the token, so nothing was sent",
        CONFIGURATION,
        remedy=f"the token is for {listed}; check the URL, or add the origin with --api-origins or as api_origins in "
        "the profile if it is the provider's; an MCP server and the like: --profile URL",
    )


def _origin(url: str) -> Origin:
    try:
        parts = urlsplit(url)
        scheme, host, port = parts.scheme.lower(), parts.hostname or "", parts.port
    except ValueError:
        scheme, host, port = "", "", None
    if scheme not in ("http", "https") or not host:
        # Not the text itself: a header with a token may have been typed in its place.
        raise Failure(
            "URL: it is not a whole address",
            CONFIGURATION,
            remedy="write it with its scheme and host, such as https://api.example.com/accounts",
        )
    return normalize(scheme, host, port)
