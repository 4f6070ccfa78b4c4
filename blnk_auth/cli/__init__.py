"""The command line, `blnk-auth`: `main` runs it. It has no Python API; every other module here is for it alone.

Used by the entry point `blnk-auth` and by `python -m blnk_auth`. What it promises:

* Every error ends in one line on standard error and an exit status, never in a traceback.
* Where the extra `blnk-auth[cli]` is missing, that line names it.
* No command has an option for a secret, and no command prints one, except `token`, whose purpose it is.

Where to find it:

* `app`: the list of commands. Each command is the module of its name: `demo`, `init`, `login`, `logout`, `status`,
  `token`, `request`, `renew`, `keepalive`, `doctor`, `sandbox`, `store`, `client_metadata`, `completion`.
* What a command does, apart from its options. Of `doctor`: `checks`, `checks_here` and `finding`. Of `status`:
  `grant_status`. Of `login` and `renew`: `token_summary`. Of `login`: `sign_in_parameters`, `pasted_lines` and
  `qr_code`; `redirect`, which `init` and `doctor` use too. Of `store`: `import_token`. Of `sandbox`: `sandbox_address`
  and `sandbox_files`. Of `request` and `token`: `api_url`. Of both and `login`: `resource_url`.
* What all share: `options`, `variables` (misspelt ones), `terminal` (printing), `exit_status` and `remedies` (errors),
  `groups` (suggestions), `extras` (missing packages), `log` (of `--verbose`).
"""

from __future__ import annotations

import signal
import sys

from ..errors import BlnkAuthError
from .extras import require


def main() -> None:
    """Run the command that `sys.argv` names, and exit with its status (docs/reference/command-line.md lists them)."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        # Until a command runs, Ctrl-C can lose nothing and simply ends the process: an exception in the middle of an
        # import would show a traceback, or be swallowed by a C extension. `app` restores the exception later.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    require("cli", *(["sandbox"] if sys.argv[1:2] in (["sandbox"], ["demo"]) else []))
    from .app import group

    try:
        group(prog_name="blnk-auth")
    except BlnkAuthError as error:
        sys.stderr.write(f"blnk-auth: {error}\n")
        raise SystemExit(1) from None
