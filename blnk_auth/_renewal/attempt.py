"""One attempt to renew a token: the registered client at that moment, and whether a refresh token can be used.

Used by the grants, which build a request from it. It promises that every grant judges and uses a refresh token in the
same way. It never sends a request.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from .._protocol.client_authentication import ClientCredentials
from .._protocol.http_messages import Call
from .._protocol.requests import ServerRequest, build_refresh
from ..errors import SignInReason
from ..token import Token

if TYPE_CHECKING:
    from ..provider import Provider


class Attempt(NamedTuple):
    """The registered client at the moment when it is about to renew. Made again for each attempt.

    Attributes:
        provider: The provider whose authorization server is asked.
        credentials: How the client authenticates there.
        redirect_uri: The client's redirect URI, for providers that want it with a refresh; None if the client has none.
        now: UTC epoch seconds.
        in_background: Whether no caller waits for this renewal.
    """

    provider: Provider
    credentials: ClientCredentials
    redirect_uri: str | None
    now: float
    in_background: bool = False

    def why_not_refreshable(self, token: Token) -> SignInReason | None:
        """Why no refresh request can renew this token; None if one could."""
        if token.refresh_token is None or "refresh_token" not in self.provider.grants:
            return "no_refresh_token"
        has_expired = token.refresh_expires_at is not None and token.refresh_expires_at <= self.now
        return "expired" if has_expired else None

    def refresh_request(self, token: Token, call: Call, resource: str | None, audience: str | None) -> ServerRequest:
        """The request that renews a token with its refresh token (RFC 6749 section 6)."""
        return build_refresh(
            self.provider,
            self.credentials,
            token.refresh_token or "",
            redirect_uri=self.redirect_uri,
            resource=resource,
            audience=audience,
            call=call,
            now=self.now,
        )
