"""Other processes, as the tests see them, and the world that they share: real time, one SQLite file."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, Self

from scenarios.servers import PATIENCE
from scenarios.world import World

from blnk_auth import SQLiteStore, Token, TokenSource
from blnk_auth.testing import Clock, Sandbox

CHILD = Path(__file__).with_name("child.py")


class SystemClock(Clock):
    """Real time, which other processes share."""

    def __call__(self) -> float:
        return time.time()


class SharedWorld(World):
    """A sandbox in real time, and a store in a file."""

    def __init__(self, sandbox: Sandbox, path: Path) -> None:
        super().__init__(sandbox, SystemClock())
        self.path = path
        self.store = SQLiteStore(path)

    def expired(self, **settings: Any) -> TokenSource:
        """Somebody whose access token, the record says, ran out a minute ago."""
        alice = self.client(**settings).for_subject("alice")
        issued = Token.from_response(self.sandbox.issue("alice"), now=time.time())
        alice.adopt(issued.replace(issued_at=time.time() - 3660, expires_at=time.time() - 60))
        return alice

    def child(self, role: str, kind: object, **settings: Any) -> Child:
        """A process that plays this role of `child.py`."""
        shared = {"origin": self.sandbox.origin, "path": str(self.path)}
        return Child(sys.executable, str(CHILD), json.dumps({"role": role, "kind": str(kind), **shared, **settings}))


class Child:
    """A process that says lines of JSON, and goes on when it is told to."""

    def __init__(self, *command: str, **settings: Any) -> None:
        self._lines: queue.Queue[str] = queue.Queue()
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1, **settings
        )
        self._reader = threading.Thread(target=self._read, name="reader", daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put("")

    def says(self) -> Any:
        """The next thing it says."""
        line = self._lines.get(timeout=PATIENCE)
        assert line, f"the child ended with status {self._process.wait(PATIENCE)} and said nothing more"
        return json.loads(line)

    def go_on(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write("go on\n")
        self._process.stdin.flush()

    def interrupt(self) -> None:
        """Ctrl-C."""
        self._process.send_signal(signal.SIGINT)

    def kill(self) -> None:
        """Do what `kill -9` does, which no code of the child survives."""
        os.kill(self._process.pid, signal.SIGKILL)
        self._process.wait(PATIENCE)

    def ends(self) -> int:
        """Its exit status, once it has ended."""
        return self._process.wait(PATIENCE)
