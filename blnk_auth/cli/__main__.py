"""`python -m blnk_auth.cli` is `blnk-auth`.

Used by the demo for its child processes. It promises the same behaviour as the command, and never does more than to
call `main`.
"""

from __future__ import annotations

from . import main

main()
