"""The grants of one client in its store, and when each of them expires.

Used by `status`, `keepalive` and `logout`. It promises the grants of this client, and of no other one. It only reads:
it never renews, writes or deletes.
"""

from __future__ import annotations

from collections.abc import Iterator

from .._renewal.authorization_grants import ClientCredentialsGrant, RefreshTokenGrant
from .._renewal.store_keys import Registration, parse_token_key
from .._renewal.stored_record import GrantRecord
from ..client import OAuthClient
from ..errors import ConfigurationError
from ..source import TokenSource
from ..token import Token


def grant_keys(client: OAuthClient) -> Iterator[str]:
    """The store keys of all grants of this client."""
    return client.store.keys(_registration(client).tokens)


def source_at(client: OAuthClient, key: str) -> TokenSource | None:
    """The source of a stored grant; None if this client cannot use it, such as a token for another bank."""
    parsed = parse_token_key(key)
    if parsed is None:
        return None
    _, grant = parsed
    try:
        source = _source_of(client, grant)
    except ConfigurationError:
        return None
    return source if source.store_key == key else None


def _source_of(client: OAuthClient, grant: RefreshTokenGrant | ClientCredentialsGrant) -> TokenSource:
    if isinstance(grant, RefreshTokenGrant):
        return client.for_subject(grant.subject, resource=grant.resource)
    parameters = None if grant.parameters is None else dict(grant.parameters)
    return client.for_itself(scope=grant.scope, resource=grant.resource, audience=grant.audience, parameters=parameters)


def stored_record(client: OAuthClient, source: TokenSource) -> GrantRecord | None:
    """The stored record of a source; None if there is none. Raises `StoreError` if it cannot be read."""
    record = client.store.load(source.store_key)
    return None if record is None else GrantRecord.from_data(record.data, source.store_key)


def refresh_expiry(token: Token, idle_lifetime: float | None) -> float | None:
    """When the refresh token expires if it is not used, in UTC epoch seconds; None if that is unknown."""
    if token.refresh_token is None:
        return None
    idle = None if idle_lifetime is None or token.issued_at is None else token.issued_at + idle_lifetime
    return min((end for end in (idle, token.refresh_expires_at) if end is not None), default=None)


def _registration(client: OAuthClient) -> Registration:
    return client._state.registration  # pyright: ignore[reportPrivateUsage]  # of this package
