"""What a fuzz target is, where its corpus is, and one run of Hypothesis over it.

Used by the tests of this directory and by `run.py`. A target is a name, a strategy for its inputs, and a check that
raises for a defect. An input is always a Python value that its repr writes out, so that a failing one is read, kept in
the corpus and given back as it is.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.errors import HypothesisException

from blnk_auth import BlnkAuthError

CORPUS = Path(__file__).parent / "corpus"

LONGEST_MESSAGE = 4_100
"""Characters. No message of an error is longer, regardless of what somebody else has sent."""

_ANY = settings(
    deadline=None,
    database=None,
    # A target may start threads and open files. That is slow for Hypothesis, and not what is looked for.
    suppress_health_check=list(HealthCheck),
    phases=(Phase.reuse, Phase.generate, Phase.shrink),
)
QUICK = settings(_ANY, max_examples=60, derandomize=True)
"""For `make test`: the same few examples each time."""

LONG = settings(_ANY, max_examples=400)
"""One round of `make fuzz`."""


@dataclass(frozen=True)
class Target:
    """Something that parses what others wrote.

    Attributes:
        name: Also that of its file in the corpus.
        inputs: What is tried beside what is derived from the corpus.
        check: Raises for an input that shows a defect.
        words: Strings that choose a case in an input, and are not changed.
        cost: How many times as long as most targets this one takes for an input.
    """

    name: str
    inputs: st.SearchStrategy[Any]
    check: Callable[[Any], object]
    words: frozenset[str] = frozenset()
    cost: int = 1

    @property
    def corpus(self) -> list[Any]:
        """The committed inputs: one Python expression in a line, comments between them."""
        lines = (CORPUS / f"{self.name}.txt").read_text("utf-8").splitlines()
        return [eval(line, {"__builtins__": {}}) for line in lines if line.strip() and not line.startswith("#")]


@dataclass
class Run:
    """What one run over a target found.

    Attributes:
        examples: How many inputs were tried.
        failing: The smallest input that shows a defect; meaningless if `error` is None.
        error: What the check raised for it.
    """

    examples: int = 0
    failing: Any = None
    error: BaseException | None = None

    @property
    def trace(self) -> str:
        """The traceback of `error`, from the check on."""
        return "".join(traceback.format_exception(self.error)) if self.error is not None else ""


def try_corpus(target: Target) -> Run:
    """Try each committed input; ends at the first that shows a defect."""
    found = Run()
    for value in target.corpus:
        found.examples += 1
        try:
            with checked_log():
                target.check(value)
        except Exception as error:
            found.failing, found.error = value, error
            break
    return found


def fuzz(target: Target, inputs: st.SearchStrategy[Any], rules: settings, seed: int | None = None) -> Run:
    """Look for an input that the target's check raises for, and shrink it."""
    found = Run()

    @rules
    @given(inputs)
    def run(value: Any) -> None:
        found.examples += 1
        try:
            with checked_log():
                target.check(value)
        except HypothesisException:
            raise
        except Exception as error:
            # Hypothesis runs the smallest one last.
            found.failing, found.error = value, error
            raise

    if seed is not None:
        run._hypothesis_internal_use_seed = seed
    try:
        run()
    except Exception as error:
        # More than one defect arrives as a group, and so does one that does not show each time.
        found.error = found.error or error
    return found


@contextmanager
def only_our_errors() -> Iterator[None]:
    """What runs here may raise an error of this library, whose text is fit for a terminal and a log, and no other."""
    try:
        yield
    except BlnkAuthError as error:
        check_message(str(error))


class _Lines(logging.Handler):
    """Keeps the lines that are logged."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


@contextmanager
def checked_log() -> Iterator[None]:
    """Keep the lines of the log from the terminal, and check them as the text of an error is checked."""
    logger, kept = logging.getLogger("blnk_auth"), _Lines()
    logger.addHandler(kept)
    logger.propagate = False
    try:
        yield
    finally:
        logger.propagate = True
        logger.removeHandler(kept)
    for line in kept.lines:
        check_message(line)


def check_message(text: str) -> None:
    """The text of an error is short, on one line, and holds nothing that a terminal obeys."""
    assert len(text) <= LONGEST_MESSAGE, f"a message of {len(text)} characters"
    assert text.isprintable(), f"a message that is not printable: {text!r}"
