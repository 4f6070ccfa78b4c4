"""What works without any extra: in a real environment that holds the base requirements and nothing else."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from support.environments import make_environment, run_in

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment that has blnk_auth and its base requirements."""
    return make_environment(tmp_path_factory.mktemp("plain"))


def test_no_extra_is_there(python: Path) -> None:
    """The environment is what it claims to be."""
    hidden = (
        "aiohttp",
        "httpx2",
        "redis",
        "sqlalchemy",
        "keyring",
        "key_value",
        "click",
        "opentelemetry",
        "rich",
        "starlette",
        "pytest",
    )
    code = f"import importlib.util as u; print(*[name for name in {hidden!r} if u.find_spec(name)])"
    assert run_in(python, code).split() == []


@pytest.mark.parametrize("module", ["blnk_auth", "blnk_auth.stores", "blnk_auth.providers"])
@pytest.mark.parametrize(
    "code",
    [
        "from {module} import *",
        "import inspect, {module}; assert inspect.getmembers({module})",
        "import pydoc, {module}; assert len(pydoc.render_doc({module})) > 1000",
        "import {module}; [getattr({module}, name) for name in dir({module})]",
    ],
    ids=["star import", "getmembers", "help", "dir"],
)
def test_every_name_can_be_looked_at(python: Path, module: str, code: str) -> None:
    """A notebook, a documentation generator and a star import need no extra."""
    run_in(python, code.format(module=module))


@pytest.mark.parametrize(
    ("use", "package", "extra"),
    [
        ("blnk_auth.AiohttpAuth(blnk_auth.StaticToken('k', api_origins=('*',)))", "aiohttp", "aiohttp"),
        ("import blnk_auth.aiohttp", "aiohttp", "aiohttp"),
        ("blnk_auth.Httpx2Auth(blnk_auth.StaticToken('k', api_origins=('*',)))", "httpx2", "httpx2"),
        ("class Mine(blnk_auth.Httpx2Auth): pass", "httpx2", "httpx2"),
        ("import blnk_auth.httpx2", "httpx2", "httpx2"),
        ("import blnk_auth.opentelemetry", "opentelemetry", "otel"),
        ("blnk_auth.RedisStore('redis://127.0.0.1')", "redis", "redis"),
        ("blnk_auth.SQLStore('sqlite:///x.db')", "sqlalchemy", "sql"),
        ("blnk_auth.KeyringStore('x')", "keyring", "keyring"),
        ("from blnk_auth.stores import metadata; metadata.tables", "sqlalchemy", "sql"),
        ("from blnk_auth.testing.sandbox import Sandbox; Sandbox()", "jinja2", "sandbox"),
    ],
)
def test_using_a_name_names_the_extra(python: Path, use: str, package: str, extra: str) -> None:
    """The error comes when the name is used, and names what to install."""
    errors = "ImportError, AttributeError, blnk_auth.ConfigurationError"
    printed = run_in(python, f"import blnk_auth\ntry:\n    {use}\nexcept ({errors}) as error: print(error)")
    assert f"needs the package {package}, which is not installed" in printed
    assert f"pip install 'blnk-auth[{extra}]'" in printed


def test_an_extra_that_is_broken_is_not_called_missing(python: Path, tmp_path: Path) -> None:
    """It is installed: installing it again may not help, so its own error is shown."""
    (tmp_path / "httpx2.py").write_text("import a_package_that_httpx2_needs\n")
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import blnk_auth\n"
        "try: blnk_auth.Httpx2Auth(None)\n"
        "except ImportError as error: print(error)"
    )
    printed = run_in(python, code)
    assert re.search(r"installed but cannot be imported \(No module named 'a_package_that_httpx2_needs'\)", printed)
    assert "pip install" not in printed


def test_the_plain_parts_work(python: Path) -> None:
    """A client with a FileStore, an auth object for httpx and one for requests are made without any extra."""
    code = (
        "import tempfile; from blnk_auth import *\n"
        "client = OAuthClient(BlnkCloud(), client_id='id', client_secret='s', store=FileStore(tempfile.mkdtemp()))\n"
        "HttpxAuth(client.for_subject('alice')), RequestsAuth(client.for_subject('alice'))\n"
        "print(client.for_subject('alice').state)"
    )
    assert run_in(python, code).split() == ["missing"]


def test_the_environment_runs_this_python(python: Path) -> None:
    """The child process imports the version under test."""
    assert run_in(python, "import sys; print(sys.version)").strip() == sys.version
