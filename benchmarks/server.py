"""An authorization server that rotates refresh tokens, and an API behind it, in a process of their own.

If a refresh token comes a second time, it revokes the grant (RFC 9700 section 4.14.2), as banks do. It counts what
happens, and can be slow or faulty on demand. A second port plays another origin: it notes every secret that reaches it. It speaks just enough HTTP/1.1 for the clients measured here, so that its own cost stays small.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import multiprocessing
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

BACKLOG = 1024


@dataclass
class State:
    """One grant: what is valid, what was spent, and what was asked of the server."""

    latency: float = 0.0
    lifetime: float = 3600.0
    expires_in: Any = None
    fault: str | None = None
    access: dict[str, float] = field(default_factory=dict)
    refresh: str = ""
    spent: set[str] = field(default_factory=set)
    revoked: bool = False
    counts: dict[str, int] = field(default_factory=lambda: {"token": 0, "reuse": 0, "sign_in": 0})
    leaked: list[str] = field(default_factory=list)
    bodies: list[int] = field(default_factory=list)
    serial: Iterator[int] = field(default_factory=itertools.count)

    def issue(self) -> dict[str, Any]:
        """A new pair; the refresh token before it is spent from now on."""
        number = next(self.serial)
        access, refresh = f"access-{number}-" + "a" * 32, f"refresh-{number}-" + "r" * 32
        self.spent.add(self.refresh)
        self.refresh = refresh
        self.access[access] = time.time() + self.lifetime
        expires_in = int(self.lifetime) if self.expires_in is None else self.expires_in
        return {"access_token": access, "refresh_token": refresh, "token_type": "Bearer", "expires_in": expires_in}

    def accepts(self, access: str) -> bool:
        """Whether the API lets this token in."""
        return not self.revoked and self.access.get(access, 0.0) > time.time()


class Server:
    """The three services over one state."""

    def __init__(self) -> None:
        self.state = State()
        self.other_port = 0

    async def serve(self, pipe: Any) -> None:
        own = await asyncio.start_server(self._connected, "127.0.0.1", 0, backlog=BACKLOG)
        other = await asyncio.start_server(self._strange, "127.0.0.1", 0, backlog=BACKLOG)
        self.other_port = other.sockets[0].getsockname()[1]
        pipe.send((own.sockets[0].getsockname()[1], self.other_port))
        await asyncio.Event().wait()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _exchange(reader, writer, self._answer)

    async def _strange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _exchange(reader, writer, self._take)

    async def _take(self, method: str, path: str, headers: dict[str, str], body: bytes) -> _Reply:
        if "access-" in str(headers):
            self.state.leaked.append("access token")
        if b"refresh-" in body or "refresh-" in path:
            self.state.leaked.append("refresh token")
        return 200, {}, self.state.issue() if method == "POST" else {}

    async def _answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> _Reply:
        where = urlsplit(path)
        if where.path == "/control":
            return 200, {}, self._control(json.loads(body))
        if where.path == "/token":
            return await self._token(headers, body)
        if where.path.startswith("/api"):
            return await self._api(where.path, parse_qs(where.query), headers, body)
        return 404, {}, {}

    def _control(self, order: dict[str, Any]) -> Any:
        state = self.state
        if order.pop("reset", False):
            state = self.state = State()
        if order.pop("issue", False):
            return state.issue()
        if order.pop("expire", False):
            state.access.clear()
        judged = order.pop("judge", None)
        for name, value in order.items():
            setattr(state, name, value)
        if judged is not None:
            return [state.accepts(token) for token in judged]
        return {**state.counts, "revoked": state.revoked, "leaked": state.leaked, "bodies": state.bodies}

    async def _token(self, headers: dict[str, str], body: bytes) -> _Reply:
        state = self.state
        state.counts["token"] += 1
        if state.latency:
            await asyncio.sleep(state.latency)
        if state.fault == "503":
            return 503, {}, {"error": "temporarily_unavailable"}
        if state.fault == "redirect":
            return 307, {"Location": f"http://127.0.0.1:{self.other_port}/token"}, {}
        is_json = "json" in headers.get("content-type", "")
        form = json.loads(body) if is_json else {k: v[0] for k, v in parse_qs(body.decode()).items()}
        if form.get("grant_type", form.get("grantType")) != "refresh_token":
            state.counts["sign_in"] += 1
            state.revoked = False
            return 200, {}, state.issue()
        presented = form.get("refresh_token", form.get("refreshToken"))
        if presented in state.spent:
            state.counts["reuse"] += 1
            state.revoked = True
        if state.revoked or presented != state.refresh:
            return 400, {}, {"error": "invalid_grant"}
        answer = state.issue()
        return 200, {}, {_camel(name): value for name, value in answer.items()} if is_json else answer

    async def _api(self, path: str, query: dict[str, list[str]], headers: dict[str, str], body: bytes) -> _Reply:
        self.state.bodies.append(len(body))
        if "delay" in query:
            await asyncio.sleep(float(query["delay"][0]))
        if path == "/api/away":
            return 302, {"Location": f"http://127.0.0.1:{self.other_port}/catch"}, {}
        if self.state.accepts(headers.get("authorization", "").removeprefix("Bearer ")):
            return 200, {}, {"received": len(body)}
        return 401, {"WWW-Authenticate": 'Bearer error="invalid_token"'}, {}


_Reply = tuple[int, dict[str, str], Any]


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.title() for word in rest)


async def _exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answer: Any) -> None:
    with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
        while head := await _head(reader):
            method, path, headers = head
            body = await _body(reader, headers)
            status, more, content = await answer(method, path, headers, body)
            _write(writer, status, more, content)
            await writer.drain()
    writer.close()


async def _head(reader: asyncio.StreamReader) -> tuple[str, str, dict[str, str]] | None:
    try:
        lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    except asyncio.IncompleteReadError:
        return None
    method, path, _ = lines[0].split(" ")
    pairs = (line.split(":", 1) for line in lines[1:] if line)
    return method, path, {name.lower(): value.strip() for name, value in pairs}


async def _body(reader: asyncio.StreamReader, headers: dict[str, str]) -> bytes:
    if headers.get("transfer-encoding") != "chunked":
        return await reader.readexactly(int(headers.get("content-length", 0)))
    body = b""
    while size := int(await reader.readline(), 16):
        body += await reader.readexactly(size)
        await reader.readline()
    await reader.readline()
    return body


def _write(writer: asyncio.StreamWriter, status: int, more: dict[str, str], content: Any) -> None:
    body = json.dumps(content).encode()
    headers = {"Content-Type": "application/json", "Content-Length": str(len(body)), **more}
    lines = [f"HTTP/1.1 {status} X", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
    writer.write("\r\n".join(lines).encode() + body)


def _run(pipe: Any) -> None:
    asyncio.run(Server().serve(pipe))


class Remote:
    """The handle on the server's process."""

    def __init__(self, port: int, other_port: int) -> None:
        self.origin = f"http://127.0.0.1:{port}"
        self.other_origin = f"http://127.0.0.1:{other_port}"
        self.token_endpoint = f"{self.origin}/token"

    def control(self, **order: Any) -> Any:
        """Change the server's state, or ask what happened; see `Server._control`."""
        request = urllib.request.Request(f"{self.origin}/control", json.dumps(order).encode(), method="POST")
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)

    def begin(self, **settings: Any) -> dict[str, Any]:
        """Forget everything, take the settings, and issue a first pair."""
        self.control(reset=True, **settings)
        pair: dict[str, Any] = self.control(issue=True)
        return pair


@contextlib.contextmanager
def running() -> Iterator[Remote]:
    """The server, for as long as the block lasts."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_run, args=(theirs,), daemon=True)
    process.start()
    try:
        yield Remote(*ours.recv())
    finally:
        process.kill()
        process.join()
