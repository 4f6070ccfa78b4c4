"""The command line, `blnk-auth`. It needs the extra `blnk-auth[cli]`, and says so in one line where that is missing."""

from __future__ import annotations

import sys

from ..errors import BlnkAuthError
from .extras import require


def main() -> None:
    """Run the command that `sys.argv` names, and exit with its status: 0 is good, 1 is not, 2 is a wrong call."""
    require("cli")
    from .app import group

    try:
        group(prog_name="blnk-auth")
    except BlnkAuthError as error:
        sys.stderr.write(f"blnk-auth: {error}\n")
        raise SystemExit(1) from None
