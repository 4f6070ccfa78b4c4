"""The client of the suite in several processes on one store, or killed at each point: `crossing.py URL`.

The variable `CROSSING` has the plan, as JSON: the HTTP `package`, a `directory` for stores, and either how many
`processes` share one, or the `kills`. Those are the points at which a process is killed by -9, each time with a store
of its own; "all" means every point. A point is each response of a server, and before and after each save. After each
kill the client runs again with the same store. Before them it runs once without one, unless `usual` is false. What
happened is printed as JSON, as the last line.

Processes are forked before anything was sent, so that each costs little. It is run by its path, as `client.py` is.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from blnk_auth import SQLiteStore
from blnk_auth.stores import Version

_SPEC = importlib.util.spec_from_file_location("client_of_the_suite", Path(__file__).with_name("client.py"))
assert _SPEC is not None
assert _SPEC.loader is not None
client: Any = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(client)


LATER = 60.0
"""Seconds by which the clock of a process is ahead that is not killed: a lease of a killed one has expired by then."""


class Points:
    """The points of one process, which are written to a file; at one of them it is killed. 0: at none."""

    def __init__(self, log: Path, kill_at: int) -> None:
        self._file = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        self._kill_at = kill_at
        self._count = 0
        self._lock = threading.Lock()

    def reach(self, what: str) -> None:
        with self._lock:
            self._count += 1
            os.write(self._file, f"{what}\n".encode())
            if self._count == self._kill_at:
                os.kill(os.getpid(), signal.SIGKILL)


class WatchedTransport(httpx.HTTPTransport):
    """Reaches a point after each response, which nobody has seen yet."""

    def __init__(self, points: Points) -> None:
        super().__init__()
        self._points = points

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        response = super().handle_request(request)
        response.read()
        self._points.reach(f"answered {request.method} {request.url.path}")
        return response


class WatchedStore(SQLiteStore):
    """Reaches a point before and after each save."""

    def __init__(self, path: Path, points: Points) -> None:
        super().__init__(path)
        self._points = points

    def save(self, key: str, data: dict[str, Any], *, expected: Version | None) -> Version:
        kind = key.partition("/")[0]
        self._points.reach(f"saving {kind}")
        version = super().save(key, data, expected=expected)
        self._points.reach(f"saved {kind}")
        return version


# --- processes ------------------------------------------------------------------------------------------------------


_open_until_the_end: list[int] = []
"""The ends of pipes by which the processes that were forked here notice the end of this one."""


def forked(work: Callable[[], int], output: Path) -> int:
    """Start a process that does `work` and then exits with what it returns. What it prints is in a file."""
    of_parent, open_in_parent = os.pipe()
    pid = os.fork()
    if pid:
        os.close(of_parent)
        _open_until_the_end.append(open_in_parent)
        return pid
    status = 2
    try:
        # Those of the processes that were forked before are inherited.
        for each in (open_in_parent, *_open_until_the_end):
            os.close(each)
        threading.Thread(target=_end_with, args=(of_parent,), daemon=True).start()
        with output.open("w") as file, contextlib.redirect_stdout(file):
            status = work()
    finally:
        sys.stderr.flush()
        os._exit(status)


def _end_with(of_parent: int) -> None:
    """The suite ends its client after a time-out; the processes of the client end with it.

    `of_parent`: a pipe whose other end only that client has, so that reading it ends when the client does.
    """
    os.read(of_parent, 1)
    os._exit(3)


def ended(pid: int) -> int:
    """The exit status of a process; negative: the signal that has killed it."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def watched(package: str, url: str, store: Path, log: Path, kill_at: int = 0) -> int:
    points = Points(log, kill_at)
    later = 0 if kill_at else LATER
    user = client.sign_in

    def sign_in(authorization: Any) -> str:
        callback_url: str = user(authorization)
        points.reach("authorized")
        return callback_url

    client.sign_in = sign_in
    token_http = httpx.Client(transport=WatchedTransport(points))
    client.SHARED.update(store=WatchedStore(store, points), token_http=token_http, clock=lambda: time.time() + later)
    return client.main(package, url)


# --- the two plans --------------------------------------------------------------------------------------------------


def together(package: str, url: str, directory: Path, processes: int) -> dict[str, Any]:
    """Several processes with one store, each of which calls the tool."""

    def one() -> int:
        client.SHARED.update(store=SQLiteStore(directory / "shared.db"))
        return client.main(package, url)

    outputs = [directory / f"{number}.txt" for number in range(processes)]
    started = [forked(one, output) for output in outputs]
    return {"statuses": [ended(each) for each in started], "said": [output.read_text().strip() for output in outputs]}


def killed(package: str, url: str, directory: Path, kills: list[int] | str, *, usual: bool = True) -> dict[str, Any]:
    """What each kill leads to, and what a run leads to that nobody kills."""
    unkilled = run_once(package, url, directory / "usual", 0) if usual else None
    chosen = range(1, len(unkilled["points"]) + 1) if unkilled is not None and kills == "all" else kills
    crossings = []
    for kill_at in chosen:
        first = run_once(package, url, directory / str(kill_at), kill_at)
        second = run_once(package, url, directory / str(kill_at), 0)
        crossings.append({"kill_at": kill_at, "killed": first, "next": second})
    return {"usual": unkilled, "crossings": crossings}


def run_once(package: str, url: str, place: Path, kill_at: int) -> dict[str, Any]:
    """One process, with the store at this place: how it ended, what it printed, and which points it reached."""
    place.mkdir(exist_ok=True)
    log, output = place / f"points-{kill_at}.txt", place / "output.txt"
    status = ended(forked(lambda: watched(package, url, place / "store.db", log, kill_at), output))
    return {"status": status, "said": output.read_text().strip(), "points": log.read_text().splitlines()}


def main(url: str) -> int:
    plan = json.loads(os.environ["CROSSING"])
    directory = Path(plan["directory"])
    if "processes" in plan:
        report = together(plan["package"], url, directory, plan["processes"])
        worst = max(report["statuses"])
    else:
        report = killed(plan["package"], url, directory, plan["kills"], usual=plan.get("usual", True))
        worst = (report["usual"] or report["crossings"][0]["next"])["status"]
    print(json.dumps(report))  # noqa: T201 - this is how it speaks
    return int(worst)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
