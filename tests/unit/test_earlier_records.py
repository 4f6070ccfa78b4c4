"""What the first commits of 0.1.0 stored is still read: tokens, grants that have ended, and sign-ins that are pending.

`tests/data/records_of_0_1.json` holds what the code of the commit that it names wrote, before the modules were moved:
each record as JSON text, the files of a `FileStore`, the dump of an `SQLiteStore`, and what an `EncryptedStore` kept.
No secret is in them.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.errors import raises
from support.pickled import BLINK
from support.scripted import ScriptedWorld
from support.token_endpoint import pair

from blnk_auth import EncryptedStore, FileStore, MemoryStore, Provider, SignInRequired, SQLiteStore, Token
from blnk_auth._renewal.stored_record import GrantRecord
from blnk_auth.stores import TokenStore
from blnk_auth.testing import Clock

EARLIER: dict[str, Any] = json.loads((Path(__file__).parent.parent / "data" / "records_of_0_1.json").read_text())
NOW: float = EARLIER["now"]


def kept_in_memory(member: str) -> MemoryStore:
    """A `MemoryStore` with the records of one member of the file."""
    store = MemoryStore()
    for key, text in EARLIER[member].items():
        store.save(key, json.loads(text), expected=None)
    return store


def memory(_: Path) -> TokenStore:
    return kept_in_memory("records")


def encrypted(_: Path) -> TokenStore:
    return EncryptedStore(kept_in_memory("encrypted"), keys=[b"\1" * 32])


def file(directory: Path) -> TokenStore:
    directory.chmod(0o700)
    for name, text in EARLIER["files"].items():
        path = directory / name
        path.touch(mode=0o600)
        path.write_text(text)
    return FileStore(directory)


def sqlite(directory: Path) -> TokenStore:
    path = directory / "tokens.db"
    path.touch(mode=0o600)
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.executescript("\n".join(EARLIER["sqlite"]))
    return SQLiteStore(path)


@pytest.fixture(params=[memory, file, sqlite, encrypted], ids=lambda made: made.__name__)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> TokenStore:
    """Each store with what was written."""
    opened: Callable[[Path], TokenStore] = request.param
    return opened(tmp_path)


def world_of(store: TokenStore, provider: Provider | None = None) -> ScriptedWorld:
    """A client of today with that store, at the time when it was written."""
    clock = Clock(NOW)
    world = ScriptedWorld(provider, store=store, clock=clock)
    world.clock = clock
    return world


def grant_in(store: TokenStore, name: str) -> GrantRecord:
    """What today's code reads under the key that the earlier code gave to it."""
    key = EARLIER["store_keys"][name]
    record = store.load(key)
    assert record is not None
    return GrantRecord.from_data(record.data, key)


SIGNED_IN = Token(
    "at1",
    refresh_token="rt1",
    expires_at=NOW + 3600,
    refresh_expires_at=NOW + 86_400,
    issued_at=NOW,
    scope="data:read",
    extra={"grant_id": "g1"},
)


def test_an_earlier_token_works_and_is_renewed(store: TokenStore) -> None:
    """Each member is where it was, no request is sent for it, and its refresh token gets the next pair."""
    world = world_of(store)
    source = world.client.for_subject("alice")
    assert grant_in(store, "signed in") == GrantRecord(SIGNED_IN)
    assert (source.token(), source.state) == (SIGNED_IN, "fresh")
    world.server.will(pair(9))
    source.renew()
    assert world.server.forms[0]["refresh_token"] == "rt1"
    assert grant_in(store, "signed in").token.refresh_token == "rt9"


def test_other_earlier_tokens_work(store: TokenStore) -> None:
    """Those of the client itself, and those for one bank, without a request for either."""
    token = Token("at3", expires_at=NOW + 3600, issued_at=NOW, scope="data:read")
    assert world_of(store).client.for_itself(scope="data:read").token() == token
    source = world_of(store, BLINK).client.for_subject("alice")
    token = Token("at4", refresh_token="rt4", expires_at=NOW + 3600, issued_at=NOW, scope="a b")
    assert (source.store_key, source.token()) == (EARLIER["store_keys"]["signed in at a bank"], token)


def test_an_earlier_end_of_a_grant_is_still_its_end(store: TokenStore) -> None:
    """The reason is the one that was noted, and no refresh token is sent again."""
    world = world_of(store)
    assert world.client.for_subject("bob").state == "sign_in_required"
    with raises(SignInRequired, reason="refused", subject="bob"):
        world.client.for_subject("bob").renew()
    assert grant_in(store, "ended").token.refresh_token == "rt2"
    assert world.server.requests == []


@pytest.mark.parametrize(("name", "provider"), [("pending", None), ("pending at a bank", BLINK)])
def test_a_sign_in_that_earlier_code_started_is_finished(
    store: TokenStore, name: str, provider: Provider | None
) -> None:
    """With the redirect URI, the verifier and the bank that were noted then, and once only."""
    world = world_of(store, provider)
    callback = f"https://app.test/callback?code=c0de&state={EARLIER['states'][name]}"
    world.server.will(pair(9))
    source = world.client.finish_authorization(callback)
    (form,) = world.server.forms
    verifiers = {json.loads(text).get("code_verifier") for text in EARLIER["records"].values()}
    assert (source.subject, source.token().access_token) == ("carol", "at9")
    assert form["redirect_uri"] == "https://app.test/callback"
    assert (provider is not None) or (form["code_verifier"] in verifiers - {None})
    assert source.store_key.endswith("/carol" if provider is None else "/carol/IIDX99999")
    with raises(SignInRequired, reason="restart"):
        world.client.finish_authorization(callback)


def test_an_abandoned_earlier_sign_in_is_deleted(store: TokenStore) -> None:
    """Also what is left of a finished one; the records of grants stay."""
    world = world_of(store)
    world.clock.advance(601)
    assert world.client.prune(ended_before=NOW) == 2
    assert list(store.keys("authorization/acme/")) == []
    assert set(store.keys("token/")) == set(EARLIER["store_keys"].values())
