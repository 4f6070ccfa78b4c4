"""Faults: how the next requests fail. `_endpoint` applies them.

Used by tests through `Sandbox.fail`. It promises that a fault with impossible values
is refused when it is made. A fault is data and never does anything.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ...errors._pickling import public


@public
@dataclass(frozen=True, slots=True)
class Fault:
    """How one request fails. Without arguments it succeeds, which lets one request of a queue pass. Immutable.

    Attributes:
        status: Respond with this status and do nothing else: no token is issued, no refresh token is spent. None: the
            genuine status; with a body, 200.
        body: Respond with this body and do nothing else. Empty, the default: the genuine body.
        headers: The headers of that response; alone, they are added to the genuine response.
        delay: Seconds to wait before the response, after the grant was performed; other requests do not wait.
        after_rotation: Whether to perform the grant first and then respond with the fault: the response is lost.
        hang: Accept the request and never respond, until the client or the sandbox closes the connection.
        disconnect: Close the connection without a response.
        drip: Seconds between single bytes of the body, which never ends: after the last byte, spaces are sent. None:
            the body is sent in one piece.
        rewrite: Is called with the members of a successful response; returns those to send instead, or the whole body
            as bytes. None: the members are sent unchanged.

    Raises:
        ValueError: A value is impossible; the error names the parameter.
    """

    status: int | None = None
    body: bytes = field(default=b"", repr=False)
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    delay: float = 0.0
    after_rotation: bool = False
    hang: bool = False
    disconnect: bool = False
    drip: float | None = None
    rewrite: Callable[[dict[str, Any]], dict[str, Any] | bytes] | None = None

    def __post_init__(self) -> None:
        if self.status is not None and not 200 <= self.status <= 599:
            raise ValueError(f"status must be between 200 and 599, not {self.status}")
        if self.delay < 0:
            raise ValueError(f"delay must be 0 or more seconds, not {self.delay}")
        if self.drip is not None and self.drip <= 0:
            raise ValueError(f"drip must be more than 0 seconds, not {self.drip}; use hang=True for no bytes at all")

    @property
    def replaces_answer(self) -> bool:
        """Whether the client does not get the genuine response."""
        return self.status is not None or bool(self.body) or self.hang or self.disconnect or self.drip is not None

    @property
    def performs_grant(self) -> bool:
        """Whether the request takes effect at the server."""
        return self.after_rotation or not self.replaces_answer


NO_FAULT = Fault()

NONCE_OF_FAULT = "nonce-of-a-fault"
"""The nonce that the fault "use_dpop_nonce" asks for: every sandbox accepts it."""

FaultKind = Literal["token", "api", "revocation", "par", "registration", "metadata"]
"""The kinds of requests that can be made to fail."""

MAX_QUEUED_FAULTS = 10_000


class FaultQueue:
    """Faults for the next requests of one kind, in order. Thread-safe."""

    def __init__(self) -> None:
        self._faults: deque[tuple[str, Fault]] = deque()

    def add(self, name: str, fault: Fault) -> None:
        """Append a fault, and the name under which it is shown. Raises `ValueError` if too many wait already."""
        if len(self._faults) >= MAX_QUEUED_FAULTS:
            raise ValueError(f"faults: {MAX_QUEUED_FAULTS} wait already for requests to come")
        self._faults.append((name, fault))

    def take(self) -> tuple[str, Fault]:
        """The fault for the next request, and its name; `NO_FAULT` without a name if there is none."""
        try:
            return self._faults.popleft()
        except IndexError:
            return "", NO_FAULT

    def clear(self) -> None:
        """Remove all faults."""
        self._faults.clear()

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the faults that wait for a request, in order."""
        return tuple(name for name, _ in self._faults.copy())
