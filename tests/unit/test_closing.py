"""The end of a client: what was being renewed is saved before `close` returns, and nothing else is waited for."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest
import trio
from support.limits import PATIENCE
from support.scripted import ScriptedWorld
from support.token_endpoint import pair
from support.waiting import Hold, settle, wait_until

from blnk_auth import OAuthClient, ProtectedResource, SignInRequired
from blnk_auth._protocol.http_messages import HttpRequest, HttpResponse
from blnk_auth._renewal.client_state import ClientState
from blnk_auth._renewal.current_token import CurrentToken
from blnk_auth._resource.request_sign_in import RequestSignIn


def close(client: OAuthClient | ProtectedResource) -> None:
    client.close()


def leave(client: OAuthClient | ProtectedResource) -> None:
    with client:
        pass


async def leave_async(client: OAuthClient | ProtectedResource) -> None:
    async with client:
        pass


WAYS: dict[str, Callable[[Any], None]] = {
    "close": close,
    "with": leave,
    "aclose, asyncio": lambda client: asyncio.run(client.aclose()),
    "async with, asyncio": lambda client: asyncio.run(leave_async(client)),
    "async with, trio": lambda client: trio.run(leave_async, client),
}


class Renewing(ScriptedWorld):
    """A client whose server has rotated alice's pair, and whose answer has not arrived."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.alice = self.signed_in(expires_at=self.clock() + 300, issued_at=self.clock() - 3300)
        self.rotated = Hold()
        self.server.will(lambda _request: self.rotated(pair(1)))
        assert self.alice.token().access_token == "at0"  # it is renewed in the background
        self.rotated.wait_until_reached()

    @property
    def state(self) -> ClientState:
        return self.client._state  # pyright: ignore[reportPrivateUsage]

    def is_waited_for(self) -> bool:
        """Whether anything waits for the renewal."""
        return any(flight._wake_ups for flight in self.state.flights.all_under_way())  # pyright: ignore[reportPrivateUsage]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("is_resource", [False, True], ids=["a client", "a resource"])
def test_a_renewal_under_way_is_saved_first(way: str, is_resource: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also one that no caller waits for."""
    world = Renewing()
    closed: Any = world.client
    if is_resource:
        closed = ProtectedResource("https://api.example.com")
        monkeypatch.setattr(closed._state, "close_connections", lambda: [world.state])
    saved: list[str] = []

    def end() -> None:
        WAYS[way](closed)
        saved.append(world.stored(world.alice).token.access_token)

    thread = threading.Thread(target=end)
    thread.start()
    wait_until(lambda: world.is_waited_for() or not thread.is_alive(), "the end of the client waits")
    world.rotated.release()
    thread.join(PATIENCE)
    assert saved == ["at1"]


def test_a_renewal_that_fails_does_not_fail_the_end() -> None:
    """Who needs the token gets it; the program ends as it would have."""
    world = ScriptedWorld()
    alice = world.signed_in(expires_at=world.clock() + 300, issued_at=world.clock() - 3300)
    failing = Hold()

    def fail(_request: HttpRequest) -> HttpResponse:
        failing()
        raise ValueError("the test's server")

    world.server.will(fail)
    alice.token()
    failing.wait_until_reached()
    thread = threading.Thread(target=world.client.close)
    thread.start()
    failing.release()
    thread.join(PATIENCE)
    assert not thread.is_alive()
    world.client.close()


def test_the_wait_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """As long as a caller would wait for the renewal."""
    world = Renewing()
    for way, end in WAYS.items():
        monkeypatch.setattr(world.state.rules, "wait_timeout", 0.01)
        end(world.client)
        assert world.stored(world.alice).token.access_token == "at0", way
    world.rotated.release()
    settle()
    assert world.stored(world.alice).token.access_token == "at1"


def test_a_renewal_does_not_wait_for_itself() -> None:
    """A callable of the application that is called by the renewal may close the client."""
    ends: list[Callable[[], object]] = []
    world = ScriptedWorld(client_secret=lambda: [end() for end in ends] and "secret")
    alice = world.signed_in()
    ends += [world.client.close, lambda: asyncio.run(world.client.aclose())]
    world.server.will(pair(1))
    assert alice.renew().access_token == "at1"


def test_a_user_who_is_asked_is_not_waited_for() -> None:
    """They may take minutes, and what they finish is saved in any case."""
    world = ScriptedWorld()
    alice = world.client.for_subject("alice")
    current = alice._credential  # pyright: ignore[reportPrivateUsage]
    assert isinstance(current, CurrentToken)
    asked = Hold()
    with asked:
        needed = SignInRequired("a sign-in is needed", reason="missing", subject="alice")
        waiting = RequestSignIn(asked).begin(current, reason=needed, package=None)
        asked.wait_until_reached()
        world.client.close()
        assert world.client._state.sign_ins.flights.all_under_way() == [waiting]  # pyright: ignore[reportPrivateUsage]
