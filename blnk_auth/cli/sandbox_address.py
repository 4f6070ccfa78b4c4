"""Where a sandbox in another process is, and which client is registered there: a small JSON file.

Used by `blnk-auth sandbox`, which writes it, and by the demo, which reads it. It promises that a reader finds the whole
file or none. No other user can ever read it, because it contains the client secret: it is never made with more
permissions.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Self

from ..stores._durable_file import replace_file


@dataclass(frozen=True, slots=True)
class SandboxAddress:
    """The origin of a sandbox, and the client that is registered there. Immutable."""

    origin: str
    client_id: str
    client_secret: str = field(repr=False)
    redirect_uri: str

    def save(self, path: Path) -> None:
        """Write the file, readable for this user only. Raises `OSError`."""
        replace_file(path, json.dumps(asdict(self)).encode("ascii"))

    @classmethod
    def load(cls, path: Path) -> Self | None:
        """Read the file; None if there is none, or if it is not such a file."""
        try:
            members = json.loads(path.read_bytes())
            values = {each.name: members[each.name] for each in fields(cls)}
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None
        return cls(**values) if all(isinstance(value, str) for value in values.values()) else None
