"""The methods of `ProtectedResource` for tokens that are issued for another token or for an assertion.

Used by `ProtectedResource`, which derives from the class here. It checks what the user passed, and returns the source.
It promises that tokens of two parties never get one source. It never asks a server itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from .._renewal.presenting_grants import JwtBearerGrant, TokenExchangeGrant
from ..errors import clears_locals, redacted
from ..source import TokenSource
from .wanted_token import OfPresented, WantedToken


@clears_locals
class ResourceExchanges:
    """Sources of tokens for which something is presented. Every method may be called from any thread or task."""

    _source: Callable[[WantedToken, None], TokenSource]

    def for_token_exchange(
        self,
        *,
        subject_token: str | Callable[[], str],
        subject_token_type: str,
        subject: str | None = None,
        requested_token_type: str | None = None,
        scope: str | Sequence[str] | None = None,
        audience: str | None = None,
        actor_token: str | Callable[[], str] | None = None,
        actor_token_type: str | None = None,
    ) -> TokenSource:
        """The token that the API's server issues for another token, as `OAuthClient.for_token_exchange` describes.

        Args:
            subject_token: This and the following are described at `OAuthClient.for_token_exchange`. The `resource` is
                always that of the API.
            subject_token_type: The type of that token.
            subject: Your own lasting id of the party that the token is about.
            requested_token_type: The type of token to issue. None: the server decides.
            scope: Space-separated, or a list or tuple of scopes. None: that of the `ProtectedResource`, else what the
                API asks for or lists.
            audience: The name of the service that the token is for. None: not specified.
            actor_token: The token of the party that acts for the subject. None: there is none.
            actor_token_type: The type of that token.

        Returns:
            The source, to be passed to an auth class.

        Raises:
            ConfigurationError: An argument cannot work, or nothing distinguishes two callables. That the server does
                not offer this grant is raised when a token is needed.
        """
        grant = TokenExchangeGrant.checked(
            subject_token=redacted(subject_token),
            subject_token_type=subject_token_type,
            subject=subject,
            requested_token_type=requested_token_type,
            scope=scope,
            resource=None,
            audience=audience,
            actor_token=redacted(actor_token),
            actor_token_type=actor_token_type,
        )
        return self._source(OfPresented(grant), None)

    def for_assertion(
        self,
        *,
        assertion: str | Callable[[], str],
        subject: str | None = None,
        scope: str | Sequence[str] | None = None,
    ) -> TokenSource:
        """The token that the API's server issues for an assertion, as `OAuthClient.for_assertion` describes.

        Args:
            assertion: This and the following are described at `OAuthClient.for_assertion`. The `resource` is always
                that of the API. A callable may read `issuer`, which is known by then.
            subject: Your own lasting id of the party that the assertion is about.
            scope: As for `for_token_exchange`.

        Returns:
            The source, to be passed to an auth class.

        Raises:
            ConfigurationError: As for `for_token_exchange`.
        """
        grant = JwtBearerGrant.checked(assertion=redacted(assertion), subject=subject, scope=scope, resource=None)
        return self._source(OfPresented(grant), None)
