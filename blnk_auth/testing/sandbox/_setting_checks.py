"""The checks of what a sandbox is made with: its client, and the lifetime of its tokens.

Used by `Sandbox`, by its controls and by `blnk-auth sandbox`. It promises a `ValueError` that has the name of the
parameter as a field. It never changes a value, except that text becomes a number of seconds.
"""

from __future__ import annotations

import re

_CLIENT_ID = re.compile(r"[!-~][ -~]*")
_ABSOLUTE_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[!\"$-~]+")


class SettingError(ValueError):
    """A setting is wrong.

    Attributes:
        parameter: The parameter of `Sandbox`.
        problem: What is wrong, to be read after its name.
    """

    def __init__(self, parameter: str, problem: str) -> None:
        super().__init__(f"{parameter} {problem}")
        self.parameter = parameter
        self.problem = problem


def check_client(client_id: str, *redirect_uris: str, has_secret: bool = True) -> None:
    """Raises `SettingError` for an id or a URI that no client can have."""
    # RFC 6749 appendix A.1; and in HTTP Basic, a colon ends the id. The id of a public client may be a URL.
    if not _CLIENT_ID.fullmatch(client_id) or (has_secret and ":" in client_id):
        raise SettingError("client_id", "must have printable ASCII characters only, and no colon")
    for uri in redirect_uris:
        # RFC 6749 section 3.1.2: an absolute URI without a fragment.
        if not _ABSOLUTE_URI.fullmatch(uri):
            raise SettingError("redirect_uri", f"must be an absolute URI without a fragment, not {uri!r}")


def checked_lifetime(value: float | str, parameter: str) -> float:
    """`value` as a number of seconds, 0 or more; otherwise `SettingError`."""
    try:
        seconds = float(value)
    except ValueError:
        seconds = -1.0
    # Not a number fails this comparison too; infinity cannot be written in JSON.
    if not 0 <= seconds < float("inf"):
        raise SettingError(parameter, f"must be a number of seconds, 0 or more, not {value!r}")
    return seconds
