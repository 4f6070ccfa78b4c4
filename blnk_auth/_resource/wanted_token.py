"""Whose token of a protected resource it is, before the resource's authorization server is known.

Used by `ProtectedResource`, which makes one for each source. Each is a value: two are equal exactly if they are for the
same token. It promises that each of them names the resource (RFC 8707). It never asks a server.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Protocol

from .._renewal.authorization_grants import AuthorizationGrant, ClientCredentialsGrant, RefreshTokenGrant
from .._renewal.pickled_client import values_of
from .._renewal.presenting_grants import PresentingGrant
from .registered_client import RegisteredClient

_CLIENT_CREDENTIALS = ClientCredentialsGrant.purpose


class WantedToken(Protocol):
    """Whose token it is."""

    def whose(self) -> str | None:
        """The subject whose grant it is; None for the client's own."""
        ...

    def grant(self, client: RegisteredClient) -> AuthorizationGrant:
        """The grant at the server that the client is registered at. Raises `ConfigurationError` if it has none."""
        ...

    def key(self) -> object:
        """What distinguishes its source from others of the resource."""
        ...

    def to_data(self) -> dict[str, Any]:
        """What a pickle of its source has: the arguments of the method of `ProtectedResource` that makes it."""
        ...


@dataclass(frozen=True, slots=True)
class OfSubject:
    """The token of a grant that a user gives."""

    subject: str

    def whose(self) -> str:
        return self.subject

    def grant(self, client: RegisteredClient) -> AuthorizationGrant:
        return RefreshTokenGrant(self.subject, None, client.resource)

    def key(self) -> object:
        return self

    def to_data(self) -> dict[str, Any]:
        return {"subject": self.subject}


@dataclass(frozen=True, slots=True)
class OfItself:
    """The client's own token; `scope` as for `OAuthClient.for_itself`."""

    scope: str | None = None
    audience: str | None = None
    parameters: tuple[tuple[str, str], ...] = ()

    def whose(self) -> None:
        return None

    def grant(self, client: RegisteredClient) -> AuthorizationGrant:
        client.learned.check_offered(_CLIENT_CREDENTIALS, "for_itself")
        return ClientCredentialsGrant.checked(
            client.state.provider,
            client.service_scope(self.scope),
            client.resource,
            self.audience,
            dict(self.parameters),
        )

    def key(self) -> object:
        return self

    def to_data(self) -> dict[str, Any]:
        return {"scope": self.scope, "audience": self.audience, "parameters": dict(self.parameters)}


@dataclass(frozen=True, slots=True)
class OfPresented:
    """The token that is issued for another token or for an assertion.

    Attributes:
        presenting: The grant without the resource, which is not known yet.
    """

    presenting: PresentingGrant

    def whose(self) -> str | None:
        return self.presenting.subject

    def grant(self, client: RegisteredClient) -> AuthorizationGrant:
        scope = client.service_scope(self.presenting.scope)
        return replace(self.presenting, resource=client.resource, scope=scope).at(client.state.provider)

    def to_data(self) -> dict[str, Any]:
        return values_of(self.presenting)

    def key(self) -> object:
        # Sources that present something else are others. The grant at the server is the same, and presents the newest.
        return self, tuple(each if isinstance(each, str) else id(each) for each in self.presenting.presented)
