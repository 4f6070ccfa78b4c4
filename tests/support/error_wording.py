"""Where code takes the text of an error apart, found in its syntax tree.

Used by the rules for the package (tests/unit/test_conventions.py) and for the tests
(tests/unit/test_how_errors_are_tested.py). It promises to see each comparison, membership test, method of text and
regular expression on such a text, by the usual names for an error. It never imports what it looks at.
"""

from __future__ import annotations

import ast
import re

_TAKEN_APART = {"split", "rsplit", "partition", "rpartition", "startswith", "endswith", "removeprefix", "removesuffix"}
_SEARCHED = {"search", "match", "fullmatch", "findall", "finditer", "sub"}
_NAMES = {"error", "exc", "exception", "failure", "refusal", "raised"}


def words(identifier: str) -> set[str]:
    """The words of an identifier in snake case or camel case."""
    return {word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", identifier)}


def is_error(node: ast.AST) -> bool:
    """Whether an expression is an error by its name: `error`, `self.failure`, `caught.value`."""
    if isinstance(node, ast.Attribute) and node.attr == "value":
        return True
    name = node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""
    return bool(_NAMES & words(name))


def text_of_an_error(node: ast.AST) -> bool:
    """Whether an expression is the text of an error: `str(error)`, `error.args`, `error.args[0]`, `error.problem`."""
    if isinstance(node, ast.BoolOp):
        return any(text_of_an_error(each) for each in node.values)
    if isinstance(node, ast.Subscript):
        node = node.value
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("str", "repr"):
        return any(is_error(argument) or text_of_an_error(argument) for argument in node.args)
    if isinstance(node, ast.Attribute) and node.attr in ("args", "message", "problem", "remedy"):
        return node.attr != "args" or is_error(node.value)
    return False


def places_that_take_errors_apart(tree: ast.AST) -> list[str]:
    """Each comparison, membership test, method of text or regular expression on the text of an error."""
    found: list[str] = []
    for node in ast.walk(tree):
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
        if not compared_to_none and any(text_of_an_error(operand) for operand in operands):
            found.append(ast.unparse(node))
    return found
