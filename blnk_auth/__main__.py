"""`python -m blnk_auth` is `blnk-auth`, for environments whose scripts are not on the path. It does nothing else."""

from __future__ import annotations

from .cli import main

main()
