"""What happens after a response that asks for a new sign-in: look for the token of a newer one, else report it.

Used by `after_rejection`. It promises that such a response never causes a renewal, and that a caller waits for the
store at most two seconds. It never decides what is reported: `_renewal/sign_in_demands.py` does.
"""

from __future__ import annotations

from .._protocol.demands import Demand
from .._protocol.http_messages import ApiAnswer, Package
from .._renewal.cached_token import CachedToken
from .._renewal.credential import SignInDemands
from .._renewal.sign_in_demands import LOOK_TIMEOUT
from .._renewal.single_flight import Flight
from ..errors import BlnkAuthError
from .blocking_and_async import FlightWait, Waits


def newer_token(demands: SignInDemands, sent: CachedToken, package: Package) -> Waits[CachedToken | None]:
    """Another token than the one that was sent: this process, or the store, may have that of a newer sign-in."""
    found = demands.newer_token(sent, package)
    if not isinstance(found, Flight):
        return found
    try:
        return (yield FlightWait(found, LOOK_TIMEOUT))  # type: ignore[no-any-return]  # what a wait returns is untyped
    except BlnkAuthError:
        # The store does not answer in time. The look continues, and the next request gets what it finds.
        return None


def report(demands: SignInDemands, demand: Demand, answer: ApiAnswer, sent: CachedToken) -> None:
    """Report a demand. Raises `SignInRequired` if the user wants it in place of the response."""
    error = demands.note(demand, answer, sent)
    if error is not None:
        raise error
