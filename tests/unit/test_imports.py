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
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import blnk_auth

PACKAGE = Path(blnk_auth.__file__).parent


@dataclass(frozen=True)
class Layer:
    """Root modules and packages that may import each other, every lower layer, and `third_party`."""

    modules: frozenset[str]
    reason: str
    third_party: frozenset[str] = frozenset()


def layer(modules: str, reason: str, third_party: str = "") -> Layer:
    return Layer(frozenset(modules.split()), reason, frozenset(third_party.split()))


# Bottom to top. A new third-party import goes into one layer only, and needs a reason in docs/explanation/.
LAYERS = (
    layer("errors token policy events", "values and errors that every layer uses"),
    layer(
        "stores",
        "know records and keys, nothing of OAuth",
        third_party="cryptography filelock key_value keyring platformdirs redis sqlalchemy",
    ),
    layer("_protocol", "requests and responses as values: no socket, no store", third_party="authlib idna joserfc"),
    layer(
        "_transport provider providers",
        "what a provider is, and how it is reached",
        third_party="httpx httpx2 requests urllib3",
    ),
    layer("_renewal", "renews a grant; knows no API request", third_party="trio"),
    layer(
        "source _sign_in _request config",
        "what users hold, and what happens to one sign-in and one request",
        third_party="anyio h11 keyring platformdirs requests tomlkit trio urllib3",
    ),
    layer("client httpx httpx2 requests", "what users make", third_party="httpx httpx2 requests urllib3"),
    layer(
        "testing cli __main__",
        "programs and test tools on top of the public API",
        third_party=(
            "blnk_sdk click cryptography httpx httpx2 jinja2 platformdirs pytest requests rich segno starlette tomlkit "
            "trio uvicorn"
        ),
    ),
)
"""`blnk_auth/__init__.py` is above them all, since it lists the public names. So is `_pickles.py`, which is loaded by
pickles of earlier versions only: it is not part of the graph."""

ABOVE_ALL = ("__init__", "_pickles")

MOST_NODES = 20
LONGEST_PATH = 8

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
    """The index of the layer that a module belongs to, by its root module or package; None for the root itself."""
    top = module.partition(".")[0]
    return next((rank for rank, entry in enumerate(LAYERS) if top in entry.modules), None)


def imported_names(source: str, *, module: str, is_package: bool) -> set[str]:
    """The absolute dotted names that a module imports, also inside functions, but not for type checkers only."""
    package = f"blnk_auth.{module}" if is_package else f"blnk_auth.{module}".rpartition(".")[0]
    names: set[str] = set()
    for node in _nodes_at_run_time(ast.parse(source)):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            names.update(_from_names(node, package))
    return names


def _nodes_at_run_time(node: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        if not (isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING"):
            yield child
            yield from _nodes_at_run_time(child)


def _from_names(node: ast.ImportFrom, package: str) -> set[str]:
    base = importlib.util.resolve_name("." * node.level + (node.module or ""), package) if node.level else node.module
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
            inner = name.removeprefix("blnk_auth").lstrip(".")
            # A public name or the version, from the package itself, as users import them.
            is_public = inner in blnk_auth.__all__ and module.startswith(("cli", "testing", "_transport"))
            target = rank_of(inner)
            is_for_pickles = inner.startswith("_pickles.")
            if not is_public and not is_for_pickles and (target is None or target > rank):
                found.append(f"{module} imports {name}, which is above it or in no layer")
        elif top not in sys.stdlib_module_names and top not in LAYERS[rank].third_party:
            found.append(f"{module} imports {name}, which its layer may not")
    return found


def graph() -> dict[str, set[str]]:
    """Which root modules and packages import which others at run time."""
    arrows: dict[str, set[str]] = {}
    for path in PACKAGE.rglob("*.py"):
        module = module_name(path)
        node = module.partition(".")[0]
        if node in (*ABOVE_ALL, "__main__"):
            continue
        names = imported_names(path.read_text("utf-8"), module=module, is_package=path.name == "__init__.py")
        inner = {name.removeprefix("blnk_auth.").partition(".")[0] for name in names if name.startswith("blnk_auth.")}
        arrows.setdefault(node, set()).update(each for each in inner - {node} if rank_of(each) is not None)
    return arrows


def test_the_graph_of_root_modules_is_small_and_has_no_cycle() -> None:
    """A newcomer can hold it in mind: at most 20 nodes, no cycle, no path of more than 8 arrows."""
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
    """Nothing in the package names `blnk_auth` in an import, so that it can be vendored."""
    absolute = [
        path.name
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if (isinstance(node, ast.ImportFrom) and not node.level and f"{node.module}.".startswith("blnk_auth."))
        or (isinstance(node, ast.Import) and any(f"{each.name}.".startswith("blnk_auth.") for each in node.names))
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


def module_name(path: Path) -> str:
    dotted = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
    return dotted.removesuffix(".__init__")


@pytest.mark.parametrize(
    "path", sorted({*PACKAGE.rglob("*.py")} - {PACKAGE / "__init__.py", PACKAGE / "_pickles.py"}), ids=module_name
)
def test_arrows_point_down_only(path: Path) -> None:
    """A module imports only its own layer, the layers below it, and the third-party packages of its layer."""
    is_package = path.name == "__init__.py"
    assert violations(path.read_text("utf-8"), module=module_name(path), is_package=is_package) == []


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
        ("_protocol.answers", "import blnk_auth"),
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
        ("cli.demo", "import rich\nfrom ...testing import Sandbox", True),
    ],
)
def test_an_allowed_import_is_not_reported(module: str, source: str, is_package: bool) -> None:
    """The check lets through the standard library, lower layers, siblings, and what a layer is there to import."""
    assert violations(source, module=module, is_package=is_package) == []


@pytest.mark.real
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
