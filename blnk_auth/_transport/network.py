"""How the authorization server is reached: with this library's own HTTP client, of the package that the caller uses.

Used by `ClientState`, by discovery and by the command line. It uses the same package, so that a user of `requests` need
not import httpx, and the caller's mocks see the request. It uses its own client, so that the caller's hooks, cookies,
redirects, pools and cancellation never affect a token request. See docs/explanation/renewal.md.
"""

from __future__ import annotations

import copy
import os
import sys
import time
import weakref
from collections.abc import Callable
from os import PathLike
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from .. import __version__
from .._protocol.http_messages import Package
from .._protocol.origins import is_loopback
from ..errors import ConfigurationError, kind_of, redacted
from ..policy import RenewalPolicy
from .kept_clients import ClientKey, KeptClients

if TYPE_CHECKING:
    from ssl import SSLContext

    from .._protocol.http_messages import HttpRequest, Transport
    from .addresses import AddressCheck, AddressRule
    from .client_certificate import ClientCertificate, Report

USER_AGENT = f"blnk-auth/{__version__}"

_PROXY_SCHEMES = ("http", "https", "socks5", "socks5h")
_PACKAGES: tuple[Package, ...] = ("httpx2", "httpx", "requests")
_PROXY_VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


class Network:
    """How the authorization server is reached. May be used from any thread.

    Attributes:
        policy: The limits of each exchange.
        verify: True, the path of a CA file, or an `ssl.SSLContext`.
        cert: A client certificate: a file, or a tuple of file, key file and optional password. None: none.
        proxy: The URL of a proxy. None: the proxy that the environment names; for http on this machine, no proxy.
        client: A `requests.Session`, `httpx.Client` or `httpx2.Client` that the user passed. None: the library makes
            clients itself, and keeps them in `kept`.
        kept: The clients that can be used again. They are closed when this object no longer exists, and at exit.

    Raises:
        ConfigurationError: A setting cannot be used; `parameter` names it as `OAuthClient` does.
    """

    def __init__(
        self,
        policy: RenewalPolicy,
        verify: bool | str | PathLike[str] | SSLContext = True,
        cert: str | tuple[str, ...] | None = None,
        proxy: str | None = None,
        client: Any = None,
    ) -> None:
        self.policy = policy
        self.verify = verify
        self.cert = cert
        self.proxy = proxy
        self.client = client
        self.addresses: AddressRule | None = None
        """Which addresses may be connected to. None: any. A `client` of the user's own obeys it with httpx only."""
        self.last_package: Package | None = None
        """The package of the last caller that named one."""
        self.kept: KeptClients = KeptClients()
        weakref.finalize(self, self.kept.abandon)
        self._tls: SSLContext | None = None
        self._certificate: ClientCertificate | None = None
        self._clock: Callable[[], float] = time.time
        self._report: Report = _nothing
        self._owner: Network | None = None
        if client is not None:
            self._check_client()
        if proxy is not None:
            _check_proxy(redacted(proxy))
        if cert is not None:
            from .client_certificate import ClientCertificate

            self._certificate = ClientCertificate(verify, redacted(cert))
        elif verify is not True:
            from .tls import context

            self._tls = context(verify, None)

    @property
    def tls(self) -> SSLContext | None:
        """The context for `verify` and `cert`, with a renewed certificate if there is one.

        None where they are the defaults, which each package provides itself.
        """
        certificate = self._certificate
        return self._tls if certificate is None else certificate.look(self._clock(), self._report)

    def key(self, package: Package, request: HttpRequest) -> ClientKey:
        """For which requests a client of this package can be used that is made for `request` now."""
        parts = urlsplit(request.url)
        environment = None
        if not stays_on_this_machine(request.url):
            environment = tuple(os.environ.get(name) for each in _PROXY_VARIABLES for name in (each, each.upper()))
        return ClientKey(package, (parts.scheme, parts.netloc), self.tls, self.proxy, environment, self.addresses)

    def check_for(self, request: HttpRequest) -> AddressCheck | None:
        """What judges the addresses of an exchange; None: any may be connected to. Raises `ConfigurationError`."""
        return None if self.addresses is None else self.addresses.check_for(request.url)

    def answer_limit(self, request: HttpRequest) -> int:
        """The most bytes that the body of a response may have; 0: it is not read."""
        return self.policy.max_answer_bytes if request.answer_limit is None else request.answer_limit

    def limited_to(self, addresses: AddressRule) -> Network:
        """The same network, whose connections obey a rule. It shares the kept connections, each for one rule."""
        made = copy.copy(self)
        made.addresses = addresses
        # The kept connections are closed with the network that they belong to.
        made._owner = self
        return made

    @property
    def certificate_expires_at(self) -> float | None:
        """When the client certificate expires, in UTC epoch seconds; None if there is none, or it cannot be read."""
        return None if self._certificate is None else self._certificate.expires_at

    def watch_certificate(self, clock: Callable[[], float], report: Report) -> None:
        """Report what happens to the certificate from now on, beginning with its end, if that is near.

        Args:
            clock: Returns the time, in UTC epoch seconds.
            report: Called with the name and the detail of an event, on any thread, also under a lock of the store.
        """
        self._clock, self._report = clock, report
        if self._certificate is not None:
            self._certificate.look(clock(), report)

    def _check_client(self) -> None:
        if _package_of(self.client) is None:
            raise ConfigurationError(
                "token_http must be a requests.Session, an httpx.Client or an httpx2.Client, not "
                f"{kind_of(self.client)}",
                parameter="token_http",
                remedy="pass such a client, or leave it out",
            )
        if self.verify is not True or self.cert is not None or self.proxy is not None:
            raise ConfigurationError(
                "token_http was passed together with verify, cert or proxy, but it has its own",
                parameter="token_http",
                remedy="set verify, cert and proxy of that client, and leave them out here",
            )


def _nothing(_name: str, _detail: str) -> None:
    """What is reported of a certificate before anybody wants to know."""


def stays_on_this_machine(url: str) -> bool:
    """Whether a request to `url` is allowed to be unencrypted because it does not leave this machine."""
    parts = urlsplit(url)
    return parts.scheme.lower() == "http" and is_loopback(parts.hostname or "")


def _check_proxy(proxy: str) -> None:
    try:
        parts = urlsplit(proxy)
        usable = parts.scheme in _PROXY_SCHEMES and parts.hostname and (parts.port or True)
    except (ValueError, TypeError, AttributeError):
        usable = False
    if not usable:
        raise ConfigurationError(
            "proxy must be the URL of a proxy",
            parameter="proxy",
            remedy=f"write it as http://proxy.example.com:3128 (or {', '.join(_PROXY_SCHEMES[1:])})",
        )


def transport_for(package: Package | None, network: Network) -> Transport:
    """The transport of the user's own client, else of the caller's package, else of the package of the last caller.

    Without any of them it is that of a package that is in use. The last caller's is used for what no request does by
    itself, such as the end of a sign-in.
    """
    network.last_package = package or network.last_package
    package = _package_of(network.client) or network.last_package or _package_in_use()
    if package == "requests":
        from .requests_transport import RequestsTransport

        return RequestsTransport(network)
    from .httpx_transport import HttpxTransport

    return HttpxTransport(package, network)


def _package_in_use() -> Package:
    in_use: list[Package] = [package for package in _PACKAGES if package in sys.modules]
    # requests imports less. httpx may import trio, which an isolated sub-interpreter refuses.
    return in_use[0] if in_use else "requests"


def _package_of(client: Any) -> Package | None:
    # Read a package only if it is needed, because another thread may be importing it at this moment.
    if client is None:
        return None
    return next((package for package in _PACKAGES if _is_client_of(package, client)), None)


def _is_client_of(package: Package, client: Any) -> bool:
    # If the package was not imported, no client of it can exist.
    module: Any = sys.modules.get(package)
    return module is not None and isinstance(client, module.Session if package == "requests" else module.Client)
