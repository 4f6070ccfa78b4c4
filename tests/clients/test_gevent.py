"""gevent with requests: its greenlets are this library's threads, if it has patched the standard library first."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from support.api_clients import RENEWED, ClientWorld, Ending, either_way
from support.keep_alive import PAIR, KeepAliveServer, whole
from support.limits import PATIENCE

from blnk_auth import SQLiteStore

pytest.importorskip("gevent")

GREENLETS = 50

PROGRAM = """
from gevent import monkey, pool

monkey.patch_all()

import json, sys

import requests

from blnk_auth import BlnkCloud, OAuthClient, RequestsAuth, SQLiteStore

settings = json.loads(sys.argv[1])
client = OAuthClient(
    BlnkCloud(base_url=settings["origin"]),
    client_id=settings["client_id"],
    client_secret=settings["client_secret"],
    store=SQLiteStore(settings["store"]),
    clock=lambda: settings["now"],
)
auth = RequestsAuth(client.for_subject("alice"))


def call(_):
    return requests.get(settings["url"], auth=auth, timeout=settings["timeout"]).status_code


print(json.dumps(pool.Pool(settings["greenlets"]).map(call, range(settings["greenlets"]))))
"""


@either_way
def test_greenlets_renew_once(world: ClientWorld, ending: Ending, tmp_path: Path) -> None:
    """Fifty greenlets whose token has expired, or is rejected, cause one refresh, and every call succeeds."""
    path = tmp_path / "tokens.db"
    world.store = SQLiteStore(path)
    world.signed_in()
    world.end(ending)
    settings = {
        "origin": world.sandbox.origin,
        "url": world.url,
        "client_id": world.sandbox.client_id,
        "client_secret": world.sandbox.client_secret,
        "store": str(path),
        "now": world.clock(),
        "greenlets": GREENLETS,
        "timeout": PATIENCE,
    }
    command = [sys.executable, "-c", PROGRAM, json.dumps(settings)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=2 * PATIENCE, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert json.loads(ended.stdout) == [200] * GREENLETS
    story, expected = world.story, RENEWED[ending]
    assert (story.token_requests, story.refreshes, story.reuses) == (1, 1, 0)
    assert bool(story.rejections) == bool(expected.rejections)


KEPT = """
from gevent import monkey

monkey.patch_all()

import sys, threading, time

from blnk_auth import OAuthClient, Provider, Token

client = OAuthClient(
    Provider(name="acme", token_endpoint=sys.argv[1] + "/token", api_origins=(sys.argv[1],)),
    client_id="id",
    client_secret="s3cret",
)
client._state.network.kept._clock = lambda: 1000.0
alice = client.for_subject("alice")
alice.adopt(Token("at-0", refresh_token="rt-0", expires_at=1.0))
for _ in range(3):
    alice.renew()
client._state.network.kept._clock = time.monotonic
while any(thread.name == "blnk-auth timer" for thread in threading.enumerate()):
    time.sleep(0.05)
alice.renew()
"""


def test_connections_are_used_again_and_closed_by_a_greenlet() -> None:
    """One greenlet is the timer. A connection that is still kept at the end does not delay the exit."""
    with KeepAliveServer(lambda _: whole(PAIR)) as server:
        command = [sys.executable, "-W", "error", "-c", KEPT, server.origin]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
        assert (ended.returncode, ended.stderr) == (0, "")
        assert server.requests == [0, 0, 0, 1]
