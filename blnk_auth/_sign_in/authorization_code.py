"""Starting and finishing a person's sign-in: authorization code, PKCE S256, state, iss.

What is pending is kept in the store under a hash of its `state`, so that any process may finish what another started.
A callback is believed only if its `state` is one that we made, unused and still valid; everything else about it is
looked at afterwards. RFC 6749 section 4.1, RFC 7636, RFC 9207, RFC 9700 section 2.1.
"""

from __future__ import annotations

import hashlib
import itertools
import secrets
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

from ..errors import ConfigurationError, Conflict, ProtocolError, SignInRequired, StoreError
from ..errors._pickling import pickled_by_name, public
from ..provider import Provider
from ..stores._calls import call_store
from ..stores._token_store import Record, TokenStore

PENDING_LIFETIME = 600.0
"""Seconds in which a person must come back. Authorization codes themselves live 30 seconds to 10 minutes."""

_SWEEP_AT_MOST = 100

Pasted = Iterable[str] | Callable[[], str | None]
"""What a person pastes: texts, or a callable that waits for the next one and returns None after the last."""


@public
@pickled_by_name
@dataclass(frozen=True, slots=True)
class AuthorizationRequest:
    """Where to send the person. `expires_at` (UTC epoch seconds) is when the answer will no longer be accepted.

    `state` ties the answer to this request: a web application should keep it in the person's session and compare.
    """

    url: str = field(repr=False)
    state: str = field(repr=False)
    expires_at: float


@dataclass(frozen=True, slots=True)
class Pending:
    """A sign-in that was started."""

    subject: str
    redirect_uri: str
    expires_at: float
    code_verifier: str | None = field(repr=False)
    target: str | None = None

    def to_data(self) -> dict[str, Any]:
        return {
            "subject": self.subject,
            "redirect_uri": self.redirect_uri,
            "expires_at": self.expires_at,
            "code_verifier": self.code_verifier,
            "target": self.target,
        }


@dataclass(frozen=True, slots=True)
class Callback:
    """What the authorization server said through the person's browser."""

    state: str | None = field(repr=False)
    code: str | None = field(repr=False)
    issuer: str | None
    error: str | None
    error_description: str | None


def new_state() -> str:
    """256 bits that nobody can guess (RFC 6749 section 10.10)."""
    return secrets.token_urlsafe(32)


def new_code_verifier() -> str:
    """RFC 7636 section 4.1: 43 to 128 characters; this has 64."""
    return secrets.token_urlsafe(48)


def parse_callback(callback_url: str) -> Callback:
    """Read the redirect's query. Raises `ProtocolError` if a parameter comes twice (RFC 6749 section 3.1)."""
    if not isinstance(callback_url, str) or "?" not in callback_url:
        raise ConfigurationError(
            "callback_url must be the full URL that the browser was redirected to, with its query",
            parameter="callback_url",
        )
    # Not urlsplit: it fails on hosts that are none, which anybody can send.
    query = callback_url.partition("?")[2].partition("#")[0]
    parameters = parse_qs(query, keep_blank_values=True)

    def one(name: str) -> str | None:
        values = parameters.get(name, [])
        if len(values) > 1:
            raise ProtocolError(
                f"callback_url has the parameter {name!r} more than once", remedy="start the sign-in again"
            )
        return values[0] if values and values[0] else None

    return Callback(one("state"), one("code"), one("iss"), one("error"), one("error_description"))


class PendingSignIns:
    """The started sign-ins of one client, in its store."""

    def __init__(self, store: TokenStore, prefix: str) -> None:
        self._store = store
        self._prefix = prefix

    def key(self, state: str) -> str:
        # Hashed: who can list keys must not be able to finish a sign-in, and looking up a hash leaks no timing.
        return self._prefix + hashlib.sha256(state.encode("utf-8", "surrogatepass")).hexdigest()

    def add(self, state: str, pending: Pending) -> None:
        """Keep a started sign-in. Raises `StoreError`."""
        call_store("written", self._store.save, self.key(state), pending.to_data(), expected=None)

    def claim(self, state: str | None, now: float) -> Pending:
        """Take a started sign-in so that nobody else can; raises `SignInRequired` if there is none to take."""
        record = self._load(state)
        if state is None or record is None:
            raise _restart("the state of callback_url belongs to no sign-in that this client started, or it was used")
        pending = _read(record)
        if pending.expires_at <= now:
            raise _restart("the sign-in was started too long ago")
        try:
            claimed = {"claimed": True, "expires_at": pending.expires_at}
            call_store("written", self._store.save, self.key(state), claimed, expected=record.version)
        except Conflict:
            raise _restart("another request is finishing this sign-in already") from None
        return pending

    def sweep(self, now: float) -> None:
        """Drop what nobody came back for: a random share of it each time, which keeps the cost of a start bounded."""
        share = self._prefix + secrets.choice("0123456789abcdef")
        # Only housekeeping: a store that cannot list its keys, or cannot now, must not stop a sign-in.
        with suppress(StoreError):
            call_store("read", self._sweep, share, now)

    def _sweep(self, share: str, now: float) -> None:
        for key in list(itertools.islice(self._store.keys(share), _SWEEP_AT_MOST)):
            record = self._store.load(key)
            if record is not None and _expires_at(record.data) <= now:
                self._store.delete(key)

    def _load(self, state: str | None) -> Record | None:
        if state is None:
            return None
        record = call_store("read", self._store.load, self.key(state))
        return None if record is None or record.data.get("claimed") else record


def check(callback: Callback, provider: Provider) -> None:
    """Refuse what is no answer to us, before anything is used up. Raises `ProtocolError`.

    A wrong `iss` means that another server answered (the mix-up attack, RFC 9207): its code must not be sent on. Where
    the server always sends it, one that is missing means the same (section 2.4).
    """
    if callback.issuer is None and provider.sends_iss:
        raise ProtocolError(
            "callback_url has no iss, which this provider sends with each answer (sends_iss), so it "
            "may be another server's",
            remedy="start the sign-in again",
        )
    if callback.issuer is not None and provider.issuer is not None and callback.issuer != provider.issuer:
        raise ProtocolError(
            "callback_url: iss names another authorization server than this provider's issuer",
            remedy=("start the sign-in again, and if it is the right server, correct the provider's issuer"),
        )
    if callback.code is None and callback.error is None:
        raise ProtocolError(
            "callback_url has neither code nor error, so it is no authorization response",
            remedy="pass the whole URL that the browser was redirected to",
        )


def code_of(callback: Callback, *, subject: str) -> str:
    """The code of a callback whose state was right. Raises `SignInRequired` if it brings an error instead."""
    if callback.error is None and callback.code is not None:
        return callback.code
    denied = callback.error == "access_denied"
    raise SignInRequired(
        "the person did not give access; ask again if they change their mind"
        if denied
        else f"the authorization server ended the sign-in with {_described(callback)}; check scope and redirect_uri, "
        "and start again",
        reason="denied" if denied else "restart",
        subject=subject,
        error=_printable(callback.error),
        error_description=_printable(callback.error_description),
    )


def _restart(why: str) -> SignInRequired:
    return SignInRequired(why, remedy="begin again with start_authorization()", reason="restart")


def _read(record: Record) -> Pending:
    data = record.data
    try:
        return Pending(
            str(data["subject"]),
            str(data["redirect_uri"]),
            float(data["expires_at"]),
            data.get("code_verifier"),
            data.get("target"),
        )
    except (KeyError, TypeError, ValueError):
        raise _restart("the record of this sign-in cannot be read") from None


def _expires_at(data: Mapping[str, Any]) -> float:
    value = data.get("expires_at")
    return float(value) if isinstance(value, int | float) else 0.0


def _described(callback: Callback) -> str:
    """The error in words, without a semicolon, which in our messages comes before what to do."""
    said = filter(None, (_printable(callback.error), _printable(callback.error_description)))
    return ": ".join(said).replace(";", ",")


def _printable(text: str | None) -> str | None:
    return None if text is None else "".join(c if c.isprintable() else " " for c in text)[:200]
