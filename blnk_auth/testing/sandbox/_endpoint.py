"""One HTTP endpoint: reads a request, records it, computes the response, and applies the next fault.

Used for every endpoint of every personality. It promises that an endpoint is a plain function from `RecordedRequest` to
`Answer`; a personality is a list of those. Only this file waits or uses the connection: such a function never does.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from email.utils import formatdate
from types import MappingProxyType

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ._answer import Answer
from ._faults import Fault, FaultQueue
from ._http_server import ClientCertificate
from ._journal import MAX_RECORDED_BODY, Journal, Kind, RecordedRequest
from ._same_origin import refuse_foreign

_LONGEST_NOTE = 60


@dataclass(frozen=True, slots=True)
class EndpointSpec:
    """One endpoint of a personality: its path, its kind, and how it responds.

    `path` is a Starlette route path, for every method. `answer` runs on the event loop and must not block.
    """

    path: str
    kind: Kind
    answer: Callable[[RecordedRequest], Answer]


class Endpoint:
    """An `EndpointSpec` as an ASGI application.

    `latency` returns how many seconds each response is delayed; `cut` closes the connection of a client's address, and
    `certificate_of` returns the certificate that the client has shown.
    `clock`, in seconds, is what the header `Date` is made of; None: there is none.
    """

    def __init__(
        self,
        spec: EndpointSpec,
        *,
        journal: Journal,
        faults: FaultQueue,
        latency: Callable[[], float],
        cut: Callable[[tuple[str, int]], None],
        certificate_of: Callable[[tuple[str, int]], ClientCertificate | None],
        clock: Callable[[], float] | None = None,
    ) -> None:
        self._spec = spec
        self._journal = journal
        self._faults = faults
        self._latency = latency
        self._cut = cut
        self._certificate_of = certificate_of
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            request = await read_request(Request(scope, receive), self._certificate_of(scope["client"]))
        except ClientDisconnect:
            return
        if self._spec.kind == "control":
            answer = refuse_foreign(request, scope["scheme"]) or self._spec.answer(request)
            await send_answer(answer, scope, receive, send)
            return
        self._journal.arrived(self._spec.kind, request)
        name, fault = self._faults.take()
        genuine = self._spec.answer(request) if fault.performs_grant else None
        await asyncio.sleep(self._latency() + fault.delay)
        if fault.disconnect or fault.hang:
            self._journal.enter(self._spec.kind, request, None, self._note(request, None, name))
            if fault.disconnect:
                self._cut(scope["client"])
            await until_disconnected(receive)
            return
        answer = _apply_fault(fault, genuine)
        self._journal.answered(self._spec.kind, answer.status)
        self._journal.enter(self._spec.kind, request, answer.status, self._note(request, answer, name))
        await self._deliver(answer, fault, scope, receive, send)

    def _note(self, request: RecordedRequest, answer: Answer | None, fault: str) -> str:
        """What the live page shows beside a request: what was asked for, how it was refused, and the fault."""
        notes = [f"fault {fault}"] if fault else []
        if self._spec.kind == "token":
            asked = (request.form or request.json).get("grant_type", "")
            notes.insert(0, str(asked)[:_LONGEST_NOTE])
            if answer is not None and answer.status >= 400:
                notes.append(_error_code(answer))
        return ", ".join(filter(None, notes))

    async def _deliver(self, answer: Answer, fault: Fault, scope: Scope, receive: Receive, send: Send) -> None:
        if self._clock is not None:
            answer = replace(answer, headers={"date": formatdate(self._clock(), usegmt=True), **answer.headers})
        if fault.drip is None:
            await send_answer(answer, scope, receive, send)
        else:
            await _send_dripping(answer, fault.drip, receive, send)


def _error_code(answer: Answer) -> str:
    try:
        members = json.loads(answer.body)
        return str(members.get("error") or members.get("title") or "")[:_LONGEST_NOTE]
    except (ValueError, AttributeError):
        return ""


def _apply_fault(fault: Fault, genuine: Answer | None) -> Answer:
    if fault.status is not None or fault.body:
        return Answer(fault.status or 200, fault.body, fault.headers)
    if genuine is None:
        return Answer(200, b"", fault.headers)
    if fault.rewrite is not None and genuine.status < 400:
        rewritten = fault.rewrite(json.loads(genuine.body))
        body = rewritten if isinstance(rewritten, bytes) else json.dumps(rewritten).encode()
        genuine = replace(genuine, body=body)
    return replace(genuine, headers={**genuine.headers, **fault.headers})


async def read_request(request: Request, certificate: ClientCertificate | None) -> RecordedRequest:
    """Read the whole body, but keep only its beginning: an upload may be larger than memory."""
    digest, length, recorded = hashlib.sha256(), 0, bytearray()
    async for chunk in request.stream():
        digest.update(chunk)
        length += len(chunk)
        recorded += chunk[: MAX_RECORDED_BODY - len(recorded)]
    headers: dict[str, str] = {}
    for name, value in request.headers.items():
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return RecordedRequest(
        method=request.method,
        path=request.scope["path"],
        query=request.scope["query_string"].decode("latin-1"),
        headers=MappingProxyType(headers),
        body_length=length,
        body=bytes(recorded),
        body_sha256=digest.hexdigest(),
        certificate=None if certificate is None else certificate.common_name,
        certificate_thumbprint=None if certificate is None else certificate.thumbprint,
        url=f"{request.scope['scheme']}://{headers.get('host', '')}{request.scope['raw_path'].decode('latin-1')}",
    )


async def send_answer(answer: Answer, scope: Scope, receive: Receive, send: Send) -> None:
    """Send a whole response."""
    await Response(answer.body, answer.status, answer.headers)(scope, receive, send)


async def _send_dripping(answer: Answer, seconds: float, receive: Receive, send: Send) -> None:
    headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in answer.headers.items()]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    disconnected = asyncio.ensure_future(until_disconnected(receive))
    position = 0
    while not disconnected.done():
        byte = answer.body[position : position + 1] or b" "
        position += 1
        await send({"type": "http.response.body", "body": byte, "more_body": True})
        await asyncio.wait({disconnected}, timeout=seconds)


async def until_disconnected(receive: Receive) -> None:
    """Wait until the client has closed the connection."""
    while (await receive())["type"] != "http.disconnect":
        pass
