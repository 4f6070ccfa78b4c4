"""What happens after a response that asks for a new sign-in: look for the token of a newer one, else report it.

Used by `after_rejection`. It promises that such a response never causes a renewal, and that a caller waits for the
store at most two seconds. Where a user may be asked from inside a request (`_resource/step_up.py`), the caller waits
for that sign-in, if the request can be repeated. It never decides what is reported: `_renewal/sign_in_demands.py` does.
"""

from __future__ import annotations

from collections.abc import Callable

from .._protocol.demands import Demand
from .._protocol.http_messages import ApiAnswer, Package
from .._renewal.cached_token import CachedToken
from .._renewal.credential import Credential, SignInDemands
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


def signed_in(
    credential: Credential,
    demand: Demand,
    answer: ApiAnswer,
    sent: CachedToken,
    package: Package,
    *,
    is_replayable: Callable[[], bool],
) -> Waits[CachedToken | None]:
    """The token of a sign-in that the demand has caused; None if the response is returned.

    Args:
        credential: Supplied the token.
        demand: What the response asks for; it is reported.
        answer: The response.
        sent: The token that the request carried.
        package: The caller's HTTP package.
        is_replayable: Returns whether the request can be sent again. If not, no user is asked.

    Raises:
        SignInRequired: The user of the library wants it in place of the response, or nobody has signed in.
    """
    renewal = credential.after_rejection
    error = None if renewal is None else renewal.demands.note(demand, answer, sent)
    if renewal is None or error is None:
        return None
    flight = renewal.demands.sign_in(error, sent, package) if is_replayable() else None
    if flight is None:
        raise error
    return (yield FlightWait(flight, credential.rules.wait_timeout))  # type: ignore[no-any-return]  # as above
