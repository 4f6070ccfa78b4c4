"""The world of a test with somebody else's client: the sandbox issues tokens, and an API of any shape demands them.

Each client lives through the same two events, see `either_way`: its token runs out, or the server ends it before its
time. Either must cost exactly one refresh, of which the client notices nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import pytest
from scenarios.servers import Received, Reply, Site
from scenarios.world import World

from blnk_auth import TokenSource

Ending = Literal["expired", "rejected"]

either_way = pytest.mark.parametrize("ending", ["expired", "rejected"])


@dataclass(frozen=True)
class Story:
    """What a renewal cost: token requests, refreshes, spent refresh tokens that came back, and calls answered 401."""

    token_requests: int
    refreshes: int
    reuses: int
    rejections: int


RENEWED = {"expired": Story(1, 1, 0, 0), "rejected": Story(1, 1, 0, 1)}


class ClientWorld(World):
    """A sandbox with a person who signed in; `rejections` of APIs served here count with the sandbox's own."""

    rejections = 0

    def end(self, ending: Ending) -> None:
        """The access token is over: for both sides, or for the server alone."""
        if ending == "expired":
            self.expire()
        else:
            self.sandbox.revoke_access_tokens()

    @property
    def story(self) -> Story:
        return Story(*self.renewals, self.sandbox.counts.api_rejected + self.rejections)

    def accepts(self, authorization: str | None) -> bool:
        """Whether an Authorization header holds a token of the sandbox that is good now."""
        scheme, _, token = (authorization or "").partition(" ")
        if scheme == "Bearer" and self.sandbox._authorization_server.check(token) is not None:
            return True
        self.rejections += 1
        return False

    @contextmanager
    def api(self, answers: Callable[[Received], Any]) -> Iterator[Site]:
        """An API that answers in JSON, to whoever brings a good token."""

        def answer(request: Received) -> Reply:
            return Reply.json(answers(request)) if self.accepts(request.authorization) else Reply.rejected()

        with Site(answer) as site:
            yield site

    def alice_for(self, origin: str) -> TokenSource:
        """A person whose token may go to that origin."""
        return self.signed_in(api_origins=(origin,))
