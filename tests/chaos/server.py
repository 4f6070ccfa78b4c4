"""The server process of a chaos run: authorization server, API, and the faults on the way to both.

Run by `run` as `python -m chaos.server SETTINGS`. It speaks HTTP/1.1 over a plain asyncio stream, because a fault must
be able to break an answer at any byte. Everything that happens at the authorization server is a line of the books, with
the machine's monotonic time, which all processes share. It ends with its parent, and never judges what it sees.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import struct
import sys
import time
from collections import Counter, deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

from chaos.authorization_server import CLIENT, BookkeepingServer
from chaos.plan import GRACE, LIFETIME

from blnk_auth.testing.sandbox._issued import OAuthError


class Fault(NamedTuple):
    kind: str = ""
    seconds: float = 0.0


class Asked(NamedTuple):
    """One request."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def form(self) -> dict[str, str]:
        return {name: values[-1] for name, values in parse_qs(self.body.decode()).items()}


class Answer(NamedTuple):
    status: int
    body: bytes = b"{}"
    headers: tuple[tuple[str, str], ...] = ()

    def to_bytes(self) -> tuple[bytes, bytes]:
        """Head and body."""
        type_ = "text/html" if self.body.startswith(b"<") else "application/json"
        lines = [
            f"HTTP/1.1 {self.status} Status",
            f"content-type: {type_}",
            f"content-length: {len(self.body)}",
            *(f"{name}: {value}" for name, value in self.headers),
        ]
        return ("\r\n".join(lines) + "\r\n\r\n").encode(), self.body


HTML = b"<!doctype html><title>Gateway</title><p>Something went wrong."


def as_json(status: int, members: Any, *headers: tuple[str, str]) -> Answer:
    return Answer(status, json.dumps(members).encode(), headers)


_UNPERFORMED = {
    "429": as_json(429, {"error": "temporarily_unavailable"}, ("retry-after", "1")),
    "503": as_json(503, {"error": "temporarily_unavailable"}, ("retry-after", "1")),
    "html": Answer(200, HTML),
}
"""The answers to requests that do not take effect, by the fault."""


class Server:
    """The state of the process. Everything runs on one event loop."""

    def __init__(self, settings: dict[str, Any]) -> None:
        path = Path(settings["books"])
        self._books = path.open("a", buffering=1, encoding="utf-8")
        grace = dict.fromkeys(settings["grace"], GRACE)
        self._authorization = BookkeepingServer(
            lifetime=LIFETIME, grace=lambda subject: grace.get(subject, 0.0), note=self.note
        )
        self._faults: dict[str, deque[Fault]] = {"token": deque(), "api": deque()}
        self._outage = (0.0, 503)
        self._requests = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self.counts: Counter[str] = Counter()

    def note(self, what: str, **details: Any) -> None:
        self._books.write(json.dumps({"t": time.monotonic(), "what": what, **details}) + "\n")

    # --- connections ---------------------------------------------------------------------------------------------

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while (asked := await _read(reader)) is not None:
                # What arrives on a connection that the fault "closed soon" has closed takes no effect.
                if writer.is_closing() or not await self._respond(asked, writer):
                    break
        except (OSError, asyncio.IncompleteReadError, ValueError, RuntimeError):
            pass
        finally:
            writer.close()

    async def _respond(self, asked: Asked, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; False ends the connection."""
        first = asked.path.partition("?")[0].split("/")[1]
        if first == "control":
            writer.write(b"".join(self._control(json.loads(asked.body)).to_bytes()))
            await writer.drain()
            return True
        if first == "as":
            return await self._authorize(asked, writer)
        self.counts["api requests"] += 1
        fault = self._take("api")
        return await self._deliver(fault, lambda: self._api(asked), writer, note=lambda _sent: None)

    async def _authorize(self, asked: Asked, writer: asyncio.StreamWriter) -> bool:
        # /as/<worker>.<incarnation>.<pid>/token: each worker process has its own URL, so the books know who asks.
        _, _, who, what = asked.path.split("/")
        self._requests += 1
        request, pid = self._requests, int(who.rpartition(".")[2])
        worker = who.rpartition(".")[0]
        fault = self._take("token")
        if fault.kind.startswith("kill") and worker.startswith("0."):
            # Worker 0 is never killed: its memory is measured.
            fault = Fault("reset after")
        overloaded = time.monotonic() < self._outage[0]
        if overloaded and fault.kind not in ("kill before", "stop before"):
            fault = Fault(str(self._outage[1]))
        self.note("request", request=request, worker=worker, to=what, fault=fault.kind)
        self._signal(fault, "before", pid, request, worker)
        if fault.kind in ("stop before", "delayed request"):
            await asyncio.sleep(fault.seconds)
        performed = {"token": self._token, "revoke": self._revoke}[what]

        def perform() -> Answer:
            answer = performed(asked, request, worker)
            self._signal(fault, "after", pid, request, worker)
            return answer

        def note(sent: bool) -> None:
            self.note("answered", request=request, sent=sent)

        return await self._deliver(fault, perform, writer, note=note)

    def _signal(self, fault: Fault, when: str, pid: int, request: int, worker: str) -> None:
        """Kill or stop the process that asks, at this very moment."""
        if fault.kind == f"kill {when}":
            self.note("killed", worker=worker, request=request)
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        elif fault.kind == f"stop {when}":
            self.note("stopped", worker=worker, request=request, seconds=fault.seconds)
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
            asyncio.get_running_loop().call_later(fault.seconds, self._resume, pid, worker)

    def _resume(self, pid: int, worker: str) -> None:
        self.note("resumed", worker=worker)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)

    def _take(self, kind: str) -> Fault:
        fault = self._faults[kind].popleft() if self._faults[kind] else Fault()
        if fault.kind:
            self.counts[f"{kind} fault: {fault.kind}"] += 1
        return fault

    async def _deliver(
        self,
        fault: Fault,
        perform: Callable[[], Answer],
        writer: asyncio.StreamWriter,
        note: Callable[[bool], None],
    ) -> bool:
        kind = fault.kind
        if kind == "reset before":
            note(False)
            return _reset(writer)
        # What is not in this table takes effect.
        answer = _UNPERFORMED.get(kind) or perform()
        if kind in ("slow", "late"):
            await asyncio.sleep(fault.seconds)
        if kind in ("reset after", "kill after"):
            note(False)
            return _reset(writer)
        if kind == "error after":
            answer = Answer(502, HTML)
        is_cut, sent = kind in ("cut headers", "cut body"), False
        try:
            writer.write(_cut(answer, kind) if is_cut else b"".join(answer.to_bytes()))
            await writer.drain()
            sent = not is_cut
            if kind == "closed soon":
                asyncio.get_running_loop().call_later(fault.seconds, writer.close)
        finally:
            note(sent)
        return sent

    # --- endpoints -----------------------------------------------------------------------------------------------

    def _token(self, asked: Asked, request: int, worker: str) -> Answer:
        form = asked.form
        try:
            if form["grant_type"] == "refresh_token":
                return as_json(200, self._authorization.present(form["refresh_token"], request=request, worker=worker))
            pair = self._authorization.exchange_code(
                CLIENT, code=form["code"], redirect_uri=form["redirect_uri"], code_verifier=form["code_verifier"]
            )
        except OAuthError as refusal:
            return as_json(400, {"error": refusal.error, "error_description": refusal.description})
        self.note("exchanged", request=request, worker=worker, token=pair["refresh_token"])
        return as_json(200, pair)

    def _revoke(self, asked: Asked, request: int, worker: str) -> Answer:
        self._authorization.end_by_client(asked.form["token"])
        return as_json(200, {})

    def _api(self, asked: Asked) -> Answer:
        token = asked.headers.get("authorization", "").removeprefix("Bearer ")
        if self._authorization.check(token) is None:
            self.counts["api rejections"] += 1
            return as_json(401, {}, ("www-authenticate", 'Bearer error="invalid_token"'))
        return as_json(200, {"ok": True})

    # --- what the run asks for -----------------------------------------------------------------------------------

    def _control(self, asked: dict[str, Any]) -> Answer:
        does: dict[str, Callable[..., Any]] = {
            "issue": lambda subjects: [
                self._authorization.issue(CLIENT, subject=each, scope="all") for each in subjects
            ],
            "approve": self._approve,
            "fault": lambda on, kind, seconds: self._faults[on].append(Fault(kind, seconds)),
            "outage": self._overload,
            "heal": self._heal,
            "revoke access tokens": self._authorization.revoke_access_tokens,
            "revoke grant": self._authorization.end_grants_of,
            "counts": lambda: dict(self.counts),
        }
        return as_json(200, does[asked.pop("do")](**asked))

    def _overload(self, seconds: float, status: int) -> None:
        self._outage = time.monotonic() + seconds, status

    def _heal(self) -> None:
        self._outage = (0.0, 503)
        for queue in self._faults.values():
            queue.clear()

    def _approve(self, url: str, subject: str) -> dict[str, str]:
        """The user signs in and approves: the callback URL that the browser would be sent to."""
        query = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
        code = self._authorization.code_for(subject, query["redirect_uri"], query["code_challenge"])
        return {"callback": f"{query['redirect_uri']}?code={code}&state={query['state']}"}


async def _read(reader: asyncio.StreamReader) -> Asked | None:
    head = await reader.readuntil(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")[:-2]
    method, path, _ = first.split(" ")
    pairs = (line.partition(":") for line in lines)
    headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
    return Asked(method, path, headers, await reader.readexactly(int(headers.get("content-length", 0))))


def _cut(answer: Answer, kind: str) -> bytes:
    head, body = answer.to_bytes()
    return head[: len(head) // 2] if kind == "cut headers" else head + body[: len(body) // 2]


def _reset(writer: asyncio.StreamWriter) -> bool:
    connection = writer.get_extra_info("socket")
    if connection is not None:
        # Closing it now sends RST.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
    return False


async def _heartbeat(server: Server) -> None:
    """Notes when this process did not run, because the machine was busy."""
    last = time.monotonic()
    while True:
        await asyncio.sleep(0.2)
        now = time.monotonic()
        if now - last > 1.0:
            server.note("stalled", who="server", since=last, until=now)
        last = now


async def main(settings: dict[str, Any]) -> None:
    server = Server(settings)
    listening = socket.create_server(("127.0.0.1", 0), backlog=2048)
    serving = await asyncio.start_server(server.serve, sock=listening)
    beat = asyncio.create_task(_heartbeat(server))
    print(listening.getsockname()[1], flush=True)  # noqa: T201 - this is how the parent learns the port
    # The parent's end of the pipe is closed when the run is over, however it ends.
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    beat.cancel()
    serving.close()


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1])))
