"""What works without any extra: in a real environment that holds the base requirements and nothing else."""

from __future__ import annotations

import re
import subprocess
import sys
import venv
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import blnk_auth

pytestmark = pytest.mark.real

PACKAGE = Path(blnk_auth.__file__).parent


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of a virtual environment that has blnk_auth and its base requirements, linked from this one."""
    home = tmp_path_factory.mktemp("plain")
    venv.create(home, symlinks=True, with_pip=False)
    site_packages = next(home.glob("lib/python*/site-packages"))
    (site_packages / "blnk_auth").symlink_to(PACKAGE)
    for distribution in base_requirements("blnk-auth"):
        for name in {file.parts[0] for file in distribution.files or () if file.parts[0] not in ("..", "__pycache__")}:
            (site_packages / name).symlink_to(Path(str(distribution.locate_file(name))))
    return home / "bin" / "python"


def base_requirements(name: str) -> Iterator[metadata.Distribution]:
    """The distributions that a plain installation of `name` brings, itself left out."""
    found: dict[str, metadata.Distribution] = {}
    queue = [Requirement(name)]
    while queue:
        required = queue.pop()
        extras = required.extras or {""}
        if required.marker is not None and not required.marker.evaluate():
            continue
        distribution = metadata.distribution(required.name)
        for line in distribution.requires or ():
            further = Requirement(line)
            if further.marker is None or any(further.marker.evaluate({"extra": extra}) for extra in extras):
                further.marker = None
                if further.name not in found:
                    queue.append(further)
        if required.name != name:
            found[required.name] = distribution
    yield from found.values()


def run(python: Path, code: str) -> str:
    """What `code` prints there; any warning is an error."""
    command = [str(python), "-W", "error", "-c", code]
    finished = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


def test_no_extra_is_there(python: Path) -> None:
    """The environment is what it claims to be."""
    hidden = ("httpx2", "redis", "sqlalchemy", "keyring", "key_value", "click", "rich", "starlette", "pytest")
    code = f"import importlib.util as u; print(*[name for name in {hidden!r} if u.find_spec(name)])"
    assert run(python, code).split() == []


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
    run(python, code.format(module=module))


@pytest.mark.parametrize(
    ("use", "package", "extra"),
    [
        ("blnk_auth.Httpx2Auth(blnk_auth.StaticToken('k', api_origins=('*',)))", "httpx2", "httpx2"),
        ("class Mine(blnk_auth.Httpx2Auth): pass", "httpx2", "httpx2"),
        ("import blnk_auth.httpx2", "httpx2", "httpx2"),
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
    printed = run(python, f"import blnk_auth\ntry:\n    {use}\nexcept ({errors}) as error: print(error)")
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
    printed = run(python, code)
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
    assert run(python, code).split() == ["missing"]


def test_the_environment_runs_this_python(python: Path) -> None:
    """The child process imports the version under test."""
    assert run(python, "import sys; print(sys.version)").strip() == sys.version
