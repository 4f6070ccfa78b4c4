"""The methods of `OAuthClient` for tokens that are issued for another token or for an assertion.

Used by `OAuthClient`, which derives from the class here. It checks what the user passed, and returns the source. It
promises that tokens of two parties never get one source. It never reads a store or sends a request itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from .._renewal.client_state import ClientState
from .._renewal.presenting_grants import JwtBearerGrant, PresentingGrant, TokenExchangeGrant
from ..errors import clears_locals, redacted
from ..source import TokenSource, source_of


@clears_locals
class ClientExchanges:
    """Sources of tokens for which something is presented. Every method may be called from any thread or task."""

    _state: ClientState

    def for_token_exchange(
        self,
        *,
        subject_token: str | Callable[[], str],
        subject_token_type: str,
        subject: str | None = None,
        requested_token_type: str | None = None,
        scope: str | Sequence[str] | None = None,
        resource: str | None = None,
        audience: str | None = None,
        actor_token: str | Callable[[], str] | None = None,
        actor_token_type: str | None = None,
    ) -> TokenSource:
        """The token that the server issues for another token (token exchange, RFC 8693). Sends nothing yet.

        A renewal exchanges again. A refresh token that the server issued is used first, because it is meant for the
        time when the subject token is no longer valid (section 2.2.1); if it is refused, the token is exchanged again.
        What is not an access token (`token_type` N_A), such as an assertion for another server, is returned by
        `token()` and never sent to an API.

        Each combination of the other arguments and of `subject` has a token of its own. Without `subject`, a text is
        identified by its hash, which is part of the store key: each text has a token of its own, which `prune` deletes
        when it has expired. A callable without `subject` is for the client itself, such as the identity of its
        workload; a second callable with the same arguments is refused, since it may be for somebody else.

        Args:
            subject_token: The token that is exchanged; or a callable that returns the current one, which is called for
                each exchange, in any process. Its `SignInRequired` reaches the caller.
            subject_token_type: Its type (section 3), such as `urn:ietf:params:oauth:token-type:access_token`.
            subject: Your own lasting id of the party that the token is about. The newest token or callable that is
                passed for it is presented from then on. None: as described above.
            requested_token_type: The type of token to issue. A response with another type is refused. None: the server
                decides.
            scope: Space-separated, or a list or tuple of scopes. None: the server decides.
            resource: What the token is for (RFC 8707): an absolute URI. None: not specified.
            audience: The name of the service that the token is for. None: not specified.
            actor_token: The token of the party that acts for the subject, likewise. None: there is none.
            actor_token_type: Its type; needed with `actor_token`, and only then.

        Returns:
            The source, to be passed to an auth class.

        Raises:
            ConfigurationError: An argument cannot work, the provider does not offer this grant, or nothing
                distinguishes two callables.
            TemporarilyUnavailable: The `target` callable of the provider failed.
        """
        grant = TokenExchangeGrant.checked(
            subject_token=redacted(subject_token),
            subject_token_type=subject_token_type,
            subject=subject,
            requested_token_type=requested_token_type,
            scope=scope,
            resource=resource,
            audience=audience,
            actor_token=redacted(actor_token),
            actor_token_type=actor_token_type,
        )
        return self._source_presenting(grant)

    def for_assertion(
        self,
        *,
        assertion: str | Callable[[], str],
        subject: str | None = None,
        scope: str | Sequence[str] | None = None,
        resource: str | None = None,
    ) -> TokenSource:
        """The token that the server issues for an assertion (JWT bearer grant, RFC 7523 section 2.1).

        Sends nothing yet. A renewal presents another assertion. Servers may accept an assertion once only (section 3),
        so pass a callable that returns another one each time. What identifies the source, and which refresh tokens are
        used: as for `for_token_exchange`.

        Args:
            assertion: The JWT that is presented; or a callable that returns one, which is called for each request, in
                any process. Its `SignInRequired` reaches the caller.
            subject: As for `for_token_exchange`.
            scope: Space-separated, or a list or tuple of scopes. None: the server decides.
            resource: What the token is for (RFC 8707): an absolute URI. None: not specified.

        Returns:
            The source, to be passed to an auth class.

        Raises:
            ConfigurationError: As for `for_token_exchange`.
            TemporarilyUnavailable: The `target` callable of the provider failed.
        """
        grant = JwtBearerGrant.checked(assertion=redacted(assertion), subject=subject, scope=scope, resource=resource)
        return self._source_presenting(grant)

    def _source_presenting(self, grant: PresentingGrant) -> TokenSource:
        return source_of(self._state.current_token(grant.at(self._state.provider)))
