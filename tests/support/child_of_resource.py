"""A process that makes one request to a protected resource, and asks a user if needed: `child_of_resource.py SETTINGS`.

It speaks with its parent in lines of JSON: it writes where it is, and waits until it reads that it may go on. It is run
by its path and imports nothing of the tests, so that it sees `blnk_auth` as any program does.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import httpx

from blnk_auth import Auth, BlnkAuthError, ProtectedResource, SQLiteStore


def say(what: Any) -> None:
    print(json.dumps(what), flush=True)  # noqa: T201 - this is how it speaks


def hear() -> None:
    assert sys.stdin.readline(), "the parent has gone"


def ask(request: Any) -> str | None:
    """A user who gives access as soon as the parent permits it, or does not."""
    say("asking")
    answer = sys.stdin.readline().strip()
    if answer != "go on":
        return None
    with httpx.Client(trust_env=False) as browser:
        return browser.get(request.url).headers["location"]


def main() -> None:
    settings: dict[str, Any] = json.loads(sys.argv[1])
    api = ProtectedResource(settings["url"], store=SQLiteStore(settings["database"]))
    source = api.for_subject("me", sign_in="browser" if settings.get("in_browser") else ask)
    say("ready")
    hear()
    with httpx.Client(auth=Auth(source), trust_env=False, timeout=60) as http:
        try:
            say({"status": http.get(settings["url"]).status_code})
        except BlnkAuthError as error:
            say({"error": type(error).__mro__[1].__name__, "reason": getattr(error, "reason", None)})


if __name__ == "__main__":
    main()
