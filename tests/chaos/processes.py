"""The processes of a chaos run: workers that are killed and started again, and the server.

Used by `run`. Each line that a worker writes is copied to a file of the run's directory, and wakes those who wait
for it. Each action on a process is written into the fault log. It never judges what it reads.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

PATIENCE = 600.0
"""Seconds after which a process that does not answer hangs."""


class FaultLog:
    """What was done, by whom and when: lines of JSON."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a", buffering=1, encoding="utf-8")
        self._lock = threading.Lock()

    def __call__(self, what: str, **details: Any) -> None:
        with self._lock:
            self._file.write(json.dumps({"t": time.monotonic(), "what": what, **details}) + "\n")


def _environment() -> dict[str, str]:
    """As this process's own, with what it can import."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(each for each in sys.path if each), "PYTHONSAFEPATH": "1"}


class ServerProcess:
    """The process of `server`."""

    def __init__(self, directory: Path, grace: list[str]) -> None:
        settings = {"books": str(directory / "books.jsonl"), "grace": grace}
        with (directory / "server.stderr").open("ab") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "chaos.server", json.dumps(settings)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=_environment(),
            )
        assert self._process.stdout is not None
        self.origin = f"http://127.0.0.1:{int(self._process.stdout.readline())}"
        self._http = httpx.Client(trust_env=False, timeout=PATIENCE)

    def ask(self, do: str, **what: Any) -> Any:
        return self._http.post(f"{self.origin}/control", json={"do": do, **what}).json()

    def close(self) -> None:
        self._http.close()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()
        self._process.wait(PATIENCE)


class WorkerProcess:
    """One worker by its number: its present process, and the next one when that has been killed."""

    def __init__(
        self,
        number: int,
        directory: Path,
        settings: dict[str, Any],
        faults: FaultLog,
        on_sign_in_required: Callable[[str], object],
    ) -> None:
        self.number = number
        self._on_sign_in_required = on_sign_in_required
        self.seen: Counter[str] = Counter()
        """How many lines of each kind all its processes have written."""
        self._directory, self._settings, self._faults = directory, settings, faults
        self._changed = threading.Condition()
        self._incarnation = -1
        self._is_ending = False
        self._start()

    @property
    def name(self) -> str:
        """Its number, and how often it has been started again: as it is written into every log."""
        return f"{self.number}.{self._incarnation}"

    def _start(self) -> None:
        with self._changed, (self._directory / f"worker-{self.number}.stderr").open("ab") as errors:
            self._incarnation += 1
            self._ready = False
            self._process = subprocess.Popen(
                [sys.executable, "-m", "chaos.worker", json.dumps({**self._settings, "name": self.name})],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env=_environment(),
            )
        self._faults("started", worker=self.name, pid=self._process.pid)
        reader = threading.Thread(target=self._read, args=(self._process, self.name), name="reader", daemon=True)
        reader.start()

    def _read(self, process: subprocess.Popen[str], name: str) -> None:
        assert process.stdout is not None
        with (self._directory / f"worker-{name}.jsonl").open("w", encoding="utf-8") as log:
            for line in process.stdout:
                log.write(line)
                self._note(line)
        status = process.wait()
        self._faults("exited", worker=name, status=status)
        with self._changed:
            self._changed.notify_all()
            starts_again = not self._is_ending
        if starts_again:
            self._start()

    def _note(self, line: str) -> None:
        what = line.partition('"what": "')[2].partition('"')[0]
        if what == "call" and '"failure": "SignInRequired"' in line:
            self._on_sign_in_required(json.loads(line)["subject"])
        with self._changed:
            if what == "call":
                self.seen["failed calls" if '"failure": ""' not in line else "calls"] += 1
            self.seen[what] += 1
            if what == "ready":
                self._ready = True
            self._changed.notify_all()

    def send(self, do: str, **what: Any) -> None:
        """Have it do something, if it runs."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError, ValueError):
            self._process.stdin.write(json.dumps({"do": do, **what}) + "\n")
            self._process.stdin.flush()

    def wait_for(self, what: Callable[[], bool], why: str) -> None:
        """Wait until something holds that changes with a line that it writes."""
        with self._changed:
            if not self._changed.wait_for(what, PATIENCE):
                raise TimeoutError(f"worker {self.name}: {why} not within {PATIENCE:g} s")

    def wait_until_ready(self) -> None:
        self.wait_for(lambda: self._ready, "ready")

    def answer(self, do: str, answer: str, **what: Any) -> None:
        """Have it do something, and wait until it reports that this has been done."""
        before = self.seen[answer]
        self.send(do, **what)
        self.wait_for(lambda: self.seen[answer] > before, answer)

    def kill(self) -> None:
        self._faults("killed", worker=self.name)
        self._process.kill()

    def stop(self) -> None:
        self._faults("stopped", worker=self.name)
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._faults("resumed", worker=self.name)
        self._signal(signal.SIGCONT)

    def _signal(self, which: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(which)

    def end_after_this(self) -> None:
        """Let it not be started again when it ends."""
        with self._changed:
            self._is_ending = True

    def finish(self) -> None:
        """Have it close everything, and end."""
        self.end_after_this()
        self.send("finish")

    def wait_for_end(self) -> None:
        try:
            self._process.wait(PATIENCE)
        finally:
            self.abandon()

    def abandon(self) -> None:
        """End it, however the run ended."""
        self.end_after_this()
        self._process.kill()
        self._process.wait()
