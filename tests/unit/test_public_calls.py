"""`tests/typing/every_member.py` has an `assert_type` for everything public that is called or read.

Found in the syntax tree: a function and a constructor by their name, a member by the annotation of what it is taken
from, or by the class itself.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.public_names import function_of, public_definitions, public_members

FILE = Path(__file__).parent.parent / "typing" / "every_member.py"

NOT_CONSTRUCTED = {"TokenSource": "`OAuthClient` makes it", "Source": "a base class"}
"""Classes that users do not make, with the reason."""

NOT_CALLED = {"StoreContract", "SharedStoreContract"}
"""Suites of tests, whose methods pytest calls."""


def expected() -> Iterator[str]:
    """Each function, constructor (`Token`), and method or property (`Token.replace`)."""
    for path, value in public_definitions().items():
        name = path.rpartition(".")[2]
        if name in NOT_CALLED:
            continue
        if not inspect.isclass(value):
            yield name
            continue
        is_described = getattr(value, "_is_protocol", False) or issubclass(value, dict) or inspect.isabstract(value)
        if not is_described and name not in NOT_CONSTRUCTED:
            yield name
        yield from (f"{name}.{member}" for member in public_members(value) if function_of(value, member))


def asserted(source: str) -> Iterator[str]:
    """What has an `assert_type`, in the same form."""
    tree = ast.parse(source)
    yield from _asserted(tree, {})


def _asserted(node: ast.AST, classes: dict[str, str]) -> Iterator[str]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        classes = {
            argument.arg: argument.annotation.id
            for argument in node.args.args
            if isinstance(argument.annotation, ast.Name)
        }
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "assert_type":
        found = _name_of(node.args[0], classes)
        if found is not None:
            yield found
    for child in ast.iter_child_nodes(node):
        yield from _asserted(child, classes)


def _name_of(node: ast.expr, classes: dict[str, str]) -> str | None:
    if isinstance(node, ast.Await):
        return _name_of(node.value, classes)
    if isinstance(node, ast.Call):
        return _name_of(node.func, classes)
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        return f"{classes.get(node.value.id, node.value.id)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else None


def test_everything_public_that_is_called_has_its_type_asserted() -> None:
    """Each function, constructor, method and property; and nothing is asserted that is not there."""
    found = set(asserted(FILE.read_text("utf-8")))
    assert sorted(set(expected()) - found) == []
    assert sorted(found - set(expected())) == []


def test_the_exceptions_are_needed() -> None:
    """Each names a public class."""
    names = {path.rpartition(".")[2] for path in public_definitions()}
    assert names >= NOT_CALLED | NOT_CONSTRUCTED.keys()


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("assert_type(open_store('x'), TokenStore)", "open_store"),
        ("assert_type(Token('at'), Token)", "Token"),
        ("assert_type(Token.from_dict({}), Token)", "Token.from_dict"),
        ("def of(it: Token) -> None:\n    assert_type(it.expires_in(), float)", "Token.expires_in"),
        ("async def of(it: TokenSource) -> None:\n    assert_type(await it.atoken(), Token)", "TokenSource.atoken"),
        ("def of(it: TokenSource) -> None:\n    assert_type(it.state, State)", "TokenSource.state"),
    ],
)
def test_an_assertion_is_recognized(source: str, name: str) -> None:
    """In each form that the file has."""
    assert list(asserted(source)) == [name]


@pytest.mark.parametrize("source", ["it.state", "def of(it: TokenSource) -> None:\n    it.token()"])
def test_a_call_without_an_assertion_does_not_count(source: str) -> None:
    """Naming a method is not enough."""
    assert list(asserted(source)) == []
