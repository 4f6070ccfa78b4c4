"""`python -m blnk_auth` is `blnk-auth`."""

from __future__ import annotations

from .cli import main

main()
