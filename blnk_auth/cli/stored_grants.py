"""The grants of one client in its store, and how long each of them lives."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import unquote

from .._renewal.grant_record import GrantRecord
from ..client import OAuthClient
from ..source import TokenSource
from ..token import Token


def keys(client: OAuthClient) -> Iterator[str]:
    """The store keys of all grants that were given to this client."""
    return client.store.keys(_prefix(client))


def source_at(client: OAuthClient, key: str) -> TokenSource | None:
    """The source of a stored grant; None if this client cannot use it, as a token for another bank."""
    kind, _, rest = key.removeprefix(_prefix(client)).partition("/")
    name = unquote(rest.partition("/")[0])
    if kind == "subject":
        source = client.for_subject(name)
    elif kind == "itself" and "client_credentials" in client.provider.grants:
        source = client.for_itself(scope=name or None)
    else:
        return None
    return source if source.store_key == key else None


def stored(client: OAuthClient, source: TokenSource) -> GrantRecord | None:
    """What the store holds for a source. Raises `StoreError` if it cannot be read."""
    record = client.store.load(source.store_key)
    return None if record is None else GrantRecord.from_data(record.data, source.store_key)


def dies_at(token: Token, idle_lifetime: float | None) -> float | None:
    """When the refresh token dies if nobody uses it, in UTC epoch seconds; None if there is none, or nobody knows."""
    if token.refresh_token is None:
        return None
    idle = None if idle_lifetime is None or token.issued_at is None else token.issued_at + idle_lifetime
    return min((end for end in (idle, token.refresh_expires_at) if end is not None), default=None)


def _prefix(client: OAuthClient) -> str:
    # Subjects are quoted in keys, so this cannot be found inside one.
    return client.for_subject("anybody").store_key.partition("/subject/")[0] + "/"
