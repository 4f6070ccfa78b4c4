"""What follows when a protected resource asks for more than its token gives: a wider sign-in, where one is permitted.

Used by the request flow, as the `demands` of a `ResourceToken`. What this file promises:

* A 403 `insufficient_scope` (RFC 6750 section 3.1), or a step-up challenge of RFC 9470, has the user sign in again, for
  all scopes that were requested before and those of the challenge. The scopes that were requested are stored with the
  grant, so a restart changes nothing.
* That happens once for each request, and three times an hour for each grant, in all processes together.
* Without `sign_in`, the request raises `SignInRequired` with the reason `step_up`; its `authorization` is where the
  user can be sent. So does a request that cannot be repeated, without asking anybody.
* With `sign_in`, the event `step_up_required` is not logged as a warning: the user is asked, or the request raises.

Everything else is what `_renewal/sign_in_demands.py` does for every client. It never sends a request.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._protocol.demands import Demand
from .._protocol.http_messages import ApiAnswer, Package
from .._renewal.cached_token import CachedToken
from .._renewal.single_flight import Flight
from ..errors import SignInRequired

if TYPE_CHECKING:
    from .._renewal.current_token import CurrentToken
    from .request_sign_in import RequestSignIn


class ResourceDemands:
    """The `SignInDemands` of a protected resource. Made for each use, and may be used from any thread or task.

    Args:
        current: The token of the client that was learned.
        request_sign_in: Has users sign in from inside requests; None for a token without a user.
    """

    __slots__ = ("_current", "_request_sign_in")

    def __init__(self, current: CurrentToken, request_sign_in: RequestSignIn | None) -> None:
        self._current = current
        self._request_sign_in = request_sign_in

    def find(self, answer: ApiAnswer, sent: CachedToken) -> Demand | None:
        return self._current.demands.find(answer, sent)

    def newer_token(self, sent: CachedToken, package: Package) -> CachedToken | Flight[CachedToken | None] | None:
        return self._current.demands.newer_token(sent, package)

    def note(self, demand: Demand, answer: ApiAnswer, sent: CachedToken) -> SignInRequired | None:
        asks = self._request_sign_in is not None and self._request_sign_in.how is not None
        return self._current.demands.note(demand, answer, sent, is_asked=asks and demand.reason == "step_up")

    def sign_in(self, error: SignInRequired, sent: CachedToken, package: Package) -> Flight[CachedToken] | None:
        if self._request_sign_in is None or error.reason != "step_up":
            return None
        return self._request_sign_in.begin(
            self._current, reason=error, package=package, scope=error.scope, rejected=sent
        )

    def note_missing_certificate(self, sent: CachedToken, *, was_renewed: bool) -> None:
        self._current.demands.note_missing_certificate(sent, was_renewed=was_renewed)
