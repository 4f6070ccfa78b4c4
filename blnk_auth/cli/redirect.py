"""Where users are redirected to after a sign-in by a command, unless the profile has a `redirect_uri`.

Used by `init`, `login` and `doctor`. It promises an address of this machine. It never opens a port.
"""

from __future__ import annotations

ANY_PORT = "http://127.0.0.1/callback"
"""Without a port: `login` takes a free one, which every server must accept (RFC 8252 section 7.3)."""

ONE_PORT = "http://127.0.0.1:8765/callback"
"""For a server that compares redirect URIs as strings."""

_COMPARE_STRINGS = ("blnk_cloud", "blink", "flinks")
"""Providers whose pages do not specify that they accept any port."""


def usual_redirect_uri(provider: str) -> str:
    """The redirect URI to register and to use. `provider` is the setting of the profile."""
    return ONE_PORT if provider in _COMPARE_STRINGS else ANY_PORT
