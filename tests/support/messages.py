"""Every error that the package raises, as it is written: `tests/data/error_messages.txt`.

`make snapshots` writes it again. Read from the source: the class, the parameter, the problem and the remedy, with
`{...}` for what is filled in; and the remedies that a module chooses from by name (`NAMED`).
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from support.imports import PACKAGE, module_name, syntax_tree

FILE = Path(__file__).parents[1] / "data" / "error_messages.txt"

ERRORS = {
    *("BlnkAuthError", "SignInRequired", "TemporarilyUnavailable", "ConfigurationError", "StoreError", "Conflict"),
    "ProtocolError",
}

NAMED = (
    "_protocol.response_errors",
    "_sign_in.finish_authorization",
    "stores._redis_server",
    "stores._sql_errors",
    "stores._sqlite_file",
)
"""Modules whose constants of several words are parts of messages, such as the remedy for each code of a server."""


@dataclass(frozen=True)
class Message:
    """One call of an error's class.

    `given` are its arguments as they are written. `is_of_setting`: the place of a setting is written before them.
    """

    module: str
    error: str
    problem: str
    remedy: str | None
    parameter: str | None
    given: dict[str, ast.expr] = field(default_factory=dict[str, ast.expr], compare=False, repr=False)
    is_of_setting: bool = field(default=False, compare=False, repr=False)

    def __str__(self) -> str:
        named = "" if self.parameter is None else f" [{self.parameter}]"
        return f"{self.error}{named}: {self.problem}" + ("" if self.remedy is None else f"\n    -> {self.remedy}")


def messages() -> Iterator[Message]:
    """Every one of them, by module and line."""
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(syntax_tree(path)):
            if isinstance(node, ast.Call):
                yield from _message(module_name(path), node)


def _message(module: str, call: ast.Call) -> Iterator[Message]:
    error = ast.unparse(call.func)
    given = {each.arg: each.value for each in call.keywords}
    order, is_of_setting = ["problem"], False
    if module.startswith("config."):
        # The messages of a setting are completed with where it comes from (`SettingsOrigin.error`).
        is_of_setting = error.endswith("origin.error") or error == "UnresolvedReference"
        if error.endswith("origin.error"):
            error, order = "ConfigurationError", ["parameter", "problem", "remedy"]
        elif error == "UnresolvedReference":
            order = ["problem", "remedy"]
    given |= dict(zip(order, call.args, strict=False))
    if (error in ERRORS or len(order) > 1) and "problem" in given:
        remedy, parameter = (text_of(given[name]) if name in given else None for name in ("remedy", "parameter"))
        written = {str(name): value for name, value in given.items()}
        yield Message(module, error, text_of(given["problem"]), remedy, parameter, written, is_of_setting)


def named_parts() -> Iterator[tuple[str, str, str]]:
    """The module, the name and the text of each constant of several words in the modules of `NAMED`."""
    for module in NAMED:
        tree = syntax_tree(PACKAGE / f"{module.replace('.', '/')}.py")
        for node in tree.body:
            if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
                target = ast.unparse(node.target if isinstance(node, ast.AnnAssign) else node.targets[0])
                for name, value in _entries(node.value, target):
                    if isinstance(value, ast.Constant | ast.JoinedStr) and " " in text_of(value):
                        yield module, name, text_of(value)


def _entries(value: ast.expr, name: str) -> Iterator[tuple[str, ast.expr]]:
    """A value with its name, or each entry of a dict with its key."""
    if not isinstance(value, ast.Dict):
        yield name, value
        return
    for key, each in zip(value.keys, value.values, strict=True):
        if key is not None:
            yield f"{name}[{ast.unparse(key)}]", each


def text_of(node: ast.expr) -> str:
    """A text as it is written, with braces around what is filled in."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(text_of(part) for part in node.values)
    if isinstance(node, ast.FormattedValue):
        return f"{{{ast.unparse(node.value)}}}"
    if isinstance(node, ast.IfExp):
        return f"{text_of(node.body)} | {text_of(node.orelse)}"
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return text_of(node.left) + text_of(node.right)
    return f"{{{ast.unparse(node)}}}"


def written() -> str:
    """The text of the file."""
    lines = ["# Written by `make snapshots`; see tests/unit/test_error_messages.py."]
    module = ""
    for message in messages():
        if message.module != module:
            module = message.module
            lines += ["", f"[{module}]"]
        lines.append(str(message))
    for module, name, text in named_parts():
        if f"[{module}: by name]" not in lines:
            lines += ["", f"[{module}: by name]"]
        lines.append(f"{name}: {text}")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    FILE.write_text(written(), "utf-8")
    sys.stdout.write(f"{FILE.name} is written\n")
