"""A URL names a store; what it names, and what it does not, is reported clearly and without a password."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from support.errors import raises

from blnk_auth.errors import ConfigurationError, StoreError
from blnk_auth.stores._file import FileStore
from blnk_auth.stores._memory import MemoryStore
from blnk_auth.stores._sqlite import SQLiteStore
from blnk_auth.stores._urls import KNOWN, open_store


def test_paths(tmp_path: Path) -> None:
    """The URLs of files and directories lead to their paths, percent-decoded."""
    for url, expected in (
        (f"sqlite:///{tmp_path}/a%20b.db", f"SQLiteStore('{tmp_path}/a b.db')"),
        (f"SQLITE:///{tmp_path}/a.db", f"SQLiteStore('{tmp_path}/a.db')"),
        (f"file://{tmp_path}/to%20kens", f"FileStore('{tmp_path}/to kens')"),
    ):
        store = open_store(url)
        assert isinstance(store, (SQLiteStore, FileStore))
        assert repr(store) == expected
    assert isinstance(open_store("memory:"), MemoryStore)


@pytest.mark.real
def test_relative_and_home_paths(tmp_path: Path) -> None:
    """Three slashes before a sqlite path leave it relative, and ~ is the home directory."""
    script = (
        "from blnk_auth.stores._urls import open_store as o\n"
        "print(o('sqlite:///tokens.db'), o('sqlite:///~/home.db'), o('file:///~/tokens'))"
    )
    environment = {"HOME": f"{tmp_path}/home", "PYTHONPATH": ":".join(sys.path)}
    (tmp_path / "home").mkdir()
    finished = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    assert finished.stdout.split() == [
        f"SQLiteStore('{tmp_path}/tokens.db')",
        f"SQLiteStore('{tmp_path}/home/home.db')",
        f"FileStore('{tmp_path}/home/tokens')",
    ]


@pytest.mark.parametrize(
    "url", ["mongodb://user:s3cr3t@host/db", "sqlite+aiosqlite:///x.db", "file+ssh:///x", "tokens.db", ":", ""]
)
def test_an_unknown_scheme_lists_the_known(url: str) -> None:
    """What names no store is answered with all that would, and without the password in it."""
    with raises(ConfigurationError, parameter="url", shows=tuple(KNOWN)) as raised:
        open_store(url)
    assert "s3cr3t" not in str(raised.value)


@pytest.mark.parametrize(
    ("url", "suggestion"),
    [
        ("sqllite:///t.db", "sqlite:"),
        ("tokens.db", "sqlite:///tokens.db"),
        ("postgres://h/d", "postgresql:"),
    ],
)
def test_a_likely_mistake_is_answered_with_the_right_url(url: str, suggestion: str) -> None:
    """A misspelt kind of store is recognized, and so is a path that was given for a URL."""
    with raises(ConfigurationError, parameter="url", shows=suggestion):
        open_store(url)


@pytest.mark.parametrize(
    "url", ["sqlite://tokens.db", "sqlite:tokens.db", "file://host/tokens", "file:/tokens", "file:///"]
)
def test_a_path_needs_three_slashes(url: str) -> None:
    """A path where a host belongs is an error, not another place."""
    with raises(ConfigurationError, parameter="url"):
        open_store(url)


def test_a_url_may_leave_the_permissions_unchecked(tmp_path: Path) -> None:
    """For a volume that a group shares; any other query is refused, not ignored."""
    tmp_path.chmod(0o770)
    for name, url in (("t.db", f"sqlite:////{tmp_path}/t.db"), ("t", f"file://{tmp_path}/t")):
        open_store(f"{url}?check_permissions=false")
        assert (tmp_path / name).stat().st_mode & 0o070 != 0
        if name == "t":
            with raises(StoreError, parameter="check_permissions"):
                open_store(f"{url}?check_permissions=true")
        for query in ("mode=ro", "check_permissions=no", "check_permissions=false&x=1", "check_permissions"):
            with raises(ConfigurationError, parameter="url") as raised:
                open_store(f"{url}?{query}")
            assert raised.value.parameter == "url"
    assert isinstance(open_store(f"sqlite:////{tmp_path}/what%3F.db"), SQLiteStore)
    assert (tmp_path / "what?.db").exists()


def test_a_misspelt_path_makes_no_store(tmp_path: Path) -> None:
    """Where a store must exist, a path that does not is an error, and nothing is made."""
    for url in (f"sqlite:///{tmp_path}/tpyo.db", f"file://{tmp_path}/tpyo"):
        with raises(ConfigurationError, parameter="url"):
            open_store(url, create=False)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.real
@pytest.mark.parametrize(
    ("url", "unwanted"),
    [("memory:", "sqlite3 cryptography keyring redis sqlalchemy"), ("sqlite:///x.db", "keyring redis sqlalchemy")],
)
def test_only_what_is_needed_is_imported(tmp_path: Path, url: str, unwanted: str) -> None:
    """Opening one kind of store imports no other's packages."""
    script = (
        "import sys; from blnk_auth.stores._urls import open_store; open_store(sys.argv[1])\n"
        f"print(*sorted({set(unwanted.split())!r} & sys.modules.keys()))"
    )
    environment = {"PYTHONPATH": ":".join(sys.path)}
    finished = subprocess.run(
        [sys.executable, "-c", script, url], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    assert finished.stdout.strip() == ""


@pytest.mark.real
def test_a_missing_package_names_the_extra(tmp_path: Path) -> None:
    """A store whose package is not installed names the extra that brings it."""
    script = (
        "import sys; sys.modules['keyring'] = None\n"
        "from blnk_auth.stores._urls import open_store\n"
        "try: open_store('keyring:acme')\n"
        "except Exception as error: print(type(error).__name__, error)"
    )
    environment = {"PYTHONPATH": ":".join(sys.path)}
    finished = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
    )
    assert finished.stdout.startswith(
        "ConfigurationError KeyringStore needs the package keyring, which is not installed"
    )
    assert "pip install 'blnk-auth[keyring]'" in finished.stdout
