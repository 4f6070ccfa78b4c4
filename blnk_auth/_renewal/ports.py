"""What the renewal needs of the outside world.

Used by `renewal` and the files that it uses, and made by `ClientState`. Everything is passed in, so that tests and the
simulation can replace each part: they need no network, no thread and no time. The renewal never reads a clock or opens
a connection in another way.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from .._protocol.http_messages import Transport
from ..policy import RenewalPolicy
from ..stores._token_store import TokenStore


class Ports(NamedTuple):
    """The outside world, as the renewal sees it.

    Attributes:
        store: Where the record of the grant is.
        transport: Sends a request to the authorization server.
        clock: The time, in UTC epoch seconds.
        monotonic: Seconds of a clock that nobody sets: what a deadline is measured by.
        wait: Blocks for so many seconds.
        jitter_position: A random number from 0 to 1, another one each time: where in a span of time this process acts,
            so that many processes do not act at the same moment.
        policy: Every number of the renewal.
    """

    store: TokenStore
    transport: Transport
    clock: Callable[[], float]
    monotonic: Callable[[], float]
    wait: Callable[[float], object]
    jitter_position: Callable[[], float]
    policy: RenewalPolicy
