"""Other processes of a test: one that speaks lines of JSON, a forked child, and a port for a server.

Used by tests in which a process is interrupted, left, forked or killed. None is left running: a `Child` is killed when
its `with` block ends.
"""

from __future__ import annotations

import json
import math
import os
import queue
import signal
import socket
import subprocess
import threading
import traceback
from collections.abc import Callable
from typing import Any, Self

from support.limits import PATIENCE


def free_port() -> int:
    """A port of the loopback interface on which nobody listened a moment ago."""
    while True:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port: int = free.getsockname()[1]
        # A Redis cluster's own port is that much higher.
        if port + 10_000 < 65_536:
            return port


class Child:
    """A process that writes lines of JSON, and continues on demand."""

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
        """The next line that it writes."""
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


# --- forked children -----------------------------------------------------------------------------------------------


def in_forked_child(work: Callable[[], None]) -> None:
    """Run `work` in a forked child; fails if it raises there."""
    child = start_forked_child(work)
    assert os.waitpid(child, 0)[1] == 0, "the child failed; its traceback is on stderr, unless it waited for ever"


def start_forked_child(work: Callable[[], None]) -> int:
    """The id of a forked child that runs `work`. It is killed if it waits for ever."""
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(math.ceil(PATIENCE))
        work()
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)
