"""What `TokenSource` needs of the token behind it, beside what requests need (`Credential`).

Used by `source`. `CurrentToken` is such a token; so is that of a protected resource, whose authorization server is not
known before it was learned (`_resource/resource_token.py`). It promises that operations run on a worker thread.
It never renews a token itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, cast

from .credential import Credential

if TYPE_CHECKING:
    from ..token import Token
    from .authorization_grants import AuthorizationGrant
    from .cached_token import CachedToken
    from .client_state import ClientState
    from .current_token import CurrentToken
    from .operations import Operations
    from .single_flight import Flight


class GrantToken(Credential, Protocol):
    """What a `TokenSource` needs of its token. Every member may be called from any thread or task."""

    @property
    def subject(self) -> str | None:
        """Whose grant it is; None for the client's own."""
        ...

    @property
    def store_key(self) -> str:
        """The key of its record in the store. It contains no secret."""
        ...

    @property
    def cached(self) -> CachedToken | None:
        """The token in memory; None if there is none."""
        ...

    @property
    def operations(self) -> Operations:
        """Runs what users do by hand, and emits its events."""
        ...

    def renew_by_hand(self, rejected: Token | None) -> CachedToken | Flight[CachedToken]:
        """See `TokenSource.renew`."""
        ...

    def other_than(self, before: CachedToken | None, landed: CachedToken) -> Token:
        """The renewed token, for a caller of `renew`, which must not return the old one."""
        ...

    def resolved(self) -> CurrentToken:
        """The current token of the grant. Blocks; for a worker thread. Raises `BlnkAuthError` if there is none."""
        ...

    def stored(self) -> CurrentToken | None:
        """The same without asking any server; None if the store does not have what is needed. Blocks on the store."""
        ...

    def pickled(self) -> tuple[Any, ...]:
        """What a pickle of its source has: a callable, and its arguments."""
        ...


class TokenOfClient:
    """What `CurrentToken` has of it: the client of its grant is known."""

    __slots__ = ()

    if TYPE_CHECKING:
        state: ClientState

        @property
        def grant(self) -> AuthorizationGrant: ...

    @property
    def subject(self) -> str | None:
        return self.grant.subject

    @property
    def operations(self) -> Operations:
        return self.state.operations

    def resolved(self) -> CurrentToken:
        return cast("CurrentToken", self)

    def stored(self) -> CurrentToken | None:
        return cast("CurrentToken", self)

    def pickled(self) -> tuple[Any, ...]:
        from .pickled_client import values_of

        return self.state.client()._source_of, (values_of(self.grant),)
