"""What EncryptedStore promises: nothing readable below it, keys that rotate, and no record lost to a wrong key."""

from __future__ import annotations

import base64
import copy
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.canary.leaks import leaks
from support.errors import raises
from support.scripted import ScriptedWorld
from support.stores.encrypted import KEY, fetch_keys, open_encrypted
from support.token_endpoint import pair

from blnk_auth.errors import ConfigurationError, Conflict, StoreError
from blnk_auth.stores import SQLiteStore
from blnk_auth.stores._due import due_page
from blnk_auth.stores._encrypted import EncryptedStore
from blnk_auth.stores._memory import MemoryStore
from blnk_auth.stores._token_store import Record, TokenStore
from blnk_auth.testing._due_contract import due_keys
from blnk_auth.testing.store_contract import SharedStoreContract, StoreContract

SECRET = "s3cr3t-value"
OLD, NEW, OTHER = (bytes([number]) * 32 for number in (1, 2, 3))


class TestEncryptedMemoryStore(StoreContract):
    @pytest.fixture
    def open_store(self) -> Callable[[], TokenStore]:
        return lambda: EncryptedStore(MemoryStore(), keys=[OLD])


class TestEncryptedFileStore(SharedStoreContract):
    @pytest.fixture
    def open_store(self, tmp_path: Path) -> Callable[[], TokenStore]:
        return open_encrypted(tmp_path / "tokens")


@pytest.fixture
def inner() -> MemoryStore:
    return MemoryStore()


def loaded(store: TokenStore, key: str) -> dict[str, Any]:
    record = store.load(key)
    assert record is not None
    return record.data


def replace(inner: MemoryStore, key: str, **changes: Any) -> None:
    record = inner.load(key)
    assert record is not None
    inner.save(key, {**record.data, **changes}, expected=record.version)


def test_nothing_readable_is_in_the_inner_store(tmp_path: Path) -> None:
    """Neither the data nor the names of its members are in the file; no two saves of the same data look alike."""
    store = open_encrypted(tmp_path / "tokens")()
    version = store.save("alice", {"access_token": SECRET}, expected=None)
    texts = []
    for _ in range(2):
        texts.append("".join(path.read_text() for path in (tmp_path / "tokens").glob("*.json")))
        version = store.save("alice", {"access_token": SECRET}, expected=version)
    assert leaks(texts, [SECRET, "access_token", base64.b64encode(SECRET.encode()).decode()[:10]]) == []
    sealed = [text.partition('"sealed":')[2] for text in texts]
    assert sealed[0] != sealed[1]


def test_f53_a_wrong_key_is_an_error_and_overwrites_nothing(inner: MemoryStore) -> None:
    """F53: a process with another key gets a StoreError that names the key's id, asks no server, and changes
    nothing.
    """
    world = ScriptedWorld(store=EncryptedStore(inner, keys=[OLD]))
    alice = world.client.for_subject("alice")
    alice.adopt(world.token(0))
    before = inner.load(alice.store_key)
    assert before is not None
    wrong = ScriptedWorld(store=EncryptedStore(inner, keys=[OTHER]))
    theirs = wrong.client.for_subject("alice")
    for attempt in (theirs.token, theirs.renew, lambda: theirs.adopt(world.token(1))):
        with raises(StoreError, key=alice.store_key, shows=before.data["key_id"]):
            attempt()
    with pytest.raises(Conflict):
        EncryptedStore(inner, keys=[OTHER]).save(alice.store_key, {}, expected=None)
    assert wrong.server.requests == []
    assert inner.load(alice.store_key) == before
    assert alice.token().access_token == "at0"


def test_f53_a_rotated_key_reads_the_old_and_writes_the_new(inner: MemoryStore) -> None:
    """F53: with a new key in front, old records open, and what is renewed is sealed with the new one."""
    EncryptedStore(inner, keys=[OLD]).save("alice", {"n": 1}, expected=None)
    rotated = EncryptedStore(inner, keys=[NEW, OLD])
    record = rotated.load("alice")
    assert record is not None
    assert record.data == {"n": 1}
    rotated.save("alice", {"n": 2}, expected=record.version)
    assert loaded(EncryptedStore(inner, keys=[NEW]), "alice") == {"n": 2}
    with pytest.raises(StoreError):
        EncryptedStore(inner, keys=[OLD]).load("alice")


def test_reencrypt_lets_the_old_key_go(inner: MemoryStore) -> None:
    """`reencrypt` seals every record with the newest key, reports how far it is, and touches no record a second
    time.
    """
    old = EncryptedStore(inner, keys=[OLD])
    for number in range(5):
        old.save(f"key {number}", {"n": number}, expected=None)
    both = EncryptedStore(inner, keys=[NEW, OLD])
    both.save("new", {"n": 9}, expected=None)
    progress: list[tuple[int, int]] = []
    assert both.reencrypt(lambda done, total: progress.append((done, total))) == 5
    assert progress == [(number, 6) for number in range(1, 7)]
    new = EncryptedStore(inner, keys=[NEW])
    assert [loaded(new, key)["n"] for key in list(new.keys())] == [0, 1, 2, 3, 4, 9]
    versions = [inner.load(key) for key in list(inner.keys())]
    assert both.reencrypt() == 0
    assert [inner.load(key) for key in list(inner.keys())] == versions


def test_reencrypt_waits_for_a_renewal(inner: MemoryStore) -> None:
    """A record whose lock is taken is rewritten only under that lock, so that no renewal meets a conflict."""
    EncryptedStore(inner, keys=[OLD]).save("alice", {"n": 1}, expected=None)

    class Watched(MemoryStore):
        is_locked = False

        def lock(self, key: str, *, timeout: float) -> Any:
            self.is_locked = True
            return super().lock(key, timeout=timeout)

        def save(self, key: str, data: dict[str, Any], *, expected: str | None) -> str:
            assert self.is_locked
            return super().save(key, data, expected=expected)

    watched = Watched()
    watched._records = inner._records
    assert EncryptedStore(watched, keys=[NEW, OLD]).reencrypt() == 1


def test_reencrypt_skips_what_does_not_open(inner: MemoryStore) -> None:
    """A record that cannot be opened is left and reported at the end; the others are done."""
    EncryptedStore(inner, keys=[OTHER]).save("b", {}, expected=None)
    for key in ("a", "c"):
        EncryptedStore(inner, keys=[OLD]).save(key, {}, expected=None)
    lost = inner.load("b")
    with raises(StoreError, key="b"):
        EncryptedStore(inner, keys=[NEW, OLD]).reencrypt()
    assert inner.load("b") == lost
    assert [loaded(EncryptedStore(inner, keys=[NEW]), key) for key in ("a", "c")] == [{}, {}]


def test_a_plain_record_is_refused_without_encrypt_plain(inner: MemoryStore) -> None:
    """A record that is not encrypted raises StoreError that names how to encrypt it, which then works."""
    inner.save("alice", {"access_token": SECRET, "key_id": "00000000"}, expected=None)
    store = EncryptedStore(inner, keys=[OLD])
    with raises(StoreError, key="alice", shows="reencrypt(encrypt_plain=True)") as raised:
        store.load("alice")
    assert leaks([raised.value], [SECRET]) == []
    with raises(StoreError, key="alice", shows="reencrypt(encrypt_plain=True)"):
        store.reencrypt()
    assert store.reencrypt(encrypt_plain=True) == 1
    assert loaded(store, "alice")["access_token"] == SECRET
    assert SECRET not in str(inner._records)


def swapped(text: str) -> str:
    return text[:40] + ("A" if text[40] != "A" else "B") + text[41:]


@pytest.mark.parametrize(
    ("damage", "shown"),
    [
        (lambda sealed: {"sealed": swapped(sealed)}, ()),
        (lambda sealed: {"sealed": sealed[:-8]}, ()),
        (lambda sealed: {"sealed": ""}, ()),
        (lambda sealed: {"sealed": "no base64!"}, ()),
        (lambda sealed: {"sealed": None}, ()),
        (lambda sealed: {"encrypted": 2}, ()),
        (lambda sealed: {"encrypted": None}, "reencrypt(encrypt_plain=True)"),
        (lambda sealed: {"key_id": 7}, ()),
        (lambda sealed: {"key_id": "ffffffff"}, "ffffffff"),
    ],
)
def test_a_damaged_record_is_an_error(
    inner: MemoryStore, damage: Callable[[str], dict[str, Any]], shown: str | tuple[str, ...]
) -> None:
    """An altered record raises StoreError, stays, and leaves the others usable; a delete heals it."""
    store = EncryptedStore(inner, keys=[OLD])
    store.save("alice", {"n": 1}, expected=None)
    store.save("bob", {"n": 2}, expected=None)
    record = inner.load("alice")
    assert record is not None
    replace(inner, "alice", **damage(record.data["sealed"]))
    damaged = inner.load("alice")
    with raises(StoreError, key="alice", shows=shown):
        store.load("alice")
    with pytest.raises(Conflict):
        store.save("alice", {}, expected=None)
    assert inner.load("alice") == damaged
    assert loaded(store, "bob") == {"n": 2}
    store.delete("alice")
    store.save("alice", {"n": 3}, expected=None)


@pytest.mark.parametrize("inner_type", [MemoryStore, SQLiteStore], ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("altered", [5.0, None, "soon"], ids=repr)
def test_a_due_at_that_was_altered_is_an_error(inner_type: type[Any], altered: Any, tmp_path: Path) -> None:
    """The member of the record is readable and authenticated. The inner store's index of it is not authenticated."""
    inner = MemoryStore() if inner_type is MemoryStore else SQLiteStore(tmp_path / "inner.db")
    store = EncryptedStore(inner, keys=[OLD])
    version = store.save("alice", {"due_at": 7.0, "access_token": SECRET}, expected=None)
    sealed = loaded(inner, "alice")
    assert sealed["due_at"] == 7.0
    inner.save("alice", {**sealed, "due_at": altered}, expected=version)
    with raises(StoreError, key="alice", shows="due_at"):
        store.load("alice")


def test_an_earlier_version_may_seal_a_record_again(tmp_path: Path) -> None:
    """It leaves out what it does not know: the record opens, and counts as due until it is saved again."""
    inner = SQLiteStore(tmp_path / "inner.db")
    store = EncryptedStore(inner, keys=[OLD])
    version = store.save("alice", {"due_at": 7.0}, expected=None)
    sealed = {name: value for name, value in loaded(inner, "alice").items() if name != "due_at"}
    inner.save("alice", sealed, expected=version)
    assert loaded(store, "alice") == {"due_at": 7.0}
    assert due_keys(store, before=1.0) == []
    assert [entry.is_exact for entry in due_page(store, "", 1.0, None)] == [False]


def test_only_a_time_is_readable(inner: MemoryStore) -> None:
    """Anything else under that name may be a secret."""
    store = EncryptedStore(inner, keys=[OLD])
    store.save("alice", {"due_at": SECRET}, expected=None)
    assert loaded(store, "alice") == {"due_at": SECRET}
    assert leaks([loaded(inner, "alice")], [SECRET]) == []


def test_a_record_moved_to_another_key_does_not_open(inner: MemoryStore) -> None:
    """Who can write to the inner store cannot give one user's token to another."""
    store = EncryptedStore(inner, keys=[OLD])
    store.save("alice", {"access_token": SECRET}, expected=None)
    record = inner.load("alice")
    assert isinstance(record, Record)
    inner.save("mallory", record.data, expected=None)
    with raises(StoreError, parameter="record", key="mallory"):
        store.load("mallory")


def test_keys_may_be_bytes_text_or_a_callable(inner: MemoryStore) -> None:
    """The same key in each of its forms opens the same record."""
    EncryptedStore(inner, keys=[OLD]).save("alice", {"n": 1}, expected=None)
    text = base64.b64encode(OLD).decode()
    urlsafe = base64.urlsafe_b64encode(OLD).decode()
    for keys in ([text], [urlsafe], [f" {text}\n"], (OLD,), lambda: [OLD], lambda: [OTHER, text]):
        assert loaded(EncryptedStore(inner, keys=keys), "alice") == {"n": 1}


@pytest.mark.real
def test_a_key_may_come_from_the_environment() -> None:
    """The variable's text is the key; one that is missing or no key is an error that names it and shows nothing."""
    script = (
        "from blnk_auth.stores._encrypted import EncryptedStore as E\n"
        "from blnk_auth.errors import ConfigurationError\n"
        "print(E.key_from_env('GOOD'))\n"
        "for name in ('BAD', 'MISSING'):\n"
        "    try: E.key_from_env(name)\n"
        "    except ConfigurationError as error: print(error)\n"
    )
    variables = {"GOOD": KEY, "BAD": SECRET, "PYTHONPATH": os.pathsep.join(sys.path)}
    finished = subprocess.run(
        [sys.executable, "-c", script], env={**os.environ, **variables}, capture_output=True, text=True, check=True
    )
    good, bad, missing = finished.stdout.splitlines()
    assert good == KEY
    assert "BAD must be 32 bytes" in bad
    assert "MISSING is not set" in missing
    assert SECRET not in bad


def test_new_keys_are_keys() -> None:
    """`new_key` makes a different key each time, which is accepted."""
    one, other = EncryptedStore.new_key(), EncryptedStore.new_key()
    assert one != other
    assert len(base64.b64decode(one)) == 32
    EncryptedStore(MemoryStore(), keys=[one, other])


@pytest.mark.parametrize(
    "keys", [[], [b"short"], ["not base64"], [base64.b64encode(b"x" * 31).decode()], OLD, "text", [None], [b"x" * 33]]
)
def test_what_is_not_a_key_is_refused(keys: Any) -> None:
    """Anything but a list of 32-byte keys is a ConfigurationError that describes what a key is, and shows none."""
    with raises(ConfigurationError, parameter="keys") as raised:
        EncryptedStore(MemoryStore(), keys=keys)
    assert leaks([raised.value], ["short", "not base64", "xxxx"]) == []
    with raises(ConfigurationError, parameter="keys"):
        EncryptedStore(MemoryStore(), keys=lambda: keys).save("alice", {}, expected=None)


def test_a_callable_is_asked_when_needed_and_when_a_key_is_unknown(inner: MemoryStore) -> None:
    """A key service is asked once, and again for a record that names a key which was made since."""
    keys, asked = [OLD], []

    def fetch() -> list[bytes]:
        asked.append(len(asked))
        return list(keys)

    store = EncryptedStore(inner, keys=fetch)
    assert asked == []
    for number in range(3):
        store.save(f"key {number}", {}, expected=None)
        store.load(f"key {number}")
    assert asked == [0]
    EncryptedStore(inner, keys=[NEW, OLD]).save("alice", {"n": 1}, expected=None)
    keys.insert(0, NEW)
    assert loaded(store, "alice") == {"n": 1}
    assert asked == [0, 1]


def test_a_key_service_that_is_down_is_a_store_error(inner: MemoryStore) -> None:
    """What the callable raises arrives as StoreError, without its text."""

    def fetch() -> list[bytes]:
        raise RuntimeError(SECRET)

    with raises(StoreError, parameter="keys") as raised:
        EncryptedStore(inner, keys=fetch).save("alice", {}, expected=None)
    assert leaks([raised.value, raised.value.__context__], [SECRET]) == []


def test_a_pickle_carries_no_key(tmp_path: Path) -> None:
    """A pickled store asks its callable again; one made with a list reports that its keys did not travel."""
    store = open_encrypted(tmp_path / "tokens")()
    store.save("alice", {"n": 1}, expected=None)
    assert loaded(pickle.loads(pickle.dumps(store)), "alice") == {"n": 1}
    assert copy.deepcopy([store]) == [store] == [copy.copy(store)]
    fixed = EncryptedStore(MemoryStore(), keys=[OLD])
    pickled = pickle.dumps(fixed)
    assert OLD not in pickled
    with raises(ConfigurationError, parameter="keys"):
        pickle.loads(pickled).save("alice", {}, expected=None)
    assert KEY not in repr(fetch_keys)
    assert repr(fixed) == "EncryptedStore(<MemoryStore keys=0>)"


def test_a_renewal_works(inner: MemoryStore) -> None:
    """Two renewals in a row through an encrypted store, the second from what the first sealed."""
    world = ScriptedWorld(store=EncryptedStore(inner, keys=[OLD]))
    alice = world.client.for_subject("alice")
    alice.adopt(world.token(0))
    for number in (1, 2):
        world.clock.advance(3700)
        world.server.will(pair(number))
        assert alice.token().access_token == f"at{number}"
    assert [form["refresh_token"] for form in world.server.forms] == ["rt0", "rt1"]
    assert leaks([inner._records], ["at2", "rt2"]) == []
