"""Targets: what is in a store, sound or damaged. Text forms, sealed forms, files, rows, keyring entries."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fuzz.strategies import BYTES, HOSTILE_TEXTS, JSON, TEXTS, edited, json_bodies, mutated
from fuzz.target import Target, check_message, only_our_errors
from hypothesis import strategies as st
from key_value.aio.stores.memory import MemoryStore as KeyValueMemoryStore
from keyring.backend import KeyringBackend
from keyring.compat import properties
from support.scripted import ScriptedWorld
from support.stores.scripted import ScriptedStore
from support.token_endpoint import answer

from blnk_auth import (
    EncryptedStore,
    FileStore,
    KeyringStore,
    KeyValueStore,
    MemoryStore,
    SQLiteStore,
    StoreError,
    Token,
)
from blnk_auth._protocol.dpop_key import DpopKey
from blnk_auth._renewal.stored_record import GrantRecord
from blnk_auth._sign_in.pending_sign_ins import PendingSignIn
from blnk_auth.stores import TokenStore
from blnk_auth.stores._entry_names import name_of
from blnk_auth.stores._record_text import read_record, write_record

KEY, OTHER = (
    "token/acme/https%3A%2F%2Fas.acme.test/id/subject/alice",
    "token/acme/https%3A%2F%2Fas.acme.test/id/subject/bob",
)
TOKEN = Token(
    "at0", refresh_token="rt0", expires_at=1_900_000_000.0, issued_at=1.0, scope="a b", extra={"grant_id": "g"}
)
DATA = json.loads(json.dumps(GrantRecord(TOKEN, sign_in="0123456789abcdef", renewals=7, was_saved_late=True).to_data()))
ENDED = {**DATA, "ended": "refused"}
EARLIER = {"schema": 1, "token": {"access_token": "at0", "refresh_token": "rt0"}}
BOUND = GrantRecord(TOKEN, sign_in="0123456789abcdef", renewals=7, dpop=DpopKey.generate()).to_data()
NAMED = {**BOUND, "dpop": {"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}}
GRANTS: list[dict[str, Any]] = [DATA, ENDED, EARLIER, BOUND, NAMED]
MEMBERS = [
    *(
        "schema",
        "token",
        "ended",
        "sign_in",
        "renewals",
        "saved_late",
        *("dpop", "jwk", "jkt"),
        "access_token",
        "expires_at",
        "extra",
        "key",
        "version",
        "data",
        "blnk_auth",
    )
]
TEXT = write_record(KEY, "0123456789abcdef", DATA).encode()
TEXT_DOCUMENTS = [json.loads(TEXT), {**json.loads(TEXT), "blnk_auth": 2}, {**json.loads(TEXT), "key": OTHER}]
FILES = json_bodies(TEXT_DOCUMENTS, MEMBERS) | edited(TEXT, BYTES) | st.binary(max_size=60)

_DIRECTORY = Path("/dev/shm") if os.access("/dev/shm", os.W_OK) else None


def check_stored_grant(data: dict[str, Any]) -> None:
    """Any JSON object in the place of a grant: it is used, or refused as a whole; and it is not written over."""
    with only_our_errors():
        record = GrantRecord.from_data(data, KEY)
        assert record.to_data()["token"]["access_token"] == data["token"]["access_token"]
    with only_our_errors():
        PendingSignIn.from_data(data)
    store = ScriptedStore()
    store._records = {}
    world = ScriptedWorld(store=store)
    source = world.client.for_subject("alice")
    store.save(source.store_key, data, expected=None)
    world.server.will(*[answer({"access_token": "at1", "refresh_token": "rt1", "expires_in": 3600})] * 3)
    before = store.load(source.store_key)
    assert before is not None
    readable = _readable(data)
    with only_our_errors():
        assert source.state in ("missing", "fresh", "stale", "expired", "sign_in_required")
    with only_our_errors():
        assert source.token().access_token
    with only_our_errors():
        source.renew()
    after = store.load(source.store_key)
    assert after is not None
    assert readable or after.data == before.data, "a record that cannot be read was replaced"
    assert not readable or after.data["token"].get("refresh_token") in (data["token"].get("refresh_token"), "rt1")


def _readable(data: dict[str, Any]) -> bool:
    with contextlib.suppress(StoreError):
        return bool(GrantRecord.from_data(data, KEY).token.access_token)
    return False


def check_record_text(text: bytes) -> None:
    """A text is the record of its key, damage, or of a newer release; a sound one is never taken for damaged."""
    with only_our_errors():
        found = read_record(text, KEY, "here")
        members = _members(text)
        sound = (
            members.get("blnk_auth") == 1
            and members.get("key") == KEY
            and isinstance(members.get("version"), str)
            and isinstance(members.get("data"), dict)
        )
        assert sound == hasattr(found, "data")


def _members(text: bytes) -> dict[str, Any]:
    try:
        members = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return members if isinstance(members, dict) else {}


# --- stores ----------------------------------------------------------------------------------------------------------


def check_store(store: TokenStore, damage: Callable[[], object], *, keeps: bool = True) -> None:
    """With one record damaged: it is a `StoreError` or a record, the other one is as it was, and a delete heals it."""
    store.save(KEY, DATA, expected=None)
    version = store.save(OTHER, DATA, expected=None)
    damage()
    for _ in range(2):
        with only_our_errors():
            record = store.load(KEY)
            assert record is None or isinstance(record.data, dict)
            assert record is None or isinstance(record.version, str)
    with only_our_errors():
        assert OTHER in list(store.keys()) or not keeps
    # Bad input leaves what is stored.
    with only_our_errors():
        store.save(OTHER, {"a": float("nan")}, expected=version)
        raise AssertionError("not JSON, and saved")
    with only_our_errors():
        store.save(OTHER, {}, expected="another")
        raise AssertionError("of another version, and replaced")
    check = getattr(store, "check", None)
    if check is not None:
        for unreadable in check():
            check_message(unreadable.where)
            check_message(unreadable.problem)
    if not keeps:
        return
    other = store.load(OTHER)
    assert other is not None
    assert (other.data, other.version) == (DATA, version), "the other record was changed"
    store.delete(KEY)
    assert store.load(KEY) is None
    store.save(KEY, DATA, expected=None)


@contextmanager
def directory() -> Iterator[Path]:
    """A directory for one example, in memory where there is such a file system."""
    with tempfile.TemporaryDirectory(dir=_DIRECTORY) as path:
        yield Path(path)


def check_file(content: bytes) -> None:
    """The file of a record with any content."""
    with directory() as path:
        store = FileStore(path / "tokens")
        check_store(store, lambda: (path / "tokens" / f"{name_of(KEY)}.json").write_bytes(content))


def check_sqlite_row(value: tuple[Any, Any]) -> None:
    """A row with any version and any data."""
    with directory() as path, SQLiteStore(path / "tokens.db") as store:

        def damage() -> None:
            with contextlib.closing(sqlite3.connect(path / "tokens.db")) as other, other:
                for column, some in zip(("version", "data"), value, strict=True):
                    # What Python does not bind as text may be in a file as text.
                    text = isinstance(some, str)
                    placed = f"UPDATE records SET {column} = {'CAST(? AS TEXT)' if text else '?'} WHERE key = ?"
                    other.execute(placed, (some.encode("utf-8", "surrogatepass") if text else some, KEY))

        check_store(store, damage)


@contextmanager
def _sqlite_file() -> Iterator[Path]:
    with directory() as path:
        with SQLiteStore(path / "tokens.db") as store:
            store.save(KEY, DATA, expected=None)
            store.save(OTHER, DATA, expected=None)
        yield path / "tokens.db"


def check_sqlite_file(value: list[tuple[int, bytes]]) -> None:
    """A database file, or its journals, with any bytes anywhere: refused, or read."""
    with _sqlite_file() as file:
        content = bytearray(file.read_bytes())
        for position, some in value:
            start = position % len(content)
            content[start : start + len(some)] = some
        file.write_bytes(content)
        for suffix in ("-wal", "-shm", "-journal"):
            if value and len(value[0][1]) > 8:
                file.with_name(file.name + suffix).write_bytes(value[0][1])
                file.with_name(file.name + suffix).chmod(0o600)
        with only_our_errors(), SQLiteStore(file) as store:
            for key in (KEY, OTHER):
                with only_our_errors():
                    record = store.load(key)
                    assert record is None or isinstance(record.data, dict)
            with only_our_errors():
                list(store.keys())
            for unreadable in store.check():
                check_message(unreadable.problem)


def check_encrypted(value: tuple[dict[str, Any], list[tuple[int, str]]]) -> None:
    """A sealed record with any member altered: it does not open, or it opens to what was sealed."""
    inner = MemoryStore()
    store = EncryptedStore(inner, keys=[b"k" * 32])
    version = store.save(KEY, DATA, expected=None)
    sealed = inner.load(KEY)
    assert sealed is not None
    members, edits = value
    given = {**sealed.data, **members}
    if isinstance(given["sealed"], str):
        given["sealed"] = _altered(given["sealed"], edits)
    inner.save(KEY, given, expected=version)
    with only_our_errors():
        record = store.load(KEY)
        assert record is not None
        assert record.data == DATA
    inner.save(OTHER, sealed.data, expected=None)
    with only_our_errors():
        store.load(OTHER)
        raise AssertionError("it opened under another key")


def _altered(text: str, edits: list[tuple[int, str]]) -> str:
    for position, some in edits:
        start = position % (len(text) + 1)
        text = text[:start] + some + text[start + 1 :]
    return text


def check_key_value(value: dict[str, Any]) -> None:
    """A value of a backend of py-key-value with any members."""
    from blnk_auth.stores._async_adapter import run

    backend = KeyValueMemoryStore()
    run(backend.setup())
    store = KeyValueStore(backend)
    given = {"blnk_auth": 1, "key": KEY, "version": "0123456789abcdef", "data": json.dumps(DATA), **value}
    check_store(store, lambda: run(backend.put(name_of(KEY), given, collection="blnk_auth")))


class _Keyring(KeyringBackend):
    """A keyring in memory."""

    def __init__(self) -> None:
        self.entries: dict[str, str] = {}

    @properties.classproperty
    def priority(self) -> float:
        raise RuntimeError("never to be found by the keyring package")

    def get_password(self, service: str, username: str) -> str | None:
        return self.entries.get(service)

    def set_password(self, service: str, username: str, password: str) -> None:
        self.entries[service] = password

    def delete_password(self, service: str, username: str) -> None:
        del self.entries[service]


def check_keyring(value: tuple[str, bool]) -> None:
    """An entry of the keyring with any text: the record, or the list of keys."""
    text, is_list = value
    backend = _Keyring()
    with contextlib.ExitStack() as open_files:
        fallback = None
        # A service for each process: its lock files are removed below.
        service = f"acme-fuzz-{os.getpid()}"
        store = KeyringStore(service, backend=backend, fallback=fallback)
        name = "index" if is_list else name_of(KEY)
        open_files.callback(shutil.rmtree, store._locks, ignore_errors=True)

        def damage() -> None:
            assert f"{service}/{name}" in backend.entries
            backend.entries[f"{service}/{name}"] = text

        check_store(store, damage, keeps=not is_list)


def _is_json(data: dict[str, Any]) -> bool:
    try:
        return bool(json.dumps(data, allow_nan=False))
    except (ValueError, RecursionError):
        return False


ENTRIES = (
    json_bodies(
        [*TEXT_DOCUMENTS, {"parts": 2, "generation": "a", "digest": "0" * 64}, {"keys": [KEY]}], ["parts", *MEMBERS]
    )
    | st.binary(max_size=40)
).map(lambda body: body.decode("utf-8", "replace"))
_ROW_VALUES = st.one_of(
    FILES,
    FILES.map(lambda body: body.decode("utf-8", "replace")),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
)
_DOCUMENTS = json_bodies(GRANTS, MEMBERS).map(_members).filter(_is_json)


_STORABLE = JSON.filter(lambda value: _is_json({"a": value}))
_SEALED = st.dictionaries(st.sampled_from(["encrypted", "key_id", "sealed", "x"]), _STORABLE, max_size=2)
_EDITS = st.lists(st.tuples(st.integers(0, 500), st.sampled_from([*"Aa0+/=-_ \n", "é", ""])), max_size=2)

TARGETS = (
    Target(
        "stored_grant",
        _DOCUMENTS | st.sampled_from(GRANTS).flatmap(lambda data: mutated(data, HOSTILE_TEXTS, frozenset())),
        check_stored_grant,
    ),
    Target("record_text", FILES, check_record_text),
    Target("record_file", FILES, check_file),
    Target("sqlite_row", st.tuples(_ROW_VALUES, _ROW_VALUES), check_sqlite_row),
    Target(
        "sqlite_file",
        st.lists(st.tuples(st.integers(0, 2**20), st.binary(min_size=1, max_size=40)), min_size=1, max_size=4),
        check_sqlite_file,
        cost=4,
    ),
    Target("encrypted_record", st.tuples(_SEALED, _EDITS), check_encrypted),
    Target(
        "key_value_record",
        st.dictionaries(st.sampled_from(["blnk_auth", "key", "version", "data", "x"]), JSON | ENTRIES, max_size=2),
        check_key_value,
    ),
    Target("keyring_entry", st.tuples(ENTRIES | TEXTS, st.booleans()), check_keyring),
)
