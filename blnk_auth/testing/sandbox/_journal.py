"""What arrived at the sandbox, and the result: the record and the figures that a test asserts on.

Used by every endpoint, which writes, and by tests, which read. It promises bounded memory: 10,000 requests, 64 KiB of
each body, 200 entries for the live page. It never counts a request to the sandbox's own controls.
"""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, cast
from urllib.parse import parse_qsl

from ...errors._pickling import public

Kind = Literal["token", "par", "registration", "metadata", "revocation", "api", "page", "control"]
"""What a request was for. Requests to the sandbox's own controls are neither recorded nor counted."""

MAX_RECORDED_REQUESTS = 10_000
MAX_RECORDED_BODY = 64 * 1024
MAX_ENTRIES = 200
_LONGEST_PATH = 200


@public
@dataclass(frozen=True, slots=True)
class Counts:
    """A snapshot of the sandbox's figures since the start or the last `clear_record()`. Immutable.

    Attributes:
        token_requests: Requests that arrived at the token endpoint, with any result.
        code_exchanges: Authorization codes exchanged for tokens.
        refreshes: Refresh tokens exchanged for a new pair, also if a fault then withheld the response.
        device_exchanges: Device codes exchanged for tokens.
        client_credentials: Tokens issued to a client for itself; always 0 at Blnk Cloud and bLink, which have no such
            grant.
        exchanges: Tokens issued for another token or for an assertion (RFC 8693, RFC 7523).
        reuses: How often a spent refresh token was presented. Each time a family was revoked; a correct client causes
            none.
        refused: Token requests to which the response was an error status.
        revocations: Tokens or connections that a client revoked; always 0 at Blnk Cloud, which has no endpoint for it.
        api_requests: Requests that arrived at the API, with any result.
        api_rejected: API requests to which the response was a 401.
        registrations: Clients that registered themselves (RFC 7591).
        pushed_requests: Authorization requests that were pushed and accepted (RFC 9126).
        proofs: DPoP proofs that were accepted, at any endpoint (RFC 9449).
        refused_proofs: DPoP proofs that were wrong, used before or missing. Those without the current nonce are not
            among them.
        proof_reuses: How often a `jti` came again. A correct client causes none.
        nonce_challenges: Responses `use_dpop_nonce`, because a proof did not have the current nonce.
        bearer_downgrades: How often a token that is bound to a key was sent as Bearer. A correct client causes none.
        step_ups: Responses of the API that ask for another scope (RFC 6750) or a better sign-in (RFC 9470).
        request_uri_reuses: How often a `request_uri` was presented after a user had decided. A correct client causes
            none.
    """

    token_requests: int = 0
    code_exchanges: int = 0
    refreshes: int = 0
    device_exchanges: int = 0
    client_credentials: int = 0
    reuses: int = 0
    refused: int = 0
    revocations: int = 0
    api_requests: int = 0
    api_rejected: int = 0
    registrations: int = 0
    pushed_requests: int = 0
    request_uri_reuses: int = 0
    proofs: int = 0
    refused_proofs: int = 0
    proof_reuses: int = 0
    nonce_challenges: int = 0
    bearer_downgrades: int = 0
    step_ups: int = 0
    exchanges: int = 0


@public
@dataclass(frozen=True, slots=True, repr=False)
class RecordedRequest:
    """One request as it arrived. Immutable. Its repr shows no secret; the fields contain them in clear.

    Attributes:
        method: The HTTP method.
        path: The path, percent-decoded.
        query: The query as sent, without the question mark.
        headers: The headers, with names in lower case.
        body_length: The length of the whole body, in bytes.
        body: The first 64 KiB of the body.
        body_sha256: The hexadecimal hash of the whole body.
        certificate: The common name of the client certificate of the connection; None if there was none.
        certificate_thumbprint: The `x5t#S256` of that certificate (RFC 8705 section 3.1).
        url: The URL as sent, without its query.
    """

    method: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    body_length: int = 0
    body: bytes = b""
    body_sha256: str = ""
    certificate: str | None = None
    certificate_thumbprint: str | None = None
    url: str = ""

    def __repr__(self) -> str:
        return f"<RecordedRequest {self.method} {self.path} body_length={self.body_length}>"

    @property
    def form(self) -> dict[str, str]:
        """The members of a form body; the last one if a name is repeated."""
        return dict(parse_qsl(self.body.decode("utf-8", "replace"), keep_blank_values=True))

    @property
    def json(self) -> dict[str, Any]:
        """The members of a JSON body; empty if it is not a JSON object."""
        try:
            members = json.loads(self.body)
        except ValueError:
            return {}
        return cast("dict[str, Any]", members) if isinstance(members, dict) else {}


@dataclass(frozen=True, slots=True)
class Entry:
    """A request and its response as the live page shows them, without query, header or body. Immutable.

    `at` is UTC epoch seconds by the clock of the machine. `status` None: there was no response. `note` has what a token
    request asked for and how it was refused, and the fault that was applied.
    """

    number: int
    at: float
    kind: Kind
    method: str
    path: str
    status: int | None
    note: str


class Journal:
    """The record and the figures. Thread-safe: the server writes, tests read and wait."""

    def __init__(self) -> None:
        self._entries: deque[Entry] = deque(maxlen=MAX_ENTRIES)
        self._entry_numbers = itertools.count(1)
        self._changed = threading.Condition()
        self._figures: Counter[str] = Counter()
        self._requests: deque[RecordedRequest] = deque(maxlen=MAX_RECORDED_REQUESTS)

    @property
    def counts(self) -> Counts:
        """A snapshot of the figures."""
        with self._changed:
            return Counts(**self._figures)

    @property
    def requests(self) -> tuple[RecordedRequest, ...]:
        """The recorded requests, oldest first."""
        with self._changed:
            return tuple(self._requests)

    def clear(self) -> None:
        """Set all figures to 0, and delete the recorded requests."""
        with self._changed:
            self._figures.clear()
            self._requests.clear()

    def arrived(self, kind: Kind, request: RecordedRequest) -> None:
        """Record a request, and count it."""
        with self._changed:
            self._requests.append(request)
            if kind in ("token", "api"):
                self._figures[f"{kind}_requests"] += 1
                self._changed.notify_all()

    def answered(self, kind: Kind, status: int) -> None:
        """Count a response that refused or rejected."""
        if kind == "token" and status >= 400:
            self.count("refused")
        elif kind == "api" and status == 401:
            self.count("api_rejected")

    def enter(self, kind: Kind, request: RecordedRequest, status: int | None, note: str) -> None:
        """Add an entry for the live page."""
        with self._changed:
            path = request.path[:_LONGEST_PATH]
            number = next(self._entry_numbers)
            self._entries.append(Entry(number, time.time(), kind, request.method, path, status, note))

    def entries_after(self, number: int) -> list[Entry]:
        """The entries with a higher number, oldest first: at most the latest 200."""
        with self._changed:
            # From the end, because there is rarely more than one new entry.
            newer = list(itertools.takewhile(lambda entry: entry.number > number, reversed(self._entries)))
        return newer[::-1]

    def count(self, figure: str) -> None:
        """Add one to the figure of that name in `Counts`."""
        with self._changed:
            self._figures[figure] += 1

    def wait_until(self, reached: Callable[[Counts], bool], timeout: float) -> bool:
        """Wait until `reached(counts)` is true; False after `timeout` seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: reached(Counts(**self._figures)), timeout)
