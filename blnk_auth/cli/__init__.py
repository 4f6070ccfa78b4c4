"""The command line, `blnk-auth`. It needs the extra `blnk-auth[cli]`, and says so in one line where that is missing."""

from __future__ import annotations

import signal
import sys

from ..errors import BlnkAuthError
from .extras import require


def main() -> None:
    """Run the command that `sys.argv` names, and exit with its status: see docs/reference/command-line.md."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        # Until a command runs nothing is at stake, and Ctrl-C simply ends the process: as an exception in the middle of
        # an import it would show a traceback, or be swallowed by a C extension. `app` takes over.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    require("cli")
    from .app import group

    try:
        group(prog_name="blnk-auth")
    except BlnkAuthError as error:
        sys.stderr.write(f"blnk-auth: {error}\n")
        raise SystemExit(1) from None
