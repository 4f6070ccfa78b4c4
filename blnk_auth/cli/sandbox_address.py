"""Where a sandbox in another process is, and which client is registered there: a small JSON file.

Used by `blnk-auth sandbox`, which writes it, and by the demo, which reads it. Nobody ever reads half of it, and only
this user can read it: it holds the client secret.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Self

from ..stores._private_file import create_file


@dataclass(frozen=True, slots=True)
class SandboxAddress:
    """The origin of a sandbox, and the client that is registered there."""

    origin: str
    client_id: str
    client_secret: str = field(repr=False)
    redirect_uri: str

    def save(self, path: Path) -> None:
        """Write the file in one step, readable for this user only."""
        unfinished = path.with_name(f"{path.name}.new")
        unfinished.unlink(missing_ok=True)
        create_file(unfinished)
        unfinished.write_text(json.dumps(asdict(self)), "utf-8")
        unfinished.replace(path)

    @classmethod
    def load(cls, path: Path) -> Self | None:
        """Read the file; None if there is none, or if it is not such a file."""
        try:
            members = json.loads(path.read_bytes())
            values = {each.name: members[each.name] for each in fields(cls)}
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None
        return cls(**values) if all(isinstance(value, str) for value in values.values()) else None
