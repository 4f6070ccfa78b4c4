"""A worker process of a chaos run: threads and event loops that call an API through every client.

Run by `run` as `python -m chaos.worker SETTINGS`; it reads what to do as lines of JSON from its input. It writes what
came of it as lines of JSON to its output: every call, every save, every event, every pause of the process.
Times are the machine's monotonic time, which all processes share. It uses `blnk_auth` as any program does, and judges
nothing.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import json
import os
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from typing import Any

import httpx
import httpx2
import requests
from chaos.authorization_server import name_of
from chaos.plan import (
    API_TIMEOUT,
    CONNECT_TIMEOUT,
    LOCK_TIMEOUT,
    READ_TIMEOUT,
    REQUEST_DEADLINE,
    STORES,
    store_of,
)
from chaos.stores import open_store
from chaos.watching import CALLER, Log, descriptors, heartbeat, left_over

from blnk_auth import (
    BlnkAuthError,
    Httpx2Auth,
    HttpxAuth,
    OAuthClient,
    Provider,
    RenewalPolicy,
    RequestsAuth,
    SignInRequired,
    StoreError,
    Token,
    TokenSource,
)
from blnk_auth.events import Event
from blnk_auth.stores._token_store import Record, TokenStore, Version

POLICY = RenewalPolicy(
    connect_timeout=CONNECT_TIMEOUT,
    read_timeout=READ_TIMEOUT,
    request_deadline=REQUEST_DEADLINE,
    lock_timeout=LOCK_TIMEOUT,
    max_cooldown=4.0,
    max_retry_after=4.0,
    max_rejection_cooldown=4.0,
)
MOST_PENDING = 64
"""Calls that one worker has under way at most; further ones are not begun, and counted."""

_THREADS = 16
_FINAL_SECONDS = 60.0

_TYPED = (BlnkAuthError, httpx.TransportError, httpx2.TransportError, requests.RequestException)
"""What a caller may get. An API that is broken raises the HTTP client's own errors."""


log = Log()


class LoggedStore:
    """A store that notes which pair was saved, and whether it was."""

    def __init__(self, inner: TokenStore, *, excludes: bool) -> None:
        self.inner = inner
        self._excludes = excludes

    def load(self, key: str) -> Record | None:
        return self.inner.load(key)

    def save(self, key: str, data: dict[str, Any], *, expected: Version | None) -> Version:
        token = data.get("token") or {}
        grant, generation = name_of(str(token.get("refresh_token")))
        began, failure, why = time.monotonic(), "unknown", ""
        try:
            if not self._excludes:
                # As slow as a store across a network: long enough for another process to present the same pair.
                time.sleep(1.0)
            version = self.inner.save(key, data, expected=expected)
            failure = ""
            return version
        except BaseException as error:
            failure, why = type(error).__name__, str(error)
            raise
        finally:
            if token:
                ended = data.get("ended")
                log("save", grant=grant, generation=generation, began=began, failure=failure, why=why, ended=ended)

    def delete(self, key: str) -> None:
        self.inner.delete(key)

    def lock(self, key: str, *, timeout: float) -> AbstractContextManager[None]:
        if not self._excludes:
            # What the run must notice: see `test_chaos`.
            return nullcontext()
        return self._locked(key, timeout)

    @contextmanager
    def _locked(self, key: str, timeout: float) -> Iterator[None]:
        inner = self.inner.lock(key, timeout=timeout)
        with inner:
            log("locked", key=key)
            try:
                yield
            finally:
                log("unlocking", key=key)

    def keys(self, prefix: str = "") -> Iterator[str]:
        return self.inner.keys(prefix)

    def close(self) -> None:
        with suppress(AttributeError):
            self.inner.close()  # type: ignore[attr-defined]


def _opened(name: str, settings: dict[str, Any]) -> TokenStore:
    """The store; while it cannot be opened, as a process that is started again and again would do it."""
    while True:
        try:
            return open_store(name, settings)
        except StoreError:
            time.sleep(0.2)


class Worker:
    """Everything that one process has."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self.offset = 0.0
        origin, self._api = settings["origin"], f"{settings['origin']}/api/things"
        at = f"{origin}/as/{settings['name']}.{os.getpid()}"
        provider = Provider(
            name="chaos",
            authorization_endpoint=f"{origin}/authorize",
            token_endpoint=f"{at}/token",
            revocation_endpoint=f"{at}/revoke",
            api_origins=(origin,),
            client_auth="client_secret_post",
        )
        self.stores = {name: LoggedStore(_opened(name, settings), excludes=settings["excludes"]) for name in STORES}
        self.clients = {
            name: OAuthClient(
                provider,
                client_id="chaos",
                client_secret="chaos-secret",
                redirect_uri="http://127.0.0.1/callback",
                store=store,
                policy=POLICY,
                on_event=self._on_event,
                clock=lambda: time.time() + self.offset,
            )
            for name, store in self.stores.items()
        }
        self._kept: set[TokenSource] = set()
        self._origin = origin
        self._http = httpx.Client(trust_env=False, timeout=API_TIMEOUT)
        self._http2 = httpx2.Client(trust_env=False, timeout=API_TIMEOUT)
        self._requests = requests.Session()
        self._requests.trust_env = False
        self._threads = concurrent.futures.ThreadPoolExecutor(_THREADS, CALLER)
        self._loops = {"httpx-async": Loop(httpx, HttpxAuth), "httpx2-async": Loop(httpx2, Httpx2Auth)}
        self.pending: set[concurrent.futures.Future[Any]] = set()

    @staticmethod
    def _on_event(event: Event) -> None:
        log("event", name=event.name, subject=event.subject, error=type(event.error).__name__ if event.error else "")

    def source(self, subject: str) -> TokenSource:
        """Every second user's source lives as long as the process, as in an SDK; the others' as long as a request."""
        source = self.clients[store_of(subject)].for_subject(subject)
        if int(subject[-4:]) // len(STORES) % 2:
            self._kept.add(source)
        return source

    # --- calls ---------------------------------------------------------------------------------------------------

    def begin(self, asked: dict[str, Any]) -> None:
        """Begin what is asked for; nothing waits for it."""
        self.pending = {each for each in self.pending if not each.done()}
        if len(self.pending) >= MOST_PENDING:
            log("not begun")
            return
        client = asked.get("client", "")
        noted = {"op": asked["do"], "subject": asked["subject"], "client": client}
        if client in self._loops:
            loop = self._loops[client]
            self.pending.add(loop.submit(_acalled(loop, self.source(asked["subject"]), self._api, noted)))
            return
        work = {"call": self._call, "sign in": self._sign_in, "client revokes": self._revoke}[asked["do"]]
        self.pending.add(self._threads.submit(_noted, lambda: work(asked), noted))

    def _call(self, asked: dict[str, Any]) -> int:
        source = self.source(asked["subject"])
        if asked["client"] == "requests":
            return self._requests.get(self._api, auth=RequestsAuth(source), timeout=API_TIMEOUT).status_code
        if asked["client"] == "httpx":
            return self._http.get(self._api, auth=HttpxAuth(source)).status_code
        return self._http2.get(self._api, auth=Httpx2Auth(source)).status_code

    def _sign_in(self, asked: dict[str, Any]) -> str:
        subject, client = asked["subject"], self.clients[store_of(asked["subject"])]
        if asked["how"] == "adopt":
            [pair] = self._control(do="issue", subjects=[subject])
            client.for_subject(subject).adopt(Token.from_response(pair, now=time.time() + self.offset))
            return str(pair["refresh_token"])
        start = client.start_authorization(subject)
        callback = self._control(do="approve", url=start.url, subject=subject)["callback"]
        source = client.finish_authorization(callback)
        cached = source._current.cached
        return "" if cached is None else str(cached.token.refresh_token)

    def _revoke(self, asked: dict[str, Any]) -> None:
        self.source(asked["subject"]).revoke()

    def _control(self, **what: Any) -> Any:
        # Without faults: this is the user and the browser, not the library.
        return httpx.post(f"{self._origin}/control", json=what, trust_env=False, timeout=60).json()

    # --- the end -------------------------------------------------------------------------------------------------

    def settle(self) -> None:
        """Wait until everything that was begun has ended. Its own deadlines bound it."""
        concurrent.futures.wait(self.pending)
        log("settled")

    def prove(self, subjects: list[str]) -> None:
        """Call, renew and call again for each of these, and note whether it works."""
        for each in [self._threads.submit(self._prove, subject) for subject in subjects]:
            each.result()
        log("proved")

    def _prove(self, subject: str) -> None:
        source, tries = self.source(subject), 0
        last = time.monotonic() + _FINAL_SECONDS
        while True:
            tries += 1
            try:
                before = self._call({"subject": subject, "client": "httpx"})
                if before == 401 and time.monotonic() < last:
                    # Another process's token was taken from the store, was rejected as well, and has been renewed for
                    # the next call. Or renewals resolved nothing twice in a row, and their cool-down has not ended.
                    time.sleep(1.0)
                    continue
                source.renew()
                after = self._call({"subject": subject, "client": "requests"})
                result, reason = f"{before} {after}", ""
            except _TYPED as error:
                result, reason = type(error).__name__, getattr(error, "reason", "") or str(error)
                if not isinstance(error, SignInRequired) and time.monotonic() < last:
                    time.sleep(1.0)
                    continue
            except Exception as error:
                result, reason = f"untyped {type(error).__name__}", str(error)
            log("proof", subject=subject, result=result, reason=reason, tries=tries)
            return

    def close(self) -> None:
        """Close everything that a program closes."""
        self._threads.shutdown()
        for loop in self._loops.values():
            loop.close()
        for http in (self._http, self._http2, self._requests):
            http.close()
        for client in self.clients.values():
            getattr(client, "close", lambda: None)()
        for store in self.stores.values():
            store.close()


class Loop:
    """An event loop on a thread of its own, and an asynchronous client on it."""

    def __init__(self, package: Any, auth: Callable[[TokenSource], Any]) -> None:
        self.loop = asyncio.new_event_loop()
        self.auth = auth
        self._thread = threading.Thread(target=self.loop.run_forever, name=f"loop of {package.__name__}")
        self._thread.start()
        self.http = self.submit(self._make(package)).result()

    @staticmethod
    async def _make(package: Any) -> Any:
        return package.AsyncClient(trust_env=False, timeout=API_TIMEOUT)

    def submit(self, coroutine: Any) -> concurrent.futures.Future[Any]:
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop)

    def close(self) -> None:
        self.submit(self.http.aclose()).result()
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()


def _noted(work: Callable[[], Any], noted: dict[str, Any]) -> None:
    began, result, failure = time.monotonic(), None, ""
    try:
        result = work()
    except Exception as error:
        failure = _name_of(error)
    log("call", began=began, result=result, failure=failure, **noted)


async def _acalled(loop: Loop, source: TokenSource, url: str, noted: dict[str, Any]) -> None:
    began, result, failure = time.monotonic(), None, ""
    try:
        result = (await loop.http.get(url, auth=loop.auth(source))).status_code
    except Exception as error:
        failure = _name_of(error)
    log("call", began=began, result=result, failure=failure, **noted)


def _name_of(error: Exception) -> str:
    # A text, since a local variable with an exception would keep its frames until the garbage is collected.
    return type(error).__name__ if isinstance(error, _TYPED) else f"untyped {type(error).__name__}: {error}"


def main(settings: dict[str, Any]) -> None:
    warnings.simplefilter("ignore")
    stop = threading.Event()
    beat = threading.Thread(target=heartbeat, args=(log, stop), name="heartbeat", daemon=True)
    beat.start()
    before = descriptors()
    worker = Worker(settings)
    log("ready", pid=os.getpid())
    for line in sys.stdin:
        asked = json.loads(line)
        match asked["do"]:
            case "clock":
                worker.offset = asked["offset"]
            case "settle":
                worker.settle()
            case "prove":
                worker.prove(asked["subjects"])
            case "finish":
                break
            case _:
                worker.begin(asked)
    worker.close()
    del worker
    log("left", **left_over(before))
    stop.set()
    beat.join()


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
