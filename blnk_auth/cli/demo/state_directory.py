"""The files that the demo leaves for its next run if it is killed.

Used by the demo's run and by its child process. It promises a directory for this user only. Other files in it are never
removed.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from ...config._document import user_directory
from ...stores._private_file import make_directory
from ..exit_status import CONFIGURATION, Failure


@dataclass(frozen=True, slots=True)
class StateDirectory:
    """The files of one demo, in the directory `path`."""

    path: Path

    @classmethod
    def at(cls, path: Path | None) -> Self:
        """The directory, made with mode 0700 if it is missing. None: this user's state directory."""
        if path is None:
            usual = user_directory("state")
            if usual is None:
                raise Failure("this user has no home directory; name a directory with --state-dir", CONFIGURATION)
            path = usual / "demo"
        try:
            make_directory(path)
        except OSError as error:
            raise Failure(
                f"--state-dir {path} cannot be made ({error.strerror}); name another one", CONFIGURATION
            ) from None
        return cls(path.resolve())

    @property
    def sandbox(self) -> Path:
        """The file with the address of the sandbox."""
        return self.path / "sandbox.json"

    @property
    def sandbox_errors(self) -> Path:
        """The file with what the sandbox's process wrote to standard error."""
        return self.path / "sandbox.log"

    @property
    def tokens(self) -> Path:
        """The token store."""
        return self.path / "tokens.db"

    def clear(self) -> None:
        """Remove what the demo made; other files in the directory stay."""
        for name in ("sandbox.json", "sandbox.log", "tokens.db", "tokens.db-wal", "tokens.db-shm"):
            (self.path / name).unlink(missing_ok=True)
        shutil.rmtree(self.path / "tokens.db-locks", ignore_errors=True)
