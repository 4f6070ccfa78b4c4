"""What the demo leaves behind for its next run if it is killed."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import platformdirs

from ...stores._private_file import make_directory


@dataclass(frozen=True, slots=True)
class StateDirectory:
    """The files of one demo."""

    path: Path

    @classmethod
    def at(cls, path: Path | None) -> Self:
        """The directory, made with mode 0700 if it is missing. None: the usual place of this user."""
        path = path or platformdirs.user_state_path("blnk-auth", appauthor=False) / "demo"
        make_directory(path)
        return cls(path.resolve())

    @property
    def sandbox(self) -> Path:
        """Where the sandbox is."""
        return self.path / "sandbox.json"

    @property
    def sandbox_errors(self) -> Path:
        """What the sandbox's process complained about."""
        return self.path / "sandbox.log"

    @property
    def tokens(self) -> Path:
        """The token store."""
        return self.path / "tokens.db"

    def clear(self) -> None:
        """Remove what the demo made; whatever else is in the directory stays."""
        for name in ("sandbox.json", "sandbox.log", "tokens.db", "tokens.db-wal", "tokens.db-shm"):
            (self.path / name).unlink(missing_ok=True)
        shutil.rmtree(self.path / "tokens.db-locks", ignore_errors=True)
