"""The pages of docs/migrate, with the real packages: the old program signs in, and the new one continues from there.

Each program of a page is a process of its own, as its reader runs it.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from docs.test_readme import REDIRECT_URIS, ROOT, python_blocks
from support.command_line import browser_command
from support.limits import PATIENCE
from support.processes import free_port
from support.providers import acme

from blnk_auth import ConfigurationError, MemoryStore, OAuthClient
from blnk_auth.migrate import adopt_once, from_requests_oauth2client
from blnk_auth.testing import Sandbox

PAGES = ROOT / "docs" / "migrate"

ALICE = """\
import builtins, re, runpy, sys
def at_the_terminal(prompt=""):
    from blnk_auth.testing.sandbox import browser
    return browser.sign_in(re.search(r"https?://\\S+", prompt)[0], subject="alice", approve=True)
builtins.input = at_the_terminal
runpy.run_path(sys.argv[1], run_name="__main__")
"""
"""Runs a program at which alice sits: she opens the address that it shows, and pastes the one she is sent to."""


def expired_dict(text: str) -> str:
    return json.dumps({**json.loads(text), "expires_at": 1})


def expired_cache(text: str) -> str:
    [(key, [access_token, _, refresh_token])] = json.loads(text).items()
    return json.dumps({key: [access_token, 1, refresh_token]})


def expired_bearer_token(text: str) -> str:
    package: Any = importlib.import_module("requests_oauth2client")
    serializer = package.TokenSerializer()
    members = serializer.loads(text.encode()).as_dict()
    expired = {**members, "expires_in": None, "expires_at": datetime.fromtimestamp(1, UTC)}
    return bytes(serializer.dumps(package.BearerToken(**expired))).decode()


class Migration(NamedTuple):
    """A page, how the file of its old program is when the token has expired, and a word to replace in the page."""

    package: str
    page: str
    file: str
    expired: Callable[[str], str]
    words: tuple[str, str] = ("", "")

    def programs(self) -> dict[str, str]:
        """The three programs of the page."""
        text = (PAGES / f"{self.page}.md").read_text("utf-8").replace(*self.words)
        blocks = [block.source for block in python_blocks(text)]
        [after] = [block for block in blocks if "adopt_once(" in block]
        [back] = [block for block in blocks if "alice.forget()" in block]
        return {"before": blocks[0], "after": after, "back": f"{after}\n{back}"}


MIGRATIONS = [
    Migration("authlib", "authlib", "token.json", expired_dict),
    Migration("requests_oauthlib", "requests-oauthlib", "token.json", expired_dict),
    Migration("httpx_auth", "httpx-auth", "token.json", expired_cache),
    # The page has it so: `requests` in each place of `httpx`.
    Migration("requests_auth", "httpx-auth", "token.json", expired_cache, ("httpx", "requests")),
    Migration("requests_oauth2client", "requests-oauth2client", "token.txt", expired_bearer_token),
    Migration("requests", "by-hand", "token.json", expired_dict),
]


@pytest.mark.parametrize("migration", MIGRATIONS, ids=lambda migration: migration.package)
def test_alice_signs_in_once(migration: Migration, tmp_path: Path) -> None:
    """Through the old program, its renewal, the new program and its renewals, and back; each token is spent once."""
    pytest.importorskip(migration.package)
    file, programs = tmp_path / migration.file, migration.programs()
    port = free_port()
    with Sandbox(redirect_uri=(*REDIRECT_URIS, f"http://localhost:{port}/")) as sandbox:
        variables = {
            **os.environ,
            "ACME_URL": sandbox.origin,
            "ACME_CLIENT_ID": sandbox.client_id,
            "ACME_CLIENT_SECRET": sandbox.client_secret,
            "ACME_PORT": str(port),
            "AUTHLIB_INSECURE_TRANSPORT": "1",
            "OAUTHLIB_INSECURE_TRANSPORT": "1",
            "BROWSER": f"{browser_command(tmp_path)} &",
        }

        def run(name: str, *, renewals: int) -> None:
            """Run a program, and look how many renewals there have been since the one sign-in."""
            finished = subprocess.run(
                [sys.executable, "-c", ALICE, f"{name}.py"],
                cwd=tmp_path,
                env=variables,
                capture_output=True,
                text=True,
                timeout=PATIENCE,
                check=False,
            )
            assert finished.returncode == 0, finished.stderr
            assert finished.stdout.splitlines()[-1:] == ["alice"]
            counts = sandbox.counts
            assert (counts.code_exchanges, counts.refreshes, counts.reuses) == (1, renewals, 0)

        for name, source in programs.items():
            (tmp_path / f"{name}.py").write_text(source, "utf-8")
        run("before", renewals=0)
        file.write_text(migration.expired(file.read_text()))
        run("before", renewals=1)

        sandbox.revoke_access_tokens()
        run("after", renewals=2)
        # A second start imports again what the file has, whose refresh token is spent by now.
        run("after", renewals=2)

        run("back", renewals=2)
        file.write_text(migration.expired(file.read_text()))
        run("before", renewals=3)


def test_each_page_is_run() -> None:
    """And its examples by themselves."""
    assert {migration.page for migration in MIGRATIONS} == {path.stem for path in PAGES.glob("*.md")}
    blocks = python_blocks((PAGES / "by-hand.md").read_text("utf-8"))
    [example] = [block for block in blocks if "same = [" in block.source]
    exec(example.source, {})


def test_a_dpop_token_is_adopted_with_its_key() -> None:
    """By a client that has the private key of the `DPoPToken`, and by no other."""
    package: Any = pytest.importorskip("requests_oauth2client")
    key = package.DPoPKey.generate()
    theirs = package.DPoPToken("at-1", refresh_token="rt-1", expires_in=60, _dpop_key=key)
    token = from_requests_oauth2client(package.TokenSerializer().dumps(theirs))
    assert from_requests_oauth2client(theirs.as_dict(with_expires_in=False)).refresh_token == token.refresh_token
    assert "dpop_key" not in token.extra

    def alice(**settings: Any) -> Any:
        return OAuthClient(acme(), client_id="id", client_secret="s", store=MemoryStore(), **settings).for_subject("a")

    bound = alice(dpop=dict(key.private_key))
    assert adopt_once(bound, token)
    assert bound.headers("https://api.acme.test/x")["Authorization"] == "DPoP at-1"
    with pytest.raises(ConfigurationError):
        adopt_once(alice(), token)
