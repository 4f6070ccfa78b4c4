"""A process of its own that uses a protected resource: `resource_process.py URL DATABASE [EXPECTED]`.

It writes a line when it is ready, waits until it reads one, sends a request through httpx2, and writes its status and
how often its user was asked. It imports nothing of the tests, so that it sees `blnk_auth` as any program does.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import httpx2

from blnk_auth import Auth, AuthorizationRequest, ProtectedResource, SQLiteStore


def say(what: Any) -> None:
    print(json.dumps(what), flush=True)  # noqa: T201 - this is how it speaks


def main() -> None:
    url, database = sys.argv[1:]
    asked = 0

    def sign_in(request: AuthorizationRequest) -> str:
        nonlocal asked
        asked += 1
        with httpx2.Client(trust_env=False) as browser:
            return browser.get(request.url).headers["location"]

    source = ProtectedResource(url, store=SQLiteStore(database)).for_subject("me", sign_in=sign_in)

    async def statuses() -> list[int]:
        async with httpx2.AsyncClient(auth=Auth(source), trust_env=False) as client:
            return [response.status_code for response in await asyncio.gather(*(client.get(url) for _ in range(5)))]

    say("ready")
    sys.stdin.readline()
    say({"statuses": asyncio.run(statuses()), "asked": asked})


if __name__ == "__main__":
    main()
