"""What all stores share: pickles with public names, errors without secrets, missing extras that are named."""

from __future__ import annotations

import copy
import os
import pickle
import pickletools
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from key_value.aio.stores.memory import MemoryStore as KeyValueMemoryStore
from support.canary.leaks import everything_in, leaks
from support.errors import must_show
from support.stores.encrypted import KEY, fetch_keys

import blnk_auth.stores
from blnk_auth.errors import BlnkAuthError, ConfigurationError, Conflict, StoreError
from blnk_auth.stores import (
    EncryptedStore,
    FileStore,
    KeyValueStore,
    MemoryStore,
    RedisStore,
    SQLiteStore,
    SQLStore,
    open_store,
)

SECRET = "s3cr3t-value"

KINDS: dict[str, Callable[[Path], Any]] = {
    "memory": lambda _: MemoryStore(),
    "file": lambda path: FileStore(path / "tokens", check_permissions=False),
    "sqlite": lambda path: SQLiteStore(path / "tokens.db"),
    "shared sqlite": lambda path: SQLiteStore(path / "tokens.db", check_permissions=False),
    "sql": lambda path: SQLStore(f"sqlite:///{path}/sql.db", lease=7),
    "redis": lambda _: RedisStore("redis://127.0.0.1:1/0", namespace="acme"),
    "encrypted": lambda path: EncryptedStore(FileStore(path / "encrypted"), keys=fetch_keys),
    "encrypted with a key": lambda path: EncryptedStore(FileStore(path / "encrypted"), keys=[KEY]),
}
kinds = pytest.mark.parametrize("kind", KINDS)


def globals_in(pickled: bytes) -> set[str]:
    """The modules that a pickle names."""
    modules: set[str] = set()
    texts: list[str] = []
    for operation, argument, _ in pickletools.genops(pickled):
        if operation.name == "GLOBAL":
            modules.add(str(argument).partition(" ")[0])
        elif operation.name == "STACK_GLOBAL":
            modules.add(texts[-2])
        elif isinstance(argument, str):
            texts.append(argument)
    return modules


@kinds
@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_names_public_modules_only(tmp_path: Path, kind: str, protocol: int) -> None:
    """So a file of the package can be renamed without making anybody's pickles unreadable."""
    store = KINDS[kind](tmp_path)
    pickled = pickle.dumps(store, protocol)
    assert KEY.encode() not in pickled
    # Names that occur twice are fetched from the pickle's memo, so a module may be missed, but not named wrongly.
    ours = {name for name in globals_in(pickled) if name.startswith("blnk_auth")}
    assert ours <= {"blnk_auth.stores", "blnk_auth.errors"}
    assert b"blnk_auth.stores._" not in pickled
    assert repr(pickle.loads(pickled)) == repr(store)


@kinds
def test_a_copy_is_the_store_itself(tmp_path: Path, kind: str) -> None:
    """A store is a handle to what it keeps."""
    store = KINDS[kind](tmp_path)
    assert copy.copy(store) is store
    assert copy.deepcopy([store])[0] is store


def test_public_classes_are_named_by_their_public_home() -> None:
    """Help, tracebacks of type checkers and pickles show where to import a class from."""
    for name in blnk_auth.stores.__all__:
        value = getattr(blnk_auth.stores, name)
        if isinstance(value, type) and value is not str:
            assert value.__module__ == "blnk_auth.stores", name


# --- errors without secrets ------------------------------------------------------------------------------------------


def caught(act: Callable[[], object]) -> BlnkAuthError:
    with pytest.raises(BlnkAuthError) as raised:
        act()
    return raised.value


def saving(path: Path) -> dict[str, Any]:
    """The stores that can be written without a server."""
    sql = SQLStore(f"sqlite:///{path}/sql.db")
    sql.create_schema()
    return {
        "memory": MemoryStore(),
        "file": FileStore(path / "tokens"),
        "sqlite": SQLiteStore(path / "tokens.db"),
        "sql": sql,
        "encrypted": EncryptedStore(MemoryStore(), keys=[KEY]),
        "key_value": KeyValueStore(KeyValueMemoryStore()),
    }


@pytest.mark.parametrize("kind", ["memory", "file", "sqlite", "sql", "encrypted", "key_value"])
def test_a_refused_save_shows_no_data(tmp_path: Path, kind: str) -> None:
    """Neither the text of the error nor a traceback with local variables shows what was to be stored."""
    store = saving(tmp_path)[kind]
    data = {"access_token": SECRET}
    unstorable = caught(lambda: store.save("alice", {**data, "odd": object()}, expected=None))
    lost = caught(lambda: store.save("alice", data, expected="never given"))
    assert isinstance(lost, Conflict)
    assert lost.key == "alice"
    for error in (unstorable, lost):
        assert leaks(everything_in(error), [SECRET]) == []


def test_a_damaged_record_is_not_shown(tmp_path: Path) -> None:
    """Neither by the error nor by a traceback with local variables."""
    path = tmp_path / "tokens"
    store = FileStore(path)
    for damage in (lambda text: text[:-5], lambda text: text.replace('"blnk_auth":1', '"blnk_auth":9')):
        store.save("alice", {"access_token": SECRET}, expected=None)
        [file] = path.glob("*.json")
        file.write_text(damage(file.read_text()))
        error = caught(lambda: store.load("alice"))
        assert isinstance(error, StoreError)
        assert leaks(everything_in(error), [SECRET]) == []
        store.delete("alice")


@pytest.mark.parametrize(
    "make",
    [
        partial(RedisStore, f"rediss+x://user:{SECRET}@127.0.0.1:1/0"),
        partial(RedisStore, f"redis://user:{SECRET}/x@127.0.0.1:port/0"),
        partial(SQLStore, f"bogus://user:{SECRET}@127.0.0.1:1/x"),
        partial(SQLStore, f"sqlite+aiosqlite:///x?password={SECRET}"),
        partial(SQLStore, f"postgresql+psycopg://user:{SECRET}@127.0.0.1:port/x"),
        partial(open_store, f"bogus://user:{SECRET}@127.0.0.1:1/x"),
        partial(open_store, f"redis://user:{SECRET}/x@127.0.0.1:port/0"),
        partial(EncryptedStore, MemoryStore(), keys=SECRET),
        partial(EncryptedStore, MemoryStore(), keys=[SECRET]),
        partial(EncryptedStore, MemoryStore(), keys=[SECRET.encode()]),
        partial(EncryptedStore, MemoryStore(), keys={SECRET: 1}),
    ],
)
def test_what_is_refused_is_not_shown(make: Callable[[], object]) -> None:
    """A URL with its password, and a key, are in no error, traceback or chain; the parameter is named."""
    error = caught(make)
    assert isinstance(error, ConfigurationError)
    assert error.parameter in ("url_or_client", "url_or_engine", "url", "keys")
    assert leaks(everything_in(error), [SECRET]) == []


@pytest.mark.parametrize("url", [None, 7, b"memory:", object()])
def test_a_url_that_is_not_text_is_refused(url: Any) -> None:
    """The error names the parameter and the kinds of store that are known."""
    error = caught(lambda: open_store(url))
    assert isinstance(error, ConfigurationError)
    assert error.parameter == "url"
    must_show(error, "sqlite:///path")


@pytest.mark.parametrize("directory", [None, 7, b"tokens", object()])
def test_a_directory_that_is_not_a_path_is_refused(directory: Any) -> None:
    """The error names the parameter."""
    error = caught(lambda: FileStore(directory))
    assert isinstance(error, ConfigurationError)
    assert error.parameter == "directory"


# --- extras ----------------------------------------------------------------------------------------------------------

USES = {
    "redis": ("redis", "RedisStore('redis://127.0.0.1/0')"),
    "sql": ("sqlalchemy", "SQLStore('sqlite:///tokens.db')"),
    "keyring": ("keyring", "KeyringStore('acme')"),
    "encrypted": ("cryptography", "EncryptedStore(MemoryStore(), keys=[b'k' * 32])"),
}


def used_with(package: Path, use: str) -> str:
    script = (
        "from blnk_auth import *\n"
        "from blnk_auth.stores import *\n"
        f"try: {use}\n"
        "except ConfigurationError as error: print(error.problem, '|', error.remedy)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(package), *sys.path])}
    finished = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
    )
    return finished.stdout


@pytest.mark.real
@pytest.mark.parametrize("extra", USES)
@pytest.mark.parametrize(
    ("broken", "quoted"),
    [
        pytest.param(
            "raise ImportError('libfoo.so.3: cannot open shared object file')", "libfoo.so.3", marks=pytest.mark.deep
        ),
        ("import a_package_it_needs", "a_package_it_needs"),
        pytest.param("raise RuntimeError('no entropy')", "no entropy", marks=pytest.mark.deep),
    ],
)
def test_a_broken_extra_is_not_called_missing(tmp_path: Path, extra: str, broken: str, quoted: str) -> None:
    """A package that is installed and cannot be imported is reported with its own error: a new install may not help."""
    package, use = USES[extra]
    (tmp_path / package).mkdir()
    (tmp_path / package / "__init__.py").write_text(broken)
    said = used_with(tmp_path, use)
    assert f"needs the package {package}, which is installed but cannot be imported" in said
    assert quoted in said
    assert "not installed" not in said


@pytest.mark.real
@pytest.mark.parametrize("extra", USES)
def test_a_missing_extra_is_named_when_it_is_needed(tmp_path: Path, extra: str) -> None:
    """Star imports work without it; the error of making the store names what to install."""
    package, use = USES[extra]
    said = used_with(tmp_path, f"import sys; sys.modules[{package!r}] = None; {use}")
    assert f"needs the package {package}, which is not installed | pip install 'blnk-auth[{extra}]'" in said
