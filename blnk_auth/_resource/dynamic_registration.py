"""Dynamic registration of a client (RFC 7591): once for all processes that share the store.

Used by `registering.py`, on a worker thread. What this file promises:

* A client is registered under the lock of its record, and is stored before anyone uses it.
* It is registered again only if its secret is about to expire, or if the server has forgotten it; and three times an
  hour at most, also if the server forgets each of them.
* It belongs to the issuer and to what was asked for, so another issuer has another client.
* The secret of a client is in the store only, and in no error and no repr.

The server may have registered a client whose response was lost, or could not be saved. Such a client is never used.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from .._protocol.client_authentication import METHODS, ClientAuthMethod
from .._protocol.client_metadata import DEFAULT_NAME, members_of
from .._protocol.exchange_log import log_exchange
from .._protocol.http_messages import HttpRequest, HttpResponse, NoResponse
from .._protocol.redirect_uris import any_port, application_type_of, ports_of, with_port
from .._protocol.registration import (
    REFUSED_METADATA,
    RegisteredAs,
    build_registration,
    judge_registration,
    names_member,
    wanted_method,
)
from .._protocol.setting_checks import check_endpoint
from .._renewal.store_keys import client_key
from ..errors import ConfigurationError, Conflict, StoreError, TemporarilyUnavailable, is_number, is_text
from ..events import Event
from ..stores._calls import load_record, locked, save_record
from ..stores._due import NEVER_DUE
from .client_identity import ClientIdentity, IdentitySettings

if TYPE_CHECKING:
    from ..stores._token_store import TokenStore, Version
    from .learned import Learned


Send = Callable[[HttpRequest], HttpResponse]
"""Sends one request. Raises `NoResponse` if no response came."""

_SCHEMA = 1

_PORTS = range(20_000, 32_768)
"""Below those that Linux, macOS and Windows give to outgoing connections."""

_MOST_PORTS = 3
"""So many sign-ins can wait on one machine for a server that accepts no other port."""

_MOST_REGISTRATIONS = 3
_PERIOD = 3600.0

_LASTING = ("client_name", "grant_types", "jwks_uri", "scope", "software_id")
"""The members that make a client another one when they change, beside its redirect URIs."""

_THREE_WAYS = (
    "register the client there and pass its client_id, or pass the URL of a client ID metadata document as client_id "
    "if the server supports these, or have dynamic registration allowed there"
)


class Stored(NamedTuple):
    """A stored client, with the version of its record.

    `recent`: when clients were registered for this record lately, in UTC epoch seconds.
    """

    identity: ClientIdentity
    version: Version
    recent: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Registering:
    """Has a client registered at the issuer of a resource. For one operation on one thread; see `identify`."""

    learned: Learned
    wanted: IdentitySettings
    send: Send = field(repr=False)
    store: TokenStore = field(repr=False)
    clock: Callable[[], float]
    monotonic: Callable[[], float]
    events: list[Event]

    def run(self, lock_timeout: float, other_than: ClientIdentity | None) -> ClientIdentity:
        """The stored client if it can be used; else another one, which is then stored. Raises as `identify` does."""
        endpoint = self._endpoint()
        key = client_key(self.learned.issuer, self._name())
        found = self._load(key)
        if found is not None and self._is_usable(found, other_than):
            return found.identity
        with locked(self.store, key, timeout=lock_timeout, note=self._note_unlocked):
            # Read again, because another process may have registered the client before this one got the lock.
            found = self._load(key)
            if found is not None and self._is_usable(found, other_than):
                return found.identity
            return self._register(endpoint, key, found)

    def _note_unlocked(self, failure: StoreError) -> None:
        self.events.append(Event("unlock_failed", client_key(self.learned.issuer, self._name()), str(failure), failure))

    def _is_usable(self, found: Stored, other_than: ClientIdentity | None) -> bool:
        is_refused = other_than is not None and found.identity.client_id == other_than.client_id
        return not is_refused and found.identity.is_usable(self.clock())

    def _endpoint(self) -> str:
        endpoint: Any = self.learned.server["registration_endpoint"]
        if is_text(endpoint):
            check_endpoint(endpoint, "registration_endpoint")
            return endpoint
        why = "registers no clients by itself"
        if self.wanted.client_id is not None:
            why = f"supports no client ID metadata documents, such as {self.wanted.client_id}, and {why}"
        raise ConfigurationError(
            f"{self.learned.issuer} {why}, so this client is unknown there", parameter="client_id", remedy=_THREE_WAYS
        )

    def _name(self) -> dict[str, Any]:
        """What makes it this client, and not another one: what its users would have to sign in for again."""
        named = members_of(self.wanted.metadata)
        lasting = {name: named.get(name) for name in _LASTING}
        return {**lasting, "redirect_uris": self._redirect_uris(), "client_auth": self.wanted.client_auth}

    def _redirect_uris(self) -> list[str]:
        listed = [*self.wanted.metadata.redirect_uris]
        return listed or [each for each in (self.wanted.redirect_uri,) if each is not None]

    # --- the registration -----------------------------------------------------------------------------------------

    def _register(self, endpoint: str, key: str, replaced: Stored | None) -> ClientIdentity:
        recent = () if replaced is None else replaced.recent
        recent = tuple(each for each in recent if 0 <= self.clock() - each < _PERIOD)
        if len(recent) >= _MOST_REGISTRATIONS:
            raise ConfigurationError(
                f"{endpoint} has registered this client {len(recent)} times within an hour, and "
                f"{self.learned.issuer} does not know it any more",
                parameter="client_id",
                remedy="report it to the provider, or register the client there beforehand and pass its client_id",
            )
        registered, members = self._ask(endpoint)
        identity = ClientIdentity(
            registered.client_id,
            registered.client_secret,
            registered.method,
            registered.secret_expires_at,
            self.learned.issuer,
            "dynamic_registration",
            self.clock(),
            ports_of(members.get("redirect_uris", ()), self.wanted.redirect_uri),
        )
        return self._save(key, identity, recent, None if replaced is None else replaced.version)

    def _ask(self, endpoint: str) -> tuple[RegisteredAs, Mapping[str, Any]]:
        """Register, and once more with what may be changed, if the server refuses how the client describes itself."""
        members = self._members()
        try:
            return self._send(endpoint, members), members
        except ConfigurationError as refused:
            if refused.error not in REFUSED_METADATA:
                raise
            first = refused.replace()
        try:
            changed = self._changed(members, first)
            return self._send(endpoint, changed), changed
        except ConfigurationError:
            # The first one is about what is right.
            raise first from None

    def _changed(self, members: Mapping[str, Any], refused: ConfigurationError) -> dict[str, Any]:
        """The request for the second attempt: servers disagree about what a loopback redirect URI is of."""
        if self.wanted.metadata.scope is None and names_member(refused, "scope"):
            # It was not the user who asked for it. The server decides what the client may ask for.
            return {name: value for name, value in members.items() if name != "scope"}
        other = {"native": "web", "web": "native"}
        return {**members, "application_type": other[members["application_type"]]}

    def _members(self) -> dict[str, Any]:
        """What is sent: RFC 7591 section 2, and `application_type` of OpenID Connect."""
        metadata, redirect_uris = self.wanted.metadata, self._redirect_uris()
        members: dict[str, Any] = {"client_name": DEFAULT_NAME, **members_of(metadata)}
        if "authorization_code" in metadata.grant_types:
            members["redirect_uris"] = [*redirect_uris, *self._with_ports()]
        scope = metadata.scope or self._scope()
        if scope:
            members["scope"] = scope
        supported: Any = self.learned.server["token_endpoint_auth_methods_supported"]
        method = self.wanted.client_auth or wanted_method(
            # RFC 8414 section 2: the default of a server that does not list its methods.
            supported or ("client_secret_basic",),
            has_key=self.wanted.has_key and metadata.jwks_uri is not None,
            has_certificate=self.wanted.has_certificate,
            needs_secret="client_credentials" in metadata.grant_types,
        )
        return {
            **members,
            "token_endpoint_auth_method": method,
            "application_type": application_type_of(redirect_uris),
        }

    def _with_ports(self) -> list[str]:
        """The loopback redirect URI with fixed ports, for servers that do not allow any port (see RFC 8252 7.3)."""
        redirect_uri = self.wanted.redirect_uri
        if redirect_uri is None or self.wanted.metadata.redirect_uris or not any_port(redirect_uri):
            return []
        return [with_port(redirect_uri, port) for port in random.sample(_PORTS, _MOST_PORTS)]

    def _scope(self) -> str:
        """What the client may ask for later: also more than now, if the resource asks for more (step-up)."""
        wanted = (self.learned.wanted_scope(self.wanted.scope) or "").split()
        return " ".join(dict.fromkeys((*wanted, *self.learned.scopes_supported)))

    def _send(self, endpoint: str, members: Mapping[str, Any]) -> RegisteredAs:
        request = build_registration(endpoint, members)
        try:
            response = log_exchange(self.send, request, secrets=(), monotonic=self.monotonic)
        except NoResponse as failure:
            raise TemporarilyUnavailable(
                f"the registration endpoint {endpoint} gave no answer ({failure.problem})",
                remedy="try again later",
                outcome_unknown=failure.sent,
            ) from None
        is_by_code = "redirect_uris" in members
        redirect_uri = self.wanted.redirect_uri if is_by_code else None
        return judge_registration(
            response, endpoint=endpoint, asked=members, redirect_uri=redirect_uri, now=self.clock()
        )

    # --- the record -----------------------------------------------------------------------------------------------

    def _load(self, key: str) -> Stored | None:
        record = load_record(self.store, key)
        if record is None:
            return None
        identity = _identity_of(record.data, self.learned.issuer)
        if identity is None:
            raise StoreError(
                f"the record {key!r} of a registered client cannot be read",
                key=key,
                parameter="record",
                remedy="restore it from a backup, or delete it from the store: the client is then registered again",
            )
        recent = record.data.get("recent")
        listed = cast("Sequence[Any]", recent) if isinstance(recent, list) else ()
        return Stored(identity, record.version, tuple(each for each in listed if is_number(each)))

    def _save(
        self, key: str, identity: ClientIdentity, recent: tuple[float, ...], expected: Version | None
    ) -> ClientIdentity:
        data = {
            "schema": _SCHEMA,
            "issuer": identity.issuer,
            "client_id": identity.client_id,
            "client_secret": identity.client_secret,
            "client_auth": identity.client_auth,
            "expires_at": identity.expires_at,
            "registered_at": identity.registered_at,
            "ports": list(identity.ports),
            "recent": [*recent, identity.registered_at],
            **NEVER_DUE,
        }
        try:
            save_record(self.store, key, data, expected=expected)
        except Conflict:
            # The lock was lost meanwhile, and another process has registered the client.
            found = self._load(key)
            if found is None:
                raise
            return found.identity
        self.events.append(Event("client_registered", key, f"{identity.client_id} at {identity.issuer}"))
        return identity


def _identity_of(data: Mapping[str, Any], issuer: str) -> ClientIdentity | None:
    """The client in a record; None if it cannot be read."""
    client_id, secret, method = (data.get(name) for name in ("client_id", "client_secret", "client_auth"))
    expires_at, registered_at = data.get("expires_at"), data.get("registered_at")
    if data.get("schema") != _SCHEMA or not is_text(client_id) or method not in METHODS:
        return None
    if not (secret is None or is_text(secret)) or not (expires_at is None or is_number(expires_at)):
        return None
    if not is_number(registered_at):
        return None
    listed = data.get("ports")
    ports = cast("Sequence[Any]", listed) if isinstance(listed, list) else ()
    usable = tuple(port for port in ports if type(port) is int and 0 < port < 65_536)
    found: ClientAuthMethod = method
    return ClientIdentity(client_id, secret, found, expires_at, issuer, "dynamic_registration", registered_at, usable)
