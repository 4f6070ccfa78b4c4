"""The canary would find a leak: each encoding is seen through, each sink is looked at, and each protection is needed.

A leak is sown in one place after another: the table must show it there. And with one protection of the library taken
away after another, some row of the table must be red.
"""

from __future__ import annotations

import asyncio
import dataclasses
import gc
import logging
import threading
import warnings
from collections.abc import Callable
from typing import Any

import pytest
from support.canary.exceptions import EXCEPTIONS, is_excepted
from support.canary.marks import ENCODINGS, PIECE, Secrets, marked
from support.canary.rows import ROWS
from support.canary.server import Server
from support.canary.table import Row, Trial, leaks_of
from support.canary.world import World

from blnk_auth import Event, Token
from blnk_auth._protocol import redaction, response_errors
from blnk_auth.errors import _tracebacks

SECRET = marked("of the search", '/+"<&%')


# --- the search ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("around", ["{}", 'x="{}"', "é {} é", "https://a.test/?a={}&b"])
def test_every_encoding_is_seen_through(encoding: str, around: str) -> None:
    """As a server, a proxy or a log may write a secret, with anything around it."""
    secrets = Secrets()
    secrets.add("secret", SECRET)
    assert [found.kind for found in secrets.found_in(around.format(ENCODINGS[encoding](SECRET)))] == ["secret"]


@pytest.mark.parametrize("outer", ["percent", "JSON", "HTML", "base64", "hexadecimal"])
@pytest.mark.parametrize("inner", ["percent", "JSON", "HTML", "base64", "hexadecimal"])
def test_two_encodings_are_seen_through(inner: str, outer: str) -> None:
    """One in the other."""
    secrets = Secrets()
    secrets.add("secret", SECRET)
    assert secrets.found_in(f"a {ENCODINGS[outer](ENCODINGS[inner](SECRET))} b")


@pytest.mark.parametrize("start", range(len(SECRET) - PIECE + 1))
def test_every_piece_is_found(start: int) -> None:
    """Twelve characters, wherever they begin; eleven are not searched for."""
    secrets = Secrets()
    secrets.add("secret", SECRET)
    for shift in range(8):
        assert secrets.found_in("." * shift + SECRET[start : start + PIECE])
    assert secrets.found_in(SECRET[start : start + PIECE - 1]) == []


def test_other_strings_have_no_secret() -> None:
    """Prose, paths and other secrets are not taken for one."""
    secrets = Secrets()
    secrets.add("secret", SECRET)
    assert secrets.found_in(f"{__doc__} {__file__} {marked('another')} {SECRET[::-1]}" * 20) == []


# --- each sink -------------------------------------------------------------------------------------------------------


class Leaky:
    """Shows its value wherever asked."""

    def __init__(self, value: str) -> None:
        self.value = value


class LeakyRepr(Leaky):
    """In its repr alone."""

    def __repr__(self) -> str:
        return f"<{self.value}>"


@dataclasses.dataclass
class LeakyData:
    """In a field that its repr leaves out."""

    value: str = dataclasses.field(repr=False)


class LeakyCopy:
    """In its copy alone."""

    def __init__(self, value: str) -> None:
        self._hide = lambda: value

    def __copy__(self) -> object:
        return LeakyRepr(self._hide())

    def __deepcopy__(self, memo: object) -> object:
        return LeakyRepr(self._hide())


def _raised(error: BaseException) -> BaseException:
    try:
        raise error
    except BaseException as caught:
        return caught


def _chained(secret: str) -> BaseException:
    try:
        raise ValueError(secret)
    except ValueError:
        return _raised(TypeError("no secret in it"))


def _with_note(secret: str) -> BaseException:
    error = ValueError("no secret in it")
    error.add_note(secret)
    return error


def _in_a_frame(secret: str) -> BaseException:
    code = compile("def shows(value):\n raise ValueError('no secret in it')", "/site-packages/other.py", "exec")
    names: dict[str, Any] = {}
    exec(code, names)
    try:
        names["shows"](secret)
    except ValueError as error:
        return error
    raise AssertionError


def _log(secret: str) -> None:
    logging.getLogger("any.package").debug("sent %s", secret)


def _log_of_sqlalchemy(secret: str) -> None:
    logging.getLogger("sqlalchemy.engine.Engine").debug("Row %r", (secret,))


def _warn(secret: str) -> None:
    warnings.warn(f"odd: {secret}", stacklevel=1)


def _unraisable(secret: str) -> None:
    class Dying:
        def __del__(self) -> None:
            raise ValueError(secret)

    Dying()
    gc.collect()


def _in_a_thread(secret: str) -> None:
    def die() -> None:
        raise ValueError(secret)

    thread = threading.Thread(target=die)
    thread.start()
    thread.join()


async def _in_a_task(secret: str) -> None:
    async def die() -> None:
        raise ValueError(secret)

    task = asyncio.get_running_loop().create_task(die())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    del task
    gc.collect()


def _left_open(secret: str) -> None:
    class Connection:
        def __del__(self) -> None:
            warnings.warn(f"{secret} is left open", ResourceWarning, stacklevel=1, source=self)

    Connection()


SEEDS: dict[str, Callable[[str], Any]] = {
    "repr": LeakyRepr,
    "vars": Leaky,
    "asdict": LeakyData,
    "copy": LeakyCopy,
    "str": lambda secret: type("Text", (), {"__str__": lambda self: secret, "__slots__": ()})(),
    "pickle": lambda secret: Token(secret, extra={"x": secret}),
    "pprint and rich": lambda secret: {"list": [LeakyRepr(secret)]},
    "an error": ValueError,
    "the chain of an error": _chained,
    "a note of an error": _with_note,
    "a group of errors": lambda secret: ExceptionGroup("all", [ValueError("x"), _raised(TypeError(secret))]),
    "a frame of an error": _in_a_frame,
    "an event": lambda secret: Event("renewed", "key", secret),
    "the error of an event": lambda secret: Event("renewed", "key", error=ValueError(secret)),
    "the log": _log,
    "SQLAlchemy's log": _log_of_sqlalchemy,
    "a warning": _warn,
    "sys.unraisablehook": _unraisable,
    "threading.excepthook": _in_a_thread,
    "asyncio's exception handler": _in_a_task,
    "a resource left open": _left_open,
}


@pytest.mark.parametrize("seed", SEEDS)
def test_every_sink_is_looked_at(seed: str, server: Server) -> None:
    """A row that leaks there, and nowhere else, is red."""
    sow = SEEDS[seed]

    def sync_operation(world: World) -> object:
        return sow(world.secrets.new("seed"))

    async def async_operation(world: World) -> object:
        return await sow(world.secrets.new("seed"))

    operation = async_operation if asyncio.iscoroutinefunction(sow) else sync_operation
    leaks = leaks_of(Trial(Row("a seed", operation), None), server)
    assert leaks, f"a leak in {seed} is not seen"
    assert all("seed in" in leak for leak in leaks)


def test_faulthandler_is_looked_at(server: Server) -> None:
    """Up to Python 3.13 it prints the names of functions only: one that is named after a secret is found."""
    name = marked("of faulthandler", "____")

    def operation(world: World) -> object:
        world.secrets.add("seed", name)
        names: dict[str, Any] = {"dump": world.watch.dump_threads}
        exec(f"def f_{name}():\n dump()", names)
        return names[f"f_{name}"]() and None

    leaks = leaks_of(Trial(Row("a seed", operation), None), server)
    assert [leak for leak in leaks if "faulthandler" in leak] == leaks != []


# --- each protection is needed ---------------------------------------------------------------------------------------


def _trial(name: str, failure: str | None = None) -> Trial:
    (found,) = [each for each in ROWS if each.name == name]
    assert failure is None or failure in found.failures
    return Trial(found, failure)


def _nothing(*_: Any, **__: Any) -> None:
    return None


PROTECTIONS: dict[str, tuple[Callable[[pytest.MonkeyPatch], object], Trial]] = {
    "clearing of frames": (
        lambda patch: patch.setattr(_tracebacks, "_clear_frames", _nothing),
        _trial("a secret for HttpxAuth()"),
    ),
    "redaction of a description": (
        lambda patch: patch.setattr(response_errors, "clean_text", lambda text, _: text),
        _trial("a renewal", "token: error_description quotes it in plain"),
    ),
    "search for pieces": (
        lambda patch: patch.setattr(redaction, "holds_piece", lambda *_: False),
        _trial("a renewal that is refused", "token: error_description quotes it in its middle"),
    ),
    "hidden values": (
        lambda patch: patch.setattr(_tracebacks.Redacted, "__repr__", str.__repr__),
        _trial("SQLStore on SQLite used"),
    ),
}


@pytest.mark.parametrize("protection", PROTECTIONS)
def test_a_protection_is_needed(protection: str, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it a row is red, and with it the same row is green."""
    take_away, trial = PROTECTIONS[protection]
    assert leaks_of(trial, server) == []
    take_away(monkeypatch)
    assert leaks_of(trial, server) != []


def test_exceptions_are_narrow() -> None:
    """Each has a reason; none is for the message of an error, events, our own log or our own frames."""
    assert all(each.reason for each in EXCEPTIONS)
    for sink in (
        *("repr of error SignInRequired", "traceback", "repr of Event", "log blnk_auth", "rich text", "repr of Token"),
        *("local token of blnk_auth.source:token", "output of status", "repr of OAuthClient"),
    ):
        assert [kind for kind in ("access token", "refresh token", "client secret") if is_excepted(sink, kind)] == []
