"""What `TokenSource` needs of the token behind it, beside what requests need (`Credential`).

Used by `source`. `CurrentToken` derives from it; so does the token of a protected resource, whose authorization server
is not known before it was learned (`_resource/resource_token.py`). It promises that operations run on a worker thread.
It never renews a token itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from .authorization_grants import AuthorizationGrant
    from .client_state import ClientState
    from .current_token import CurrentToken
    from .operations import Operations


class GrantToken:
    """The token of one grant. Its members are those of a grant whose client is known."""

    __slots__ = ()

    if TYPE_CHECKING:
        state: ClientState

        @property
        def grant(self) -> AuthorizationGrant: ...

    @property
    def subject(self) -> str | None:
        """Whose grant it is; None for the client's own."""
        return self.grant.subject

    @property
    def operations(self) -> Operations:
        """Runs what users do by hand, and emits its events."""
        return self.state.operations

    def resolved(self) -> CurrentToken:
        """The current token of the grant. Blocks; for a worker thread. Raises `BlnkAuthError` if it has none."""
        return cast("CurrentToken", self)

    def stored(self) -> CurrentToken | None:
        """The same without asking any server; None if the store does not have what is needed. Blocks on the store."""
        return cast("CurrentToken", self)

    def pickled(self) -> tuple[Any, ...]:
        """What a pickle of its source has: a callable, and its arguments."""
        from .pickled_client import values_of

        return self.state.client()._source_of, (values_of(self.grant),)
