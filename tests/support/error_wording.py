"""Where code takes the text of an error apart, found in its syntax tree.

Used by the rules for the package (tests/unit/test_conventions.py) and for the tests
(tests/unit/test_how_errors_are_tested.py). It promises to see each comparison, membership test, method of text and
regular expression on such a text. It knows an error by the usual names and by what `except` calls it, and a text also
by a name that it was given in the same function. It never imports what it looks at.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from collections.abc import Set as AbstractSet

_TAKEN_APART = {"split", "rsplit", "partition", "rpartition", "startswith", "endswith", "removeprefix", "removesuffix"}
_SEARCHED = {"search", "match", "fullmatch", "findall", "finditer", "sub"}
_NAMES = {"error", "exc", "exception", "failure", "refusal", "raised"}


def words(identifier: str) -> set[str]:
    """The words of an identifier in snake case or camel case."""
    return {word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", identifier)}


def is_error(node: ast.AST, caught: AbstractSet[str] = frozenset()) -> bool:
    """Whether an expression is an error by its name, `error`, `self.failure`, `caught.value`, or by one of `caught`."""
    if isinstance(node, ast.Attribute) and node.attr == "value":
        return True
    name = node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""
    return name in caught or bool(_NAMES & words(name))


def text_of_an_error(
    node: ast.AST, caught: AbstractSet[str] = frozenset(), texts: AbstractSet[str] = frozenset()
) -> bool:
    """Whether an expression is the text of an error: `str(error)`, `error.args`, `error.args[0]`, `error.problem`, or
    one of the names in `texts`.
    """
    if isinstance(node, ast.BoolOp):
        return any(text_of_an_error(each, caught, texts) for each in node.values)
    if isinstance(node, ast.JoinedStr):
        return any(is_error(each.value, caught) for each in node.values if isinstance(each, ast.FormattedValue))
    if isinstance(node, ast.Subscript):
        node = node.value
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("str", "repr"):
        return any(is_error(each, caught) or text_of_an_error(each, caught, texts) for each in node.args)
    if isinstance(node, ast.Attribute) and node.attr in ("args", "message", "problem", "remedy"):
        return node.attr != "args" or is_error(node.value, caught)
    return isinstance(node, ast.Name) and node.id in texts


def places_that_take_errors_apart(tree: ast.AST) -> list[str]:
    """Each comparison, membership test, method of text or regular expression on the text of an error."""
    return [place for scope in _scopes(tree) for place in _places(scope)]


def _scopes(tree: ast.AST) -> Iterator[list[ast.AST]]:
    """The nodes of each function, and those outside of all functions."""
    outside: list[ast.AST] = []
    pending = [tree]
    while pending:
        node = pending.pop()
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
                yield from _scopes(child)
            else:
                outside.append(child)
                pending.append(child)
    yield outside


def _places(scope: list[ast.AST]) -> Iterator[str]:
    caught = {node.name for node in scope if isinstance(node, ast.ExceptHandler) and node.name}
    texts = {
        target.id
        for node in scope
        if isinstance(node, ast.Assign | ast.NamedExpr) and text_of_an_error(node.value, caught)
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Name)
    }
    for node in scope:
        operands: list[ast.AST] = []
        if isinstance(node, ast.Compare):
            operands = [node.left, *node.comparators]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            # `split()` without an argument puts a text on one line.
            if node.func.attr in _TAKEN_APART and (node.args or node.func.attr != "split"):
                operands = [node.func.value]
            elif node.func.attr in _SEARCHED:
                operands = [node.func.value, *node.args]
        compared_to_none = isinstance(node, ast.Compare) and any(
            isinstance(each, ast.Constant) and each.value is None for each in node.comparators
        )
        if not compared_to_none and any(text_of_an_error(operand, caught, texts) for operand in operands):
            yield ast.unparse(node)
