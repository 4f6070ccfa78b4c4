"""A process that requests a protected resource, again and again: `child_of_mcp_sandbox.py SETTINGS`.

It writes "ready"; each time it reads that it may go on, its clock moves past the expiry of the token, it makes a
request, and writes the status. From the second request on, it is killed by -9 at the point that `kill_at` names, such
as "answered POST /token"; see tests/conformance/crossing.py, whose points these are.
"""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import httpx

from blnk_auth import Auth, ProtectedResource
from blnk_auth.testing.sandbox import browser

_PATH = Path(__file__).parents[1] / "conformance" / "crossing.py"
_SPEC = importlib.util.spec_from_file_location("crossing", _PATH)
assert _SPEC is not None
assert _SPEC.loader is not None
crossing: Any = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(crossing)

LIFETIME = 3600.0


class Killer:
    """Kills this process at a point, once it is armed."""

    def __init__(self, kill_at: str | None) -> None:
        self._kill_at = kill_at
        self.is_armed = False

    def reach(self, what: str) -> None:
        if self.is_armed and what == self._kill_at:
            os.kill(os.getpid(), signal.SIGKILL)


def sign_in(authorization: Any) -> str:
    return browser.sign_in(authorization.url, subject="me", approve=True)


def say(what: Any) -> None:
    print(json.dumps(what) + "\n", end="", flush=True)  # noqa: T201 - this is how it speaks


def main(settings: dict[str, Any]) -> None:
    ahead = settings.get("ahead", 0.0)
    killer = Killer(settings.get("kill_at"))
    api = ProtectedResource(
        settings["url"],
        store=crossing.WatchedStore(Path(settings["database"]), killer),
        token_http=httpx.Client(transport=crossing.WatchedTransport(killer)),
        clock=lambda: time.time() + ahead,
    )
    with httpx.Client(auth=Auth(api.for_subject("me", sign_in=sign_in)), timeout=60, trust_env=False) as http:
        say("ready")
        while sys.stdin.readline():
            ahead += LIFETIME + 60
            say(http.get(f"{settings['url']}/ledgers").status_code)
            killer.is_armed = True


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
