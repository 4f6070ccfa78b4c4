"""The response of an endpoint, as a value.

Used by every endpoint of the sandbox. It promises to be immutable. It never shows its body, which may have tokens.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Answer:
    """The response to send. The repr omits the body, which may hold tokens."""

    status: int
    body: bytes = field(default=b"", repr=False)
    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)

    @classmethod
    def json(cls, status: int, value: Any, headers: Mapping[str, str] | None = None) -> Answer:
        """A JSON response that must not be cached."""
        body = json.dumps(value).encode()
        return cls(status, body, {"content-type": "application/json", "cache-control": "no-store", **(headers or {})})
