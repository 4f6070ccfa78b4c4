"""What may import what: the arrows of the architecture point down, and `import blnk_auth` stays light."""

from __future__ import annotations

import ast
import importlib
import importlib.metadata
import importlib.util
import os
import pkgutil
import re
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

import pytest

import blnk_auth

PACKAGE = Path(blnk_auth.__file__).parent


@dataclass(frozen=True)
class Layer:
    """Modules, or packages with all below them, that may import each other, every lower layer, and `third_party`."""

    modules: frozenset[str]
    third_party: frozenset[str] = frozenset()


def layer(modules: str, third_party: str = "") -> Layer:
    return Layer(frozenset(modules.split()), frozenset(third_party.split()))


# Bottom to top. A new module goes into the lowest layer that holds all it imports; a new third-party import goes into
# one layer only, and needs a reason.
LAYERS = (
    layer("errors _version fork guard hidden"),
    layer("token policy origin events wire texts", third_party="idna"),
    layer("stores.base record"),
    layer("stores", third_party="cryptography filelock key_value keyring platformdirs redis sqlalchemy"),
    layer("assertion client_auth challenge"),
    layer("provider decision"),
    layer("providers"),
    layer("messages", third_party="authlib"),
    layer("flight steps held grants", third_party="trio"),
    layer("renewal passage"),
    layer("transport", third_party="httpx httpx2 requests urllib3"),
    layer("discovery engine"),
    layer("source authorization"),
    layer("sign_in_page loopback interactive device config", third_party="anyio h11 keyring platformdirs tomlkit trio"),
    layer("client"),
    layer("shells", third_party="httpx httpx2 requests urllib3"),
    layer("testing", third_party="jinja2 pytest starlette uvicorn"),
    layer(
        "cli qr __main__",
        third_party="blnk_sdk click cryptography httpx httpx2 platformdirs requests rich segno tomlkit trio",
    ),
)
"""`blnk_auth/__init__.py` stands above them all: it lists the public names, and nothing imports it."""

DOORS = {
    ("provider", "blnk_auth.discovery.discover"),
    ("provider", "blnk_auth.transport.Network"),
}
"""Imports that look up, each inside the one method where users expect to find what is above: `Provider.discover`."""

HEAVY = (
    *("asyncio", "authlib", "click", "httpx", "httpx2", "redis", "requests", "rich"),
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
    *("Provider", "BlnkCloud", "BLink", "Flinks", "Signer", "HttpxAuth", "Httpx2Auth", "RequestsAuth"),
    *("BlnkAuthError", "SignInRequired", "TemporarilyUnavailable", "ConfigurationError", "StoreError", "ProtocolError"),
}
"""The names that users rely on; more may be public, none of these may go."""


def rank_of(module: str) -> int | None:
    """The index of the layer whose entry is the longest prefix of `module`, so that `stores.base` beats `stores`."""
    prefixes = [module.rsplit(".", cut)[0] for cut in range(module.count(".") + 1)]
    for prefix in prefixes:
        for rank, entry in enumerate(LAYERS):
            if prefix in entry.modules:
                return rank
    return None


def imported_names(source: str, *, module: str, is_package: bool) -> set[str]:
    """The absolute dotted names that a module imports, also inside functions and for type checkers only."""
    package = f"blnk_auth.{module}" if is_package else f"blnk_auth.{module}".rpartition(".")[0]
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            names.update(_from_names(node, package))
    return names


def _from_names(node: ast.ImportFrom, package: str) -> set[str]:
    base = importlib.util.resolve_name("." * node.level + (node.module or ""), package) if node.level else node.module
    # `from .stores import base` may name a module or something in it: rank_of takes the longest prefix it knows.
    return {f"{base}.{alias.name}" for alias in node.names}


def violations(source: str, *, module: str, is_package: bool = False) -> list[str]:
    """One sentence for each import that the table does not allow."""
    rank = rank_of(module)
    if rank is None:
        return [f"{module} is in no layer: add it to LAYERS"]
    found: list[str] = []
    for name in sorted(imported_names(source, module=module, is_package=is_package)):
        top = name.partition(".")[0]
        if top == "blnk_auth":
            target = rank_of(name.removeprefix("blnk_auth").lstrip("."))
            is_door = (module, name) in DOORS
            if target is None or (target > rank and not is_door):
                found.append(f"{module} imports {name}, which is above it or in no layer")
        elif top not in sys.stdlib_module_names and top not in LAYERS[rank].third_party:
            found.append(f"{module} imports {name}, which its layer may not")
    return found


def test_messages_is_the_only_importer_of_authlib() -> None:
    """Authlib is wrapped in one place, which loads it by name when a message first needs it."""
    importers = [
        path.name
        for path in PACKAGE.rglob("*.py")
        if re.search(r"""["']authlib\.|import authlib""", path.read_text("utf-8"))
    ]
    assert sorted(importers) == ["assertion.py", "discovery.py", "messages.py"]


def module_name(path: Path) -> str:
    dotted = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
    return dotted.removesuffix(".__init__")


@pytest.mark.parametrize("path", sorted({*PACKAGE.rglob("*.py")} - {PACKAGE / "__init__.py"}), ids=module_name)
def test_arrows_point_down_only(path: Path) -> None:
    """A module imports only its own layer, the layers below it, and the third-party packages of its layer."""
    is_package = path.name == "__init__.py"
    assert violations(path.read_text("utf-8"), module=module_name(path), is_package=is_package) == []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("token", "import httpx"),
        ("policy", "from authlib.oauth2 import rfc6749"),
        ("client", "from requests import Session"),
        ("source", "def f():\n    from .testing import Sandbox"),
        ("testing.sandbox", "from blnk_auth.cli import main"),
        ("errors", "from .token import Token"),
        ("stores.base", "from . import sqlite"),
        ("renewal", "from .shells.httpx import HttpxAuth"),
        ("renewal", "import blnk_auth.client"),
        ("providers.acme", "from .. import client"),
        ("messages", "import blnk_auth"),
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
        ("messages", "from authlib.oauth2 import rfc6749\nfrom .errors import ProtocolError", False),
        ("stores.sqlite", "from .base import Record\nfrom ..errors import StoreError", False),
        ("stores", "from .sqlite import SQLiteStore", True),
        ("client", "from . import errors", False),
        ("cli.demo", "import rich\nfrom blnk_auth.testing import Sandbox", False),
    ],
)
def test_an_allowed_import_is_not_reported(module: str, source: str, is_package: bool) -> None:
    """The check lets through the standard library, lower layers, siblings, and what a layer is there to import."""
    assert violations(source, module=module, is_package=is_package) == []


def test_importing_the_package_loads_nothing_heavy() -> None:
    """`import blnk_auth` loads no HTTP client, no authlib, no database, no event loop and no terminal library."""
    code = f"import sys, blnk_auth; print(*sorted(set({HEAVY!r}) & set(sys.modules)))"
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert finished.stdout.split() == []


@pytest.mark.parametrize("name", blnk_auth.__all__)
def test_every_public_name_resolves(name: str) -> None:
    """Each name in `__all__` can be had from the package, lazily or not, and is listed by `dir`."""
    assert getattr(blnk_auth, name) is not None
    assert name in dir(blnk_auth)


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
    """What is tested is what ships: the package comes from site-packages, with its types and without our tests."""
    assert Path(sysconfig.get_path("purelib")) in PACKAGE.parents
    installed = {str(file) for file in importlib.metadata.files("blnk-auth") or ()}
    assert "blnk_auth/py.typed" in installed
    assert not [file for file in installed if file.startswith("tests")]
