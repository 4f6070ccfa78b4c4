"""What can be made to go wrong with the next requests, told apart from how it is sent."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens to one request. Without any argument nothing does, which lets a request in a queue pass.

    `status`, `body`, `headers`: answer with these (status 200 where only a body is given) and do nothing else: no
        token is issued, no refresh token is spent. `headers` alone are added to the genuine answer.
    `after_rotation`: do perform the grant first, then answer with the fault: the answer that got lost.
    `delay`: seconds to wait before the answer, after the grant was performed; other requests are not held up.
    `hang`: accept the request and never answer, until the client or the sandbox closes the connection.
    `disconnect`: close the connection without an answer.
    `drip`: seconds between single bytes of the body, which never ends: when it is through, spaces follow.
    `rewrite`: given the members of a successful answer, returns those to send instead, or the whole body as bytes.
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
        """Whether the client gets something else than the genuine answer."""
        return self.status is not None or bool(self.body) or self.hang or self.disconnect or self.drip is not None

    @property
    def performs_grant(self) -> bool:
        """Whether the request takes effect at the server."""
        return self.after_rotation or not self.replaces_answer


NO_FAULT = Fault()


class FaultQueue:
    """Faults for the next requests of one kind, in order. Safe for any thread: both deque methods are atomic."""

    def __init__(self) -> None:
        self._faults: deque[Fault] = deque()

    def add(self, *faults: Fault) -> None:
        self._faults.extend(faults)

    def take(self) -> Fault:
        try:
            return self._faults.popleft()
        except IndexError:
            return NO_FAULT
