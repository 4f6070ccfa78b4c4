"""Which public names the rows of the canary drive, and which need no row.

Used by tests/secrets/test_every_public_name.py. A public name is a function, a class, or a method or property of
one; the fields of a class show with the class itself. It never imports more than the public modules.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import blnk_auth

_PROGRAMS = ("blnk_auth.cli", "blnk_auth.__main__", "blnk_auth.testing.fixtures", "blnk_auth.testing.pytest_plugin")

NO_ROW: dict[str, str] = {
    "StoreContract": "a suite of tests, whose data is made up",
    "SharedStoreContract": "a suite of tests, whose data is made up",
    "TokenStore": "a protocol: each store drives it",
    "DueStore": "a protocol: each store that can drives it",
    "SelfChecking": "a protocol: each store that can drives it",
    "DiscoverySettings": "the type of keyword arguments",
    "ProviderSettings": "the type of keyword arguments",
    "Clock": "a time, which is no secret",
    "Source": "a base class without members",
    "Version": "a type of text",
    "unpickled_hook": "named in pickles of requests' sessions only",
}
"""Public names without a row, with the reason; a class stands for its members too."""


def public_names() -> Iterator[str]:
    """`function`, `Class`, `Class.method` and `Class.property`."""
    for module in public_modules():
        for name in module.__all__:
            value = getattr(module, name)
            if inspect.isclass(value):
                yield name
                yield from (f"{name}.{member}" for member in _methods_of(value))
            elif inspect.isroutine(value):
                yield name


def public_modules() -> Iterator[ModuleType]:
    """The modules that are public by path."""
    yield blnk_auth
    for each in pkgutil.walk_packages(blnk_auth.__path__, "blnk_auth.", onerror=lambda _: None):
        is_private = any(part.startswith("_") for part in each.name.split("."))
        if not is_private and not any(each.name == name or each.name.startswith(f"{name}.") for name in _PROGRAMS):
            yield importlib.import_module(each.name)


def _methods_of(cls: type[Any]) -> Iterator[str]:
    """Those that the class, or a private base of it in the package, defines itself."""
    for base in cls.__mro__:
        if base.__module__.partition(".")[0] == "blnk_auth" and (base is cls or base.__name__ not in _listed(base)):
            for name, member in vars(base).items():
                is_method = inspect.isroutine(member) or isinstance(member, classmethod | staticmethod | property)
                if is_method and not name.startswith("_"):
                    yield name


def _listed(cls: type[Any]) -> tuple[str, ...]:
    return tuple(getattr(importlib.import_module(cls.__module__), "__all__", ()))


def needs_row(name: str) -> bool:
    """Whether a row must drive it."""
    return name not in NO_ROW and name.partition(".")[0] not in NO_ROW
