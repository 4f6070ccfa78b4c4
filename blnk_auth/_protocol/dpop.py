"""Proofs of possession, RFC 9449 (DPoP): what a key signs for each request, and what servers want of the next proof.

Used by the token endpoint, the sign-ins, and each request to the API. What this file promises:

* Each proof has a fresh `jti`, and is for one method and one URL.
* A proof contains the public part of the key, and nothing else of it.
* What is remembered of servers is bounded, regardless of what they send.

It never opens a socket and never reads a clock: every function takes `now`, in UTC epoch seconds.
"""

from __future__ import annotations

import functools
import hashlib
import re
import secrets
from collections.abc import Mapping
from typing import NamedTuple

from .challenges import refusal_of_proof
from .dpop_key import DpopKey
from .http_values import read_http_date
from .signing import as_json, base64url, signed

DPOP = "DPoP"
"""The header of a proof, the token type, and the scheme of a bound token (RFC 9449 sections 4.1, 5 and 7.1)."""

USE_NONCE = "use_dpop_nonce"
_INVALID_PROOF = "invalid_dpop_proof"

# RFC 9449 section 8.1: nonce = 1*NQCHAR.
_NONCE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,2048}")

_MOST_ORIGINS = 256
"""Of how many origins nonces are remembered. One that was dropped costs one more request."""

_TOLERATED = 2.0
"""Seconds by which `Date` may differ from our clock: it has whole seconds, and took some time to arrive."""

_ESCAPE = re.compile(r"%[0-9A-Fa-f]{2}")
_UNRESERVED = re.compile(r"[A-Za-z0-9\-._~]")
_AS_HTTP = {"ws": "http", "wss": "https"}
_PORTS = {"http": ":80", "https": ":443"}


def proof(
    key: DpopKey, *, method: str, url: str, nonce: str | None, now: float, access_token: str | None = None
) -> str:
    """A new proof for one request (RFC 9449 section 4.2).

    Args:
        key: What signs it.
        method: The method of the request, as it is sent.
        url: Where the request is sent; see `target_uri`.
        nonce: The newest nonce of that server; None if it has sent none.
        now: The time of issue, by the server's clock where that is known.
        access_token: The token that is sent with it, to the API; None at the authorization server.
    """
    return _proof(key, method, target_uri(url), nonce, now, access_token=access_token)


def _proof(key: DpopKey, method: str, uri: str, nonce: str | None, now: float, *, access_token: str | None) -> str:
    # Written out, since an encoder for the whole costs as much as a tenth of the signature, for each request.
    claims = f'{{"jti":"{secrets.token_urlsafe(18)}","htm":{as_json(method)},"htu":{as_json(uri)},"iat":{int(now)}'
    if access_token is not None:
        claims += f',"ath":"{base64url(hashlib.sha256(access_token.encode()).digest()).decode("ascii")}"'
    if nonce is not None:
        claims += f',"nonce":{as_json(nonce)}'
    return signed(key.header, base64url((claims + "}").encode()), key.sign)


def target_uri(url: str) -> str:
    """`htu`: a URL without query and fragment, normalized by RFC 3986 sections 6.2.2 and 6.2.3.

    So it is what the server compares with, however the application has written the URL.
    """
    scheme, _, rest = url.partition("#")[0].partition("?")[0].partition("://")
    authority, slash, path = rest.partition("/")
    scheme, authority = scheme.lower(), authority.rpartition("@")[2].lower()
    # A WebSocket begins as a request to the same host and port (RFC 6455 section 4.1).
    scheme = _AS_HTTP.get(scheme, scheme)
    authority = authority.removesuffix(_PORTS.get(scheme, ":")).removesuffix(":")
    path = slash + path or "/"
    if "%" in path:
        path = _ESCAPE.sub(_normalized_escape, path)
    if "/." in path:
        path = _without_dots(path)
    return f"{scheme}://{authority}{path}"


def _normalized_escape(escape: re.Match[str]) -> str:
    character = chr(int(escape[0][1:], 16))
    return character if _UNRESERVED.fullmatch(character) else escape[0].upper()


def _without_dots(path: str) -> str:
    """RFC 3986 section 5.2.4."""
    kept: list[str] = []
    segments = path.split("/")[1:]
    for segment in segments:
        if segment == "..":
            del kept[-1:]
        elif segment != ".":
            kept.append(segment)
    return "/" + "/".join((*kept, "") if segments[-1] in (".", "..") and kept else kept)


def asks_for_nonce(status: int, headers: Mapping[str, str]) -> bool:
    """Whether an API wants the request again, with the nonce that it sends (RFC 9449 section 9)."""
    return refusal_of_proof(status, headers) == USE_NONCE


class _Known(NamedTuple):
    """What is known of one origin.

    Attributes:
        nonce: Its newest nonce; None if it has sent none.
        offset: Seconds by which its clock is ahead.
        date: The `Date` that this is from, so that the same one is not read again.
    """

    nonce: str | None = None
    offset: float = 0.0
    date: str = ""


_NOTHING = _Known()


class ServerNonces:
    """The newest nonce and the clock of each origin. One for each client. May be used from any thread or task.

    It has no lock: if two threads write at the same time, one observation is lost, which costs one more request.
    """

    def __init__(self) -> None:
        self._known: dict[str, _Known] = {}

    def observe(self, url: str, headers: Mapping[str, str], now: float, *, refusal: str | None = None) -> bool:
        """Take the nonce and the clock from a response, of any status (RFC 9449 section 8.2).

        Args:
            url: Where the request was sent.
            headers: With names in lower case, or a mapping that ignores case.
            now: When the response arrived.
            refusal: The code with which the server refused the proof; None if it did not.

        Returns:
            Whether the server may accept another proof: it wants a nonce and has sent one, or it does not accept the
            proof, and its clock differs from what was known of it.
        """
        origin = _origin_of(url)
        before = self._known.get(origin, _NOTHING)
        nonce, date = headers.get("dpop-nonce"), headers.get("date") or ""
        if refusal is None and nonce == before.nonce and date == before.date:
            return False
        has_nonce = nonce is not None and _NONCE.fullmatch(nonce) is not None
        offset = before.offset if date == before.date else _offset(date, headers, now, before.offset)
        after = _Known(nonce if has_nonce else before.nonce, offset, date)
        if after != before:
            self._remember(origin, after)
        if refusal == USE_NONCE:
            return has_nonce
        return refusal == _INVALID_PROOF and abs(after.offset - before.offset) > _TOLERATED

    def nonce(self, url: str) -> str | None:
        """The newest nonce of the server at `url`; None if it has sent none."""
        return self._known.get(_origin_of(url), _NOTHING).nonce

    def now(self, url: str, now: float) -> float:
        """The time by the clock of the server at `url`, as far as that is known."""
        return now + self._known.get(_origin_of(url), _NOTHING).offset

    def proof(self, key: DpopKey, *, method: str, url: str, now: float, access_token: str | None = None) -> str:
        """A new proof with the newest nonce and the server's time. The arguments are those of `proof`."""
        uri = target_uri(url)
        known = self._known.get(_origin_of_uri(uri), _NOTHING)
        return _proof(key, method, uri, known.nonce, now + known.offset, access_token=access_token)

    def _remember(self, origin: str, known: _Known) -> None:
        if len(self._known) >= _MOST_ORIGINS and origin not in self._known:
            self._known = dict(list(self._known.items())[_MOST_ORIGINS // 2 :])
        self._known[origin] = known


def _offset(date: str, headers: Mapping[str, str], now: float, before: float) -> float:
    """How far the server's clock is ahead, by its `Date`. If that cannot be read, it is `before`, what was known."""
    # RFC 9111 section 5.1: with `Age`, the response comes from a cache, and `Date` is older than the response.
    server = None if not date or headers.get("age") is not None else read_http_date(date)
    if server is None:
        return before
    return server - now if abs(server - now) > _TOLERATED else 0.0


def _origin_of(url: str) -> str:
    scheme, _, rest = url.partition("://")
    return _normalized_origin(f"{scheme}://{rest.partition('/')[0]}")


@functools.lru_cache(maxsize=_MOST_ORIGINS)
def _normalized_origin(url: str) -> str:
    return _origin_of_uri(target_uri(url))


def _origin_of_uri(uri: str) -> str:
    return uri[: uri.index("/", uri.index("://") + 3)]
