"""The nonces that the sandbox wants in DPoP proofs (RFC 9449 sections 8 and 9).

Used by the check of proofs. It promises that a nonce can be checked without a record of it, since it is made of the
time. It never uses a nonce of another sandbox.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable

from ._faults import NONCE_OF_FAULT

ACCEPTED_SECONDS = 5
"""A nonce that changes is accepted in its own second and in the next ones, so that no request needs two attempts."""


class Nonces:
    """The nonces of one sandbox. `clock` is in seconds; `changes`: whether there is a new nonce in each second.

    Otherwise one nonce is valid as long as the sandbox runs.
    """

    def __init__(self, clock: Callable[[], float], *, changes: bool) -> None:
        self.changes = changes
        self._clock = clock
        self._key = secrets.token_bytes(32)

    def current(self) -> str:
        """The nonce of now."""
        return self._of(self._second())

    def accepts(self, nonce: object) -> bool:
        """Whether a proof may have this nonce now."""
        second = self._second()
        latest = range(second, second - ACCEPTED_SECONDS, -1) if self.changes else (second,)
        return nonce == NONCE_OF_FAULT or any(nonce == self._of(each) for each in latest)

    def _second(self) -> int:
        return int(self._clock()) if self.changes else 0

    def _of(self, second: int) -> str:
        return f"{second}.{hmac.new(self._key, str(second).encode(), hashlib.sha256).hexdigest()[:32]}"
