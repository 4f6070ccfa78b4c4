"""Reaching the token endpoint: with an HTTP client of our own, made by the package that the caller uses.

The same package, so that a `requests` user needs no httpx and the caller's mocks see the call; a client of our own, so
that the caller's hooks, cookies, redirects, pools and cancellation never touch it. See docs/explanation/renewal.md.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..errors import ConfigurationError
from ..policy import RenewalPolicy
from ..wire import Package

if TYPE_CHECKING:
    from ..wire import Transport

_PACKAGES: tuple[Package, ...] = ("httpx2", "httpx", "requests")


@dataclass(frozen=True, slots=True)
class Network:
    """How the authorization server is reached: limits, certificates, proxy, or the user's own HTTP client."""

    policy: RenewalPolicy
    verify: Any = True
    cert: str | tuple[str, ...] | None = field(default=None, repr=False)
    proxy: str | None = field(default=None, repr=False)
    client: Any = None

    def __post_init__(self) -> None:
        if self.client is None:
            return
        if _package_of(self.client) is None:
            raise ConfigurationError("token_http must be a requests.Session, an httpx.Client or an httpx2.Client")
        if self.verify is not True or self.cert is not None or self.proxy is not None:
            raise ConfigurationError("token_http brings its own verify, cert and proxy; set them there, not here")


def transport_for(package: Package | None, network: Network) -> Transport:
    """The transport of the user's own client, else of the caller's package, else of a package that is in use."""
    package = _package_of(network.client) or package or _package_in_use()
    if package == "requests":
        from .requests import RequestsTransport

        return RequestsTransport(network)
    from .httpx import HttpxTransport

    return HttpxTransport(package, network)


def _package_in_use() -> Package:
    in_use: list[Package] = [package for package in _PACKAGES if package in sys.modules]
    return in_use[0] if in_use else "httpx"


def _package_of(client: Any) -> Package | None:
    return next((package for package in _PACKAGES if _is_client_of(package, client)), None)


def _is_client_of(package: Package, client: Any) -> bool:
    # A client of a package can only exist where the package was imported.
    module: Any = sys.modules.get(package)
    return module is not None and isinstance(client, module.Session if package == "requests" else module.Client)
