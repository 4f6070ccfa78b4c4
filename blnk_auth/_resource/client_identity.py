"""What a client is, as its user describes it and as one issuer knows it.

Used by `registering.py` and `registered_client.py`. It promises that no repr has a secret, and no pickle: neither value
can be pickled. It never asks a server.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, NoReturn, cast

from .._protocol.client_authentication import ClientAuthMethod, ClientSecret
from .._protocol.client_metadata import (
    ClientMetadata,
    check_client_id_url,
    check_own_redirect_uri,
    is_client_id_url,
)
from ..errors import ConfigurationError, redacted

How = Literal["beforehand", "client_id_metadata_document", "dynamic_registration"]
"""How a client came to its id."""

MARGIN = 300.0
"""Seconds before the end of a secret from which on it is not used for another sign-in, which takes as long."""


@dataclass(frozen=True, slots=True)
class IdentitySettings:
    """What the user of the library has passed of the client. Immutable.

    Attributes:
        client_id: The id of a client that was registered beforehand, or the URL of a client ID metadata document, which
            is used where the server supports these. None: the client is registered dynamically.
        client_secret: The secret of a client that was registered beforehand, or a callable that returns it.
        client_auth: How the client authenticates. None: as the server and the credentials allow.
        redirect_uri: Where users are sent back to; None if no user signs in.
        metadata: How the client describes itself where it is registered.
        scope: The scope that is asked for; None: that of the resource.
        has_key: Whether the client has a key, or signed assertions, for `private_key_jwt`.
        has_certificate: Whether it has a certificate.

    Raises:
        ConfigurationError: They contradict each other.
    """

    client_id: str | None = None
    client_secret: ClientSecret = field(default=None, repr=False)
    client_auth: ClientAuthMethod | None = None
    redirect_uri: str | None = None
    metadata: ClientMetadata = field(default_factory=ClientMetadata)
    scope: str | None = None
    has_key: bool = False
    has_certificate: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "client_secret", redacted(self.client_secret))
        if self.client_id is None and self.client_secret is not None:
            raise ConfigurationError(
                "client_secret was passed without the client_id that it belongs to",
                parameter="client_id",
                remedy="pass the client_id too, or leave client_secret out",
            )
        if self.is_client_id_url:
            check_client_id_url(cast("str", self.client_id))
        check_own_redirect_uri(self.redirect_uri, self.metadata)

    def __reduce__(self) -> NoReturn:
        raise _not_pickled(self)

    @property
    def is_client_id_url(self) -> bool:
        """Whether the id is a URL that a server may fetch. No such client has a secret."""
        return self.client_secret is None and is_client_id_url(self.client_id)


@dataclass(frozen=True, slots=True)
class ClientIdentity:
    """A client, as one issuer knows it. Immutable; may be used from any thread.

    Attributes:
        client_id: Its id.
        client_secret: Its secret, or a callable that returns it; None if it has none.
        client_auth: How it authenticates. None: the best method that the server lists.
        expires_at: When the secret expires, in UTC epoch seconds; None: never, or not known.
        issuer: Where it is registered. It is sent to no other one.
        how: How it came to its id.
        registered_at: When it was registered dynamically, in UTC epoch seconds; None otherwise.
        ports: The ports with which the server knows a loopback redirect URI that has none. Some servers do not accept
            any other port.
    """

    client_id: str
    client_secret: ClientSecret = field(repr=False)
    client_auth: ClientAuthMethod | None
    expires_at: float | None
    issuer: str
    how: How
    registered_at: float | None = None
    ports: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "client_secret", redacted(self.client_secret))

    def __reduce__(self) -> NoReturn:
        raise _not_pickled(self)

    def is_usable(self, now: float) -> bool:
        """Whether it may be used now for another sign-in. If not, `identify` registers it again."""
        if self.expires_at is None:
            return True
        lifetime = self.expires_at - (self.registered_at or 0.0)
        return now < self.expires_at - min(MARGIN, lifetime / 10)


def _not_pickled(value: object) -> TypeError:
    return TypeError(f"a {type(value).__name__} may hold a secret, so it is not pickled")
