"""The HTTP packages that call an auth object, and those of them that this process has imported.

Used by `Auth`, which is an instance of each one's auth class. It promises to find every package that is imported now,
and each copy of it that it has seen. It never imports a package: one that is not imported has no client that could
call. `CLIENT_PACKAGES` has a line for each package; how they call is in `requests_flow` and `httpx_flow`.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from .._protocol.http_messages import Package


class ClientPackage(NamedTuple):
    """How an HTTP package accepts an auth object.

    Attributes:
        name: The package as it is imported.
        auth_class: The class whose instances it accepts as `auth=`: its path below the package.
        request_class: The class of the requests that it calls an auth object with: its path below the package.
        token_package: The package through which the token for such a request is asked for.
    """

    name: str
    auth_class: str
    request_class: str
    token_package: Package


CLIENT_PACKAGES = (
    ClientPackage("requests", "auth.AuthBase", "PreparedRequest", "requests"),
    ClientPackage("httpx", "Auth", "Request", "httpx"),
    ClientPackage("httpx2", "Auth", "Request", "httpx2"),
    # A fork of requests. Its urllib3 is another one too, so the token comes by a package that needs none.
    ClientPackage("niquests", "auth.AuthBase", "PreparedRequest", "httpx"),
    # A fork of httpx. If it is imported before httpx, both names are this package.
    ClientPackage("httpxyz", "Auth", "Request", "httpx"),
)


class Imported(NamedTuple):
    """A package that is imported, or was until another copy of it took its place.

    Attributes:
        name: The name of the package in `CLIENT_PACKAGES`.
        module: The package itself.
        request_class: The class of its requests.
        token_package: The package through which the token for such a request is asked for.
    """

    name: str
    module: Any
    request_class: type
    token_package: Package


_MOST = 16
"""A program that imports a package again and again has as many copies of it."""

_imported: dict[type, Imported] = {}
"""By the auth class, which two names of one package share. A client of an earlier copy can still send requests."""

_last_look: tuple[tuple[tuple[str, Any], ...], tuple[type, ...]] = ((("", "before the first look"),), ())
"""Each name with the module that `sys.modules` had for it, and the auth classes that followed. One value, since threads
replace it at the same time.
"""


def auth_classes() -> tuple[type, ...]:
    """The auth classes of all packages that were imported by now; the same tuple until another one is imported."""
    looked_at, found = _last_look
    get = sys.modules.get
    for name, module in looked_at:
        if get(name) is not module:
            return _look()
    return found


def imported_package_of(request: object) -> Imported | None:
    """The package whose client calls with `request`; None if no package in `CLIENT_PACKAGES` does."""
    auth_classes()
    return next((each for each in [*_imported.values()] if isinstance(request, each.request_class)), None)


def requests_like_package_of(request: object) -> Imported:
    """The package, requests or a fork of it, whose session sends `request`; requests, if no package has its class."""
    package = imported_package_of(request)
    if package is None:
        import requests

        package = Imported("requests", requests, requests.PreparedRequest, "requests")
    return package


def _look() -> tuple[type, ...]:
    global _last_look  # noqa: PLW0603 - what a process has imported is one fact
    looked_at: list[tuple[str, Any]] = []
    for package in CLIENT_PACKAGES:
        module = sys.modules.get(package.name)
        auth_class, request_class = _found(module, package.auth_class), _found(module, package.request_class)
        if auth_class is None or request_class is None:
            # In the middle of its import a package does not have all its classes; it has no client then either. The
            # next call finds another module than this and looks again.
            module = None
        elif auth_class not in _imported:
            _imported[auth_class] = Imported(package.name, module, request_class, package.token_package)
        looked_at.append((package.name, module))
    for earliest in [*_imported][:-_MOST]:
        _imported.pop(earliest, None)
    found = tuple(_imported)
    _last_look = tuple(looked_at), found
    return found


def _found(module: Any, path: str) -> type | None:
    found = module
    for name in path.split("."):
        found = getattr(found, name, None)
    return found if isinstance(found, type) else None
