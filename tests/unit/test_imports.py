"""What may import what: the arrows of the architecture point down, and `import blnk_auth` stays light."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import os
import pkgutil
import re
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from support.imports import PACKAGE, absolute_imports, graph, imported_names, module_name, violations

import blnk_auth

MOST_NODES = 27
"""The last are `resource` and `_resource`, an API that describes its own sign-in, `migrate` and `opentelemetry`."""
LONGEST_PATH = 9
"""From the command line, which is above `resource`, down to `errors`."""

HEAVY = (
    *("aiohttp", "asyncio", "authlib", "click", "httpx", "httpx2", "opentelemetry", "redis", "requests", "rich"),
    *("sqlalchemy", "sqlite3", "starlette", "trio"),
)
"""Top-level modules that `import blnk_auth` must not load."""

CONTRACT = {
    *(
        "OAuthClient",
        "TokenSource",
        "StaticToken",
        "Token",
        "RenewalPolicy",
        "TokenStore",
        "MemoryStore",
        "SQLiteStore",
    ),
    *("Provider", "BlnkCloud", "BLink", "Flinks", "Signer", "AiohttpAuth", "HttpxAuth", "Httpx2Auth", "RequestsAuth"),
    *("BlnkAuthError", "SignInRequired", "TemporarilyUnavailable", "ConfigurationError", "StoreError", "ProtocolError"),
}
"""The names that users rely on; more may be public, but each of these must stay."""


def test_the_graph_of_root_modules_is_small_and_has_no_cycle() -> None:
    """A newcomer can hold it in mind: at most 27 nodes, no cycle, no path of more than 9 arrows."""
    arrows = graph()
    lengths: dict[str, int] = {}

    def length(node: str, below: tuple[str, ...]) -> int:
        assert node not in below, f"a cycle: {' -> '.join((*below, node))}"
        if node not in lengths:
            lengths[node] = max((1 + length(each, (*below, node)) for each in arrows.get(node, ())), default=0)
        return lengths[node]

    assert max(length(node, ()) for node in arrows) <= LONGEST_PATH
    assert len(arrows) <= MOST_NODES


def test_imports_inside_the_package_are_relative() -> None:
    """Nothing in the package names `blnk_auth` in an import at run time, so that it can be vendored."""
    absolute = [
        path.name
        for path in PACKAGE.rglob("*.py")
        for name in absolute_imports(path.read_text("utf-8"))
        if f"{name}.".startswith("blnk_auth.")
    ]
    assert absolute == []


def test_authlib_is_imported_in_one_place() -> None:
    """Authlib is wrapped in one place, which imports it when a request first needs it."""
    importers = [
        path.name
        for path in PACKAGE.rglob("*.py")
        if re.search(r"""["']authlib\.|from authlib|import authlib\.""", path.read_text("utf-8"))
    ]
    assert importers == ["authlib.py"]


def test_arrows_point_down_only() -> None:
    """A module imports only its own layer, the layers below it, and the third-party packages of its layer."""
    found: list[str] = []
    for path in sorted({*PACKAGE.rglob("*.py")} - {PACKAGE / "__init__.py", PACKAGE / "_pickles.py"}):
        is_package = path.name == "__init__.py"
        found += violations(path.read_text("utf-8"), module=module_name(path), is_package=is_package)
    assert found == []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("token", "import httpx"),
        ("policy", "from authlib.oauth2 import rfc6749"),
        ("source", "from httpx import Client"),
        ("source", "def f():\n    from .testing import Sandbox"),
        ("testing.sandbox", "from blnk_auth.nowhere import main"),
        ("errors", "from .stores import Record"),
        ("stores._sqlite", "from .._renewal import renewal"),
        ("_renewal.renewal", "from ..httpx import HttpxAuth"),
        ("_renewal.renewal", "import blnk_auth.client"),
        ("providers._acme", "from .. import client"),
        ("_protocol.token_response", "import blnk_auth"),
        ("_transport.network", "from .. import OAuthClient"),
        ("client", "from . import Auth"),
        ("brand_new", "import json"),
    ],
)
def test_a_forbidden_import_is_reported(module: str, source: str) -> None:
    """The check sees upward, lazy, relative and third-party imports, and modules that nobody placed."""
    assert len(violations(source, module=module)) == 1


@pytest.mark.parametrize(
    ("module", "source", "is_package"),
    [
        ("token", "import json, math", False),
        ("_protocol.authlib", "from authlib.oauth2 import rfc6749\nfrom ..errors import ProtocolError", False),
        ("_protocol.requests", "if TYPE_CHECKING:\n    from ..provider import Provider", False),
        ("stores._sqlite", "from ._token_store import Record\nfrom ..errors import StoreError", False),
        ("stores", "from ._sqlite import SQLiteStore", True),
        ("client", "from . import errors", False),
        ("_transport.network", "from .. import __version__", False),
        ("cli.demo", "import rich\nfrom ...testing import Sandbox", True),
    ],
)
def test_an_allowed_import_is_not_reported(module: str, source: str, is_package: bool) -> None:
    """The check lets through the standard library, lower layers, modules of the same layer, and what a layer is there
    to import.
    """
    assert violations(source, module=module, is_package=is_package) == []


@pytest.mark.real
def test_importing_the_package_loads_nothing_heavy() -> None:
    """`import blnk_auth` loads no HTTP client, no authlib, no database, no event loop and no terminal library."""
    code = f"import sys, blnk_auth; print(*sorted(set({HEAVY!r}) & set(sys.modules)))"
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert finished.stdout.split() == []


@pytest.mark.real
@pytest.mark.parametrize("package", ["aiohttp", "httpx", "httpx2", "requests"])
def test_importing_an_auth_class_loads_nothing_but_the_request_flow(package: str) -> None:
    """Beside the HTTP package: no module from elsewhere, and no module of the package that only a renewal needs."""
    code = (
        f"import sys, {package}; before = set(sys.modules); import blnk_auth.{package}; "
        "print(*sorted(set(sys.modules) - before))"
    )
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = finished.stdout.split()
    assert {module for module in loaded if not module.startswith("blnk_auth")} <= {"contextvars", "_contextvars"}
    needless = ("policy", "token", "events", "provider", "client", "source", "_transport", "_sign_in")
    assert [module for module in loaded if module.startswith(tuple(f"blnk_auth.{name}" for name in needless))] == []


_FIRST_REQUESTS = """
import sys, threading
from blnk_auth._protocol import authlib
sys.setswitchinterval(1e-5)
first = [
    lambda: authlib.token_request_form("refresh_token", {"refresh_token": "r"}),
    lambda: authlib.revocation_form("r", "refresh_token", ""),
    lambda: authlib.code_challenge("v" * 50),
] * 2
barrier = threading.Barrier(len(first))
def run(work):
    barrier.wait()
    try:
        work()
    except BaseException as error:
        print(repr(error))
threads = [threading.Thread(target=run, args=(work,)) for work in first]
for thread in threads: thread.start()
for thread in threads: thread.join()
"""


@pytest.mark.real
def test_threads_may_need_authlib_for_the_first_time_at_the_same_moment() -> None:
    """A renewal, a revocation and a sign-in that begin together in a new process all find what they import."""
    for _ in range(3):
        finished = subprocess.run([sys.executable, "-c", _FIRST_REQUESTS], capture_output=True, text=True, check=True)
        assert finished.stdout == ""


SEEN_BY_PROVIDER = {
    "origins": "which URLs may have a secret, and which origins may have the token",
    "challenges": "the default of is_rejection",
    "client_authentication": "the names of methods",
    "http_messages": "Call and ApiAnswer, which callables of a provider get",
    "refusals": "Refusal and Verdict, which they get and return",
    "callables": "calls them",
    "http_values": "checks what they return",
    "setting_checks": "checks the settings",
    "setting_types": "the types of the settings",
    "discovery": "in `Provider.discover`, when it is called: a mapping of settings",
}
"""What `provider` may use of `_protocol`, each with the reason. Builders of requests and judges of responses are not
among them: they see a provider, through `ServerSettings`, and a provider does not see them."""


def test_a_provider_is_data() -> None:
    """It checks its settings, and uses nothing that builds a request or judges a response."""
    names = imported_names((PACKAGE / "provider.py").read_text("utf-8"), module="provider", is_package=False)
    used = {name.split(".")[2] for name in names if name.startswith("blnk_auth._protocol.")}
    assert used == SEEN_BY_PROVIDER.keys()


def test_every_public_name_resolves() -> None:
    """Each name in `__all__` can be had from the package, lazily or not, and is listed by `dir`."""
    assert [name for name in blnk_auth.__all__ if getattr(blnk_auth, name) is None] == []
    assert {*blnk_auth.__all__} - {*dir(blnk_auth)} == set()


def test_all_lists_every_name_once_and_the_contract_completely() -> None:
    """`__all__` has no duplicate and lacks no name that users rely on."""
    assert len(blnk_auth.__all__) == len(set(blnk_auth.__all__))
    assert CONTRACT - set(blnk_auth.__all__) == set()


def test_dir_offers_the_public_names_and_nothing_else() -> None:
    """What completion shows is `__all__` and the submodules, so that nobody comes to rely on a leaked import."""
    submodules = {found.name for found in pkgutil.iter_modules(blnk_auth.__path__)}
    shown = {name for name in dir(blnk_auth) if not name.startswith("_")}
    assert shown - submodules == set(blnk_auth.__all__) - submodules - {"__version__"}


def test_an_unknown_name_is_an_attribute_error() -> None:
    """A misspelt import fails like any other attribute, although names are resolved lazily."""
    with pytest.raises(AttributeError, match="NoSuchName"):
        _ = blnk_auth.NoSuchName


@pytest.mark.skipif("BLNK_AUTH_TEST_WHEEL" not in os.environ, reason="only `make test` runs against the wheel")
def test_the_tests_run_against_the_installed_wheel() -> None:
    """The tests run on the wheel that ships: the package comes from site-packages, with its types and without our
    tests.
    """
    assert Path(sysconfig.get_path("purelib")) in PACKAGE.parents
    installed = {str(file) for file in importlib.metadata.files("blnk-auth") or ()}
    assert "blnk_auth/py.typed" in installed
    assert not [file for file in installed if file.startswith("tests")]
