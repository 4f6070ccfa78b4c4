"""Locks and forks: what has a lock is made ready for use in a forked child, where the thread that had it is missing."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.imports import syntax_tree

import blnk_auth

PACKAGE = Path(blnk_auth.__file__).parent
PRIMITIVES = {"Lock", "RLock", "Condition", "Event", "Semaphore", "BoundedSemaphore", "Barrier"}

NOT_RESET = {
    "stores._key_locks._KeyLock.lock": "KeyLocks drops it in the child",
    "stores._lease._Renewer._done": "it is not used in a child of the process that made it",
    "_resource.asking.Asking.done": "RequestSignIn drops it in the child",
    "_transport.deadline.Deadline._lock": "of one exchange, whose thread and whose timer do not exist in a child",
    "_renewal.worker.Worker._no_work": "Workers drops it in the child",
    "_renewal.single_flight.Flight._lock": "SingleFlight drops it in the child",
    "_renewal.keepalive": "of a run: its threads do not exist in a child, where nothing continues it",
    "cli.demo.results.CallFigures._lock": "the processes of a demo are started, not forked",
    "testing._clock.Clock._lock": "taken for one addition, by a test, which decides when it forks",
    "testing.sandbox.": "its server is a thread of the parent: a child can only send it requests",
}
"""What may have a lock that is not made again in a forked child, each with the reason."""


def locks(module: str, tree: ast.Module) -> Iterator[str]:
    """The names of the locks of a module that are not made again in a child: of the module, and of its classes."""
    for node in tree.body:
        if not isinstance(node, ast.ClassDef):
            yield from (f"{module}.{name}" for name in _assigned(node))
    for each in (node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)):
        calls = {ast.unparse(node) for node in ast.walk(each) if isinstance(node, ast.Call)}
        if "pause_during_fork(self)" in calls:
            continue
        reset = (node for node in each.body if isinstance(node, ast.FunctionDef) and node.name == "reset_after_fork")
        made_again = {name for node in reset for name in _assigned(node) if "reset_in_child(self)" in calls}
        yield from (f"{module}.{each.name}.{name}" for name in sorted({*_assigned(each)} - made_again))


def _assigned(tree: ast.AST) -> Iterator[str]:
    """The names of the attributes and variables, without those of functions, that are assigned a lock."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None and _is_lock(node.value):
            for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                if isinstance(target, ast.Attribute):
                    yield target.attr
                elif isinstance(target, ast.Name) and not _is_in_function(tree, node):
                    yield target.id


def _is_lock(value: ast.expr) -> bool:
    named = (node for node in ast.walk(value) if isinstance(node, ast.Attribute) and node.attr in PRIMITIVES)
    return any(isinstance(node.value, ast.Name) and node.value.id == "threading" for node in named)


def _is_in_function(tree: ast.AST, node: ast.AST) -> bool:
    functions = [each for each in ast.walk(tree) if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)]
    return any(node is inner for function in functions for inner in ast.walk(function))


def not_reset() -> set[str]:
    found: set[str] = set()
    for path in sorted(PACKAGE.rglob("*.py")):
        module = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
        found |= set(locks(module, syntax_tree(path)))
    return found


def test_every_lock_is_made_again_in_a_forked_child() -> None:
    """Another thread may have it during a fork. In the child it would stay locked for ever."""
    assert {name for name in not_reset() if not name.startswith(tuple(NOT_RESET))} == set()


def test_every_exception_is_needed() -> None:
    """It names locks of the package."""
    found = not_reset()
    assert [allowed for allowed in NOT_RESET if not any(name.startswith(allowed) for name in found)] == []


RESET = "    def reset_after_fork(self): self._lock = threading.Lock()\n"
REGISTERS = "    def __init__(self):\n        self.reset_after_fork()\n        reset_in_child(self)\n"


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("shared = threading.Lock()", ["m.shared"]),
        ("class A:\n    _lock: threading.Lock = field(default_factory=threading.Lock)", ["m.A._lock"]),
        ("class A:\n    def __init__(self): self._lock: threading.RLock = threading.RLock()", ["m.A._lock"]),
        ("class A:\n    def use(self): self._over = threading.Condition(threading.RLock())", ["m.A._over"]),
        (f"class A:\n{RESET}", ["m.A._lock"]),
        (f"class A:\n{REGISTERS}{RESET}    def use(self): self._done = threading.Event()", ["m.A._done"]),
        (f"class A:\n{REGISTERS}{RESET}", []),
        ("class A:\n    def use(self): over = threading.Event()", []),
        ("def use(): over = threading.Event()", []),
    ],
)
def test_what_is_seen(code: str, found: list[str]) -> None:
    """Each way in which an object or a module has a lock, and those in which it is made again, or is of one call."""
    assert list(locks("m", ast.parse(code))) == found
