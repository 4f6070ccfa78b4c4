"""A program of the kind that the tutorial shows: a request to a protected resource, whose user has a browser.

`child_in_browser.py URL DATABASE PATH...` requests each path and writes the statuses as a line of JSON. It is run by
its path and imports nothing of the tests.
"""

from __future__ import annotations

import asyncio
import json
import sys

import httpx2

from blnk_auth import Auth, ProtectedResource


async def main(url: str, database: str, *methods: str) -> None:
    api = ProtectedResource(url, store=f"sqlite:///{database}", scope="ledgers:read")
    auth = Auth(api.for_subject("me", sign_in="browser"))
    async with httpx2.AsyncClient(auth=auth, trust_env=False, timeout=60) as http:
        answers = [await http.request(method, f"{url}/ledgers", json={"name": "x"}) for method in methods]
    print(json.dumps([answer.status_code for answer in answers]), flush=True)  # noqa: T201


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
