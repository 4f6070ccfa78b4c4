"""What a program writes by itself while an operation runs: logs, warnings, tracebacks of threads and loops, its output.

Used by the canary's trials. `Watch` listens to the root logger at DEBUG, with every logger of every package below it,
and takes the place of the hooks that print what nobody caught.
"""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import gc
import logging
import sys
import tempfile
import threading
import warnings
from collections.abc import Iterator
from typing import Any

from .sinks import Shown, of_error, of_value


class _Recorder(logging.Handler):
    """Keeps each record as a formatter, a JSON formatter and an error reporter would write it."""

    def __init__(self, shown: list[Shown]) -> None:
        super().__init__(logging.NOTSET)
        self._shown = shown

    def emit(self, record: logging.LogRecord) -> None:
        sink = f"log {record.name}"
        self._shown.append(Shown(sink, record.getMessage()))
        if record.args:
            self._shown.append(Shown(f"{sink} arguments", repr(record.args)))
        if record.exc_info and record.exc_info[1] is not None:
            self._shown += of_error(record.exc_info[1])
        if record.stack_info:
            self._shown.append(Shown(sink, record.stack_info))


class Watch:
    """All that was written while it was entered, as `shown`. May be entered once."""

    def __init__(self) -> None:
        self.shown: list[Shown] = []
        self._dumps = tempfile.TemporaryFile()  # noqa: SIM115 - closed when the watch ends

    @contextlib.contextmanager
    def __call__(self) -> Iterator[None]:
        with contextlib.ExitStack() as stack:
            stack.enter_context(self._logs())
            stack.enter_context(self._hooks())
            caught = stack.enter_context(warnings.catch_warnings(record=True))
            warnings.simplefilter("always")
            yield
            # An object that was left open emits a warning when it is collected.
            gc.collect()
        for each in caught:
            self.shown.append(Shown(f"warning {each.category.__name__}", f"{each.message!r} {each.source!r}"))
        self._dumps.seek(0)
        self.shown.append(Shown("faulthandler", self._dumps.read().decode()))
        self._dumps.close()

    def dump_threads(self) -> None:
        """What `faulthandler` prints of every thread at this moment: the functions, up to Python 3.14 nothing more."""
        faulthandler.dump_traceback(self._dumps, all_threads=True)

    def of_loop(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """An exception handler for event loops."""
        for name, value in context.items():
            self.shown += (Shown(f"asyncio {each.sink}", each.text) for each in of_value(value, name))

    @contextlib.contextmanager
    def _logs(self) -> Iterator[None]:
        root, handler = logging.getLogger(), _Recorder(self.shown)
        # SQLAlchemy gives its own logger a level, so that the root's does not count for it.
        loggers = [root, logging.getLogger("sqlalchemy")]
        before = [each.level for each in loggers]
        root.addHandler(handler)
        for each in loggers:
            each.setLevel(logging.DEBUG)
        try:
            yield
        finally:
            root.removeHandler(handler)
            for each, level in zip(loggers, before, strict=True):
                each.setLevel(level)

    @contextlib.contextmanager
    def _hooks(self) -> Iterator[None]:
        def unraisable(args: Any) -> None:
            self.shown.append(Shown("sys.unraisablehook", f"{args.err_msg} {args.object!r}"))
            if args.exc_value is not None:
                self.shown += of_error(args.exc_value)

        def of_thread(args: threading.ExceptHookArgs) -> None:
            self.shown.append(Shown("threading.excepthook", f"{args.thread!r}"))
            if args.exc_value is not None:
                self.shown += of_error(args.exc_value)

        before = sys.unraisablehook, threading.excepthook
        sys.unraisablehook, threading.excepthook = unraisable, of_thread
        try:
            yield
        finally:
            sys.unraisablehook, threading.excepthook = before
