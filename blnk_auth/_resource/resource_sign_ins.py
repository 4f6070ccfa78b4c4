"""The sign-ins of a `ProtectedResource` that the application itself starts and finishes, and who has signed in.

Used by `ProtectedResource`, which derives from the class here. It promises that any process that shares the store can
finish what another one has started, as long as the resource names the same issuer. It never asks a user itself.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from .._protocol.http_values import joined_scope
from .._renewal.client_grants import subjects
from .._renewal.single_flight import Flight
from .._sign_in.callback_url import parse_callback
from .._sign_in.client_many_grants import checked_prefix
from .._sign_in.wanted_grant import WantedGrant
from ..errors import clears_locals, redacted
from ..source import TokenSource
from .registered_client import RegisteredClient
from .resource_state import ResourceState, not_protected

if TYPE_CHECKING:
    import blnk_auth
else:
    # Annotations name its types, which it loads when they are used: `typing.get_type_hints` finds them by it.
    blnk_auth = sys.modules[__package__.rpartition(".")[0]]


@clears_locals
class ResourceSignIns:
    """How an application signs users in itself. Every method may be called from any thread or task."""

    _state: ResourceState
    for_subject: Callable[[str], TokenSource]

    def start_authorization(
        self,
        subject: str,
        *,
        scope: str | Sequence[str] | None = None,
        authorization_details: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
        prompt: str | Sequence[str] | None = None,
        login_hint: str | None = None,
        acr_values: str | Sequence[str] | None = None,
        max_age: float | None = None,
        claims: Mapping[str, Any] | None = None,
        parameters: Mapping[str, str] | None = None,
    ) -> blnk_auth.AuthorizationRequest:
        """Begin a sign-in: send the user to the returned `url`, then pass the callback to `finish_authorization`.

        Any process that shares the store may finish it, once, within 10 minutes. The API and its authorization server
        are asked first, if they are not known. Blocks; for asyncio and trio: `astart_authorization`.

        Args:
            subject: The application's own lasting id of the user.
            scope: Space-separated, or a list or tuple of scopes. None: that of the `ProtectedResource`, else what the
                API asks for or lists.
            authorization_details: This and the following are described at `OAuthClient.start_authorization`. The
                `resource` is always that of the API.
            prompt: What the server shows the user.
            login_hint: Who is about to sign in.
            acr_values: How the user must authenticate.
            max_age: Seconds since the user authenticated, at most.
            claims: Single claims that are asked for.
            parameters: Further parameters of the authorization request.

        Returns:
            Where to send the user.

        Raises:
            ConfigurationError: The URL is not a protected resource, there is no redirect_uri, no client can be
                registered, or an argument cannot work.
            ProtocolError: A server's response is not valid.
            TemporarilyUnavailable: A server cannot answer now.
            StoreError: The store fails.
        """
        further = _Further(authorization_details, prompt, login_hint, acr_values, max_age, claims, parameters)
        return self._start(subject, scope, further).wait(self._state.wait_timeout)

    async def astart_authorization(
        self,
        subject: str,
        *,
        scope: str | Sequence[str] | None = None,
        authorization_details: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
        prompt: str | Sequence[str] | None = None,
        login_hint: str | None = None,
        acr_values: str | Sequence[str] | None = None,
        max_age: float | None = None,
        claims: Mapping[str, Any] | None = None,
        parameters: Mapping[str, str] | None = None,
    ) -> blnk_auth.AuthorizationRequest:
        """The same as `start_authorization`, for asyncio and trio."""
        further = _Further(authorization_details, prompt, login_hint, acr_values, max_age, claims, parameters)
        return await self._start(subject, scope, further).wait_async(self._state.wait_timeout)

    def finish_authorization(self, callback_url: str) -> TokenSource:
        """Finish a sign-in: check the callback, exchange its code, save the tokens, return the user's source.

        As `OAuthClient.finish_authorization`. Blocks; for asyncio and trio: `afinish_authorization`.

        Args:
            callback_url: The whole URL that the browser came back to.

        Returns:
            The source of the user's tokens.

        Raises:
            SignInRequired: The user refused (`denied`), or must begin again (`restart`): also if the API names another
                issuer by now.
            BlnkAuthError: As for `OAuthClient.finish_authorization`.
        """
        return self.for_subject(self._finish(redacted(callback_url)).wait(self._state.wait_timeout))

    async def afinish_authorization(self, callback_url: str) -> TokenSource:
        """The same as `finish_authorization`, for asyncio and trio."""
        return self.for_subject(await self._finish(redacted(callback_url)).wait_async(self._state.wait_timeout))

    def subjects(self, prefix: str = "") -> Iterator[str]:
        """Who has signed in to this API, as `OAuthClient.subjects`. Blocks on the store; no server is asked.

        Args:
            prefix: What their names begin with. Default: an empty string, which lists all.

        Returns:
            The subjects, ascending, each once. Those of an earlier issuer or client are not among them.

        Raises:
            ConfigurationError: `prefix` is not a string.
            StoreError: The store cannot list its keys.
        """
        return iter(self._subjects(checked_prefix(prefix)).wait(self._state.wait_timeout))

    async def asubjects(self, prefix: str = "") -> AsyncIterator[str]:
        """The same as `subjects`, for asyncio and trio: `async for subject in resource.asubjects()`."""
        for subject in await self._subjects(checked_prefix(prefix)).wait_async(self._state.wait_timeout):
            yield subject

    # --- on a worker thread ------------------------------------------------------------------------------------------

    def _start(
        self, subject: str, scope: str | Sequence[str] | None, further: _Further
    ) -> Flight[blnk_auth.AuthorizationRequest]:
        subject, named = WantedGrant.checked(subject).subject, joined_scope(scope)

        def start(_events: object) -> blnk_auth.AuthorizationRequest:
            from .._sign_in.start_authorization import AuthorizationStart

            client = self._client()
            wanted = WantedGrant.of_authorization(
                client.state.provider,
                subject,
                scope=client.learned.wanted_scope(named or client.scope),
                resource=client.resource,
                grant_management_action=None,
                grant_id=None,
                **further._asdict(),
            )
            return AuthorizationStart(client.state, wanted, client.state.redirect_uri).run()

        return self._state.operations.begin(start)

    def _finish(self, callback_url: str) -> Flight[str]:
        # A URL that is not a callback is refused before anybody is asked anything.
        parse_callback(callback_url)

        def finish(_events: object) -> str:
            from .._sign_in.finish_authorization import AuthorizationFinish

            current = AuthorizationFinish(self._client().state, callback_url).run()
            return current.grant.subject or ""

        return self._state.operations.begin(finish)

    def _subjects(self, prefix: str) -> Flight[list[str]]:
        def find(_events: object) -> list[str]:
            client = self._state.stored_client()
            return [] if client is None else subjects(client.state, prefix, client.resource)

        return self._state.operations.begin(find)

    def _client(self) -> RegisteredClient:
        client = self._state.known_client(None)
        if client is None:
            raise not_protected(self._state.url)
        return client


class _Further(NamedTuple):
    """The further arguments of a sign-in; see `WantedGrant.of_authorization`."""

    authorization_details: Any
    prompt: Any
    login_hint: Any
    acr_values: Any
    max_age: Any
    claims: Any
    parameters: Any
