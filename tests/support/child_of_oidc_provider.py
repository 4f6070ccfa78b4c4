"""A process of its own that makes requests against the real server: `child_of_oidc_provider.py SETTINGS`.

It writes "ready"; each time it reads that it may go on, it moves its clock by a step, makes a request, and writes what
became of it. It is run by its path and imports nothing of the tests, so that it sees `blnk_auth` as any program does.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import requests

from blnk_auth import OAuthClient, Provider, RequestsAuth, SQLiteStore
from blnk_auth.testing import Clock


def say(what: Any) -> None:
    print(json.dumps(what) + "\n", end="", flush=True)  # noqa: T201 - this is how it speaks


def main(settings: dict[str, Any]) -> None:
    clock, client = Clock(settings["now"]), settings["client"]
    alice = OAuthClient(
        Provider.discover(settings["issuer"], **settings["provider"]),
        **client,
        store=SQLiteStore(settings["path"]),
        clock=clock,
    ).for_subject("alice")
    tls = {"cert": tuple(client["cert"]), "verify": client["verify"]} if "cert" in client else {}
    say("ready")
    while sys.stdin.readline():
        clock.advance(settings["step"])
        answer = requests.get(settings["api"], auth=RequestsAuth(alice), timeout=60, **tls)
        say({"status": answer.status_code, "token": alice.token().access_token})


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
