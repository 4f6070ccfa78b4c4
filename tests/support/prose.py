"""The prose of the project: docstrings, comments, messages and Markdown pages, as paragraphs with the line they are on.

Used by `tests/unit/test_words.py`. Code is left out: code blocks, `inline code`, the targets of links, and short
strings.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
SECTION_INDENT = 4

_SECTION = re.compile(r"(Args|Attributes|Example|Raises|Returns|Yields):$")
_ITEM = re.compile(r"\s*(?:[-*] |\d+\. )")
_CODE_BLOCK = re.compile(r"^( *)(```|~~~).*?^\1\2[^\n]*$", re.MULTILINE | re.DOTALL)
_INLINE_CODE = re.compile(r"``.+?``|`[^`]+`", re.DOTALL)
_LINK_TARGET = re.compile(r"\]\([^)]*\)|<?https?://[^\s)>]+>?")
_HTML = re.compile(r"<!--.*?-->|</?[a-z]+[^<>]*>", re.DOTALL)
_SENTENCE_END = re.compile(r"""(?<=[.!?])["')*_]*\s+(?=["'(*_`]*[A-Z0-9`])""")
# Python's own tokenizer finds the same comments in ten times the time.
_STRING_OR_COMMENT = re.compile(
    r""""{3}(?:[^"\\]|\\.|"(?!""))*"{3}|'{3}(?:[^'\\]|\\.|'(?!''))*'{3}"""
    r"""|"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|(\#[^\n]*)""",
    re.DOTALL,
)
_NO_SENTENCE_END = re.compile(r"\b(?:e\.g|i\.e|etc|vs|cf|No|St)\.$")


class Paragraph(NamedTuple):
    """Words that belong together: one paragraph, list item, table cell, comment or message."""

    line: int
    text: str

    def sentences(self) -> list[str]:
        """Its sentences. A bracket and a full stop inside quotes do not end one."""
        found: list[str] = []
        for part in _SENTENCE_END.split(self.text):
            if found and _NO_SENTENCE_END.search(found[-1]):
                found[-1] += " " + part
            else:
                found.append(part)
        return found


def files(*patterns: str) -> list[Path]:
    """The files of the checkout that match."""
    found = {
        path for pattern in patterns for path in ROOT.glob(pattern) if not {".venv", "node_modules"} & {*path.parts}
    }
    return sorted(found)


def paragraphs(path: Path) -> list[Paragraph]:
    """The prose of a Python file or of a Markdown page."""
    source = path.read_text("utf-8")
    if path.suffix == ".md":
        return list(_blocks(_without_code(source), 1))
    nodes = list(ast.walk(ast.parse(source)))
    documentation = [node.value for node in nodes if isinstance(node, ast.Expr)]
    found = [paragraph for node in documentation for paragraph in _of_docstring(node)]
    found += _of_comments(source)
    if path.is_relative_to(ROOT / "tests"):
        found += _of_test_names(source)
    else:
        found += _of_messages(nodes, {id(node) for node in documentation})
    return sorted(found)


def _without_code(text: str) -> str:
    """The text on as many lines as before, with a mark in the place of each code."""
    for pattern, mark in ((_CODE_BLOCK, ""), (_HTML, ""), (_INLINE_CODE, "CODE"), (_LINK_TARGET, "]")):
        text = pattern.sub(lambda match, mark=mark: mark + "\n" * match[0].count("\n"), text)
    return text


def _of_docstring(node: ast.expr) -> Iterator[Paragraph]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield from _blocks(_without_code(inspect.cleandoc(node.value)), node.lineno)


def _of_messages(nodes: list[ast.AST], documentation: set[int]) -> Iterator[Paragraph]:
    """Each other string of at least three words: errors, help, logs. What an f-string computes is `CODE`."""
    parts = {id(part) for node in nodes if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in nodes:
        if isinstance(node, ast.JoinedStr):
            text = "".join(str(part.value) if isinstance(part, ast.Constant) else "CODE" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in parts | documentation:
            text = node.value
        else:
            continue
        is_code = re.search(r"\n\s|^\s*<", text)
        if not is_code and len(re.findall(r"[A-Za-z]{2,}", text)) > 2:
            yield Paragraph(node.lineno, " ".join(_without_code(text).split()))


def _of_comments(source: str) -> Iterator[Paragraph]:
    """Comments, those on neighbouring lines as one."""
    block: list[tuple[int, int, str]] = []
    line, position = 1, 0
    for match in _STRING_OR_COMMENT.finditer(source):
        if match[1] is None:
            continue
        line, position = line + source.count("\n", position, match.start()), match.start()
        column, text = position - source.rfind("\n", 0, position), match[1].lstrip("#")
        if block and (block[-1][:2] != (line - 1, column) or _ITEM.match(text)):
            yield _joined(block)
            block = []
        block.append((line, column, text))
    if block:
        yield _joined(block)


def _joined(block: list[tuple[int, int, str]]) -> Paragraph:
    return Paragraph(block[0][0], " ".join(_without_code("\n".join(text for _, _, text in block)).split()))


def _of_test_names(source: str) -> Iterator[Paragraph]:
    for match in re.finditer(r"^ *(?:async )?def (test_\w+)", source, re.MULTILINE):
        yield Paragraph(source.count("\n", 0, match.start(1)) + 1, match[1].replace("_", " "))


def _blocks(text: str, first_line: int) -> Iterator[Paragraph]:
    """The paragraphs of a text. Items of lists, entries below `Args:`, and lines that are set apart are each one."""
    block: list[str] = []
    begin, in_section = first_line, False
    for number, line in enumerate([*text.split("\n"), ""], first_line):
        plain, indent = line.strip(), len(line) - len(line.lstrip())
        is_section = bool(_SECTION.match(line))
        in_section = is_section or (in_section and (not plain or indent > 0))
        continues_item = bool(block and _ITEM.match(block[0]) and indent)
        is_set_apart = (indent == SECTION_INDENT) if in_section else indent > 0 and not continues_item
        is_table, is_title = plain.startswith("|"), plain.startswith("#")
        if block and (not plain or is_section or is_set_apart or is_table or is_title or _ITEM.match(line)):
            yield Paragraph(begin, " ".join(" ".join(block).split()))
            block = []
        if is_table:
            yield from (Paragraph(number, cell.strip()) for cell in plain.strip("|").split("|") if cell.strip(" -:"))
        elif plain and not is_section:
            begin = begin if block else number
            block.append(plain)
        if is_title and block:
            yield Paragraph(begin, block.pop().lstrip("# "))
