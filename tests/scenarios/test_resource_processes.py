"""Processes that share one SQLite store, and need a sign-in at the same time: one of them asks the user.

What the others do when that one is killed with -9 is here too. Only the clocks move half a minute; nobody sleeps it.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from support.clients import HTTPX
from support.limits import PATIENCE
from support.processes import Child
from support.protected_site import ProtectedSite, Users
from support.waiting import wait_until

from blnk_auth import ProtectedResource, SQLiteStore, TokenSource
from blnk_auth._resource.pending_requests import LEASE, PendingRequest, PendingRequests
from blnk_auth.testing import Clock

CHILD = Path(__file__).parents[1] / "support" / "child_of_resource.py"
PROCESSES = 8


@pytest.fixture
def site() -> Iterator[ProtectedSite]:
    with ProtectedSite() as opened:
        yield opened


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "tokens.db"


def child(site: ProtectedSite, database: Path, **settings: Any) -> Child:
    return Child(sys.executable, str(CHILD), json.dumps({"url": site.url(), "database": str(database), **settings}))


def source_at(site: ProtectedSite, database: Path, sign_in: Any, clock: Any = None) -> TokenSource:
    """As in a process of its own: only the store is shared."""
    return ProtectedResource(site.url(), store=SQLiteStore(database), clock=clock).for_subject(
        "me", sign_in=sign_in, sign_in_timeout=PATIENCE
    )


def pending_of(source: TokenSource) -> PendingRequest:
    current = source._credential.resolved()  # type: ignore[attr-defined]  # pyright: ignore
    return PendingRequests(current.state, current.store_key).load()


@pytest.mark.deep
def test_eight_processes_ask_one_user_once(site: ProtectedSite, database: Path) -> None:
    """All are served by one registration, one sign-in and one code exchange."""
    with ExitStack() as stack:
        children = [stack.enter_context(child(site, database)) for _ in range(PROCESSES)]
        assert {each.says() for each in children} == {"ready"}
        for each in children:
            each.go_on()
        with ThreadPoolExecutor(PROCESSES) as pool:
            said = [pool.submit(each.says) for each in children]
            wait_until(lambda: any(each.done() for each in said), "a process that asks the user")
            (asking,) = [each for each, line in zip(children, said, strict=True) if line.done()]
            asking.go_on()
            lines = [line.result(PATIENCE) for line in said]
        assert asking.says() == {"status": 200}
        assert sorted(map(str, lines)) == sorted(["asking", *[str({"status": 200})] * (PROCESSES - 1)])
    assert site.server.asked == {"register": 1, "authorize": 1, "token authorization_code": 1}


def test_when_the_process_that_asks_is_killed_one_other_asks(site: ProtectedSite, database: Path) -> None:
    """Not before its lease is over. It costs nothing but that time."""
    later, users = Clock(0.0), Users()

    def clock() -> float:
        return time.time() + later()

    sources = [source_at(site, database, users, clock) for _ in range(3)]
    with child(site, database) as killed, ThreadPoolExecutor(3) as pool:
        assert killed.says() == "ready"
        killed.go_on()
        assert killed.says() == "asking"
        waiting = [pool.submit(source.token) for source in sources]
        wait_until(lambda: pending_of(sources[0]).is_asked(clock()), "the record of the one that asks")
        killed.kill()
        assert users.asked == 0
        later.advance(LEASE + 1)
        tokens = {each.result(PATIENCE).access_token for each in waiting}
    assert len(tokens) == 1
    assert users.asked == 1
    assert site.server.asked["token authorization_code"] == 1
    assert not site.server.replayed


def test_a_process_that_is_killed_later_leaves_its_sign_in_to_the_others(site: ProtectedSite, database: Path) -> None:
    """After the tokens are stored, nobody waits or asks, although the record still names the process."""
    with child(site, database) as killed:
        assert killed.says() == "ready"
        killed.go_on()
        assert killed.says() == "asking"
        # Somebody else signs the user in meanwhile, for example in the web application.
        api = ProtectedResource(site.url(), store=SQLiteStore(database))
        api.finish_authorization(Users()(api.start_authorization("me")))
        killed.kill()
    unasked = source_at(site, database, None)
    with HTTPX.open(unasked) as http:
        assert http.get(site.url()).status == 200


def test_a_sign_in_that_another_process_finishes_serves_the_one_that_asks(site: ProtectedSite, database: Path) -> None:
    """Its callable has not returned yet."""
    with child(site, database) as asking:
        assert asking.says() == "ready"
        asking.go_on()
        assert asking.says() == "asking"
        api = ProtectedResource(site.url(), store=SQLiteStore(database))
        api.finish_authorization(Users()(api.start_authorization("me")))
        assert asking.says() == {"status": 200}
        # And the callable, which waits for ever, does not keep the process from ending.
        assert asking.ends() == 0


@pytest.mark.parametrize("in_browser", [True, False])
def test_a_program_that_ends_does_not_wait_for_the_user(
    site: ProtectedSite, database: Path, in_browser: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C in the main thread ends it, although a worker thread still asks."""
    monkeypatch.setenv("BROWSER", "true")
    with child(site, database, in_browser=in_browser) as asking:
        assert asking.says() == "ready"
        asking.go_on()
        source = source_at(site, database, None)
        wait_until(lambda: pending_of(source).is_asked(time.time()), "the record of the one that asks")
        asking.interrupt()
        assert asking.ends() != 0
    assert not pending_of(source).is_asked(time.time())
