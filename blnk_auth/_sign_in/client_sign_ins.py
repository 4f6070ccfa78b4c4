"""The sign-ins of an `OAuthClient`: those with a browser, with a device code, and by exchange.

Used by `OAuthClient`, which derives from the class here, and has the tokens of what was signed in. It checks what the
user passed, hands it to the sign-in in question, and returns the source of the user's tokens. It never reads a store or
sends a request itself.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from ..errors import clears_locals, redacted
from ..source import TokenSource, source_of
from .client_authorizations import ClientAuthorizations
from .wanted_grant import WantedGrant

if TYPE_CHECKING:
    # Each sign-in is imported when a user first signs in by it: most programs only use the tokens.
    import blnk_auth

    from .device import DeviceSignIn
    from .one_time_exchange import OneTimeExchange
else:
    # Annotations name its types, which it loads when they are used: `typing.get_type_hints` finds them by it.
    blnk_auth = sys.modules[__package__.rpartition(".")[0]]


@clears_locals
class ClientSignIns(ClientAuthorizations):
    """How users sign in at the client's provider. Every method may be called from any thread or task."""

    def authorize_device(
        self,
        subject: str,
        *,
        scope: str | Sequence[str] | None = None,
        resource: str | None = None,
        on_prompt: Callable[[blnk_auth.DeviceAuthorization], object],
        timeout: float | None = None,
        wait: Callable[[float], object] = time.sleep,
    ) -> TokenSource:
        """Sign a user in who has a browser on another device (RFC 8628), and return their source.

        Blocks until the user has decided; an outage of the server is waited out. For asyncio and trio:
        `aauthorize_device`.

        Args:
            subject: The application's own lasting id of the user.
            scope: Space-separated, or a list or tuple of scopes. None: the server decides.
            resource: What the tokens are for (RFC 8707): an absolute URI, as for `for_subject`. None: not specified.
            on_prompt: Called with the code and where to enter it; must show both.
            timeout: Seconds after which it ends. None: when the code expires.
            wait: Called with the seconds until the next poll. Default: `time.sleep`.

        Returns:
            The source of the user's tokens.

        Raises:
            SignInRequired: The user refused (`denied`), or took too long (`restart`).
            ConfigurationError: The provider has no device_authorization_endpoint, or an argument cannot work.
            ProtocolError: A response of the server is not valid.
            TemporarilyUnavailable: No code could be obtained.
            StoreError: The store fails.
        """
        wanted = WantedGrant.checked(subject, scope, resource)
        return source_of(self._device(wanted, on_prompt, timeout, wait).run())

    async def aauthorize_device(
        self,
        subject: str,
        *,
        scope: str | Sequence[str] | None = None,
        resource: str | None = None,
        on_prompt: Callable[[blnk_auth.DeviceAuthorization], object],
        timeout: float | None = None,
        wait: Callable[[float], Awaitable[object]] | None = None,
    ) -> TokenSource:
        """The same as `authorize_device`, for asyncio and trio.

        Args:
            subject: The application's own lasting id of the user.
            scope: Space-separated, or a list or tuple of scopes. None: the server decides.
            resource: What the tokens are for (RFC 8707): an absolute URI, as for `for_subject`. None: not specified.
            on_prompt: Called with the code and where to enter it; must show both.
            timeout: Seconds after which it ends. None: when the code expires.
            wait: Awaited with the seconds until the next poll. None: the event loop's own sleep.
        """
        from .device import sleep

        wanted = WantedGrant.checked(subject, scope, resource)
        wait = sleep if wait is None else wait
        return source_of(await self._device(wanted, on_prompt, timeout, wait).arun())

    def authorize_by_exchange(self, subject: str, *, grant_type: str, parameters: Mapping[str, str]) -> TokenSource:
        """Exchange something that may be used once for the tokens of a user, and return their source.

        For a grant of the provider's own (RFC 6749 section 4.5), such as one that turns a permission of bLink into
        tokens. All processes that share the store send the same parameters once, whether or not a response comes; they
        are sent again only if the server certainly issued nothing. Cancelling the caller does not cancel the exchange.
        Blocks; for asyncio and trio: `aauthorize_by_exchange`.

        Args:
            subject: The application's own lasting id of the user.
            grant_type: The `grant_type` of the request, as the provider documents it.
            parameters: Its other parameters, among them what is exchanged. Only a hash of them is stored, until `prune`
                deletes it.

        Returns:
            The source of the user's tokens.

        Raises:
            SignInRequired: The server refused, or the same was exchanged before (`restart`).
            TemporarilyUnavailable: The server cannot answer now; `remedy` specifies whether the same may be tried
                again.
            ConfigurationError: The registration or an argument is wrong. The same may be tried again.
            ProtocolError: The server's response is not valid.
            StoreError: The store fails.
        """
        parameters = redacted(parameters)
        return source_of(self._exchange(subject, grant_type, parameters).run())

    async def aauthorize_by_exchange(
        self, subject: str, *, grant_type: str, parameters: Mapping[str, str]
    ) -> TokenSource:
        """The same as `authorize_by_exchange`, for asyncio and trio."""
        parameters = redacted(parameters)
        return source_of(await self._exchange(subject, grant_type, parameters).arun())

    def _exchange(self, subject: str, grant_type: str, parameters: Mapping[str, str]) -> OneTimeExchange:
        from .one_time_exchange import Exchange, OneTimeExchange

        return OneTimeExchange(self._state, Exchange.checked(subject, grant_type, parameters))

    def _device(
        self,
        wanted: WantedGrant,
        on_prompt: Callable[[blnk_auth.DeviceAuthorization], object],
        timeout: float | None,
        wait: Callable[[float], object],
    ) -> DeviceSignIn:
        from .device import DeviceSignIn

        return DeviceSignIn(self._state, wanted, on_prompt=on_prompt, timeout=timeout, wait=wait)
