"""What may import what, read from the source: for the test of import directions, and for the picture of them."""

from __future__ import annotations

import ast
import functools
import importlib.util
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

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


# Bottom to top. A new third-party import belongs to one layer only, and needs a reason in docs/explanation/.
LAYERS = (
    layer("errors token policy events", "values and errors that every layer uses"),
    layer(
        "stores",
        "know records and keys, nothing of OAuth",
        third_party="cryptography filelock key_value keyring platformdirs psycopg redis sqlalchemy",
    ),
    layer(
        "_protocol",
        "requests and responses as values: no socket, no store",
        third_party="authlib cryptography idna joserfc",
    ),
    layer(
        "_transport provider providers",
        "what a provider is, and how it is reached",
        third_party="cryptography httpx httpx2 requests urllib3",
    ),
    layer("_renewal", "renews a grant; knows no API request", third_party="trio"),
    layer(
        "source _sign_in _request config",
        "what users hold, and what happens to one sign-in and one request",
        third_party="aiohttp anyio h11 keyring platformdirs requests tomlkit trio urllib3",
    ),
    layer("_resource", "learns from an API how to sign in, and uses what signs in and renews"),
    layer(
        "aiohttp auth client httpx httpx2 migrate opentelemetry requests resource workload_identity",
        "what users make",
        third_party="aiohttp httpx httpx2 opentelemetry requests urllib3",
    ),
    layer(
        "testing cli __main__",
        "programs and test tools on top of the public API",
        third_party=(
            "blnk_sdk click cryptography httpx httpx2 jinja2 joserfc platformdirs pytest requests rich segno starlette "
            "tomlkit trio uvicorn"
        ),
    ),
)
"""`blnk_auth/__init__.py` is above them all, since it lists the public names. So is `_pickles.py`, which is loaded by
pickles of earlier versions only: it is not part of the graph."""

ABOVE_ALL = ("__init__", "_pickles")

FROM_THE_TOP = {
    "cli": frozenset(blnk_auth.__all__),
    "testing": frozenset(blnk_auth.__all__),
    "opentelemetry": frozenset({"__version__"}),
    "_transport": frozenset({"__version__"}),
}
"""What may be imported from `blnk_auth` itself, by whom: by programs and test tools what users may import."""


def rank_of(module: str) -> int | None:
    """The index of the layer that a module belongs to, by its root module or package; None for the root itself."""
    top = module.partition(".")[0]
    return next((rank for rank, entry in enumerate(LAYERS) if top in entry.modules), None)


def imported_names(source: str, *, module: str, is_package: bool) -> set[str]:
    """The absolute dotted names that a module imports, also inside functions, but not for type checkers only."""
    package = f"blnk_auth.{module}" if is_package else f"blnk_auth.{module}".rpartition(".")[0]
    names: set[str] = set()
    for node in _imports(source):
        names.update(
            {alias.name for alias in node.names} if isinstance(node, ast.Import) else _from_names(node, package)
        )
    return names


def absolute_imports(source: str) -> Iterator[str]:
    """The modules that are imported by their full names, but not for type checkers only."""
    for node in _imports(source):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif not node.level:
            yield node.module or ""


@functools.cache
def _imports(source: str) -> tuple[ast.Import | ast.ImportFrom, ...]:
    """Its import statements, but not those for type checkers only. Four tests read every module of the package."""
    nodes = _nodes_at_run_time(ast.parse(source))
    return tuple(node for node in nodes if isinstance(node, ast.Import | ast.ImportFrom))


def _nodes_at_run_time(node: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            for each in child.orelse:
                yield each
                yield from _nodes_at_run_time(each)
        else:
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
            is_public = inner in FROM_THE_TOP.get(module.partition(".")[0], ())
            target = rank_of(inner)
            is_for_pickles = inner.startswith("_pickles.")
            if not is_public and not is_for_pickles and (target is None or target > rank):
                found.append(f"{module} imports {name}, which is above it or in no layer")
        elif top not in sys.stdlib_module_names and top not in LAYERS[rank].third_party:
            found.append(f"{module} imports {name}, which its layer may not")
    return found


def graph() -> dict[str, set[str]]:
    """Which root modules and packages import which others at run time. A public name is imported from its own home."""
    arrows: dict[str, set[str]] = {}
    for path in PACKAGE.rglob("*.py"):
        module = module_name(path)
        node = module.partition(".")[0]
        if node in (*ABOVE_ALL, "__main__"):
            continue
        names = imported_names(path.read_text("utf-8"), module=module, is_package=path.name == "__init__.py")
        inner = {_home_of(name).partition(".")[0] for name in names if name.startswith("blnk_auth.")}
        arrows.setdefault(node, set()).update(each for each in inner - {node} if rank_of(each) is not None)
    return arrows


def _home_of(name: str) -> str:
    """Where a name of the package is defined, without the package's own name."""
    inner = name.removeprefix("blnk_auth.")
    return blnk_auth._HOME.get(inner, inner)


@functools.cache
def syntax_tree(path: Path) -> ast.Module:
    """The source of a file as Python parses it: once for each process, since it takes a while for a whole package."""
    return ast.parse(path.read_text("utf-8"))


def module_name(path: Path) -> str:
    dotted = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
    return dotted.removesuffix(".__init__")
