"""The sign-ins of an `OAuthClient` with an authorization code: its methods that start, finish or do both.

Used by `client_sign_ins`, whose class derives from the one here. It checks what the user passed, hands it to the
sign-in in question, and returns the source of the user's tokens. It never reads a store or sends a request itself.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .._renewal.client_state import ClientState
from ..errors import clears_locals, redacted
from ..source import TokenSource, source_of
from .wanted_grant import WantedGrant

if TYPE_CHECKING:
    # Each sign-in is imported when a user first signs in by it: most programs only use the tokens.
    import blnk_auth

    from .finish_authorization import AuthorizationFinish
    from .interactive import InteractiveSignIn
    from .interactive_settings import InteractiveSettings
    from .start_authorization import AuthorizationStart
else:
    # Annotations name its types, which it loads when they are used: `typing.get_type_hints` finds them by it.
    blnk_auth = sys.modules[__package__.rpartition(".")[0]]


@clears_locals
class ClientAuthorizations:
    """How users sign in with a browser. Every method may be called from any thread or task."""

    _state: ClientState
    redirect_uri: str | None

    def start_authorization(
        self,
        subject: str,
        *,
        scope: str | Sequence[str] | None = None,
        resource: str | None = None,
        authorization_details: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
        grant_management_action: str | None = None,
        grant_id: str | None = None,
        prompt: str | Sequence[str] | None = None,
        login_hint: str | None = None,
        acr_values: str | Sequence[str] | None = None,
        max_age: float | None = None,
        claims: Mapping[str, Any] | None = None,
        parameters: Mapping[str, str] | None = None,
    ) -> blnk_auth.AuthorizationRequest:
        """Begin a sign-in: send the user to the returned `url`, then pass the callback to `finish_authorization`.

        Any process that shares the store may finish it, once, within 10 minutes. If the provider requires pushed
        authorization requests (RFC 9126), the request is sent to the server first. Blocks; for asyncio and trio:
        `astart_authorization`.

        Args:
            subject: The application's own lasting id of the user.
            scope: Space-separated, or a list or tuple of scopes. None: the server decides.
            resource: What the tokens are for (RFC 8707): an absolute URI, as for `for_subject`. None: not specified.
            authorization_details: What exactly is asked for (RFC 9396): a JSON object with a `type`, or a list of
                these. `token().extra["authorization_details"]` has the granted ones. None: nothing but the scope.
            grant_management_action: What the sign-in does with a grant of the user (Grant Management for OAuth 2.0):
                `create` makes another one, `merge` adds to that of `grant_id`, `replace` changes it. None: the server
                decides.
            grant_id: That grant: `token().extra["grant_id"]` of an earlier sign-in. None: none, as for `create`.
            prompt: What the server shows the user (OpenID Connect Core section 3.1.2.1), such as `login` or `consent`:
                space-separated, or a list. None: the server decides.
            login_hint: Who is about to sign in, such as an email address. None: not specified.
            acr_values: How the user must authenticate, the best first: space-separated, or a list. None: the server
                decides.
            max_age: Seconds. Who authenticated longer ago must do so again. None: the server decides.
            claims: Single claims that are asked for, as a JSON object (OpenID Connect Core section 5.5). None: none.
            parameters: Further parameters of the authorization request, such as Flinks' `provider_id`.

        Returns:
            Where to send the user.

        Raises:
            ConfigurationError: There is no redirect_uri, the provider has no authorization endpoint, an argument
                cannot work, or the server refused the pushed request.
            ProtocolError: The server's response to the pushed request is not valid.
            TemporarilyUnavailable: The server cannot take the pushed request now.
            StoreError: The store fails.
        """
        wanted = WantedGrant.of_authorization(
            self._state.provider,
            subject,
            scope=scope,
            resource=resource,
            authorization_details=authorization_details,
            grant_management_action=grant_management_action,
            grant_id=grant_id,
            prompt=prompt,
            login_hint=login_hint,
            acr_values=acr_values,
            max_age=max_age,
            claims=claims,
            parameters=parameters,
        )
        return self._start(wanted).run()

    async def astart_authorization(
        self,
        subject: str,
        *,
        scope: str | Sequence[str] | None = None,
        resource: str | None = None,
        authorization_details: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
        grant_management_action: str | None = None,
        grant_id: str | None = None,
        prompt: str | Sequence[str] | None = None,
        login_hint: str | None = None,
        acr_values: str | Sequence[str] | None = None,
        max_age: float | None = None,
        claims: Mapping[str, Any] | None = None,
        parameters: Mapping[str, str] | None = None,
    ) -> blnk_auth.AuthorizationRequest:
        """The same as `start_authorization`, for asyncio and trio."""
        wanted = WantedGrant.of_authorization(
            self._state.provider,
            subject,
            scope=scope,
            resource=resource,
            authorization_details=authorization_details,
            grant_management_action=grant_management_action,
            grant_id=grant_id,
            prompt=prompt,
            login_hint=login_hint,
            acr_values=acr_values,
            max_age=max_age,
            claims=claims,
            parameters=parameters,
        )
        return await self._start(wanted).arun()

    def finish_authorization(self, callback_url: str, *, unechoed_state: str | None = None) -> TokenSource:
        """Finish a sign-in: check the callback, exchange its code, save the tokens, return the user's source.

        Call it immediately: authorization codes expire within seconds. Cancelling the caller does not cancel the
        exchange. A code is never sent twice. Blocks; for asyncio and trio: `afinish_authorization`.

        The code is exchanged by RFC 6749 section 4.1.3, and `iss` is compared by RFC 9207 section 2.4.

        Args:
            callback_url: The whole URL that the browser came back to.
            unechoed_state: For a server that does not send `state` back: the one that was kept in the user's session.
                Never take it from the request. None: the callback must have it.

        Returns:
            The source of the user's tokens.

        Raises:
            SignInRequired: The user refused (`denied`), or must begin again (`restart`).
            TemporarilyUnavailable: The server cannot answer now; `remedy` specifies whether the same callback may be
                tried again.
            ConfigurationError: The registration or the request is wrong.
            ProtocolError: The callback or the server's response is not valid.
            StoreError: The store fails.
        """
        callback_url, unechoed_state = redacted(callback_url), redacted(unechoed_state)
        return source_of(self._finish(callback_url, unechoed_state).run())

    async def afinish_authorization(self, callback_url: str, *, unechoed_state: str | None = None) -> TokenSource:
        """The same as `finish_authorization`, for asyncio and trio."""
        callback_url, unechoed_state = redacted(callback_url), redacted(unechoed_state)
        return source_of(await self._finish(callback_url, unechoed_state).arun())

    def authorize_interactively(
        self,
        subject: str,
        *,
        scope: str | Sequence[str] | None = None,
        resource: str | None = None,
        authorization_details: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
        grant_management_action: str | None = None,
        grant_id: str | None = None,
        prompt: str | Sequence[str] | None = None,
        login_hint: str | None = None,
        acr_values: str | Sequence[str] | None = None,
        max_age: float | None = None,
        claims: Mapping[str, Any] | None = None,
        parameters: Mapping[str, str] | None = None,
        port: int | None = None,
        timeout: float = 300.0,
        open_browser: bool = True,
        listen: bool = True,
        pasted: Iterable[str] | Callable[[], str | None] | None = None,
        on_url: Callable[[str], object] | None = None,
        on_problem: Callable[[str], object] | None = None,
    ) -> TokenSource:
        """Sign a user in who sits at this machine, and return their source (RFC 8252): for programs and scripts.

        Listens on the host and path of the client's redirect_uri, which must be http on a loopback address, until the
        browser comes back. Blocks; for asyncio and trio: `aauthorize_interactively`. The callables are called on
        threads of their own. See docs/explanation/sign-in.md.

        Args:
            subject: The application's own lasting id of the user.
            scope: This and the next ten are described at `start_authorization`.
            resource: What the tokens are for.
            authorization_details: What exactly is asked for.
            grant_management_action: What the sign-in does with a grant of the user.
            grant_id: That grant.
            prompt: What the server shows the user.
            login_hint: Who is about to sign in.
            acr_values: How the user must authenticate.
            max_age: Seconds since the user authenticated, at most.
            claims: Single claims that are asked for.
            parameters: Further parameters of the authorization request.
            port: The port to listen on. None: the one in redirect_uri; if it has none, any free one, as with 0.
            timeout: Seconds to wait for the user, at most 600.
            open_browser: Whether to open the address in the default browser.
            listen: False opens no port; then `pasted` is needed.
            pasted: For a browser on another machine: strings, or a callable that returns the next one or None. Each is
                tried as the address that the browser was sent to; the first right one counts, pasted or not. With it,
                any redirect_uri will do.
            on_url: Called with the address to open. None: it is only opened in the browser.
            on_problem: Called with a description of what is wrong with a pasted string. None: such a string is ignored
                without a message.

        Returns:
            The source of the user's tokens.

        Raises:
            SignInRequired: The user refused (`denied`), or did not come back in time (`restart`).
            ConfigurationError: An argument cannot work, or the port is in use.
            BlnkAuthError: As for `finish_authorization`.
        """
        from .interactive_settings import InteractiveSettings

        settings = InteractiveSettings(port, timeout, open_browser, listen, pasted, on_url, on_problem)
        wanted = WantedGrant.of_authorization(
            self._state.provider,
            subject,
            scope=scope,
            resource=resource,
            authorization_details=authorization_details,
            grant_management_action=grant_management_action,
            grant_id=grant_id,
            prompt=prompt,
            login_hint=login_hint,
            acr_values=acr_values,
            max_age=max_age,
            claims=claims,
            parameters=parameters,
        )
        return source_of(self._interactive(wanted, settings).run())

    async def aauthorize_interactively(
        self,
        subject: str,
        *,
        scope: str | Sequence[str] | None = None,
        resource: str | None = None,
        authorization_details: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
        grant_management_action: str | None = None,
        grant_id: str | None = None,
        prompt: str | Sequence[str] | None = None,
        login_hint: str | None = None,
        acr_values: str | Sequence[str] | None = None,
        max_age: float | None = None,
        claims: Mapping[str, Any] | None = None,
        parameters: Mapping[str, str] | None = None,
        port: int | None = None,
        timeout: float = 300.0,
        open_browser: bool = True,
        listen: bool = True,
        pasted: Iterable[str] | Callable[[], str | None] | None = None,
        on_url: Callable[[str], object] | None = None,
        on_problem: Callable[[str], object] | None = None,
    ) -> TokenSource:
        """The same as `authorize_interactively`, for asyncio and trio. Cancelling it ends the sign-in."""
        from .interactive_settings import InteractiveSettings

        settings = InteractiveSettings(port, timeout, open_browser, listen, pasted, on_url, on_problem)
        wanted = WantedGrant.of_authorization(
            self._state.provider,
            subject,
            scope=scope,
            resource=resource,
            authorization_details=authorization_details,
            grant_management_action=grant_management_action,
            grant_id=grant_id,
            prompt=prompt,
            login_hint=login_hint,
            acr_values=acr_values,
            max_age=max_age,
            claims=claims,
            parameters=parameters,
        )
        return source_of(await self._interactive(wanted, settings).arun())

    def _start(self, wanted: WantedGrant) -> AuthorizationStart:
        from .start_authorization import AuthorizationStart

        return AuthorizationStart(self._state, wanted, self.redirect_uri)

    def _finish(self, callback_url: str, unechoed_state: str | None) -> AuthorizationFinish:
        from .finish_authorization import AuthorizationFinish

        return AuthorizationFinish(self._state, callback_url, unechoed_state)

    def _interactive(self, wanted: WantedGrant, settings: InteractiveSettings) -> InteractiveSignIn:
        # Its listener needs h11, which nothing else here does.
        from .interactive import InteractiveSignIn

        return InteractiveSignIn(self._state, wanted, settings)
