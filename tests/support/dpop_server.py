"""An authorization server and an API that accept a token only with a proof (RFC 9449), and check each proof by the RFC.

Used by scenarios of DPoP. It verifies with joserfc alone and uses nothing of the client. It is strict: it accepts no
proof twice, and only for the method and the URL of its request. What it refused, and why, is in `refusals`.
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from joserfc import jws
from joserfc.jwk import import_key
from support.sites import Received, Reply, Site

ALGORITHMS = ["ES256", "ES384", "EdDSA", "PS256", "RS256"]
WINDOW = 30.0
"""Seconds by which `iat` may differ from the server's clock."""


class Refused(Exception):
    """A proof or a token that is not accepted: the error code of its challenge, and why."""

    def __init__(self, error: str, why: str) -> None:
        super().__init__(why)
        self.error = error


@dataclass
class DpopServer:
    """A `Site` whose `/token` issues bound tokens, and whose other paths need one.

    `answer` makes the response to a request that was accepted. `nonce` is what a proof for the API must have now; None:
    nothing. Each response of the API brings it. `next_nonce` is called after each accepted request.
    """

    answer: Callable[[Received], Reply] = lambda _: Reply(200, b"done")
    nonce: str | None = None
    next_nonce: Callable[[str | None], str | None] = lambda nonce: nonce
    unchecked: tuple[str, ...] = ()
    """The paths that a proxy in front of the API answers, which does not look at proofs."""
    clock: Callable[[], float] = time.time
    refusals: list[str] = field(default_factory=list[str])
    accepted: list[str] = field(default_factory=list[str])
    """Every proof that the API has accepted."""
    issued: int = 0
    """How many tokens it has issued."""
    _bound: dict[str, str] = field(default_factory=dict[str, str])
    """The thumbprint that each valid access token is bound to."""
    _seen: set[str] = field(default_factory=set[str])
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.site = Site(self._answered)

    def __enter__(self) -> Self:
        self.site.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self.site.__exit__()

    @property
    def origin(self) -> str:
        return self.site.origin

    @property
    def api_requests(self) -> list[Received]:
        return [request for request in self.site.received if request.path != "/token"]

    def revoke_access_tokens(self) -> None:
        self._bound.clear()

    def check_api(self, request: Received) -> None:
        """Accept a request to the API, or raise `Refused`."""
        scheme, _, token = (request.authorization or "").partition(" ")
        if scheme != "DPoP":
            raise Refused("invalid_token", f"the token was sent as {scheme or 'nothing'}")
        thumbprint, claims = self.check_proof(request)
        if self.nonce is not None and claims.get("nonce") != self.nonce:
            raise Refused("use_dpop_nonce", f"the nonce is {claims.get('nonce')}, not {self.nonce}")
        if claims.get("ath") != encoded(hashlib.sha256(token.encode()).digest()):
            raise Refused("invalid_dpop_proof", "the proof is for another token")
        if self._bound.get(token) != thumbprint:
            raise Refused("invalid_token", "the token is not valid, or is bound to another key")

    def check_proof(self, request: Received) -> tuple[str, Mapping[str, Any]]:
        """The thumbprint of the key and the claims of a proof, by RFC 9449 section 4.3, or `Refused`."""
        proof = request.headers.get("dpop")
        if proof is None:
            raise Refused("invalid_dpop_proof", "there is no proof")
        header, claims = verified(proof)
        expected = {"htm": request.method, "htu": f"{self.origin}{request.path}"}
        for name, value in expected.items():
            if claims.get(name) != value:
                raise Refused("invalid_dpop_proof", f"{name} is {claims.get(name)}, not {value}")
        if abs(float(claims["iat"]) - self.clock()) > WINDOW:
            raise Refused("invalid_dpop_proof", "iat is not now")
        with self._lock:
            if claims["jti"] in self._seen:
                raise Refused("invalid_dpop_proof", "the proof was used before")
            self._seen.add(claims["jti"])
        return import_key(header["jwk"]).thumbprint(), claims

    def _answered(self, request: Received) -> Reply:
        try:
            if request.path == "/token":
                return self._issue(self.check_proof(request)[0])
            if request.path not in self.unchecked:
                self.check_api(request)
                self.accepted.append(request.headers["dpop"])
                self.nonce = self.next_nonce(self.nonce)
            reply = self.answer(request)
        except Refused as refused:
            self.refusals.append(str(refused))
            challenge = f'DPoP error="{refused.error}", algs="ES256"'
            reply = Reply(401, b"{}", {"WWW-Authenticate": challenge})
        fresh = {} if self.nonce is None else {"DPoP-Nonce": self.nonce}
        return Reply(reply.status, reply.body, {**fresh, **reply.headers})

    def _issue(self, thumbprint: str) -> Reply:
        with self._lock:
            self.issued += 1
            token = f"at{self.issued}"
            self._bound[token] = thumbprint
        return Reply.json({"access_token": token, "token_type": "DPoP", "expires_in": 3600})


def verified(proof: str) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """The header and the claims of a proof whose signature was made with the key in it, or `Refused`."""
    try:
        header = json.loads(base64.urlsafe_b64decode(proof.partition(".")[0] + "=="))
        registry = jws.JWSRegistry(algorithms=ALGORITHMS)
        registry.max_header_length = 4096
        found = jws.deserialize_compact(proof, import_key(header["jwk"]), registry=registry)
        claims = json.loads(found.payload)
    except Exception as error:
        raise Refused("invalid_dpop_proof", f"the proof is not valid: {type(error).__name__}") from error
    if header.get("typ") != "dpop+jwt" or "d" in header["jwk"]:
        raise Refused("invalid_dpop_proof", "typ or jwk is wrong")
    return header, claims


def encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
