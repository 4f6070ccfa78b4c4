"""`python -m blnk_auth.cli` is `blnk-auth`."""

from __future__ import annotations

from . import main

main()
