"""Who the client is at an issuer: registered beforehand, by a client ID metadata document, or registered now.

Used by `registered_client.py`, on a worker thread. The order is that of the MCP specification (section "Client
Registration"). What this file promises:

* A client that was registered beforehand is used at the issuer that it was first used at for a resource, and at no
  other. It is never registered again.
* A client ID metadata document is used where the server supports these, and at any issuer: it is not stored.
* If there is no way left, the error describes what to do for each of the three.

It never fetches a client ID metadata document: the server does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._protocol.redirect_uris import ports_of
from .._renewal.store_keys import issuer_key
from ..errors import ConfigurationError, Conflict, StoreError, clears_locals, is_text, quoted
from ..stores._calls import load_record, save_record
from ..stores._due import NEVER_DUE
from .client_identity import ClientIdentity, How
from .dynamic_registration import Registering

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..events import Event
    from ..stores._token_store import TokenStore
    from .client_identity import IdentitySettings
    from .dynamic_registration import Send
    from .learned import Learned

_SCHEMA = 1


@clears_locals
def identify(
    learned: Learned,
    wanted: IdentitySettings,
    *,
    send: Send,
    store: TokenStore,
    clock: Callable[[], float],
    monotonic: Callable[[], float],
    lock_timeout: float,
    events: list[Event],
    other_than: ClientIdentity | None = None,
) -> ClientIdentity:
    """The client at the issuer of a resource. Blocks, on the store and perhaps on the server.

    Args:
        learned: What the resource describes.
        wanted: What the user has passed.
        send: Sends a request to the registration endpoint, within its deadline, and follows no redirect.
        store: Where a registration is stored.
        clock: Returns the time, in UTC epoch seconds.
        monotonic: A clock in seconds, for the log.
        lock_timeout: Seconds to wait for another process that registers the client.
        events: What happened, to be emitted afterwards.
        other_than: A client that the server has refused to know (`invalid_client`); another one is registered, unless
            another process has done so already. A client that was not registered dynamically is returned all the same:
            only its user can correct it.

    Raises:
        ConfigurationError: There is no way to have a client there, the server refused the registration, or a client
            that was registered beforehand belongs to another issuer.
        ProtocolError: The server's response is not one of RFC 7591.
        TemporarilyUnavailable: The server cannot register a client now.
        StoreError: The store fails.
    """
    if wanted.client_id is not None and not wanted.is_client_id_url:
        return _registered_beforehand(learned, wanted, wanted.client_id, store)
    if wanted.client_id is not None and learned.server["client_id_metadata_document_supported"]:
        return _by_document(learned, wanted, wanted.client_id)
    return Registering(learned, wanted, send, store, clock, monotonic, events).run(lock_timeout, other_than)


def _registered_beforehand(
    learned: Learned, wanted: IdentitySettings, client_id: str, store: TokenStore
) -> ClientIdentity:
    key = issuer_key(learned.url, client_id)
    bound = _bound_issuer(store, key)
    if bound is None:
        try:
            save_record(store, key, {"schema": _SCHEMA, "issuer": learned.issuer, **NEVER_DUE}, expected=None)
        except Conflict:
            # Another process was first, perhaps with another issuer.
            bound = _bound_issuer(store, key)
    if bound not in (None, learned.issuer):
        raise ConfigurationError(
            f"{learned.url} now names the issuer {learned.issuer!r}, but client_id {quoted(client_id)} was used at "
            f"{bound!r}, and a client that was registered beforehand belongs to one issuer",
            parameter="client_id",
            remedy="if the resource has moved, register the client there and pass its new client_id; if it has the "
            f"same id there, delete the record {key!r} from the store",
        )
    return ClientIdentity(client_id, wanted.client_secret, wanted.client_auth, None, learned.issuer, "beforehand")


def _bound_issuer(store: TokenStore, key: str) -> str | None:
    record = load_record(store, key)
    if record is None:
        return None
    issuer = record.data.get("issuer")
    if not is_text(issuer):
        raise _unreadable(key)
    return issuer


def _by_document(learned: Learned, wanted: IdentitySettings, client_id: str) -> ClientIdentity:
    # The draft of client ID metadata documents: no method with a shared secret may be used.
    method = wanted.client_auth or ("private_key_jwt" if wanted.has_key else "none")
    how: How = "client_id_metadata_document"
    ports = ports_of(wanted.metadata.redirect_uris, wanted.redirect_uri)
    return ClientIdentity(client_id, None, method, None, learned.issuer, how, ports=ports)


def _unreadable(key: str) -> StoreError:
    return StoreError(
        f"the record {key!r} cannot be read",
        key=key,
        parameter="record",
        remedy="restore it from a backup, or delete it from the store",
    )
