"""`Auth` fits `auth=` where httpx2 is not installed, though a class of httpx2 is one of its bases.

Used by check.py, with a Python that does not have it. Nothing here runs.
"""

from __future__ import annotations

from typing import assert_type

import httpx
import requests

from blnk_auth import Auth, TokenSource


def use(source: TokenSource) -> None:
    """Each call that takes it."""
    auth = Auth(source)
    assert_type(auth, Auth)
    session = requests.Session()
    session.auth = auth
    requests.get("https://api.example.com", auth=auth, timeout=10)
    httpx.get("https://api.example.com", auth=auth)
    httpx.Client(auth=auth)
    httpx.AsyncClient(auth=auth)
    # The parameter is still checked.
    Auth("alice")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
