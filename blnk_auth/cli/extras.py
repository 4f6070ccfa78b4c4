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


def require(extra: str) -> None:
    """Exit with status 2, and one line that names the extra, if one of its packages is missing."""
    for package in _PACKAGES[extra]:
        if find_spec(package) is None:
            sys.stderr.write(
                f"blnk-auth: this needs the package {package}, which is not installed: "
                f"pip install 'blnk-auth[{extra}]'\n"
            )
            raise SystemExit(2)
