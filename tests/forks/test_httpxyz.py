"""httpxyz, which takes the name of httpx if it is imported first. The scenario tables go through it too."""

from __future__ import annotations

import subprocess
import sys

import pytest
from support.worlds import World

from blnk_auth import MemoryStore
from blnk_auth.testing import Clock, Sandbox, assert_renewed_once

PROGRAM = """
import {imports}, sys
from blnk_auth import Auth, OAuthClient, Provider, Token

provider = Provider(name="acme", token_endpoint={origin!r} + "/oauth/token", api_origins=({origin!r},))
alice = OAuthClient(provider, client_id="sandbox-client", client_secret="sandbox-secret").for_subject("alice")
alice.adopt(Token("expired", refresh_token={refresh_token!r}, expires_at=1.0))
with httpxyz.Client(auth=Auth(alice)) as http:
    print((sys.modules.get("httpx") is httpxyz), http.get({url!r}).status_code)
"""


@pytest.mark.parametrize("imports", ["httpxyz", "httpx, httpxyz", "httpxyz, httpx, requests"])
def test_a_token_is_renewed_in_every_order_of_import(
    blnk_sandbox: Sandbox, blnk_clock: Clock, blnk_store: MemoryStore, imports: str
) -> None:
    """Whether httpx is httpxyz or a package of its own, the token request arrives, and the request is answered."""
    world = World(blnk_sandbox, blnk_clock, store=blnk_store)
    token = world.sandbox.issue("alice")["refresh_token"]
    program = PROGRAM.format(imports=imports, origin=world.sandbox.origin, url=world.url, refresh_token=token)
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert ran.stdout.split() == [str(not imports.startswith("httpx,")), "200"], ran.stderr
    assert_renewed_once(world.sandbox)
