"""Every error that the package raises, as it is written: `tests/data/error_messages.txt`.

`make snapshots` writes it again. Read from the source: the class, the parameter, the problem and the remedy, with
`{...}` for what is filled in.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from support.imports import PACKAGE, module_name

FILE = Path(__file__).parents[1] / "data" / "error_messages.txt"

ERRORS = {
    *("BlnkAuthError", "SignInRequired", "TemporarilyUnavailable", "ConfigurationError", "StoreError", "Conflict"),
    "ProtocolError",
}


@dataclass(frozen=True)
class Message:
    """One call of an error's class."""

    module: str
    error: str
    problem: str
    remedy: str | None
    parameter: str | None

    def __str__(self) -> str:
        named = "" if self.parameter is None else f" [{self.parameter}]"
        return f"{self.error}{named}: {self.problem}" + ("" if self.remedy is None else f"\n    -> {self.remedy}")


def messages() -> Iterator[Message]:
    """Every one of them, by module and line."""
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ERRORS:
                given = {each.arg: each.value for each in node.keywords}
                problem = node.args[0] if node.args else given.get("problem")
                if problem is not None:
                    yield Message(
                        module_name(path),
                        node.func.id,
                        text_of(problem),
                        text_of(given["remedy"]) if "remedy" in given else None,
                        text_of(given["parameter"]) if "parameter" in given else None,
                    )


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
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    FILE.write_text(written(), "utf-8")
    sys.stdout.write(f"{FILE.name} is written\n")
