"""Rows: every store, with a password in its URL where it has one, used, damaged, locked, copied and taken away."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
from collections.abc import Callable
from functools import partial
from typing import Any
from urllib.parse import quote

import pymysql
import redis
from key_value.aio.stores.memory import MemoryStore as KeyValueMemoryStore
from sqlalchemy import create_engine, make_url
from support.limits import PATIENCE
from support.stores.async_stores import AsyncSQLiteStore
from support.stores.keyrings import BrokenKeyring, MemoryKeyring

from blnk_auth import (
    Conflict,
    EncryptedStore,
    FileStore,
    KeyringStore,
    KeyValueStore,
    MemoryStore,
    Record,
    RedisStore,
    SimpleStore,
    SQLiteStore,
    SQLStore,
    StoreError,
)
from blnk_auth.stores import (
    DueEntry,
    DueStore,
    Unreadable,
    check_store,
    conflict,
    copy_store,
    from_json,
    new_version,
    open_store,
    saved_due_at,
    to_json,
    unreadable,
)

from .table import add_row, row
from .world import World

KEY = "token/acme/as.test/client/subject/alice"
"""With neither a character that a store would have to quote nor a secret."""

Open = Callable[[World], Any]

SERVERS: dict[str, str] = {}
"""The URLs of the real servers, which a fixture starts, without the password."""


_USER = f"canary_{os.getpid()}"
"""Of MariaDB's server, which several processes of a test session share."""


class DictStore(SimpleStore):
    """What an author writes on the base class."""

    def __init__(self) -> None:
        super().__init__()
        self._records: dict[str, tuple[str, str]] = {}

    def load(self, key: str) -> Any:
        found = self._records.get(key)
        return None if found is None else Record(from_json(found[1]) or {}, found[0])

    def save(self, key: str, data: dict[str, Any], *, expected: str | None) -> str:
        if (self._records.get(key) or (None,))[0] != expected:
            raise conflict(key)
        version = new_version()
        self._records[key] = (version, to_json(data))
        return version

    def delete(self, key: str) -> None:
        self._records.pop(key, None)


def _password(world: World) -> str:
    return world.secrets.new("password of a store", "/@:%")


def _redis(world: World) -> RedisStore:
    password = _password(world)
    with redis.Redis.from_url(SERVERS["redis"]) as administrator:
        administrator.acl_setuser(
            "canary", enabled=True, reset=True, passwords=[f"+{password}"], keys=["*"], categories=["+@all"]
        )
    return RedisStore(SERVERS["redis"].replace("redis://", f"redis://canary:{quote(password, safe='')}@"))


def _postgres(world: World) -> SQLStore:
    url = make_url(SERVERS["postgres"]).set(password=_password(world))
    return _with_tables(world, SQLStore(url.render_as_string(hide_password=False)))


def _mariadb(world: World) -> SQLStore:
    password, url = _password(world), make_url(SERVERS["mariadb"])
    with pymysql.connect(host=url.host, port=url.port or 0, user=url.username, database=url.database) as administrator:
        administrator.cursor().execute(f"CREATE OR REPLACE USER {_USER}@'127.0.0.1' IDENTIFIED BY %s", (password,))
        administrator.cursor().execute(f"GRANT ALL ON *.* TO {_USER}@'127.0.0.1'")
    return _with_tables(world, SQLStore(url.set(username=_USER, password=password)))


def _with_tables(world: World, store: SQLStore) -> SQLStore:
    world.stack.callback(store.close)
    store.create_schema()
    store.delete(KEY)
    return store


def _of_an_engine(world: World) -> SQLStore:
    engine = create_engine(f"sqlite:///{world.directory}/engine.db")
    world.stack.callback(engine.dispose)
    return _with_tables(world, SQLStore(engine))


def _encryption_keys(world: World) -> list[str]:
    return [world.secrets.add("encryption key", EncryptedStore.new_key())]


def _encrypted(world: World) -> EncryptedStore:
    return EncryptedStore(SQLiteStore(world.directory / "encrypted.db"), keys=_encryption_keys(world))


def _encrypted_by_a_callable(world: World) -> EncryptedStore:
    keys = _encryption_keys(world)
    return EncryptedStore(FileStore(world.directory / "encrypted"), keys=lambda: keys)


VERBS = "load save delete lock keys close"
INDEX = "due note_due repair_due"


def _drives(name: str, further: str = "") -> str:
    return " ".join([name, *(f"{name}.{verb}" for verb in f"{VERBS} {further}".split())])


STORES: dict[str, tuple[str, Open]] = {
    "MemoryStore": (_drives("MemoryStore").replace("MemoryStore.lock", ""), lambda _: MemoryStore()),
    "SimpleStore": (_drives("SimpleStore"), lambda _: DictStore()),
    "FileStore": (_drives("FileStore", "check"), lambda world: FileStore(world.directory / "files")),
    "SQLiteStore": (_drives("SQLiteStore", f"check {INDEX}"), lambda world: SQLiteStore(world.directory / "tokens.db")),
    "SQLStore on SQLite": (_drives("SQLStore", f"create_schema {INDEX}"), _of_an_engine),
    "SQLStore on PostgreSQL": ("", _postgres),
    "SQLStore on MariaDB": ("", _mariadb),
    "RedisStore": (_drives("RedisStore", f"eviction_policy {INDEX}"), _redis),
    "KeyringStore": (_drives("KeyringStore"), lambda _: KeyringStore("canary", backend=MemoryKeyring())),
    "KeyValueStore": (_drives("KeyValueStore"), lambda _: KeyValueStore(KeyValueMemoryStore())),
    "EncryptedStore": (_drives("EncryptedStore", f"check reencrypt new_key {INDEX}"), _encrypted),
    "EncryptedStore with a callable": ("", _encrypted_by_a_callable),
}

ON_SERVERS = ("SQLStore on PostgreSQL", "SQLStore on MariaDB", "RedisStore")


def pair(world: World) -> dict[str, Any]:
    """A record with marked tokens."""
    new = world.secrets.new
    return {"schema": 1, "token": {"access_token": new("access token"), "refresh_token": new("refresh token")}}


def used(world: World, opened: Open) -> object:
    """Every verb, then closed."""
    store = world.look_at(opened(world))
    with store.lock(KEY, timeout=PATIENCE):
        version = store.save(KEY, pair(world), expected=None)
    world.look_at(store.load(KEY))
    store.save(KEY, pair(world), expected=version)
    with contextlib.suppress(StoreError):
        assert KEY in list(store.keys("token/"))
    if isinstance(store, DueStore):
        store.note_due([(KEY, "version", 1.0)])
        world.look_at(store.due("token/", 2e9, limit=9), list(store.repair_due("token/")))
    for name in ("check", "reencrypt", "eviction_policy"):
        made = getattr(store, name, list)()
        world.look_at(list(made) if name == "check" else made)
    store.delete(KEY)
    store.close()
    return store


def in_conflict(world: World, opened: Open) -> object:
    """Compare-and-set fails."""
    store = world.look_at(opened(world))
    store.save(KEY, pair(world), expected=None)
    return store.save(KEY, pair(world), expected="another")


def given_no_json(world: World, opened: Open) -> object:
    """A value that cannot be stored, beside a secret."""
    return world.look_at(opened(world)).save(KEY, {**pair(world), "x": object()}, expected=None)


def given_a_secret_for_data(world: World, opened: Open) -> object:
    """A text in the place of a mapping."""
    return world.look_at(opened(world)).save(KEY, world.secrets.new("access token"), expected=None)


def locked_by_another(world: World, opened: Open) -> object:
    """The lock of a key is not free."""
    store = world.look_at(opened(world))
    store.save(KEY, pair(world), expected=None)
    with store.lock(KEY, timeout=PATIENCE), store.lock(KEY, timeout=0):
        return None


def of_a_client(world: World, opened: Open) -> object:
    """A renewal through it, and what `state` reads."""
    client = world.client(store=world.look_at(opened(world)))
    source = world.expired(client)
    world.look_at(source.token(), source.state)
    return source.forget()


def checked_and_copied(world: World, opened: Open) -> object:
    """To another, with a record that is there already and is another one."""
    store, target = world.look_at(opened(world)), MemoryStore()
    store.save(KEY, pair(world), expected=None)
    target.save(KEY, pair(world), expected=None)
    with contextlib.suppress(StoreError):
        world.look_at(copy_store(store, target), copy_store(store, target, overwrite=True), check_store(store))
    return store


def _rows() -> None:
    for name, (drives, opened) in STORES.items():
        for operation, raises in (
            (used, False),
            (of_a_client, False),
            (checked_and_copied, False),
            (in_conflict, True),
            (given_no_json, True),
            (given_a_secret_for_data, True),
            (locked_by_another, True),
        ):
            title = f"{name} {operation.__name__.replace('_', ' ')}"
            add_row(title, partial(_call, operation, opened), drives if operation is used else "", raises=raises)


def _call(operation: Callable[[World, Open], object], opened: Open, world: World) -> object:
    return operation(world, opened)


_rows()


# --- what cannot be read ---------------------------------------------------------------------------------------------


def _damaged(world: World, name: str, change: Callable[[str], str]) -> Any:
    """A store whose stored text has been changed on disk, or at the server."""
    data = pair(world)
    if name == "file":
        store: Any = FileStore(world.directory / "files")
        store.save(KEY, data, expected=None)
        (file,) = (world.directory / "files").glob("*.json")
        file.write_text(change(file.read_text()))
        return store
    if name == "sqlite":
        store = SQLiteStore(world.directory / "tokens.db")
        store.save(KEY, data, expected=None)
        store.close()
        with contextlib.closing(sqlite3.connect(world.directory / "tokens.db")) as database:
            database.create_function("changed", 1, change)
            database.execute("update records set data = changed(data)")
            database.commit()
        return store
    if name == "sql":
        store = SQLStore(f"sqlite:///{world.directory}/sql.db")
        store.create_schema()
        store.save(KEY, data, expected=None)
        with contextlib.closing(sqlite3.connect(world.directory / "sql.db")) as database:
            database.create_function("changed", 1, change)
            database.execute("update blnk_auth_records set data = changed(data)")
            database.commit()
        world.stack.callback(store.close)
        return store
    if name == "redis":
        store = _redis(world)
        store.delete(KEY)
        store.save(KEY, data, expected=None)
        with redis.Redis.from_url(SERVERS["redis"]) as server:
            for key in server.scan_iter("{blnk_auth*"):
                if server.type(key) == b"hash":
                    for member, value in server.hgetall(key).items():
                        server.hset(key, member, change(value.decode()))
        world.stack.callback(store.delete, KEY)
        return store
    backend = MemoryKeyring()
    store = KeyringStore("canary", backend=backend)
    store.save(KEY, data, expected=None)
    backend.entries.update({where: change(text) for where, text in backend.entries.items()})
    return store


CHANGES: dict[str, Callable[[str], str]] = {
    "cut": lambda text: text[:-7],
    "of a newer version": lambda text: text.replace('"schema":1', '"schema":9').replace(
        '"blnk_auth":1', '"blnk_auth":9'
    ),
    "no JSON": lambda text: text.replace(":", "=", 1),
    "without a token": lambda text: text.replace('"token"', '"tokens"'),
    "a list": lambda text: f"[{text}]",
}


def _damaged_rows() -> None:
    for name in ("file", "sqlite", "sql", "redis", "keyring"):
        for damage, change in CHANGES.items():

            def read(world: World, name: str = name, change: Callable[[str], str] = change) -> object:
                store = world.look_at(_damaged(world, name, change))
                with contextlib.suppress(StoreError):
                    world.look_at(check_store(store), copy_store(store, MemoryStore()))
                source = world.client(store=store).for_subject("alice")
                with contextlib.suppress(StoreError):
                    world.look_at(store.load(KEY))
                return source.state

            def renewed(world: World, name: str = name, change: Callable[[str], str] = change) -> object:
                """The key that the source has leads to the same damage."""
                return world.look_at(_damaged(world, name, change)).load(KEY)

            add_row(f"a {name} record {damage}", read, "")
            add_row(f"a {name} record {damage}, loaded", _may_raise(renewed), "")


def _may_raise(operation: Callable[[World], object]) -> Callable[[World], object]:
    def tolerant(world: World) -> object:
        try:
            return operation(world)
        except StoreError as error:
            return error

    return tolerant


_damaged_rows()


@row("EncryptedStore.reencrypt", raises=True)
def sealed_with_another_key(world: World) -> object:
    """No key of the store opens the record."""
    inner = MemoryStore()
    EncryptedStore(inner, keys=_encryption_keys(world)).save(KEY, pair(world), expected=None)
    store = world.look_at(EncryptedStore(inner, keys=_encryption_keys(world)))
    with contextlib.suppress(StoreError):
        store.reencrypt()
    return store.load(KEY)


@row("", raises=True)
def read_without_encryption(world: World) -> object:
    """A record that was stored in clear."""
    inner = MemoryStore()
    inner.save(KEY, pair(world), expected=None)
    return world.look_at(EncryptedStore(inner, keys=_encryption_keys(world))).load(KEY)


def _callable_keys(raised: BaseException | object) -> Callable[[World], object]:
    def operation(world: World) -> object:
        (key,) = _encryption_keys(world)

        def fetch() -> Any:
            if isinstance(raised, type):
                raise raised(f"no key {key}")
            return raised or [f"{key}{key}"]

        return EncryptedStore(MemoryStore(), keys=fetch).save(KEY, pair(world), expected=None)

    return operation


add_row("encryption keys that raise", _callable_keys(OSError), "", raises=True)
add_row("encryption keys that are none", _callable_keys(None), "", raises=True)


@row("EncryptedStore.key_from_env", raises=True)
def an_encryption_key_in_the_place_of_its_name(world: World) -> object:
    """A key where the name of a variable belongs."""
    return EncryptedStore.key_from_env(_encryption_keys(world)[0])


@row("KeyringStore", raises=True)
def a_keyring_that_quotes(world: World) -> object:
    """A backend whose error has the entry in its text."""
    backend = BrokenKeyring(OSError(world.secrets.new("refresh token")), "set", "get")
    return KeyringStore("canary", backend=backend).save(KEY, pair(world), expected=None)


# --- servers that are away, and URLs that cannot be used --------------------------------------------------------------

URLS = (
    "postgresql+psycopg://user:{}@127.0.0.1:1/name",
    "mysql+pymysql://user:{}@127.0.0.1:1/name",
    "mysql+pymysql://user:{}@127.0.0.1:port/name",
    "postgresql+nodriver://user:{}@127.0.0.1:1/name",
    "postgresql+asyncpg://user:{}@127.0.0.1:1/name",
    "postgresql+psycopg://user@127.0.0.1:1/name?password={}",
    "redis://user:{}@127.0.0.1:1/0",
    "redis://127.0.0.1:1/0?password={}",
    "redis://user:{}@127.0.0.1:port/0",
    "redis://user:{}@[127.0.0.1/0",
    "rediss://:{}@127.0.0.1:1/x",
    "sqllite://user:{}@host/name",
    "sqlite://user:{}@host/name",
    "file://user:{}@host/name",
    "sqlite://user:{}@[host/name",
    "sqlite:///{}%00/name",
    "keyring://user:{}@host",
    "unknown:{}",
    "{}",
)


def _url_rows() -> None:
    for index, template in enumerate(URLS):

        def opened(world: World, template: str = template) -> object:
            url = template.format(quote(_password(world), safe=""))
            return world.look_at(open_store(url)).load(KEY)

        def given(world: World, template: str = template) -> object:
            """As the text itself, to the class that it seems to be for."""
            url = template.format(quote(_password(world), safe=""))
            store = (RedisStore if template.startswith("redis") else SQLStore)(url)
            return world.look_at(store).load(KEY)

        def called(world: World, template: str = template) -> object:
            """From a callable, which is called when the store is used."""
            url = template.format(quote(_password(world), safe=""))
            store = (RedisStore if template.startswith("redis") else SQLStore)(lambda: url)
            return world.look_at(store).load(KEY)

        add_row(f"the URL of a store {index}", opened, "open_store", raises=True)
        if template.startswith("sqlite:///"):
            # A class that is given the path of a file shows it.
            continue
        add_row(f"the URL of a store {index}, to its class", given, "", raises=True)
        add_row(f"the URL of a store {index}, from a callable", called, "", raises=True)


_url_rows()


@row("", raises=True)
def a_callable_url_that_raises(world: World) -> object:
    """Its error has the password in its text."""

    def url() -> str:
        raise OSError(_password(world))

    return world.look_at(SQLStore(url)).load(KEY)


def _wrong_password(server: str) -> Callable[[World], object]:
    def operation(world: World) -> object:
        password = _password(world)
        if server == "redis":
            return RedisStore(SERVERS[server].replace("redis://", f"redis://canary:{quote(password, safe='')}@")).load(
                KEY
            )
        return SQLStore(make_url(SERVERS[server]).set(username="nobody_here", password=password)).load(KEY)

    return operation


for _server in ("redis", "postgres", "mariadb"):
    add_row(f"a wrong password for {_server}", _wrong_password(_server), "", raises=True)


@row("", raises=True)
def a_redis_server_that_quotes_its_arguments(world: World) -> object:
    """Its answer to a wrong call names them: here a hash is asked for a text."""
    store = world.look_at(_redis(world))
    store.save(KEY, pair(world), expected=None)
    world.stack.callback(store.delete, KEY)
    with redis.Redis.from_url(SERVERS["redis"]) as server:
        for key in list(server.scan_iter("{blnk_auth*")):
            server.delete(key)
            server.set(key, json.dumps(pair(world)))
        world.stack.callback(lambda: _flush(SERVERS["redis"]))
    return store.load(KEY)


def _flush(url: str) -> None:
    with redis.Redis.from_url(url) as server:
        for key in list(server.scan_iter("{blnk_auth*")):
            server.delete(key)


@row(
    "AsyncTokenStore AsyncTokenStore.load AsyncTokenStore.save AsyncTokenStore.delete AsyncTokenStore.lock "
    "AsyncTokenStore.keys"
)
def an_asynchronous_store(world: World) -> object:
    """Called from a loop of its own."""
    store = AsyncSQLiteStore(world.directory / "async.db")
    client = world.client(store=store)
    source = world.expired(client)
    world.look_at(source.token())
    return source.forget()


@row(
    "Conflict StoreError check_store copy_store conflict unreadable to_json from_json new_version Record Unreadable "
    "DueEntry saved_due_at CheckReport CopyReport CopyReport.is_complete"
)
def what_authors_of_stores_use(world: World) -> object:
    """Errors name the key, and never the data."""
    data = pair(world)
    world.look_at(
        conflict(KEY), unreadable(KEY, "it is cut"), from_json(to_json({"x": 1})), new_version(), Conflict("c", key=KEY)
    )
    for wrong in ({**data, "x": object()}, [data]):
        with contextlib.suppress(StoreError):
            world.look_at(to_json(wrong))
    store = MemoryStore()
    store.save(KEY, data, expected=None)
    assert copy_store(store, MemoryStore()).is_complete
    world.look_at(store.load(KEY), check_store(store), Unreadable(KEY, "it is cut", key=KEY))
    world.look_at(DueEntry(1.0, KEY, is_exact=True), saved_due_at({**data, "due_at": data}))
    return from_json(to_json(data)[:-5])
