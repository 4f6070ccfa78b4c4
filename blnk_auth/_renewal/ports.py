"""What the renewal needs from outside: the store, the authorization server, clocks and randomness.

Used by `renewal` and the files that it uses, and made by `ClientState`. Tests and the simulation can replace each part,
and so need no network, no thread and no waiting. The renewal never reads a clock or opens a connection in another way.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from .._protocol.http_messages import Transport
from ..policy import RenewalPolicy
from ..stores._token_store import TokenStore
from .proofs import Proofs
from .server_pause import ServerPause


class Ports(NamedTuple):
    """Everything outside the renewal that it uses.

    Attributes:
        store: Where the record of the grant is stored.
        transport: Sends a request to the authorization server.
        clock: Returns the time, in UTC epoch seconds.
        monotonic: Returns the seconds of a clock that is never set, for deadlines.
        wait: Blocks for the given number of seconds.
        jitter_position: Returns a random number from 0 to 1, a new one at each call. It decides when in a span of time
            this process acts, so that many processes do not act at the same moment.
        policy: Every number of the renewal.
        proofs: The DPoP keys of the client, and the nonces of the servers.
        pause: How long the server asked this client to wait. None: requests are sent in any case.
    """

    store: TokenStore
    transport: Transport
    clock: Callable[[], float]
    monotonic: Callable[[], float]
    wait: Callable[[float], object]
    jitter_position: Callable[[], float]
    policy: RenewalPolicy
    proofs: Proofs
    pause: ServerPause | None = None
