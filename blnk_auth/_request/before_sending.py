"""What happens before a request is sent: whether it may have the token, and which token it gets.

Used by all auth classes. It promises that a token is attached only for an origin that may have it, and that a request
without it is reported. It never sends a request, and never reads the store or renews by itself: it waits for the flight
that does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._protocol.origins import Origin
from .._renewal.cached_token import CachedToken
from .._renewal.credential import Credential
from .._renewal.single_flight import Flight
from .blocking_and_async import FlightWait, Waits

if TYPE_CHECKING:
    # Imported for type checkers only: every auth class imports this module.
    from .._protocol.http_messages import Package
    from ..errors import ConfigurationError


def may_carry_token(
    credential: Credential, origin: Origin, cached: CachedToken | None = None, *, url: object = None
) -> bool:
    """Whether a request to `origin` may have the token; if not, the event `token_withheld` is emitted.

    Called twice if a token may name an origin for itself: before there is a token, and then with it.

    `url`: the absolute URL that the caller has asked for, as its package has it. None: a redirect within the origin has
    led there, and the server that got the token chose it.
    """
    rules = credential.rules
    if (rules.may_permit(origin) if cached is None else rules.permits(origin, cached.token)) and (
        rules.covers is None or url is None or rules.covers(str(url))
    ):
        return True
    credential.report_withheld(origin)
    return False


def token_to_send(credential: Credential, package: Package) -> Waits[CachedToken]:
    """The token to send; waits for a renewal if there is no valid one.

    Args:
        credential: Supplies the token.
        package: The caller's HTTP package, through which a renewal is sent.

    Raises:
        BlnkAuthError: There is no valid token.
    """
    ready = credential.ready(package)
    if isinstance(ready, Flight):
        ready = yield FlightWait(ready, credential.rules.wait_timeout)
    cached: CachedToken = ready
    cached.check_sendable()
    return cached


def own_proof_error() -> ConfigurationError:
    """The error for a request that has a proof of the user's own, but no token of the user's own."""
    from ..errors import ConfigurationError

    return ConfigurationError(
        "the request has a DPoP header of its own, and its proof does not fit the token",
        parameter="headers",
        remedy="leave the header out: a proof is made for each attempt",
    )
