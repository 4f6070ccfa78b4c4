"""Which modules of the package are public. Used by the tests of the public surface and of pickles; it tests nothing."""

from __future__ import annotations

import pkgutil

import blnk_auth

_NO_API = {"blnk_auth.cli", "blnk_auth.__main__", "blnk_auth.testing.fixtures"}
"""Programs, and a plug-in of pytest, which are used by their names."""


def public_modules() -> list[str]:
    """The modules that are public by path: no part of their names has a leading underscore."""
    found = [blnk_auth.__name__]
    for each in pkgutil.walk_packages(blnk_auth.__path__, f"{blnk_auth.__name__}.", onerror=lambda _: None):
        is_private = any(part.startswith("_") for part in each.name.split("."))
        if not is_private and not any(each.name == name or each.name.startswith(f"{name}.") for name in _NO_API):
            found.append(each.name)
    return sorted(found)
