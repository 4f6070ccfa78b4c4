"""The pytest plugin, in test suites of its own: its fixtures work, and it costs nothing where none is asked for."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

pytestmark = pytest.mark.real

PLUGIN = "blnk_auth.testing.pytest_plugin"


def run_suite(directory: Path, test: str, *options: str, conftest: str = "") -> subprocess.CompletedProcess[str]:
    """Run a test module in a suite of its own, with no plugin but ours, loaded by its module's name."""
    (directory / "test_of_a_user.py").write_text(test)
    (directory / "conftest.py").write_text(conftest)
    (directory / "pytest.ini").write_text("[pytest]\naddopts = --strict-markers\nfilterwarnings = error\n")
    command = [sys.executable, "-m", "pytest", "-q", "-p", PLUGIN, "-p", "no:cacheprovider", *options, str(directory)]
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=environment)


def passed(finished: subprocess.CompletedProcess[str], count: int) -> bool:
    return finished.returncode == 0 and f"{count} passed" in finished.stdout


USED = """
import httpx
import pytest

import blnk_auth.testing
from blnk_auth import HttpxAuth, Token

PATHS = {"blnk_cloud": "/data/ledgers", "blink": "/ais/v6/accounts", "flinks": "/api/fdx/5/accounts"}
EACH = [pytest.param(name, marks=pytest.mark.blnk_sandbox(name, lifetime=600)) for name in PATHS]


@pytest.mark.parametrize("name", EACH)
def test_an_expired_token_is_renewed(
    name, blnk_sandbox, blnk_client, blnk_clock, blnk_store, assert_renewed_once, assert_no_reuse, assert_no_secret_in,
    caplog,
):
    alice = blnk_client.for_subject("alice")
    alice.adopt(Token.from_response(blnk_sandbox.issue("alice"), now=blnk_clock()))
    blnk_clock.advance(601)
    assert httpx.get(blnk_sandbox.origin + PATHS[name], auth=HttpxAuth(alice)).status_code == 200
    assert_renewed_once(blnk_sandbox)
    assert_no_reuse(blnk_sandbox)
    assert_no_secret_in(caplog.records, blnk_sandbox)
    assert blnk_store.load(alice.store_key) is not None


@pytest.mark.blnk_sandbox("mcp")
def test_an_mcp_server(blnk_sandbox, blnk_client, blnk_clock, assert_renewed_once):
    url = f"{blnk_sandbox.origin}/mcp"
    alice = blnk_client.for_subject("alice", resource=url)
    alice.adopt(Token.from_response(blnk_sandbox.issue("alice"), now=blnk_clock()))
    blnk_clock.advance(3601)
    assert httpx.get(f"{url}/ledgers", auth=HttpxAuth(alice)).status_code == 200
    assert_renewed_once(blnk_sandbox)


@pytest.mark.blnk_sandbox(extensions=["par_required", "dpop_required", "dpop_nonce_changes"])
def test_extensions(blnk_sandbox, blnk_client, blnk_clock):
    start = blnk_client.start_authorization("alice")
    alice = blnk_client.finish_authorization(blnk_sandbox.sign_in(start.url, subject="alice"))
    blnk_clock.advance(3601)
    assert httpx.get(blnk_sandbox.origin + "/data/ledgers", auth=HttpxAuth(alice)).status_code == 200
    assert (blnk_sandbox.counts.pushed_requests, blnk_sandbox.counts.refused_proofs) == (1, 0)


@pytest.mark.blnk_sandbox("blnk_cloud", device_grant=True)
def test_a_service(blnk_sandbox, blnk_client, assert_renewed_once):
    assert blnk_client.for_itself().token().access_token
    assert_renewed_once(blnk_sandbox)


def test_the_fixtures_are_the_functions(assert_renewed_once, assert_no_reuse, assert_no_secret_in):
    assert assert_renewed_once is blnk_auth.testing.assert_renewed_once
    assert assert_no_reuse is blnk_auth.testing.assert_no_reuse
    assert assert_no_secret_in is blnk_auth.testing.assert_no_secret_in


@pytest.mark.blnk_sandbox(lifetime=60)
class TestOfAClass:
    def test_the_marker_of_the_class_counts(self, blnk_sandbox):
        assert blnk_sandbox.lifetime == 60

    @pytest.mark.blnk_sandbox(lifetime=30)
    def test_the_marker_of_the_test_replaces_it(self, blnk_sandbox):
        assert blnk_sandbox.lifetime == 30
"""


def test_the_fixtures_work_for_every_provider(tmp_path: Path) -> None:
    """A user's tests name them, and the marker chooses the provider and its settings."""
    finished = run_suite(tmp_path, USED)
    assert passed(finished, 9), finished.stdout


def test_the_short_names_are_the_same_fixtures(tmp_path: Path) -> None:
    """`sandbox` and `clock`, for suites that list `blnk_auth.testing.fixtures`, which also loads the plugin."""
    test = (
        "def test_user(sandbox, clock, blnk_sandbox, blnk_clock):\n"
        "    assert (sandbox, clock) == (blnk_sandbox, blnk_clock)\n"
        "    assert sandbox.clock is clock\n"
    )
    finished = run_suite(tmp_path, test, conftest='pytest_plugins = ["blnk_auth.testing.fixtures"]\n')
    assert passed(finished, 1), finished.stdout
    listed_twice = f'pytest_plugins = ["{PLUGIN}", "blnk_auth.testing.fixtures"]\n'
    finished = run_suite(tmp_path, test, conftest=listed_twice)
    assert passed(finished, 1), finished.stdout


def test_fixtures_may_be_overridden(tmp_path: Path) -> None:
    """Another clock and another store, for the sandbox and the client alike."""
    conftest = (
        "import time\n"
        "import pytest\n"
        "from blnk_auth import SQLiteStore\n"
        "@pytest.fixture\n"
        "def blnk_clock():\n    return time.time\n"
        "@pytest.fixture\n"
        "def blnk_store(tmp_path):\n    return SQLiteStore(tmp_path / 'tokens.db')\n"
    )
    test = (
        "import time\n"
        "from blnk_auth import Token\n"
        "def test_user(blnk_sandbox, blnk_client, tmp_path):\n"
        "    alice = blnk_client.for_subject('alice')\n"
        "    alice.adopt(Token.from_response(blnk_sandbox.issue(), now=time.time()))\n"
        "    assert blnk_sandbox.clock is time.time\n"
        "    assert alice.state == 'fresh'\n"
        "    assert (tmp_path / 'tokens.db').exists()\n"
    )
    finished = run_suite(tmp_path, test, conftest=conftest)
    assert passed(finished, 1), finished.stdout


@pytest.mark.parametrize(
    ("marker", "message"),
    [
        ("clock=1.0", "override the fixture blnk_clock instead"),
        ("'plaid'", "personality must be 'blnk_cloud', 'blink', 'flinks' or 'mcp', not 'plaid'"),
        ("lifetime=-1", "lifetime"),
        ("lifetme=1", "unexpected keyword argument 'lifetme'"),
    ],
)
def test_a_wrong_marker_is_explained(marker: str, message: str, tmp_path: Path) -> None:
    """The error of the test names what is wrong with its marker."""
    test = f"import pytest\n@pytest.mark.blnk_sandbox({marker})\ndef test_user(blnk_sandbox): pass\n"
    finished = run_suite(tmp_path, test)
    assert finished.returncode == 1
    assert message in finished.stdout


def test_the_marker_is_listed(tmp_path: Path) -> None:
    """`pytest --markers` explains it."""
    assert (
        "@pytest.mark.blnk_sandbox(personality='blnk_cloud', **settings): the provider"
        in run_suite(tmp_path, "", "--markers").stdout
    )


LOADED = """
import sys


def test_nothing_else_is_loaded():
    ours = sorted(name for name in sys.modules if name.partition(".")[0] == "blnk_auth")
    assert ours == ["blnk_auth", "blnk_auth.testing", "blnk_auth.testing.pytest_plugin"]
    assert not {"httpx", "requests", "authlib", "starlette", "uvicorn", "jinja2"} & sys.modules.keys()
"""


def test_a_suite_that_uses_no_fixture_loads_only_the_plugin(tmp_path: Path) -> None:
    """Three small modules, and no other package."""
    finished = run_suite(tmp_path, LOADED)
    assert passed(finished, 1), finished.stdout


@pytest.mark.parametrize("missing", ["starlette", "uvicorn", "jinja2"])
def test_without_the_extra_only_the_sandbox_fails(missing: str, tmp_path: Path) -> None:
    """The plugin loads, a clock and a store work, and the error of the sandbox names the extra."""
    test = (
        f"import sys\nsys.modules[{missing!r}] = None\n"
        "def test_other(blnk_clock, blnk_store): blnk_clock.advance(1)\n"
        "def test_user(blnk_client): pass\n"
    )
    finished = run_suite(tmp_path, test)
    assert "1 passed, 1 error" in finished.stdout
    assert "pip install 'blnk-auth[sandbox]'" in finished.stdout


def test_the_entry_point_has_the_name_of_its_module() -> None:
    """So that pytest loads the plugin once, whichever way it is listed."""
    project = Path(__file__).parents[2] / "pyproject.toml"
    assert tomllib.loads(project.read_text())["project"]["entry-points"]["pytest11"] == {PLUGIN: PLUGIN}
