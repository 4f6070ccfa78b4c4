"""How fast the sandbox is: requests a second on one core, and how long a test waits for a new one.

Two figures for each kind of request. `per_second_of_server` is how many requests the server answers in one second of
its own processor time. `per_second_together` is what one client on a kept connection gets while it shares one core with
the server, which is what a test suite sees on a small machine. Processor time does not depend on what else the machine
does; the second figure does. The target is 500.

Run: make bench-sandbox, or python benchmarks/sandbox.py --quick
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

from blnk_auth.testing import Sandbox

CLIENT = """
import http.client, json, sys
from urllib.parse import urlencode
port, kind, number, token, refresh_token = int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), *sys.argv[4:]
connection = http.client.HTTPConnection("127.0.0.1", port)
form = {"grant_type": "refresh_token", "client_id": "sandbox-client", "client_secret": "sandbox-secret"}
for _ in range(number):
    if kind == "api":
        connection.request("GET", "/data/ledgers", headers={"Authorization": f"Bearer {token}"})
        response = connection.getresponse()
        response.read()
    else:
        body = urlencode({**form, "refresh_token": refresh_token})
        connection.request("POST", "/oauth/token", body, {"Content-Type": "application/x-www-form-urlencoded"})
        response = connection.getresponse()
        refresh_token = json.loads(response.read())["refresh_token"]
    assert response.status == 200
"""

LIVE_PAGE = """
import http.client, sys
connection = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]))
connection.request("GET", "/_sandbox/events")
response = connection.getresponse()
print("open", flush=True)
while response.read1(65536):
    pass
"""


def port_of(sandbox: Sandbox) -> str:
    return sandbox.origin.rpartition(":")[2]


def throughput(kind: str, number: int, *, watched: bool = False) -> dict[str, float]:
    """Requests of one kind, one after another on one connection; `watched`: while a live page gets each as an event."""
    with Sandbox() as sandbox, live_page(sandbox) if watched else nullcontext():
        issued = sandbox.issue()
        arguments = [port_of(sandbox), kind, str(number), issued["access_token"], issued["refresh_token"]]
        began, began_cpu = time.perf_counter(), time.process_time()
        subprocess.run([sys.executable, "-c", CLIENT, *arguments], check=True)
        cpu, seconds = time.process_time() - began_cpu, time.perf_counter() - began
    return {"per_second_of_server": round(number / cpu), "per_second_together": round(number / seconds)}


@contextmanager
def live_page(sandbox: Sandbox) -> Iterator[None]:
    with subprocess.Popen([sys.executable, "-c", LIVE_PAGE, port_of(sandbox)], stdout=subprocess.PIPE) as page:
        assert page.stdout is not None
        page.stdout.readline()
        try:
            yield
        finally:
            page.kill()


def starts(number: int) -> dict[str, float]:
    """Milliseconds until a new sandbox answers, and until it has ended again."""

    def timed(action: Callable[[], object]) -> float:
        began = time.perf_counter()
        action()
        return (time.perf_counter() - began) * 1000

    first = Sandbox()
    began = timed(first.__enter__)
    first.__exit__(None, None, None)
    entered, left = [], []
    for _ in range(number):
        sandbox = Sandbox()
        entered.append(timed(sandbox.__enter__))
        left.append(timed(lambda sandbox=sandbox: sandbox.__exit__(None, None, None)))
    return {
        "first_ms": round(began, 2),
        "later_ms": round(statistics.median(entered), 2),
        "later_slowest_ms": round(max(entered), 2),
        "stop_ms": round(statistics.median(left), 2),
    }


def figures(*, quick: bool) -> dict[str, Any]:
    if hasattr(os, "sched_setaffinity"):
        # The children inherit it, so client and server share the core.
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    number = 1000 if quick else 5000
    return {
        "start": starts(20 if quick else 100),
        "api": throughput("api", number),
        "token": throughput("token", number),
        "token_with_a_live_page": throughput("token", number, watched=True),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    print(json.dumps(figures(quick=parser.parse_args().quick), indent=2))
