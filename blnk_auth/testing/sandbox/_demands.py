"""An API that asks for more: another scope (RFC 6750 section 3.1), or a better sign-in (RFC 9470).

Used by Blnk Cloud's personality with the extension "step_up". It promises the challenges of the RFCs: 403
`insufficient_scope` with the scope, 401 `insufficient_user_authentication` with `acr_values` and `max_age`. It never
judges a token that a client got for itself by how a user signed in.
"""

from __future__ import annotations

from collections.abc import Callable

from ._answer import Answer
from ._issued import ITSELF, Grant
from ._journal import RecordedRequest

USUAL_ACR = "pwd"
STRONG_ACR = "mfa"

ACRS = (USUAL_ACR, STRONG_ACR)
"""The value of `acr_values_supported`: how users sign in here, by a password, or by more than one factor."""

MAX_AGE = 300
"""Seconds after a sign-in in which the API permits changes."""

_SCOPES = {
    ("data", True): "data:read",
    ("data", False): "data:write",
    ("proxy", True): "proxy:read",
    ("proxy", False): "proxy:write",
}
"""What Blnk documents, by the first segment of the path, and by whether the request only reads."""


def acr_of(acr_values: str) -> str:
    """How a user signs in, if the client asks for these, in order of preference; unknown ones are ignored."""
    return next((each for each in acr_values.split() if each in ACRS), USUAL_ACR)


class Demands:
    """The demands of one API. `clock` is in seconds; `count` adds one to a figure."""

    def __init__(self, *, clock: Callable[[], float], count: Callable[[str], None]) -> None:
        self._clock = clock
        self._count = count

    def demand(self, request: RecordedRequest, grant: Grant) -> Answer | None:
        """The response that asks for more than this grant has; None if it is enough."""
        only_reads = request.method in ("GET", "HEAD", "OPTIONS") or request.path.endswith("/filter")
        scope = _SCOPES.get((request.path.strip("/").partition("/")[0], only_reads))
        if scope is not None and not {scope, "*"} & set(grant.scope.split()):
            members = f'error="insufficient_scope", error_description="The request needs {scope}", scope="{scope}"'
            return self._demand(request, 403, members)
        if only_reads or grant.subject == ITSELF:
            return None
        if grant.acr == STRONG_ACR and self._clock() - grant.authenticated_at < MAX_AGE:
            return None
        members = (
            'error="insufficient_user_authentication", error_description="Changes need a recent and stronger sign-in", '
            f'acr_values="{STRONG_ACR}", max_age="{MAX_AGE}"'
        )
        return self._demand(request, 401, members)

    def _demand(self, request: RecordedRequest, status: int, members: str) -> Answer:
        self._count("step_ups")
        scheme = "DPoP" if request.headers.get("authorization", "").lower().startswith("dpop ") else "Bearer"
        return Answer.json(status, {"error": "More is needed"}, {"www-authenticate": f"{scheme} {members}"})
