"""`Auth`: a token source as `auth=` of requests, httpx, httpx2 and their forks, whichever sends the request.

Used by applications, and by users of an SDK who do not know which HTTP package it has inside. Importable alone. It
promises the behaviour of `_request.requests_flow` and `_request.httpx_flow`, each for the clients that call it, and it
imports no HTTP package itself. It never decides anything about a request.

httpx and httpx2 accept an instance of their own class `Auth`. For them, any other object that can be called is a
function: they send what it returns and never show it a response, so that a rejected token would not be renewed. An
`Auth` can be called, because requests calls every auth object. So it must be an instance of the class of each package,
also of one that is imported after the object was made.

`isinstance` reads `__class__` if the type does not decide. `Auth` returns a class there that has the auth classes of
all packages that are imported at that moment. Its type is always `Auth`.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from typing import TYPE_CHECKING, Any

from ._renewal.credential import Source
from ._request.client_errors import wrong_client
from ._request.client_packages import auth_classes, imported_package_of
from ._request.requests_flow import RequestsFlow
from .errors import ConfigurationError, constructor_clears_locals

if TYPE_CHECKING:
    import httpx
    import httpx2
    import requests.auth

    # For a type checker it is a subclass of all three. Their flows have the types of their own packages.
    class _EveryAuth(requests.auth.AuthBase, httpx.Auth, httpx2.Auth):  # type: ignore[misc]  # pyright: ignore[reportIncompatibleMethodOverride]
        pass
else:
    _EveryAuth = object

__all__ = ["Auth"]


@constructor_clears_locals
class Auth(RequestsFlow, _EveryAuth):  # type: ignore[misc]
    """Sends a source's token with each request, in every client: `httpx.Client(auth=Auth(source))`.

    requests, httpx and httpx2 accept it, and so do their forks niquests and httpxyz: for a client or session and for a
    single call, in synchronous and in asynchronous code. So it fits wherever an SDK takes `auth=`, whichever of these
    packages the SDK uses. For each package it does what `RequestsAuth`, `HttpxAuth` and `Httpx2Auth` do: the token is
    sent to the provider's API origins and nowhere else. A request that has an `Authorization` header of its own keeps
    it. A rejected request is repeated once, with a renewed token, if its body can be sent again. Otherwise the response
    is returned, and the next request carries the new token.

    `isinstance` holds for the auth class of each of these packages that is imported.

    May be shared between any number of clients and sessions of all packages, threads, event loops and tasks.

    The header is that of RFC 6750 section 2.1, unless a `StaticToken` names another. A rejection is read as section 3
    describes, unless the provider has a rule of its own.

    Args:
        source: Whose token is sent: a `TokenSource`, as `OAuthClient.for_subject` and `for_itself` return it, or a
            `StaticToken`.

    Raises:
        ConfigurationError: `source` is something else; or, while a request is sent, the client is of a package that
            this class is not made for.
        BlnkAuthError: While a request is sent: there is no valid token. It is also an error of the package that sends
            the request, and has `.request`: a `requests.RequestException`, `httpx.RequestError` or
            `httpx2.RequestError`. Only `TemporarilyUnavailable` is also its `ConnectionError` or `TransportError`.
    """

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        # By the class of the request, and made when the first such request comes.
        self._flows: dict[type, Any] = {}

    if not TYPE_CHECKING:

        @property
        def __class__(self):  # noqa: ANN204 - typeshed has the type
            """What `isinstance` asks for: this class, with the auth classes of all packages imported by now."""
            return _class_with_bases(type(self))

    def sync_auth_flow(self, request: Any) -> Generator[Any, Any, None]:
        """Send a request with the token, at most three times. Called by an httpx or httpx2 client.

        It blocks while the token must be renewed.

        Args:
            request: The package's request, whose headers get the token.

        Yields:
            The request, and again if it is to be repeated.

        Raises:
            BlnkAuthError: There is no valid token.
        """
        try:
            flow = self._flows[type(request)]
        except KeyError:
            flow = self._new_flow(request)
        flowing: Generator[Any, Any, None] = flow.sync_auth_flow(request)
        return flowing

    def async_auth_flow(self, request: Any) -> AsyncGenerator[Any, Any]:
        """Send a request with the token, at most three times. Called by an asynchronous httpx or httpx2 client.

        Other tasks run while the token must be renewed. Cancelling the caller does not cancel the renewal.

        Args:
            request: The package's request, whose headers get the token.

        Yields:
            The request, and again if it is to be repeated.

        Raises:
            BlnkAuthError: There is no valid token.
        """
        try:
            flow = self._flows[type(request)]
        except KeyError:
            flow = self._new_flow(request)
        flowing: AsyncGenerator[Any, Any] = flow.async_auth_flow(request)
        return flowing

    def _new_flow(self, request: object) -> Any:
        package = imported_package_of(request)
        if package is None:
            raise self._wrong_client(request)
        from ._request.httpx_flow import HttpxFlow

        flow = type("Auth", (HttpxFlow,), {"_httpx": package.module, "_package": package.token_package})
        return self._flows.setdefault(type(request), flow(self._source))

    def _wrong_client(self, request: object) -> ConfigurationError:
        return wrong_client(type(self).__name__, request)


_classes: dict[type, tuple[tuple[type, ...], type]] = {}
"""What `__class__` returned last, and the auth classes among its bases: for `Auth`, and for each subclass of it."""


def _class_with_bases(own: type) -> type:
    bases = auth_classes()
    known = _classes.get(own)
    if known is not None and known[0] is bases:
        return known[1]
    made = type(own.__name__, (own, *bases), {"__new__": _new, "__module__": own.__module__, "_own": own})
    _classes[own] = bases, made
    return made


def _new(cls: Any, *args: Any, **kwargs: Any) -> Any:
    # What makes another object of the same kind by calling `self.__class__` gets one whose type is `Auth`.
    return cls._own(*args, **kwargs)
