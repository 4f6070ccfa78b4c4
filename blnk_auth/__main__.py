"""`python -m blnk_auth`, which is the same as `blnk-auth`.

Used where the scripts of an environment are not on the path. It promises the same arguments and exit status, and never
does anything else.
"""

from __future__ import annotations

from .cli import main

main()
