"""A process of its own, for scenarios in which one is interrupted, left, forked or killed: `child.py SETTINGS`.

It speaks with its parent in lines of JSON: it writes where it is, and waits until it reads that it may go on. It is run
by its path and imports nothing of the tests, so that it sees `blnk_auth` as any program does.
"""

from __future__ import annotations

import asyncio
import atexit
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

from blnk_auth import (
    AiohttpAuth,
    Auth,
    BlnkAuthError,
    BlnkCloud,
    Httpx2Auth,
    HttpxAuth,
    OAuthClient,
    RequestsAuth,
    SQLiteStore,
    TokenSource,
)


def say(what: Any) -> None:
    # In one write, with its line break: a forked child may speak at the same moment.
    print(json.dumps(what) + "\n", end="", flush=True)  # noqa: T201 - this is how it speaks


def hear() -> None:
    assert sys.stdin.readline(), "the parent has gone"


class HaltingStore(SQLiteStore):
    """Writes where it is and stays there, at the step given."""

    def __init__(self, path: str, halt_at: str | None) -> None:
        self._halt_at = halt_at
        self._is_locked = False
        super().__init__(path)

    def _reach(self, step: str) -> None:
        if step == self._halt_at:
            say(step)
            threading.Event().wait()

    def load(self, key: str) -> Any:
        self._reach("loading under the lock" if self._is_locked else "loading")
        return super().load(key)

    def save(self, key: str, data: dict[str, Any], *, expected: str | None) -> str:
        self._reach("saving")
        version = super().save(key, data, expected=expected)
        self._reach("saved")
        return version

    @contextmanager
    def lock(self, key: str, *, timeout: float) -> Generator[None]:
        self._reach("locking")
        with super().lock(key, timeout=timeout):
            self._is_locked = True
            self._reach("locked")
            yield
            self._reach("unlocking")
        self._is_locked = False


def call(kind: str, alice: TokenSource, url: str) -> int:
    """One request through the client of that name, as in the table of clients."""
    with_auth = kind.startswith("Auth-")
    package, _, manner = kind.removeprefix("Auth-").partition("-")
    if package == "requests":
        import requests

        return requests.get(url, auth=Auth(alice) if with_auth else RequestsAuth(alice), timeout=60).status_code
    if package == "aiohttp":
        return asyncio.run(through_aiohttp(alice, url))
    if package == "niquests":
        return through_niquests(manner, alice, url)
    module = __import__(package)
    auth = Auth(alice) if with_auth else {"httpx": HttpxAuth, "httpx2": Httpx2Auth, "httpxyz": Auth}[package](alice)
    if manner == "sync":
        with module.Client(auth=auth, trust_env=False, timeout=60) as http:
            return int(http.get(url).status_code)
    return int(run(manner, lambda: acall(module, auth, url)))


async def through_aiohttp(alice: TokenSource, url: str) -> int:
    import aiohttp

    async with aiohttp.ClientSession(middlewares=(AiohttpAuth(alice),)) as http, http.get(url) as response:
        return response.status


def through_niquests(manner: str, alice: TokenSource, url: str) -> int:
    import niquests

    if manner == "sync":
        return int(niquests.get(url, auth=Auth(alice), timeout=60).status_code or 0)

    async def awaited() -> Any:
        return await niquests.aget(url, auth=Auth(alice), timeout=60)

    return int(asyncio.run(awaited()).status_code)


async def acall(module: Any, auth: Any, url: str) -> int:
    async with module.AsyncClient(auth=auth, trust_env=False, timeout=60) as http:
        return int((await http.get(url)).status_code)


def run(manner: str, main: Callable[[], Any]) -> Any:
    if manner == "asyncio":
        return asyncio.run(main())
    import trio

    return trio.run(main)


def called(kind: str, alice: TokenSource, url: str) -> dict[str, Any]:
    """What became of one request."""
    try:
        return {"status": call(kind, alice, url), "token": alice.token().access_token}
    except BlnkAuthError as error:
        return {"error": type(error).__name__, "message": str(error)}


def one_call(kind: str, alice: TokenSource, url: str) -> None:
    say("ready")
    hear()
    say(called(kind, alice, url))


def interrupted(kind: str, alice: TokenSource, url: str) -> None:
    try:
        call(kind, alice, url)
    except KeyboardInterrupt:
        say("interrupted")
    hear()
    say(called(kind, alice, url))


def leaving(kind: str, alice: TokenSource, url: str) -> None:
    """Ends while a call is waiting for a renewal; only a daemon thread can still be waiting then."""
    threading.Thread(target=call, args=(kind, alice, url), daemon=True).start()
    hear()
    say("leaving")


def leaving_behind(kind: str, alice: TokenSource, url: str) -> None:
    """Ends after a call that started a renewal behind itself."""
    say(called(kind, alice, url))
    hear()
    say("leaving")


def at_exit(kind: str, alice: TokenSource, url: str) -> None:
    """Needs a token for the first time when the interpreter is shutting down."""
    atexit.register(lambda: say(called(kind, alice, url)))
    say("leaving")


def forking(kind: str, alice: TokenSource, url: str) -> None:
    """Forks while a renewal is under way, and calls in the child and in the parent."""
    caller = threading.Thread(target=lambda: say({"who": "parent", **called(kind, alice, url)}))
    caller.start()
    hear()
    child = os.fork()
    if child == 0:
        say("forked")
        try:
            say({"who": "child", **called(kind, alice, url)})
        finally:
            os._exit(0)
    caller.join()
    os.waitpid(child, 0)


def main(settings: dict[str, Any]) -> None:
    client = OAuthClient(
        BlnkCloud(base_url=settings["origin"]),
        client_id="sandbox-client",
        client_secret="sandbox-secret",
        store=HaltingStore(settings["path"], settings.get("halt_at")),
        clock=lambda: time.time() + settings.get("ahead", 0.0),
    )
    role: Callable[[str, TokenSource, str], None] = globals()[settings["role"]]
    role(settings["kind"], client.for_subject("alice"), f"{settings['origin']}/data/ledgers")


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
