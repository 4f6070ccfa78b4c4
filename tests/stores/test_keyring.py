"""KeyringStore: only a keyring that keeps what it is given, entries of any length, a lock that belongs to it."""

from __future__ import annotations

import copy
import functools
import itertools
import json
import os
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from keyring.errors import KeyringLocked
from support.canary.leaks import leaks
from support.errors import raises
from support.limits import PATIENCE
from support.scripted import ScriptedWorld
from support.stores.keyrings import (
    BrokenKeyring,
    ForgetfulKeyring,
    Killed,
    MemoryKeyring,
)
from support.stores.kill_trial import check_that_kills_leave_old_or_new
from support.stores.secret_service import Desktop, missing_programs, open_service, secret_service
from support.token_endpoint import pair

from blnk_auth.errors import ConfigurationError, Conflict, StoreError
from blnk_auth.stores import _keyring
from blnk_auth.stores._entry_names import name_of
from blnk_auth.stores._file import FileStore
from blnk_auth.stores._keyring import KeyringStore
from blnk_auth.stores._memory import MemoryStore
from blnk_auth.stores._token_store import TokenStore
from blnk_auth.testing.store_contract import SharedStoreContract, StoreContract

SECRET = "s3cr3t-value"
FIVE_KB = "x" * 5000


@pytest.fixture
def service() -> str:
    """A name of this test's own: locks are shared by name."""
    return f"test-{uuid.uuid4()}"


@pytest.fixture
def backend() -> MemoryKeyring:
    return MemoryKeyring()


@pytest.fixture
def store(service: str, backend: MemoryKeyring) -> KeyringStore:
    return KeyringStore(service, backend=backend)


def loaded(store: TokenStore, key: str) -> dict[str, Any]:
    record = store.load(key)
    assert record is not None
    return record.data


class TestKeyringStore(StoreContract):
    @pytest.fixture
    def open_store(self, service: str) -> Callable[[], TokenStore]:
        return lambda: KeyringStore(service, backend=MemoryKeyring())


@pytest.fixture(scope="module")
def session() -> Iterator[Desktop]:
    """A real Secret Service, for the module."""
    missing = missing_programs()
    if missing:
        pytest.skip(f"{' and '.join(missing)} not installed: apt-get install dbus gnome-keyring")
    with secret_service() as desktop, pytest.MonkeyPatch.context() as patch:
        # A busy machine needs longer than an application that uses its keyring for itself.
        patch.setattr(_keyring, "_USE_SECONDS", PATIENCE)
        yield desktop


@pytest.fixture
def desktop(session: Desktop) -> Iterator[Desktop]:
    """The same, with a daemon that runs when the test begins, and must run when it ends."""
    session.restarted()
    yield session
    session.check()


def in_the_deep_run(test: Callable[..., None]) -> Callable[..., None]:
    """A test of the contract with many records: `TestKeyringStore` runs it each time, with a keyring in memory."""

    @pytest.mark.deep
    @functools.wraps(test)
    def run(*arguments: Any, **named: Any) -> None:
        test(*arguments, **named)

    return run


def leaves_connections_open(test: Any) -> Any:
    """SecretStorage does, where the daemon ends meanwhile, and nobody else has such a connection to close it."""
    for warning in (
        "ignore:Exception ignored in. <socket.socket:pytest.PytestUnraisableExceptionWarning",
        "ignore:unclosed <socket.socket:ResourceWarning",
    ):
        test = pytest.mark.filterwarnings(warning)(test)
    return test


@leaves_connections_open
class TestSecretService(SharedStoreContract):
    increments = 3  # a save is four visits to the daemon, each of some 20 ms

    test_a_prefix_is_taken_literally = in_the_deep_run(SharedStoreContract.test_a_prefix_is_taken_literally)
    test_awkward_keys_stay_apart = in_the_deep_run(SharedStoreContract.test_awkward_keys_stay_apart)
    test_keys_come_in_order = in_the_deep_run(SharedStoreContract.test_keys_come_in_order)
    test_no_version_comes_twice = in_the_deep_run(SharedStoreContract.test_no_version_comes_twice)
    test_only_keys_with_the_prefix_are_due = in_the_deep_run(SharedStoreContract.test_only_keys_with_the_prefix_are_due)
    test_paging_continues_behind_what_stays_due = in_the_deep_run(
        SharedStoreContract.test_paging_continues_behind_what_stays_due
    )

    @pytest.fixture(autouse=True)
    def take_the_desktop(self, desktop: Desktop) -> None:
        self.desktop = desktop

    @pytest.fixture
    def open_store(self, service: str) -> Callable[[], TokenStore]:
        return partial(open_service, service)


def outliving(test: Callable[..., None]) -> Callable[..., None]:
    """A test of the contract that begins again, with another service, if the daemon has ended by its bug."""

    @functools.wraps(test)
    def run(self: TestSecretService, **fixtures: Any) -> None:
        def trial(number: int) -> None:
            if number > 0:
                opened = partial(open_service, f"test-{uuid.uuid4()}")
                others = {"store": opened(), "open_store": opened}
                fixtures.update({name: others[name] for name in others if name in fixtures})
            test(self, **fixtures)

        self.desktop.outlives(trial)

    return run


for _name in dir(TestSecretService):
    if _name.startswith("test_"):
        setattr(TestSecretService, _name, outliving(getattr(TestSecretService, _name)))


# A real keyring


@leaves_connections_open
@pytest.mark.parametrize("times", [10, pytest.param(200, marks=pytest.mark.deep)])
def test_f44_a_kill_leaves_the_old_or_the_new_record(desktop: Desktop, service: str, times: int) -> None:
    """F44: kill -9 at random moments of saving to a real keyring leaves a readable record, old or new."""
    check_that_kills_leave_old_or_new(partial(open_service, service), times, restarted=desktop.restarted)


def said_by(script: str, *arguments: str, **variables: str) -> str:
    """What a process prints that asks the keyring package for a backend for the first time."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **variables}
    command = [sys.executable, "-c", script, *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout


FOUND = """
import pickle, sys
from blnk_auth.stores._keyring import KeyringStore
store = KeyringStore(sys.argv[1])
store.save("alice", {"access_token": sys.argv[2]}, expected=None)
pickled = pickle.dumps(store)
print(store, sys.argv[2].encode() in pickled, pickle.loads(pickled).load("alice").data)
"""


@pytest.mark.usefixtures("desktop")
def test_the_system_keyring_is_found_and_named(service: str) -> None:
    """The repr names the backend that was found; neither it nor a pickle, which opens the same keyring, has the
    record.
    """
    named = f"<KeyringStore {service!r} in keyring.backends.SecretService.Keyring>"
    assert said_by(FOUND, service, SECRET) == f"{named} False {{'access_token': {SECRET!r}}}\n"


CONFIGURED = """
import os, sys
from blnk_auth.errors import StoreError
from blnk_auth.stores._keyring import KeyringStore
store = KeyringStore(sys.argv[1])
try:
    with store.lock("alice", timeout=0):
        print("had it")
except StoreError:
    print("refused")
"""


@pytest.mark.usefixtures("desktop")
def test_f41_two_configurations_of_one_keyring_exclude_each_other(service: str, tmp_path: Path) -> None:
    """F41: a process with other configuration and state directories is kept out, for it shares the credential."""
    elsewhere = {f"XDG_{kind}_HOME": str(tmp_path / kind) for kind in ("CONFIG", "STATE", "CACHE")}
    with open_service(service).lock("alice", timeout=PATIENCE):
        assert said_by(CONFIGURED, service, **elsewhere) == "refused\n"
    assert said_by(CONFIGURED, service, **elsewhere) == "had it\n"


def in_a_container(script: str, **variables: str) -> str:
    """The output of a process without a desktop and a session bus."""
    hidden = ("DBUS_SESSION_BUS_ADDRESS", "XDG_RUNTIME_DIR", "DISPLAY")
    environment = {name: value for name, value in os.environ.items() if name not in hidden}
    environment |= {"PYTHONPATH": os.pathsep.join(sys.path), "DBUS_SESSION_BUS_ADDRESS": "unix:path=/nowhere"}
    finished = subprocess.run(
        [sys.executable, "-c", script], env={**environment, **variables}, capture_output=True, text=True, check=True
    )
    return finished.stdout.strip()


REFUSED = """
from blnk_auth.errors import StoreError
from blnk_auth.stores._keyring import KeyringStore
from blnk_auth.stores._memory import MemoryStore
try:
    KeyringStore("acme")
except StoreError as error:
    print(error)
print(repr(KeyringStore("acme", fallback=MemoryStore())))
"""


@pytest.mark.parametrize("named", ["", "keyring.backends.null.Keyring", "keyring.backends.fail.Keyring"])
def test_f51_without_a_keyring_there_is_an_error_or_the_named_fallback(named: str) -> None:
    """F51: in a headless container, and with keyring's null and fail backends, nothing is stored nowhere: the store
    names what to do when it is made, and uses the fallback only if one was passed.
    """
    said = in_a_container(REFUSED, **({"PYTHON_KEYRING_BACKEND": named} if named else {}))
    refusal, with_fallback = said.splitlines()
    assert "keyring" in refusal
    assert "fallback=" in refusal
    assert with_fallback == "<KeyringStore 'acme' in no keyring, fallback=<MemoryStore keys=0>>"


PLAIN = """
import sys, types
from keyring.backend import KeyringBackend
from keyring.compat import properties
module = types.ModuleType("plainfile")
class PlaintextKeyring(KeyringBackend):
    @properties.classproperty
    def priority(self): return 0.5
    entries = {}
    def get_password(self, service, username): return self.entries.get((service, username))
    def set_password(self, service, username, password): self.entries[service, username] = password
    def delete_password(self, service, username): del self.entries[service, username]
PlaintextKeyring.__module__ = "plainfile"
module.PlaintextKeyring = PlaintextKeyring
sys.modules["plainfile"] = module
from blnk_auth.errors import StoreError
from blnk_auth.stores._keyring import KeyringStore
try:
    KeyringStore("acme")
except StoreError as error:
    print(error)
KeyringStore("acme", backend=PlaintextKeyring()).save("alice", {}, expected=None)
print(len(PlaintextKeyring.entries))
"""


def test_f67_a_plain_text_keyring_is_refused_unless_named() -> None:
    """F67: a backend that the keyring package does not recommend is refused by name, and used if passed as backend."""
    refusal, entries = in_a_container(PLAIN, PYTHON_KEYRING_BACKEND="plainfile.PlaintextKeyring").splitlines()
    assert "plainfile.PlaintextKeyring" in refusal
    assert "plain text" in refusal
    assert entries == "2"


# Failures


@pytest.mark.parametrize("error", [KeyringLocked(SECRET), RuntimeError(SECRET), OSError(5, SECRET), KeyError(SECRET)])
@pytest.mark.parametrize("verb", ["get", "set", "delete"])
def test_f51_f67_every_failure_is_a_store_error(service: str, error: Exception, verb: str) -> None:
    """F51, F67: a locked keyring, or any exception of a backend, is a StoreError with a remedy and without its text."""
    with raises(StoreError, parameter="backend") as raised:
        KeyringStore(service, backend=BrokenKeyring(error, verb))
    assert leaks([raised.value, raised.value.__context__], [SECRET]) == []
    backend = BrokenKeyring(error)
    store = KeyringStore(service, backend=backend)
    store.save("alice", {"n": 1}, expected=None)
    backend.broken.add(verb)
    attempts: list[Callable[[], object]] = [lambda: store.delete("alice")]
    if verb != "delete":
        attempts += [lambda: store.save("bob", {"token": SECRET}, expected=None)]
    if verb == "get":
        attempts += [lambda: store.load("alice"), lambda: list(store.keys())]
    for attempt in attempts if verb != "set" else attempts[1:]:
        with raises(StoreError, parameter="backend", shows=type(error).__name__):
            attempt()
    backend.broken.clear()
    assert store.save("carol", {}, expected=None)


def test_f51_a_keyring_that_keeps_nothing_is_refused(service: str) -> None:
    """F51: the probe reads back what it wrote."""
    with raises(StoreError, parameter="backend"):
        KeyringStore(service, backend=ForgetfulKeyring())


def test_the_probe_leaves_nothing_behind(service: str, backend: MemoryKeyring) -> None:
    """After the store is made, the keyring is as it was."""
    KeyringStore(service, backend=backend)
    assert backend.entries == {}


def test_f51_a_rotation_that_the_keyring_refuses_is_not_lost(service: str) -> None:
    """F51: a keyring that locks itself meanwhile costs nobody a sign-in: the pair is used, and stored later."""
    backend = BrokenKeyring(KeyringLocked("locked"))
    world = ScriptedWorld(store=KeyringStore(service, backend=backend))
    alice = world.client.for_subject("alice")
    alice.adopt(world.token(0))
    world.clock.advance(3700)

    def lock_the_keyring(request: object) -> Any:
        backend.broken.add("set")
        return pair(1)

    world.server.will(lock_the_keyring)
    assert alice.token().access_token == "at1"
    backend.broken.clear()
    world.clock.advance(120)
    assert alice.token().access_token == "at1"
    assert "saved" in world.emitted()
    assert "rt1" in str(backend.entries)


def test_the_service_needs_a_name() -> None:
    """An empty service is a ConfigurationError."""
    with raises(ConfigurationError, parameter="service"):
        KeyringStore(" ")


# Long records


def parts(backend: MemoryKeyring) -> list[str]:
    return sorted(service.rpartition("/")[2] for service, _ in backend.entries if service.count("/") == 2)


def test_f51_five_kilobytes_fit_into_windows_entries(backend: MemoryKeyring, store: KeyringStore) -> None:
    """F51: a long record is cut into parts that Windows accepts; replaced, it leaves no part of the former behind."""
    version = store.save("alice", {"token": FIVE_KB}, expected=None)
    assert parts(backend) == ["a0", "a1", "a2", "a3", "a4"]
    version = store.save("alice", {"token": FIVE_KB + "y"}, expected=version)
    assert parts(backend) == ["b0", "b1", "b2", "b3", "b4"]
    assert loaded(store, "alice") == {"token": FIVE_KB + "y"}
    version = store.save("alice", {"token": "short"}, expected=version)
    assert parts(backend) == []
    store.save("alice", {"token": FIVE_KB}, expected=version)
    store.delete("alice")
    assert parts(backend) == []
    assert store.load("alice") is None


@pytest.mark.parametrize(("before", "after"), list(itertools.product((10, 2000, 5000), repeat=2)))
def test_f44_a_kill_between_two_entries_leaves_the_old_or_the_new(service: str, before: int, after: int) -> None:
    """F44: wherever between its writes a save is killed, the record is the old one or the new one, and the next save
    works and leaves no part behind.
    """
    for lives in itertools.count():
        backend = MemoryKeyring()
        store = KeyringStore(service, backend=backend)
        version = store.save("alice", {"token": "o" * before}, expected=None)
        backend.lives = lives
        try:
            store.save("alice", {"token": "n" * after}, expected=version)
            died = False
        except Killed:
            died = True
        backend.lives = None
        fresh = KeyringStore(service, backend=backend)
        record = fresh.load("alice")
        assert record is not None
        assert record.data in ({"token": "o" * before}, {"token": "n" * after})
        version = fresh.save("alice", {"token": "z" * 3000}, expected=record.version)
        assert len(parts(backend)) == 3
        fresh.save("alice", {"token": "short"}, expected=version)
        assert parts(backend) == []
        if not died:
            break
    assert lives >= 1


def test_a_kill_while_a_key_is_first_stored_lists_no_key(service: str, backend: MemoryKeyring) -> None:
    """A key that was listed and then never written is neither listed nor in the way."""
    store = KeyringStore(service, backend=backend)
    backend.lives = 1
    with pytest.raises(Killed):
        store.save("alice", {}, expected=None)
    backend.lives = None
    assert list(store.keys()) == []
    store.save("alice", {}, expected=None)
    assert list(store.keys()) == ["alice"]


class Crowded(MemoryKeyring):
    """Ends, as real keyrings do, when two callers come at the same time."""

    def __init__(self) -> None:
        super().__init__()
        self.inside = threading.Semaphore(1)

    def get_password(self, service: str, username: str) -> str | None:
        if not self.inside.acquire(blocking=False):
            raise ConnectionResetError("two at once")
        try:
            threading.Event().wait(0.001)
            return super().get_password(service, username)
        finally:
            self.inside.release()


def test_f67_a_keyring_is_asked_by_one_at_a_time(service: str) -> None:
    """F67: threads and handles that load, save and list in parallel never meet in the backend."""
    backend = Crowded()
    stores = [KeyringStore(service, backend=backend) for _ in range(2)]

    def work(number: int) -> None:
        store = stores[number % 2]
        version = store.save(f"key {number}", {"token": FIVE_KB}, expected=None)
        store.save(f"key {number}", {"token": "short"}, expected=version)
        assert loaded(store, f"key {number}") == {"token": "short"}
        assert f"key {number}" in list(store.keys())

    with ThreadPoolExecutor(6) as threads:
        for done in [threads.submit(work, number) for number in range(6)]:
            done.result(PATIENCE)


def test_many_keys_are_listed(store: KeyringStore, backend: MemoryKeyring) -> None:
    """The list of keys outgrows one entry and stays whole."""
    keys = [f"token/acme/subject/{number:03}" for number in range(100)]
    for key in keys:
        store.save(key, {}, expected=None)
    assert list(store.keys("token/")) == keys
    for key in keys[:90]:
        store.delete(key)
    assert list(store.keys()) == keys[90:]


def entry(backend: MemoryKeyring, ending: str) -> tuple[str, str]:
    return next(each for each in backend.entries if each[0].endswith(ending))


@pytest.mark.parametrize(
    ("ending", "text"),
    [
        ("", ""),
        ("", "{"),
        ("", "[]"),
        ("", json.dumps({"token": SECRET})),
        ("", json.dumps({"blnk_auth": 1, "key": "bob", "version": "v", "data": {}})),
        ("", json.dumps({"blnk_auth": 2, "key": "alice"})),
        ("/a1", None),
        ("/a1", "other"),
        ("/a0", ""),
    ],
)
def test_a_damaged_record_is_an_error(
    backend: MemoryKeyring, store: KeyringStore, ending: str, text: str | None
) -> None:
    """It raises StoreError naming key and remedy, is not overwritten, and a delete heals it; others work."""
    store.save("alice", {"token": FIVE_KB}, expected=None)
    store.save("bob", {"n": 2}, expected=None)
    damaged = entry(backend, name_of("alice") + ending)
    if text is None:
        del backend.entries[damaged]
    else:
        backend.entries[damaged] = text
    before = dict(backend.entries)
    for attempt in (lambda: store.load("alice"), lambda: store.save("alice", {}, expected=None)):
        with raises(StoreError, key="alice") as raised:
            attempt()
        assert not isinstance(raised.value, Conflict)
        assert leaks([raised.value], [SECRET, "xxxxx"]) == []
    assert backend.entries == before
    assert loaded(store, "bob") == {"n": 2}
    store.delete("alice")
    assert list(store.keys()) == ["bob"]
    store.save("alice", {"n": 3}, expected=None)


def test_a_damaged_list_of_keys_is_an_error(backend: MemoryKeyring, store: KeyringStore) -> None:
    """A damaged list of the keys is reported by name; records are still read and replaced, and it can be removed."""
    version = store.save("alice", {"n": 1}, expected=None)
    index = entry(backend, "/index")
    backend.entries[index] = "{"
    for attempt in (lambda: list(store.keys()), lambda: store.save("bob", {}, expected=None)):
        with raises(StoreError, shows="/index"):
            attempt()
    store.save("alice", {"n": 2}, expected=version)
    assert loaded(store, "alice") == {"n": 2}
    del backend.entries[index]
    store.save("bob", {}, expected=None)
    assert list(store.keys()) == ["bob"]


# The fallback


def test_f51_what_was_stored_in_the_fallback_is_found_when_the_keyring_is_back(service: str, tmp_path: Path) -> None:
    """F51: signed in without a keyring, a user stays signed in with one, and the record stays where it is."""
    fallback = FileStore(tmp_path / "tokens")
    without = KeyringStore(service, backend=ForgetfulKeyring(), fallback=fallback)
    version = without.save("alice", {"n": 1}, expected=None)
    assert loaded(without, "alice") == {"n": 1}
    backend = MemoryKeyring()
    restored = KeyringStore(service, backend=backend, fallback=fallback)
    assert loaded(restored, "alice") == {"n": 1}
    restored.save("alice", {"n": 2}, expected=version)
    restored.save("bob", {"n": 3}, expected=None)
    assert loaded(fallback, "alice") == {"n": 2}
    assert fallback.load("bob") is None
    assert list(restored.keys()) == ["alice", "bob"]
    restored.delete("alice")
    assert fallback.load("alice") is None
    assert list(restored.keys()) == ["bob"]


def test_those_with_and_those_without_a_keyring_exclude_each_other(service: str, backend: MemoryKeyring) -> None:
    """Another process that shares the keyring, or only the fallback, is kept out by the lock."""
    fallback = MemoryStore()
    both = KeyringStore(service, backend=backend, fallback=fallback)
    keyring_alone = KeyringStore(service, backend=backend)
    with both.lock("alice", timeout=PATIENCE):
        for other in (keyring_alone, fallback):
            with pytest.raises(StoreError), other.lock("alice", timeout=0):
                pass


def test_a_usable_keyring_is_preferred_to_the_fallback(service: str, backend: MemoryKeyring) -> None:
    """With a keyring that works, new records go there and nothing into the fallback."""
    fallback = MemoryStore()
    KeyringStore(service, backend=backend, fallback=fallback).save("alice", {}, expected=None)
    assert list(fallback.keys()) == []


# Handles


def test_a_copy_is_the_same_store(store: KeyringStore) -> None:
    """A store is a handle, so copying one, deep or not, gives the store itself."""
    assert copy.deepcopy([store]) == [store] == [copy.copy(store)]


def test_one_service_does_not_see_another(service: str, backend: MemoryKeyring) -> None:
    """Two services in one keyring share neither records nor locks."""
    one, other = KeyringStore(service, backend=backend), KeyringStore(f"{service}-2", backend=backend)
    one.save("alice", {}, expected=None)
    assert other.load("alice") is None
    with one.lock("alice", timeout=PATIENCE), other.lock("alice", timeout=0):
        pass
