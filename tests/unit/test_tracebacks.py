"""An error shows no secret in any traceback: no local variable of our frames has one (promise 8)."""

from __future__ import annotations

import asyncio
import traceback
from types import ModuleType
from typing import Any

import pytest
from support.canary.leaks import PACKAGE_DIRECTORY, no_secret_shown

from blnk_auth.errors import clears_locals

SECRET = "s3cret-of-alice"

CODE = """
from blnk_auth.errors import clears_locals

def deeper(secret):
    doubled = secret + secret
    raise ValueError("bad")

@clears_locals
def function(secret, *, named=None):
    kept = [secret]
    deeper(secret)

@clears_locals
async def coroutine(secret):
    kept = [secret]
    deeper(secret)

def chained(secret):
    try:
        deeper(secret)
    except ValueError as error:
        raise TypeError("worse") from error

@clears_locals
class Thing:
    def __init__(self, secret=None):
        if secret:
            deeper(secret)

    def method(self, secret):
        deeper(secret)

    @classmethod
    def of(cls, secret):
        deeper(secret)

    @staticmethod
    def static(secret):
        deeper(secret)

    @property
    def value(self):
        chained(self.secret)

    def outer(self, secret):
        kept = secret
        self.method(secret)

    def items(self, secret):
        yield secret
"""


@pytest.fixture(scope="module")
def ours() -> ModuleType:
    """A module that is in the package, as far as its frames show."""
    module = ModuleType("blnk_auth.of_a_test")
    exec(compile(CODE, f"{PACKAGE_DIRECTORY}/of_a_test.py", "exec"), vars(module))
    return module


@pytest.mark.parametrize(
    "act",
    [
        lambda ours: ours.function(SECRET),
        lambda ours: ours.function("x", named=SECRET),
        lambda ours: asyncio.run(ours.coroutine(SECRET)),
        lambda ours: ours.Thing(SECRET),
        lambda ours: ours.Thing().method(SECRET),
        lambda ours: ours.Thing().outer(SECRET),
        lambda ours: ours.Thing.of(SECRET),
        lambda ours: ours.Thing.static(SECRET),
        lambda ours: property_of(ours.Thing()),
    ],
    ids="function named coroutine constructor method nested classmethod staticmethod property".split(),
)
def test_a_decorated_function_shows_no_local_variable(ours: ModuleType, act: Any) -> None:
    """Its own, those of what it calls, and those of an error that the error is chained to."""
    with no_secret_shown(SECRET):
        act(ours)


def property_of(thing: Any) -> object:
    """Reads a property that raises."""
    thing.secret = SECRET
    return thing.value


def test_without_the_decorator_it_would_be_shown(ours: ModuleType) -> None:
    """The test sees what it looks for."""
    with pytest.raises(AssertionError), no_secret_shown(SECRET):
        ours.deeper(SECRET)


def test_frames_of_others_are_left_alone() -> None:
    """A debugger shows a user's own variables as ever, also those of a callback that we call."""

    def callback(secret: str) -> None:
        raise ValueError("of the user")

    with pytest.raises(ValueError, match="of the user") as raised:
        clears_locals(callback)(SECRET)
    shown = traceback.TracebackException.from_exception(raised.value, capture_locals=True)
    assert [frame.locals for frame in shown.stack if frame.name == "callback"] == [{"secret": repr(SECRET)}]


def test_the_function_is_the_same_otherwise(ours: ModuleType) -> None:
    """It keeps its name, its signature, what it returns, and being a coroutine function; generators are not touched."""

    @clears_locals
    def add(one: int, two: int = 2) -> int:
        """Adds."""
        return one + two

    assert (add(1), add(1, two=4), add.__name__, add.__doc__) == (3, 5, "add", "Adds.")
    assert asyncio.iscoroutinefunction(ours.coroutine)
    assert list(ours.Thing().items("x")) == ["x"]
