"""The two sources of tokens: `TokenSource` for tokens that are renewed, `StaticToken` for a fixed key.

Used by applications, which get a source from `OAuthClient` and pass it to an auth class. That class uses the source's
`Credential` (`credential_of`). A source only refers to a grant: `_renewal` performs all operations on it. It promises
to be safe to share between threads, event loops and tasks, and it never sends the user's own requests.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import urlsplit

from ._protocol.origins import normalize
from ._renewal.cached_token import CachedToken, NoToken
from ._renewal.credential import Credential, Source, headers_to_attach
from ._renewal.current_token import CurrentToken, State
from ._renewal.fixed_credential import FixedCredential
from ._renewal.grant_operations import adopt, forget, revoke, state_of
from ._renewal.grant_token import GrantToken
from ._renewal.single_flight import Flight
from .errors import ConfigurationError, clears_locals, quoted, redacted
from .provider import Provider
from .token import Token

__all__ = ["Source", "State", "StaticToken", "TokenSource"]


class _ReadsEarlierPickles(type):
    """The metaclass of `TokenSource`. Pickles of earlier versions call `TokenSource.of`, which is not public now."""

    def of(cls, state: Any, grant: Any) -> TokenSource:
        """The source in such a pickle."""
        from ._pickles import source_of_grant

        source: TokenSource = source_of_grant(state, grant)
        return source


class TokenSource(Source, metaclass=_ReadsEarlierPickles):
    """Supplies a valid token of one grant, and renews it once for all processes that share the store.

    Made by `OAuthClient.for_subject` and `for_itself`. May be used from any number of threads, event loops and tasks.
    Methods whose names begin with `a` are for asyncio and trio. Copying it gives the same source.

    Args:
        current: The state of the grant. Applications do not call the constructor.
    """

    __slots__ = ("__weakref__", "_current")

    def __init__(self, current: GrantToken) -> None:
        self._current = current

    @property
    def _credential(self) -> Credential:
        return self._current

    def __repr__(self) -> str:
        return f"<TokenSource {self.store_key}>"

    @property
    def subject(self) -> str | None:
        """The user whose grant it is, by the application's own id; None for the client's own token."""
        return self._current.subject

    @property
    def store_key(self) -> str:
        """The key of its record in the store. It contains no secret."""
        return self._current.store_key

    @property
    @clears_locals
    def state(self) -> State:
        """The state of the stored token. Reads the store; renews nothing.

        `missing`: nothing is stored. `fresh`: valid. `stale`: valid, and the next call renews it in the background.
        `expired`: the next call waits for a renewal. `sign_in_required`: the grant has ended, although its last access
        token may still be accepted.

        Raises:
            ConfigurationError: The grant is bound to a DPoP key that the client does not have.
            StoreError: The store cannot be read.
        """
        current = self._current.stored()
        return "missing" if current is None else state_of(current)

    def token(self) -> Token:
        """A valid token, renewed first if needed. Blocks; for asyncio and trio: `atoken`.

        Cancelling the caller does not cancel the renewal.

        Returns:
            The token.

        Raises:
            SignInRequired: A user must authorize again.
            TemporarilyUnavailable: The authorization server cannot answer now.
            ConfigurationError: The registration, an endpoint or a parameter is wrong.
            ProtocolError: The server's response is not a valid OAuth 2.0 response.
            StoreError: The store cannot be read, written or locked.
        """
        return _token_of(self._wait(self._current.ready(None)))

    async def atoken(self) -> Token:
        """The same as `token`, for asyncio and trio."""
        return _token_of(await self._await(self._current.ready(None)))

    @clears_locals
    def headers(self, url: str, method: str = "GET") -> dict[str, str]:
        """The headers that one request to `url` needs: the token's, its proof, and the provider's own.

        For everything that takes headers and no auth object: websockets, pandas, gRPC metadata, curl. Blocks while a
        renewal is needed; for asyncio and trio: `aheaders`. With `OAuthClient(dpop=...)` they are for this one request:
        a proof (RFC 9449) is accepted once, for its method and URL, and for a short time.

        Args:
            url: Where the request is sent to, absolute.
            method: The method of the request, which a proof names. For a websocket: GET.

        Returns:
            Names and values. Empty, with the event `token_withheld`, if the URL may not have the token.

        Raises:
            ConfigurationError: `url` is not an absolute URL.
            BlnkAuthError: There is no valid token.
        """
        current = self._current
        return _headers(current, url, method, self._wait(current.ready(None))) if _may_receive(current, url) else {}

    @clears_locals
    async def aheaders(self, url: str, method: str = "GET") -> dict[str, str]:
        """The same as `headers`, for asyncio and trio."""
        current = self._current
        if not _may_receive(current, url):
            return {}
        return _headers(current, url, method, await self._await(current.ready(None)))

    @clears_locals
    def renew(self, *, rejected: Token | None = None) -> Token:
        """Renew now, or join a renewal that is under way. Blocks; for asyncio and trio: `arenew`.

        After a renewal that failed temporarily, its error is raised again until the cool-down has passed.

        Args:
            rejected: Renew only if this is still the current token, else return the current one. None: renew in any
                case.

        Returns:
            The new token.

        Raises:
            BlnkAuthError: The token could not be renewed. The class of the error shows what the caller can do.
        """
        current = self._current
        before = current.cached
        return current.other_than(before, self._wait(current.renew_by_hand(rejected)))

    @clears_locals
    async def arenew(self, *, rejected: Token | None = None) -> Token:
        """The same as `renew`, for asyncio and trio."""
        current = self._current
        before = current.cached
        return current.other_than(before, await self._await(current.renew_by_hand(rejected)))

    @clears_locals
    def adopt(self, token: Token) -> None:
        """Store a token obtained elsewhere as the token of this grant. Blocks; for asyncio and trio: `aadopt`.

        Like a new sign-in, it replaces any stored token. The result of a renewal that is under way is discarded.

        Args:
            token: The token; `Token.from_response` makes one from another library's dict. A token without `issued_at`
                counts as issued now.

        Raises:
            ConfigurationError: It is not a token, or it cannot be sent in a header or stored.
            StoreError: It could not be stored.
        """
        self._current.operations.wait_for(self._begin(adopt, token))

    @clears_locals
    async def aadopt(self, token: Token) -> None:
        """The same as `adopt`, for asyncio and trio."""
        await self._current.operations.await_for(self._begin(adopt, token))

    def revoke(self) -> None:
        """Revoke the grant at the provider, then delete the record. Blocks; for asyncio and trio: `arevoke`.

        The record is deleted only after the provider has ended the grant. If nothing is stored, nothing is done.

        The request is that of RFC 7009 section 2.1, unless the provider has a way of its own.

        Raises:
            ConfigurationError: The provider has no revocation endpoint.
            BlnkAuthError: The provider did not end the grant.
        """
        self._current.operations.wait_for(self._begin(revoke))

    async def arevoke(self) -> None:
        """The same as `revoke`, for asyncio and trio."""
        await self._current.operations.await_for(self._begin(revoke))

    def forget(self) -> None:
        """Delete the stored record. The provider is not informed. Blocks; for asyncio and trio: `aforget`.

        Raises:
            StoreError: It could not be deleted.
        """
        self._current.operations.wait_for(self._begin(forget))

    async def aforget(self) -> None:
        """The same as `forget`, for asyncio and trio."""
        await self._current.operations.await_for(self._begin(forget))

    def _begin(self, operation: Callable[..., None], *arguments: Token) -> Flight[None]:
        current = self._current
        return current.operations.begin(lambda events: operation(current.resolved(), *arguments, events))

    def _wait(self, ready: CachedToken | Flight[CachedToken]) -> CachedToken:
        return ready.wait(self._current.rules.wait_timeout) if isinstance(ready, Flight) else ready

    async def _await(self, ready: CachedToken | Flight[CachedToken]) -> CachedToken:
        return await ready.wait_async(self._current.rules.wait_timeout) if isinstance(ready, Flight) else ready

    # Copies are the same source: a second one for the same grant would renew a second time.

    def __copy__(self) -> TokenSource:
        return self

    def __deepcopy__(self, memo: object) -> TokenSource:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return self._current.pickled()


def source_of(current: CurrentToken) -> TokenSource:
    """The one source of this grant, which all callers in this process share."""
    return current.state.sources.source_of(current, TokenSource)


class StaticToken(Source):
    """A fixed key or token, which is sent to the API's origins only, and is never renewed.

    After a redirect, httpx does not send a custom header, and requests sends it to allowed origins only. Immutable;
    safe to share between threads and tasks. It is a secret, so it cannot be pickled.

    As a Bearer token it is sent as RFC 6750 section 2.1 describes.

    Args:
        value: The key itself.
        api_origins: The origins that may receive it, such as `("https://api.example.com",)`. Those of the `provider`
            may always. Default: no others, so there must be a provider.
        header: The header that carries it. The default `Authorization` sends it as a Bearer token, any other header
            (`X-Blnk-Key` for Blnk Core) sends it as it is.
        provider: The provider whose API it is for: its `api_headers` are sent too, made again for each attempt. None:
            no other headers are sent.
        subject: The user whose key it is, for the callables of the provider. None: it is nobody's in particular.

    Raises:
        ConfigurationError: An argument cannot work: the value is empty or cannot be sent in a header, `header` is not
            the name of a header, `api_origins` is not a list of origins, or no origin is named.
        TemporarilyUnavailable: The `target` callable of the provider failed.
    """

    __slots__ = ("_fixed",)

    @clears_locals
    def __init__(
        self,
        value: str,
        *,
        api_origins: Iterable[str] = (),
        header: str = "Authorization",
        provider: Provider | None = None,
        subject: str | None = None,
    ) -> None:
        value = redacted(value.strip() if isinstance(value, str) else "")
        if provider is not None and not isinstance(provider, Provider):
            raise ConfigurationError(
                f"provider must be a Provider, not {quoted(provider)}",
                parameter="provider",
                remedy="pass BLink(...), Provider(name=..., ...) or another provider, or leave it out",
            )
        self._fixed = FixedCredential.checked(value, api_origins, header, provider, subject)

    @property
    def _credential(self) -> Credential:
        return self._fixed

    def __repr__(self) -> str:
        return repr(self._fixed)

    def token(self) -> Token:
        """The key as a token. Does not block.

        Returns:
            A token that never expires.
        """
        return self._fixed.cached.token

    async def atoken(self) -> Token:
        """The same as `token`, for asyncio and trio."""
        return self._fixed.cached.token

    def headers(self, url: str, method: str = "GET") -> dict[str, str]:
        """The header that a request to `url` needs. Does not block.

        Args:
            url: Where the request is sent to, absolute.
            method: As for `TokenSource.headers`; a key is sent in the same way with every method.

        Returns:
            Its name and value. Empty, with the event `token_withheld`, if the URL may not have the key.

        Raises:
            ConfigurationError: `url` is not an absolute URL.
        """
        credential = self._fixed
        return _headers(credential, url, method, credential.cached)

    async def aheaders(self, url: str, method: str = "GET") -> dict[str, str]:
        """The same as `headers`, for asyncio and trio."""
        return self.headers(url, method)

    def __copy__(self) -> StaticToken:
        return self

    def __deepcopy__(self, memo: object) -> StaticToken:
        return self

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("a StaticToken is a secret and is not pickled; make it again in the other process")


def _token_of(cached: CachedToken) -> Token:
    if not isinstance(cached, NoToken):
        return cached.token
    raise ConfigurationError(
        "there is no token: the URL of the ProtectedResource describes no sign-in",
        parameter="url",
        remedy="send requests without a token, or use OAuthClient with the authorization server of the API",
    )


def _may_receive(credential: Credential, url: str, cached: CachedToken | None = None) -> bool:
    try:
        parts = urlsplit(url)
        origin = normalize(parts.scheme, parts.hostname or "", parts.port)
    except (ValueError, TypeError, AttributeError):
        origin = None
    if origin is None or not origin.scheme or not origin.host:
        raise ConfigurationError(
            f"url must be an absolute URL, not {quoted(url)}",
            parameter="url",
            remedy="pass the whole URL, such as https://host/path",
        )
    rules = credential.rules
    if (rules.may_permit(origin) if cached is None else rules.permits(origin, cached.token)) and (
        rules.covers is None or rules.covers(url)
    ):
        return True
    credential.report_withheld(origin)
    return False


def _headers(credential: Credential, url: str, method: str, cached: CachedToken) -> dict[str, str]:
    return headers_to_attach(credential, cached, method, url) if _may_receive(credential, url, cached) else {}
