"""Cancelled, closed, interrupted, left, forked, copied: a renewal ends well, also if its caller does not."""

from __future__ import annotations

import asyncio
import copy
import math
import os
import pickle
import re
import sys
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self

import anyio
import pytest
import requests
import trio
from support.clients import HTTPX, REQUESTS, Kind, through_every_client, through_tasks
from support.errors import raises
from support.limits import PATIENCE
from support.waiting import Hold, busy_workers, settle
from support.worlds import NO_RENEWAL, SharedWorld, World, sandbox_secret

from blnk_auth import ConfigurationError, RequestsAuth, TokenSource
from blnk_auth.testing import Fault, assert_renewed_once

PACKAGES = ("httpx", "httpx2")
has_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
has_signals = pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C is another mechanism there")

# --- cancelled ---------------------------------------------------------------------------------------------------

Canceller = Callable[[], object]


@asynccontextmanager
async def by_task_cancel() -> AsyncIterator[Canceller]:
    """`task.cancel()`, from anywhere in the loop."""
    task = asyncio.current_task()
    assert task is not None
    try:
        yield task.cancel
    except asyncio.CancelledError:
        task.uncancel()


@asynccontextmanager
async def by_asyncio_timeout() -> AsyncIterator[Canceller]:
    """`asyncio.timeout`, whose time is up."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(None) as scope:
            yield lambda: scope.reschedule(loop.time())
    except TimeoutError:
        pass


@asynccontextmanager
async def by_anyio() -> AsyncIterator[Canceller]:
    """`anyio.move_on_after`, whose time is up."""
    with anyio.move_on_after(math.inf) as scope:
        yield lambda: setattr(scope, "deadline", -math.inf)


@asynccontextmanager
async def by_trio() -> AsyncIterator[Canceller]:
    """`trio.move_on_after`, whose time is up."""
    with trio.move_on_after(math.inf) as scope:
        yield lambda: setattr(scope, "deadline", -math.inf)


MANNERS = {
    "task.cancel": ("asyncio", by_task_cancel),
    "asyncio.timeout": ("asyncio", by_asyncio_timeout),
    "anyio on asyncio": ("asyncio", by_anyio),
    "anyio on trio": ("trio", by_anyio),
    "trio": ("trio", by_trio),
}


def run(manner: str, main: Callable[[], Any]) -> Any:
    return asyncio.run(main()) if manner == "asyncio" else trio.run(main)


CANCELLED = [
    pytest.param(package, manner, cancelling, id=f"{package}-{name}")
    for package in (*PACKAGES, "aiohttp")
    for name, (manner, cancelling) in MANNERS.items()
    # aiohttp runs on asyncio only.
    if (package, manner) != ("aiohttp", "trio")
]


@pytest.mark.parametrize("role", ["leader", "waiter"])
@pytest.mark.parametrize(("package", "manner", "cancelling"), CANCELLED)
def test_a_cancelled_task_leaves_and_the_renewal_continues(
    world: World, package: Any, manner: Any, cancelling: Any, role: str
) -> None:
    """However a task is cancelled, whether it caused the renewal or joined it, the others and the next call succeed."""
    kind, alice = Kind(package, manner), world.expired()
    http: Any = None
    statuses: dict[str, int] = {}
    cancellers: dict[str, Canceller] = {}

    async def call(name: str) -> None:
        async with cancelling() as cancel:
            cancellers[name] = cancel
            statuses[name] = await kind.status_of(http, world.url)

    async def main() -> None:
        nonlocal http
        async with kind.open_natively(kind.auth(alice)) as http:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(call, "leader")
                await anyio.to_thread.run_sync(asking.wait_until_reached)
                tasks.start_soon(call, "waiter")
                await anyio.wait_all_tasks_blocked()
                cancellers[role]()
                await anyio.wait_all_tasks_blocked()
                assert statuses == {}
                asking.release()
            statuses["next"] = await kind.status_of(http, world.url)

    with Hold() as asking:
        world.sandbox.fail(Fault(rewrite=asking))
        run(manner, main)
    other = "waiter" if role == "leader" else "leader"
    assert statuses == {other: 200, "next": 200}
    assert_renewed_once(world.sandbox)


@pytest.mark.parametrize("step", ["asking", "loading", "saving"])
@through_tasks
def test_a_loop_that_ends_in_mid_renewal_loses_nothing(world: World, kind: Kind, step: str) -> None:
    """When the event loop is closed during a renewal, the pair is saved, and the next loop uses it."""
    with Hold() as hold:
        store = HeldStore(step, hold)
        alice = world.signed_in(store=store)
        world.expire()
        store.is_on = True
        if step == "asking":
            world.sandbox.fail(Fault(rewrite=hold))

        async def left() -> None:
            async with (
                kind.open_natively(kind.auth(alice)) as http,
                anyio.create_task_group() as tasks,
            ):

                async def ask() -> None:
                    # Not all clients return a coroutine.
                    await http.get(world.url)

                tasks.start_soon(ask)
                await anyio.to_thread.run_sync(hold.wait_until_reached)
                tasks.cancel_scope.cancel()

        run(kind.manner, left)
        hold.release()
        world.events.wait_for("renewed")
    with kind.open(alice) as http:
        assert http.get(world.url).status == 200
    assert_renewed_once(world.sandbox)


@pytest.mark.filterwarnings("ignore:coroutine:RuntimeWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_loop_closed_under_a_waiting_task_loses_nothing(world: World) -> None:
    """Even a loop that is closed with the waiting task still in it disturbs neither the renewal nor other waiters."""
    alice = world.expired()
    loop = asyncio.new_event_loop()
    with Hold() as asking, HTTPX.open(alice) as http:
        world.sandbox.fail(Fault(rewrite=asking))
        waiting = loop.create_task(alice.atoken())
        loop.run_until_complete(asyncio.to_thread(asking.wait_until_reached))
        other = http.start("GET", world.url)
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()
        asking.release()
        assert other.result(PATIENCE).status == 200
        del waiting
    assert_renewed_once(world.sandbox)


def test_a_sync_call_on_the_loops_thread_does_not_deadlock(world: World) -> None:
    """A blocking call on the thread of the very loop whose task leads the renewal gets the token."""
    alice = world.expired()
    world.sandbox.token_latency = 0.1

    async def main() -> tuple[str, str]:
        leader = asyncio.create_task(alice.atoken())
        await asyncio.sleep(0)
        blocking = alice.token()
        return blocking.access_token, (await leader).access_token

    assert len(set(asyncio.run(main()))) == 1
    assert_renewed_once(world.sandbox)


class HeldStore:
    """A memory store that waits in one verb, once it is on."""

    def __new__(cls, step: str, hold: Hold) -> Any:
        from support.stores.scripted import DelegatingStore

        class Held(DelegatingStore):
            is_on = False

            def load(self, key: str) -> Any:
                if self.is_on and step == "loading":
                    hold()
                return super().load(key)

            def save(self, key: str, data: dict[str, Any], *, expected: str | None) -> str:
                if self.is_on and step == "saving":
                    hold()
                return super().save(key, data, expected=expected)

        return Held()


# --- interrupted and left ----------------------------------------------------------------------------------------


@has_signals
@through_every_client
def test_ctrl_c_in_the_main_thread_does_not_stop_a_renewal(shared_world: SharedWorld, kind: Kind) -> None:
    """Ctrl-C while the main thread waits for a renewal interrupts the wait; the rotated pair is saved and used next."""
    alice = shared_world.expired()
    old = shared_world.stored(alice).token
    with Hold() as asking, shared_world.child("interrupted", kind) as child:
        shared_world.sandbox.fail(Fault(rewrite=asking))
        asking.wait_until_reached()
        child.interrupt()
        assert child.says() == "interrupted"
        asking.release()
        child.go_on()
        written = child.says()
        assert child.ends() == 0
    new = shared_world.stored(alice).token
    assert written == {"status": 200, "token": new.access_token}
    assert new.refresh_token != old.refresh_token
    assert_renewed_once(shared_world.sandbox)


def test_an_interpreter_that_exits_in_mid_renewal_saves_the_answer_first(shared_world: SharedWorld) -> None:
    """A program that ends while a renewal is under way stays until the rotated pair is saved; its status is 0."""
    alice = shared_world.expired()
    old = shared_world.stored(alice).token
    with Hold() as asking, shared_world.child("leaving", HTTPX) as child:
        shared_world.sandbox.fail(Fault(rewrite=asking))
        asking.wait_until_reached()
        child.go_on()
        assert child.says() == "leaving"
        asking.release()
        assert child.ends() == 0
    assert shared_world.stored(alice).token.refresh_token != old.refresh_token
    assert alice.state == "fresh"
    assert_renewed_once(shared_world.sandbox)


def test_a_renewal_behind_the_last_call_of_a_program_is_saved(shared_world: SharedWorld) -> None:
    """A short program whose only call started a renewal behind itself ends after that has been saved."""
    alice = shared_world.signed_in()
    old = shared_world.stored(alice).token
    with Hold() as asking, shared_world.child("leaving_behind", REQUESTS, ahead=3300) as child:
        shared_world.sandbox.fail(Fault(rewrite=asking))
        asking.wait_until_reached()
        child.go_on()
        # The first is the token, which the process asks for; the call was sent with it, immediately.
        asking.release()
        assert child.says()["status"] == 200
        assert child.says() == "leaving"
        assert child.ends() == 0
    assert shared_world.stored(alice).token.refresh_token != old.refresh_token
    assert_renewed_once(shared_world.sandbox)


@pytest.mark.parametrize("kind", [REQUESTS, HTTPX], ids=str)
def test_a_token_can_be_renewed_while_the_interpreter_shuts_down(shared_world: SharedWorld, kind: Kind) -> None:
    """An `atexit` handler that needs a token gets one, although new threads may be forbidden by then."""
    alice = shared_world.expired()
    with shared_world.child("at_exit", kind) as child:
        assert child.says() == "leaving"
        assert child.says() == {"status": 200, "token": shared_world.stored(alice).token.access_token}
        assert child.ends() == 0
    assert_renewed_once(shared_world.sandbox)


# --- forked ------------------------------------------------------------------------------------------------------


@has_fork
@pytest.mark.parametrize("kind", [REQUESTS, HTTPX, Kind("httpx", "asyncio"), Kind("httpx2", "trio")], ids=str)
def test_f52_a_process_forked_in_mid_renewal_works_on(shared_world: SharedWorld, kind: Kind) -> None:
    """A child forked during a renewal neither waits for a thread it does not have nor spends the token again."""
    alice = shared_world.expired()
    with Hold() as asking, shared_world.child("forking", kind) as child:
        shared_world.sandbox.fail(Fault(rewrite=asking))
        asking.wait_until_reached()
        child.go_on()
        assert child.says() == "forked"
        asking.release()
        written = sorted((child.says() for _ in range(2)), key=lambda said: said["who"])
        assert child.ends() == 0
    token = shared_world.stored(alice).token.access_token
    assert written == [{"who": who, "status": 200, "token": token} for who in ("child", "parent")]
    assert_renewed_once(shared_world.sandbox)


GUNICORN_APP = """
import os
import requests
from blnk_auth import BlnkCloud, OAuthClient, RequestsAuth, SQLiteStore

client = OAuthClient(
    BlnkCloud(base_url=os.environ["SANDBOX"]),
    client_id="sandbox-client",
    client_secret="sandbox-secret",
    store=SQLiteStore(os.environ["TOKENS"]),
)
auth = RequestsAuth(client.for_subject("alice"))


def status(path):
    return requests.get(os.environ["SANDBOX"] + path, auth=auth, timeout=60).status_code


# With --preload this runs in the master: every worker inherits the open store and the cached token.
assert status("/data/preloaded") == 200


def app(environ, start_response):
    start_response("200 OK", [("X-Pid", str(os.getpid())), ("X-Status", str(status("/data/served")))])
    return [b"ok"]
"""


@has_fork
@pytest.mark.parametrize("threads", ["1", "4"])
def test_f52_a_pre_forking_server_renews_once_for_all_workers(
    shared_world: SharedWorld, tmp_path: Path, threads: str
) -> None:
    """The workers of gunicorn --preload, whose master has used the token, share one renewal after a rejection."""
    shared_world.signed_in()
    (tmp_path / "preloaded.py").write_text(GUNICORN_APP)
    command = [sys.executable, "-m", "gunicorn", "--preload", "--workers=3", f"--threads={threads}"]
    command += ["--bind=127.0.0.1:0", f"--chdir={tmp_path}", "--no-control-socket", "preloaded:app"]
    settings = {"SANDBOX": shared_world.sandbox.origin, "TOKENS": str(shared_world.path)}
    with Server(command, {**os.environ, **settings}) as server, ThreadPoolExecutor(12) as callers:
        shared_world.sandbox.revoke_access_tokens()
        shared_world.sandbox.token_latency = 0.2
        answers = list(callers.map(lambda _: requests.get(server.url, headers=ONCE, timeout=PATIENCE), range(24)))
        assert {answer.headers["X-Status"] for answer in answers} == {"200"}
        assert len({answer.headers["X-Pid"] for answer in answers}) > 1
    assert_renewed_once(shared_world.sandbox)


ONCE = {"Connection": "close"}
"""A kept connection would keep a worker from ending."""


class Server:
    """A server process that writes where it listens to stderr."""

    def __init__(self, command: list[str], env: dict[str, str]) -> None:
        import subprocess

        self._process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=env)
        self.url = ""

    def __enter__(self) -> Self:
        assert self._process.stderr is not None
        said: list[str] = []
        for line in self._process.stderr:
            said.append(line)
            found = re.search(r"Listening at: (http://\S+)", line)
            if found:
                self.url = found[1]
                # Its later words must not fill the pipe.
                self._rest = threading.Thread(target=self._process.stderr.read, daemon=True)
                self._rest.start()
                return self
        self._process.wait(PATIENCE)
        raise AssertionError("".join(said))

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(PATIENCE)
        self._rest.join(PATIENCE)
        assert self._process.stderr is not None
        self._process.stderr.close()


# --- copied and pickled ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy], ids=["copy", "deepcopy"])
@through_every_client
def test_f52_a_copy_shares_the_renewal(world: World, kind: Kind, copied: Callable[[Any], Any]) -> None:
    """A copy of the auth object, deep or not, is a handle on the same grant: together they renew once."""
    auth = kind.auth(world.expired())
    world.sandbox.token_latency = 0.1
    with kind.open(auth) as one, kind.open(copied(auth)) as other:
        calls = [http.start("GET", world.url) for _ in range(5) for http in (one, other)]
        assert {call.result(PATIENCE).status for call in calls} == {200}
    assert_renewed_once(world.sandbox)


@pytest.mark.parametrize("secret", ["text", "callable"])
@through_every_client
def test_f52_a_pickle_carries_no_secret_and_works_again(shared_world: SharedWorld, kind: Kind, secret: str) -> None:
    """A pickle of the auth holds neither a token nor the client's secret; unpickled, it reads the store."""
    settings = {"client_secret": sandbox_secret} if secret == "callable" else {}
    alice = signed_in_to_pickle(shared_world, **settings)
    token = alice.token()
    pickled = pickle.dumps(kind.auth(alice))
    for hidden in (token.access_token, token.refresh_token or "", shared_world.sandbox.client_secret):
        assert hidden.encode() not in pickled
    with kind.open(pickle.loads(pickled)) as http:
        answer = http.get(shared_world.url)
        assert (answer.status, answer.token) == (200, token.access_token)
        assert shared_world.renewals == NO_RENEWAL
        shared_world.sandbox.revoke_access_tokens()
        if secret == "callable":
            assert http.get(shared_world.url).status == 200
            assert_renewed_once(shared_world.sandbox)
        else:
            with raises(ConfigurationError, parameter="client_secret"):
                http.get(shared_world.url)
            assert shared_world.renewals == NO_RENEWAL


def signed_in_to_pickle(shared_world: SharedWorld, **settings: Any) -> TokenSource:
    """A source whose client has nothing of this process in it: real time, and no callback of a test."""
    import time

    return shared_world.signed_in(clock=time.time, on_event=None, **settings)


@pytest.mark.parametrize(
    "copied", [copy.deepcopy, lambda session: pickle.loads(pickle.dumps(session))], ids=["deepcopy", "pickle"]
)
def test_f52_a_requests_session_that_holds_one_can_be_copied(
    shared_world: SharedWorld, copied: Callable[[Any], Any]
) -> None:
    """A `requests.Session` with our auth survives what requests promises of sessions: copying and pickling."""
    alice = signed_in_to_pickle(shared_world, client_secret=sandbox_secret)
    with requests.Session() as session:
        session.trust_env = False
        session.auth = RequestsAuth(alice)
        assert session.get(shared_world.url, timeout=PATIENCE).status_code == 200
        shared_world.sandbox.revoke_access_tokens()
        with copied(session) as again:
            assert again.get(shared_world.url, timeout=PATIENCE).status_code == 200
        assert session.get(shared_world.url, timeout=PATIENCE).status_code == 200
    assert_renewed_once(shared_world.sandbox)


@through_every_client
def test_a_source_is_let_go_with_its_client(world: World, kind: Kind) -> None:
    """Opening and closing clients leaves no thread with work behind."""
    with kind.open(world.expired()) as http:
        assert http.get(world.url).status == 200
    world.events.wait_for("renewed")
    settle()
    assert busy_workers() == []
