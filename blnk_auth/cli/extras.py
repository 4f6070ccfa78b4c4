"""Which packages the commands need beyond the library itself.

Used by `main` and by commands before they import anything else. It promises one line that names the extra. It never
imports anything but the standard library.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec

_PACKAGES = {
    "cli": ("click", "rich"),
    "sandbox": ("jinja2", "starlette", "uvicorn"),
}


def require(extra: str, *later: str) -> None:
    """Exit with status 2, and one line that names the extra, if one of its packages is missing.

    The line names those of `later` too that are missing then, so that the user installs once.
    """
    package = _missing(extra)
    if package is not None:
        names = ",".join([extra, *(each for each in later if _missing(each) is not None)])
        sys.stderr.write(
            f"blnk-auth: this needs the package {package}, which is not installed: pip install 'blnk-auth[{names}]'\n"
        )
        raise SystemExit(2)


def _missing(extra: str) -> str | None:
    """The first package of an extra that is not installed."""
    return next((package for package in _PACKAGES[extra] if find_spec(package) is None), None)
