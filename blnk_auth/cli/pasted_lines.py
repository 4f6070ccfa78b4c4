"""Reads the lines that a user pastes into a terminal, however long they are.

Used by `login`. A terminal in its usual mode cuts a line after 4,095 bytes (1,024 on macOS) without an error, and a cut
authorization code is still sent, and spent. So the terminal's line editor is switched off while the address is awaited,
and its basic keys are implemented here. What this file promises:

* The terminal has its former mode again when `long_lines` has ended, also after an error.
* Ctrl-C interrupts, as always.
* A line never has more than 65,536 bytes.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress

_STDIN, _STDERR = 0, 2
_LONGEST = 65_536

_END_OF_INPUT = 4
_ERASE = (8, 127)
_ERASE_LINE = 21
_NEWLINES = (10, 13)


@contextmanager
def long_lines() -> Generator[bool]:
    """Switch the line editor of the terminal off. Yields whether there was one, so that `read_line` must edit."""
    if sys.platform == "win32" or not os.isatty(_STDIN):
        yield False
        return
    import termios

    former = termios.tcgetattr(_STDIN)
    changed = [*former]
    changed[3] &= ~(termios.ICANON | termios.ECHO)
    termios.tcsetattr(_STDIN, termios.TCSADRAIN, changed)
    try:
        yield True
    finally:
        # TCSADRAIN keeps what was typed ahead.
        termios.tcsetattr(_STDIN, termios.TCSADRAIN, former)


def read_line(*, edits: bool) -> str | None:
    """The next line of standard input; None at its end.

    Read without Python's buffer: a thread that waits here would still have its lock when the interpreter ends.

    Args:
        edits: Whether the terminal has no line editor, as `long_lines` yields.
    """
    line = bytearray()
    while (read := _read()) is not None:
        if edits:
            if read[0] in _NEWLINES or (read[0] == _END_OF_INPUT and line):
                _echo(b"\r\n")
                return _text(line)
            if read[0] == _END_OF_INPUT:
                return None
            _edit(line, read)
        elif read == b"\n":
            return _text(line)
        elif len(line) < _LONGEST:
            line += read
    return _text(line) if line else None


def _read() -> bytes | None:
    """The next byte; None at the end of the input, and if there is no input."""
    # One at a time: the bytes after the line belong to the next one.
    with suppress(OSError):
        return os.read(_STDIN, 1) or None
    return None


def _edit(line: bytearray, read: bytes) -> None:
    if read[0] in _ERASE:
        if line:
            _echo(b"\b \b")
        # A character may have several bytes; all but the first are 0b10xxxxxx.
        while line and line.pop() & 0xC0 == 0x80:
            pass
    elif read[0] == _ERASE_LINE:
        line.clear()
        _echo(b"^U\r\n")
    elif read[0] >= 32 and len(line) < _LONGEST:
        line += read
        _echo(read)


def _echo(echoed: bytes) -> None:
    with suppress(OSError):
        os.write(_STDERR, echoed)


def _text(line: bytearray) -> str:
    return line.decode("utf-8", "replace").strip()
