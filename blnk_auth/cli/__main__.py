"""`python -m blnk_auth.cli` is `blnk-auth`. Used by the demo for its child processes; it only calls `main`."""

from __future__ import annotations

from . import main

main()
