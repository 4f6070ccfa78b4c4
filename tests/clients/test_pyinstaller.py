"""A program that PyInstaller has bundled, without an option or a hook: what is imported late must be inside."""

from __future__ import annotations

import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from support.limits import PATIENCE

from blnk_auth.testing import Sandbox

pytest.importorskip("PyInstaller")

PROGRAM = """
import sys

import httpx
import requests

from blnk_auth import BlnkCloud, HttpxAuth, KeyringStore, OAuthClient, RequestsAuth, SQLiteStore
from blnk_auth.cli import main


def sign_in(origin, client_id, client_secret, path):
    client = OAuthClient(
        BlnkCloud(base_url=origin),
        client_id=client_id,
        client_secret=client_secret,
        redirect_uri="http://127.0.0.1/callback",
        store=SQLiteStore(path),
    )
    alice = client.authorize_interactively("alice", on_url=lambda url: print(url, flush=True), open_browser=False)
    url = origin + "/data/ledgers"
    print(httpx.get(url, auth=HttpxAuth(alice)).status_code, requests.get(url, auth=RequestsAuth(alice)).status_code)
    alice.renew()
    print("renewed")


if sys.argv[1] == "sign-in":
    sign_in(*sys.argv[2:])
else:
    main()
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundled program."""
    directory = tmp_path_factory.mktemp("bundle")
    (directory / "app.py").write_text(PROGRAM, encoding="utf-8")
    command = [sys.executable, "-m", "PyInstaller", "--onedir", "--noconfirm", "--log-level", "ERROR", "app.py"]
    # It is here for the tests of pandas, and PyInstaller finds it by way of hypothesis: a third of the bundle.
    command += ["--exclude-module", "numpy"]
    built = subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=10 * PATIENCE, check=False)
    assert built.returncode == 0, built.stderr
    return directory / "dist" / "app" / "app"


def test_a_sign_in_and_a_renewal_work_in_a_bundle(program: Path, tmp_path: Path) -> None:
    """The sign-in page, the store, both HTTP packages and the renewal are inside."""
    with Sandbox(redirect_uri="http://127.0.0.1/callback") as sandbox:
        registration = [sandbox.origin, sandbox.client_id, sandbox.client_secret, str(tmp_path / "tokens.db")]
        with subprocess.Popen(
            [program, "sign-in", *registration], stdout=subprocess.PIPE, text=True, env={"HOME": str(tmp_path)}
        ) as running:
            assert running.stdout is not None
            callback_url = sandbox.sign_in(running.stdout.readline().strip())
            with urllib.request.urlopen(callback_url, timeout=PATIENCE) as response:
                page = response.read().decode()
            assert running.stdout.read().split() == ["200", "200", "renewed"]
        assert running.returncode == 0
    assert "You are signed in" in page
    assert (sandbox.counts.refreshes, sandbox.counts.reuses) == (1, 0)


@pytest.mark.parametrize(
    ("command", "status", "words"),
    [
        ("--help", 0, "keepalive"),
        ("doctor --help", 0, "--profile"),
        ("status", 1, "login"),
        ("store migrate sqlite:///tokens.db", 0, "no tables to create"),
    ],
)
def test_the_commands_are_in_a_bundle(program: Path, tmp_path: Path, command: str, status: int, words: str) -> None:
    """The command line is inside, with what it imports late."""
    configuration = tmp_path / ".config" / "blnk-auth" / "config.toml"
    configuration.parent.mkdir(parents=True)
    configuration.write_text(
        '[profiles.default]\nprovider = "blnk_cloud"\nclient_id = "an-id"\nclient_secret = "env:SECRET"\n',
        encoding="utf-8",
    )
    configuration.chmod(0o600)
    home = {"HOME": str(tmp_path), "SECRET": "a-secret"}
    ended = subprocess.run(
        [program, *command.split()],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        env=home,
        check=False,
    )
    output = ended.stdout + ended.stderr
    assert ended.returncode == status, output
    assert words in output
    assert "Traceback" not in output
