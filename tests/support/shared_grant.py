"""A grant whose store fails over, and the processes that share it.

Used by the tests of fail-over. A `Process` is a client with a store and a memory of its own, in this very process:
what one has cached another does not know. Time is a clock that tests move, so that tokens expire when a test wants.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from support.errors import raises
from support.waiting import Events

from blnk_auth import BlnkCloud, OAuthClient, SignInRequired, StoreError, Token
from blnk_auth.testing import Clock, Fault, Sandbox

OpenStore = Callable[[], Any]


class Process:
    """One client of the grant `alice`, with its store and its memory."""

    def __init__(self, world: World, store: Any) -> None:
        self.store = store
        self.events = Events()
        sandbox = world.sandbox
        self.client = OAuthClient(
            BlnkCloud(base_url=sandbox.origin),
            client_id=sandbox.client_id,
            client_secret=sandbox.client_secret,
            redirect_uri=sandbox.redirect_uri,
            store=store,
            clock=world.clock,
            on_event=self.events,
        )
        self.alice = self.client.for_subject("alice")

    def token(self) -> Token:
        return self.alice.token()

    def fails_with_store_error(self) -> StoreError:
        """The typed error of a call whose store is away, with what is wrong and what to do."""
        with raises(StoreError) as raised:
            self.alice.token()
        assert raised.value.problem
        assert raised.value.remedy
        return raised.value

    def must_sign_in(self) -> SignInRequired:
        with raises(SignInRequired, subject="alice") as raised:
            self.alice.token()
        assert raised.value.remedy
        return raised.value

    def repaired_the_store(self, was_lost: bool) -> bool:
        """Whether it reported a store that had lost a write if, and only if, `was_lost`."""
        if was_lost:
            self.events.wait_for("store_rolled_back")
        return ("store_rolled_back" in self.events.names) is was_lost

    def stored(self) -> Token:
        """The token in the store."""
        record = self.store.load(self.alice.store_key)
        assert record is not None
        return Token.from_dict(record.data["token"])


class World:
    """An authorization server that rotates and detects reuse, and any number of processes."""

    def __init__(self, sandbox: Sandbox, clock: Clock, stack: ExitStack) -> None:
        self.sandbox, self.clock, self._stack = sandbox, clock, stack

    def process(self, open_store: OpenStore) -> Process:
        """Another process that shares the grant."""
        return Process(self, self._stack.enter_context(open_store()))

    def signed_in(self, open_store: OpenStore) -> Process:
        """A process in which alice has signed in."""
        process = self.process(open_store)
        process.alice.adopt(Token.from_response(self.sandbox.issue("alice"), now=self.clock()))
        return process

    def expire(self) -> None:
        """Every access token expires, and every cool-down ends."""
        self.clock.advance(self.sandbox.lifetime + 1)

    def at_the_next_rotation(self, deed: Callable[[], object]) -> None:
        """Do this after the server has rotated, and before its response is sent."""

        def rewrite(members: dict[str, Any]) -> dict[str, Any]:
            deed()
            return members

        self.sandbox.fail(Fault(rewrite=rewrite))

    def costs(self) -> tuple[int, int]:
        """How many refreshes there were, and how many of them presented a spent refresh token."""
        return self.sandbox.counts.refreshes, self.sandbox.counts.reuses


@contextmanager
def world() -> Iterator[World]:
    clock = Clock()
    with Sandbox(clock=clock) as sandbox, ExitStack() as stack:
        yield World(sandbox, clock, stack)
