"""What happens in the sandbox, as server-sent events (the WHATWG's EventSource).

Used by the live page. It promises that a new listener gets the state and the latest requests, then each change within a
tenth of a second, and that neither the number of listeners nor what waits for one grows. It never takes a lock while it
sends, so a slow listener delays nobody.

Two events: `state` is everything that the page shows beside the requests; `requests` is those that are new, oldest
first. The id of an event is the number of the latest request, from which a browser continues after a lost connection.
"""

from __future__ import annotations

import asyncio
import json
import re
import secrets
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.types import Receive, Scope, Send

from ._answer import Answer
from ._authorization_server import AuthorizationServer
from ._endpoint import read_request, send_answer, until_disconnected
from ._faults import FaultKind, FaultQueue
from ._journal import Journal
from ._recent_grants import RecentGrants
from ._same_origin import refuse_foreign

EVENTS_PATH = "/_sandbox/events"

MAX_LISTENERS = 16

_INTERVAL = 0.1
"""Seconds between two looks at what has changed."""

_MOST_FAULTS_SHOWN = 10

_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
]


class EventStream:
    """The stream of one sandbox, as an ASGI application. `clock` is the time by which tokens expire."""

    def __init__(
        self,
        server: AuthorizationServer,
        journal: Journal,
        faults: dict[FaultKind, FaultQueue],
        grants: RecentGrants,
        clock: Callable[[], float],
    ) -> None:
        self._server = server
        self._journal = journal
        self._faults = faults
        self._grants = grants
        self._clock = clock
        self._listeners = 0
        # By it, a page sees that another sandbox has the port now, whose requests are numbered from 1 again.
        self._run = secrets.token_hex(8)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            request = await read_request(Request(scope, receive), None)
        except ClientDisconnect:
            return
        refusal = refuse_foreign(request, scope["scheme"])
        if refusal is None and request.method != "GET":
            refusal = Answer.json(405, {"error": "Method not allowed"}, {"allow": "GET"})
        if refusal is None and self._listeners >= MAX_LISTENERS:
            error = f"{MAX_LISTENERS} live pages are open already; close one"
            refusal = Answer.json(503, {"error": error}, {"retry-after": "3"})
        if refusal is not None:
            await send_answer(refusal, scope, receive, send)
            return
        self._listeners += 1
        try:
            await self._stream(self._number(request.headers.get("last-event-id", "")), receive, send)
        finally:
            self._listeners -= 1

    def state(self) -> dict[str, Any]:
        """Everything that the page shows, except the requests."""
        waiting = [f"{name} ({kind})" for kind, queue in self._faults.items() for name in queue.names]
        return {
            "run": self._run,
            # In whole seconds, so that an idle sandbox sends one event in each.
            "now": int(self._clock()),
            "counts": asdict(self._journal.counts),
            "rotates": self._server.rotates,
            "faults": waiting[:_MOST_FAULTS_SHOWN],
            "more_faults": max(len(waiting) - _MOST_FAULTS_SHOWN, 0),
            "grants": [asdict(grant) for grant in self._grants.views()],
        }

    async def _stream(self, number: int, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
        disconnected = asyncio.ensure_future(until_disconnected(receive))
        shown: dict[str, Any] = {}
        try:
            while not disconnected.done():
                state, entries = self.state(), self._journal.entries_after(number)
                text = b""
                if state != shown:
                    shown = state
                    text += self._event("state", state, number)
                if entries:
                    number = entries[-1].number
                    text += self._event("requests", [asdict(entry) for entry in entries], number)
                if text:
                    await send({"type": "http.response.body", "body": text, "more_body": True})
                await asyncio.wait({disconnected}, timeout=_INTERVAL)
        finally:
            disconnected.cancel()

    def _event(self, name: str, data: Any, number: int) -> bytes:
        # JSON has no line break of its own, so it is one line of data.
        return f"event: {name}\nid: {self._run}-{number}\ndata: {json.dumps(data)}\n\n".encode()

    def _number(self, event_id: str) -> int:
        """The number in the id of an event of this sandbox; 0 for any other text."""
        run, _, number = event_id.partition("-")
        return int(number) if run == self._run and re.fullmatch("[0-9]{1,15}", number) else 0
