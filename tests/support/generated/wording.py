"""The words of an error's message, as a reader meets them: constants filled in, and a name for what differs each time.

Used by `support.generated.errors`. It promises each possible wording of a part of a message: those of a variable that
the function fills from a few strings, and those that the callers in the same module pass.
"""

from __future__ import annotations

import ast
import functools
import importlib
import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from support.imports import PACKAGE, syntax_tree

MOST = 12
"""More possible wordings than that are shown as one, with the name of what differs."""

_DEPTH = 4
_CONSTANT = re.compile(r"_?[A-Z][A-Z0-9_]+")
_HELPERS = {"join", "sorted", "tuple", "list", "str", "len", "get_args", "GrantType", "format"}
_CLEARER = {
    "given_at_all": "value",
    "self": "store",
    "st_mode": "mode",
    "status_code": "status",
    "strerror": "reason",
    "drivername": "dialect",
    "splitlines": "detail",
    "fields": "answer",
    "encode": "size",
}
_NEVER = {"parameter", "name", "member", "setting", "key", "url", "path", "error", "where", "status"}
"""Names whose values are not looked up: the reader knows theirs."""


def module_file(module: str) -> str:
    """The path of a module, by its name below the package."""
    path = PACKAGE / f"{module.replace('.', '/')}.py"
    return str(path if path.exists() else PACKAGE / module.replace(".", "/") / "__init__.py")


@functools.cache
def _imported(module: str) -> ModuleType:
    return importlib.import_module(f"blnk_auth.{module}")


@functools.cache
def _functions(module: str) -> tuple[ast.FunctionDef | ast.AsyncFunctionDef, ...]:
    tree = _tree(module)
    return tuple(node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


@functools.cache
def _tree(module: str) -> ast.Module:
    return syntax_tree(Path(module_file(module)))


@dataclass(frozen=True)
class Scope:
    """Where an expression is written: its module, and the function around it (None: none)."""

    module: str
    function: ast.FunctionDef | ast.AsyncFunctionDef | None
    known: frozenset[str] = frozenset()

    def within(self, function: ast.FunctionDef | ast.AsyncFunctionDef | None, name: str) -> Scope:
        """The scope in which a name is looked up; it is not looked up again there."""
        return Scope(self.module, function, self.known | {f"{getattr(self.function, 'name', '')}.{name}"})

    def has_seen(self, name: str) -> bool:
        """Whether the name is being looked up, or too many others are."""
        return len(self.known) >= _DEPTH or f"{getattr(self.function, 'name', '')}.{name}" in self.known


def scope_of(module: str, node: ast.expr) -> Scope:
    """The innermost function that contains an expression."""
    around = [each for each in _functions(module) if each.lineno <= node.lineno <= (each.end_lineno or 0)]
    return Scope(module, max(around, key=lambda each: each.lineno) if around else None)


def possible(node: ast.expr, scope: Scope) -> list[str]:
    """Each string that an expression may be; one with placeholders if they are not known, or are too many."""
    found = {re.sub("\u2039\\w*\u203a", "", text): text for text in reversed(_possible(node, scope))}
    return list(reversed(found.values())) if len(found) <= MOST else [placeholder(node)]


def general(node: ast.expr, scope: Scope) -> str:
    """The text that covers all of them, with more placeholders."""
    return possible(node, Scope(scope.module, None, frozenset(map(str, range(_DEPTH)))))[0]


def _possible(node: ast.expr, scope: Scope) -> list[str]:
    if isinstance(node, ast.Constant):
        return [str(node.value)]
    if isinstance(node, ast.IfExp):
        return [*_possible(node.body, scope), *_possible(node.orelse, scope)]
    if isinstance(node, ast.JoinedStr):
        return _joined([_possible(each, scope) for each in node.values])
    if isinstance(node, ast.FormattedValue):
        return _possible(node.value, scope)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return _joined([_possible(node.left, scope), _possible(node.right, scope)])
    known = _evaluated(node, scope.module)
    if known is not None:
        return [known]
    found = list(_values(node, scope))
    # A number that is assigned first, and then counted up, is not what the message shows.
    is_text = all(isinstance(value.value, str) for value, _ in found if isinstance(value, ast.Constant))
    values = [text for value, where in found if is_text for text in _possible(value, where)]
    return values if 0 < len(set(values)) <= MOST else [placeholder(node)]


def _joined(parts: list[list[str]]) -> list[str]:
    texts = ["".join(each) for each in itertools.islice(itertools.product(*parts), MOST + 1)]
    if len(texts) > MOST:
        return ["".join(each[0] if len(each) == 1 else "…" for each in parts)]
    return texts


def _evaluated(node: ast.expr, module: str) -> str | None:
    """The text of an expression of the module's constants; None for any other."""
    names = {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}
    constants = {each for each in names if _CONSTANT.fullmatch(each)}
    if not constants or names - constants - _HELPERS:
        return None
    try:
        value: object = eval(ast.unparse(node), dict(vars(_imported(module))))
    except Exception:
        return None
    return str(value) if isinstance(value, str | int | float) else None


def _values(node: ast.expr, scope: Scope) -> Iterator[tuple[ast.expr, Scope]]:
    """What an expression may be: a variable's values, what a function of the module returns, an entry of a dict."""
    if isinstance(node, ast.Starred):
        yield from _returned(node.value, scope, 0)
    elif isinstance(node, ast.Name) and node.id not in _NEVER and not scope.has_seen(node.id):
        yield from _of_variable(node.id, scope)
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        yield from _returned(node, scope, None)
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "get":
        yield from _entries(node.func.value, scope)
        yield from ((each, scope) for each in node.args[1:])
    elif isinstance(node, ast.Subscript):
        yield from _entries(node.value, scope)


def _entries(mapping: ast.expr, scope: Scope) -> Iterator[tuple[ast.expr, Scope]]:
    if isinstance(mapping, ast.Name) and not scope.has_seen(mapping.id):
        for value, where in _of_variable(mapping.id, scope):
            if isinstance(value, ast.Dict):
                yield from ((each, where) for each in value.values)


def _returned(call: ast.expr, scope: Scope, index: int | None) -> Iterator[tuple[ast.expr, Scope]]:
    """What a function of the module returns, or one item of the tuples that it returns."""
    if isinstance(call, ast.BoolOp):
        for each in call.values:
            yield from _returned(each, scope, index)
    elif isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and not scope.has_seen(f"{call.func.id}()"):
        for function in (each for each in _functions(scope.module) if each.name == call.func.id):
            where = scope.within(function, f"{function.name}()")
            yield from ((value, where) for value in _returns(function, index))


def _returns(function: ast.FunctionDef | ast.AsyncFunctionDef, index: int | None) -> Iterator[ast.expr]:
    for node in ast.walk(function):
        value = node.value if isinstance(node, ast.Return) else None
        if isinstance(value, ast.Tuple) and index is not None:
            yield value.elts[index]
        elif value is not None and index is None and not (isinstance(value, ast.Constant) and value.value is None):
            yield value


def _of_variable(name: str, scope: Scope) -> Iterator[tuple[ast.expr, Scope]]:
    """What is assigned to it in the function, what callers in the module pass for it, or the module's constant."""
    for node in ast.walk(scope.function) if scope.function else ():
        if isinstance(node, ast.Assign) and len(node.targets) == 1:
            yield from _assigned(node.targets[0], node.value, name, scope.within(scope.function, name))
    for node in _tree(scope.module).body:
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value:
            target = node.target if isinstance(node, ast.AnnAssign) else node.targets[0]
            yield from _assigned(target, node.value, name, scope.within(None, name))
    yield from _passed(name, scope)


def _passed(name: str, scope: Scope) -> Iterator[tuple[ast.expr, Scope]]:
    """What callers in the module pass as a parameter of the function."""
    if scope.function is None:
        return
    arguments = scope.function.args
    names = [each.arg for each in (*arguments.posonlyargs, *arguments.args)]
    if name not in names and name not in [each.arg for each in arguments.kwonlyargs]:
        return
    index = names.index(name) - (names[0] in ("self", "cls")) if name in names else -1
    for call in _calls_by_name(scope.module).get(scope.function.name, []):
        given = {each.arg: each.value for each in call.keywords}
        value = given.get(name) or (call.args[index] if 0 <= index < len(call.args) else None)
        if value is not None:
            inside = scope.within(scope.function, name)
            yield value, inside.within(scope_of(scope.module, value).function, name)


def _assigned(target: ast.expr, value: ast.expr, name: str, scope: Scope) -> Iterator[tuple[ast.expr, Scope]]:
    if isinstance(target, ast.Name) and target.id == name:
        yield value, scope
    elif isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple) and len(target.elts) == len(value.elts):
        for left, right in zip(target.elts, value.elts, strict=True):
            yield from _assigned(left, right, name, scope)
    elif isinstance(target, ast.Tuple):
        for index, each in enumerate(target.elts):
            if isinstance(each, ast.Name) and each.id == name:
                yield from _returned(value, scope, index)


@functools.cache
def _calls_by_name(module: str) -> dict[str, list[ast.Call]]:
    found: dict[str, list[ast.Call]] = {}
    for node in ast.walk(_tree(module)):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            found.setdefault(name, []).append(node)
    return found


def filled_in(text: str, module: str) -> str:
    """A text with `{...}` in which the module's constants are filled in."""
    return re.sub(r"\{(_?[A-Z][A-Z0-9_]+)\}", lambda match: str(vars(_imported(module))[match[1]]), text)


def placeholder(node: ast.expr) -> str:
    """The name, in angle quotation marks, of what differs each time: the last one in the expression."""
    word = _word(node).strip("_").lower()
    word = _CLEARER.get(word, word)
    return f"\u2039{word}\u203a" if word else "…"


def _word(node: ast.expr) -> str:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return _word(node.value) if node.attr.startswith("__") else node.attr
    if isinstance(node, ast.Call):
        arguments = [*node.args, *(each.value for each in node.keywords)]
        words = [_word(each) for each in arguments if not isinstance(each, ast.Constant)]
        receiver = node.func.value if isinstance(node.func, ast.Attribute) else node.func
        return next(filter(None, words), "") or _word(receiver)
    if isinstance(node, ast.Subscript | ast.Starred | ast.FormattedValue | ast.Await):
        return _word(node.value)
    inner = [each for each in ast.iter_child_nodes(node) if isinstance(each, ast.expr)]
    words = [_word(each) for each in inner]
    return next(filter(None, words), "")
