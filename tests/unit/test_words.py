"""Plain English in docstrings, comments, messages and pages: no word that has to be read twice, no endless sentence.

Run it alone:                       PYTHONPATH=. .venv/bin/pytest tests/unit/test_words.py
List what is found, with lines:     PYTHONPATH=.:tests .venv/bin/python tests/unit/test_words.py [files or directories]
and also the long sentences:        PYTHONPATH=.:tests .venv/bin/python tests/unit/test_words.py --long [...]
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.prose import ROOT, Paragraph, files, paragraphs

INSTEAD = {
    # who does what
    r"(?:tells?|told|telling)": "report, raise, inform, specify, describe; distinguish from",
    r"(?:says?|said|saying)": "report, state, specify, describe, mean; of an RFC: require, define",
    r"(?:die|dies|died|dying)": "of a token: expire; of a process: exit, be killed; of a connection: be closed",
    r"tokens? (?:that )?(?:end|ends|ended)(?! (?:a|an|the|its|their|every|each)\b)": "expire",
    r"end of (?:a|an|the|its|this) (?:access |refresh )?tokens?": "expiry",
    r"(?:goes|gone)": "is, is sent, is removed",
    r"(?:stand|stands|stood)(?! for)": "is, is written, is stored",
    r"(?:lies?|lay)": "is, is stored",
    # the subject first, and a plain negation
    r"(?<!there )(?:is|are|was|were|be|been|being) no (?!longer|more|less|\w+er )": "is not a, is not an",
    r"none of": "no",
    r"(?:is|are|was|were|be) (?-i:none)(?<!there is none)(?<!there are none)(?<!there was none)(?! of)": "is not one",
    r"who(?:so)?ever": "anyone who, any caller that",
    r"whatever": "any, everything that, regardless of",
    r"(?<=\A)what (?:is|was|are|were) (?:\w+ ){1,6}(?:is|was|are|were) [^?]*\Z": "name the subject",
    r"nobody changes": "is immutable",
    # words for time and place
    r"anew": "again",
    r"of (?:yours|theirs|ours)": "your, their, our",
    r"at once": "immediately; at the same time",
    r"behind (?:the|a|its|their|all) callers?": "in the background",
    r"half-?way": "not cancelled: name what is completed",
    r"on the disk": "on disk",
    # pictures in the place of terms
    r"siblings?": "another process, another host",
    r"strangers?": "another origin, another user",
    r"persons?": "user; in reference text: resource owner",
    r"held": "cached token, current token; of a lock: taken",
    r"(?:un)?(?:cure|cures|cured|curable)": "resolve a rejection",
    r"luck": "jitter position",
    r"dress(?:ed|es)?": "convert the error",
    r"passages?": "request flow",
    r"steps": "waits, operations",
    r"guard(?:s|ed)?": "call a store, protect, check",
    r"hidden": "redacted",
    r"texts": "HTTP values, strings, messages",
    r"wire": "HTTP messages",
    r"engines?": "client state",
    r"(?<!long-)standing": "status",
    r"(?:the|a|each) keepings?": "keepalive run",
    r"outcomes?": "exit status, result",
    r"bridge[sd]?": "adapt, pass on",
    r"envelopes?": "encrypted record, wrapper",
    r"inventory": "list",
}
"""What is not written, as regular expressions of whole words in any case, and what is written in its place."""

EXCEPTIONS: dict[tuple[str, str], str] = {
    ("tests/simulation/test_simulation.py", "steps"): "the simulation's term: a call of one process to the outside",
    ("tests/simulation/world.py", "steps"): "the simulation's term: a call of one process to the outside",
    ("tests/stores/test_pgbouncer.py", "SQLAlchemy engine"): "SQLAlchemy's word for what a SQLStore is made of",
    ("tests/support/stores/pooled.py", "SQLAlchemy engine"): "SQLAlchemy's word for what a SQLStore is made of",
    ("benchmarks/stores.py", "SQLAlchemy engine"): "SQLAlchemy's word for what a SQLStore is made of",
    ("blnk_auth/_pickles.py", "engine._"): "the name of a module of an earlier version",
    ("blnk_auth/stores/_sql.py", "engine"): "SQLAlchemy's word for what a SQLStore is made of",
    ("blnk_auth/stores/_sql_database.py", "engine"): "SQLAlchemy's word for what a SQLStore is made of",
    ("blnk_auth/stores/_sql_connections.py", "engine"): "SQLAlchemy's word for what a SQLStore is made of",
    ("blnk_auth/stores/_sql_errors.py", "engine"): "SQLAlchemy's word for what a SQLStore is made of",
    ("docs/how-to/use-postgresql-or-redis.md", "engine"): "SQLAlchemy's word for what a SQLStore is made of",
    ("docs/reference/error-messages.md", "engine"): "SQLAlchemy's word for what a SQLStore is made of",
    ("docs/reference/limits.md", "SQLAlchemy engine"): "SQLAlchemy's word for what a SQLStore is made of",
}
"""(file, phrase): the reason, for quotations and words with a technical meaning. The phrase is matched in any case."""

MOST_WORDS = 40
LONG = 35

_BANNED = {re.compile(rf"(?:\b|(?<=\A)){pattern}(?:\b|(?<=\Z)|(?<= ))", re.IGNORECASE): pattern for pattern in INSTEAD}
_ANYWHERE = [pattern.replace(r"(?<=\A)", "").replace(r"\Z", "") for pattern in INSTEAD]
_ANY = re.compile(rf"(?:\b|\A)(?:{'|'.join(f'(?:{pattern})' for pattern in _ANYWHERE)})", re.IGNORECASE)
"""Finds more in a paragraph than `_BANNED` in its sentences, in a tenth of the time."""

WHERE = "*.py *.md */*.md blnk_auth/**/*.py benchmarks/**/*.py docs/**/*.md docs/**/*.py tests/**/*.py tools/**/*.py"

PROSE = {path.relative_to(ROOT).as_posix(): path for path in files(*WHERE.split()) if path != Path(__file__)}


PARTS = ("blnk_auth", "tests/unit", "tests/support", "tests", "docs", "")


def part_of(name: str) -> str:
    """Where a file is: its reading is divided among the processes that run the tests."""
    return next(part for part in PARTS if name.startswith(part))


def banned(name: str, paragraph: Paragraph) -> Iterator[tuple[str, str]]:
    """Each banned phrase of a paragraph, with what to write instead."""
    text = paragraph.text
    if not _ANY.search(text):
        return
    for _, phrase in (entry for entry in EXCEPTIONS if entry[0] == name):
        text = re.sub(re.escape(phrase), "", text, flags=re.IGNORECASE)
    for sentence in Paragraph(paragraph.line, text).sentences():
        for pattern, key in _BANNED.items():
            yield from ((match[0], INSTEAD[key]) for match in pattern.finditer(sentence))


def words(sentence: str) -> int:
    """How many words it has; inline code counts as one."""
    return sum(any(character.isalpha() for character in word) for word in sentence.split())


def complaints(name: str) -> Iterator[str]:
    """Each banned phrase and each endless sentence of a file, with its line."""
    for paragraph in paragraphs(PROSE[name]):
        for phrase, instead in banned(name, paragraph):
            yield f"{name}:{paragraph.line}: {phrase!r}; instead: {instead}"
        for sentence in paragraph.sentences():
            if words(sentence) > MOST_WORDS:
                yield f"{name}:{paragraph.line}: {words(sentence)} words: {sentence}"


@pytest.mark.parametrize("part", PARTS)
def test_prose_is_plain(part: str) -> None:
    """No banned word, and at most 40 words in a sentence: a longer one is two sentences, or a list."""
    assert [complaint for name in PROSE if part_of(name) == part for complaint in complaints(name)] == []


BUILT = {"build", "dist", "site"}
"""Directories that `make` writes."""


def test_every_python_file_is_read() -> None:
    """Those of a directory that is new, too, and all but this one, which has the words that it bans."""
    directories = [each.name for each in ROOT.iterdir() if each.is_dir() and not each.name.startswith(".")]
    existing = files("*.py", *(f"{name}/**/*.py" for name in directories if name not in BUILT))
    assert {*existing} - {*PROSE.values()} == {Path(__file__)}


def test_every_exception_is_needed_and_has_a_reason() -> None:
    """An exception is removed when the file no longer has the phrase, or the phrase no banned word."""
    assert [entry for entry, reason in EXCEPTIONS.items() if not reason] == []
    unneeded = [
        (name, phrase)
        for name, phrase in EXCEPTIONS
        if not _ANY.search(phrase)
        or not any(phrase.lower() in paragraph.text.lower() for paragraph in paragraphs(PROSE[name]))
    ]
    assert unneeded == []


@pytest.mark.parametrize(
    "text",
    [
        "The server tells the client.",
        "as RFC 6749 says",
        "A token that ended is not sent.",
        "until the end of its refresh token",
        "It is no token.",
        "It is none.",
        "Whoever waits",
        "What is stored there is read again.",
        "one of yours, sent at once",
        "a person's grant, Held in memory",
    ],
)
def test_a_banned_phrase_is_found(text: str) -> None:
    """In any inflection that the list has, at the beginning, in the middle and at the end."""
    assert list(banned("", Paragraph(1, text)))


@pytest.mark.parametrize(
    "text",
    [
        "What is a grant?",
        "there is no lock, and there is none to wait for",
        "It is no longer valid, and no older than the other.",
        "the grant has ended",
        "a spent refresh token ends the grant",
        "PKCE stands for Proof Key for Code Exchange.",
        "a foretold, guardian, wired, personal hold",
        "an http proxy is behind the load balancer",
    ],
)
def test_an_ordinary_sense_is_fine(text: str) -> None:
    """A word within another word is not found either."""
    assert list(banned("", Paragraph(1, text))) == []


def test_prose_is_found_where_it_is_and_code_is_not(tmp_path: Path) -> None:
    """Docstrings, comments and messages of a module; paragraphs, items and cells of a page."""
    (tmp_path / "module.py").write_text(
        '"""One `held`.\n\n    set apart\n\nArgs:\n    first: An entry\n        goes on.\n    second: Another.\n"""\n'
        "NAME = 'held'  # a comment\n# that is\n# one\nraise ValueError(f'a message with {NAME} in it')\n"
    )
    assert [tuple(each) for each in paragraphs(tmp_path / "module.py")] == [
        (1, "One CODE."),
        (3, "set apart"),
        (6, "first: An entry goes on."),
        (8, "second: Another."),
        (10, "a comment"),
        (11, "that is one"),
        (13, "a message with CODE in it"),
    ]
    (tmp_path / "page.md").write_text(
        "# A title\ntext,\nmore of it\n- an item\n  of two lines\n\n```python\nheld = 1\n```\n| a | [b](held.md) |\n"
    )
    assert [tuple(each) for each in paragraphs(tmp_path / "page.md")] == [
        (1, "A title"),
        (2, "text, more of it"),
        (4, "- an item of two lines"),
        (10, "a"),
        (10, "[b]"),
    ]


def main(arguments: list[str]) -> None:
    """Write what is found to the terminal, exceptions and unfinished files included."""
    wanted = tuple(argument.removeprefix("./") for argument in arguments if not argument.startswith("--"))
    for name, path in PROSE.items():
        if not name.startswith(wanted or ("",)):
            continue
        for paragraph in paragraphs(path):
            for phrase, instead in banned(name, paragraph):
                sys.stdout.write(f"{name}:{paragraph.line}: {phrase!r}; instead: {instead}\n    {paragraph.text}\n")
            for sentence in paragraph.sentences() if "--long" in arguments else ():
                if words(sentence) > LONG:
                    sys.stdout.write(f"{name}:{paragraph.line}: {words(sentence)} words: {sentence}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
