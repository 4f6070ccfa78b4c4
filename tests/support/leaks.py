"""Looking for secrets in what an error or an object shows.

Used by every test of the promise that secrets stay out of repr, str, logs, exception chains and our frames' locals.
"""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

import blnk_auth

PACKAGE_DIRECTORY = str(Path(blnk_auth.__file__).parent)


def everything_in(error: BaseException) -> Iterator[str]:
    """All of an error that a log may show: strings, attributes, notes and our frames' locals, over the whole chain."""
    queue: list[BaseException] = [error]
    seen: set[int] = set()
    while queue:
        each = queue.pop()
        if id(each) in seen:
            continue
        seen.add(id(each))
        yield f"{each!r} {each} {each.args!r} {vars(each)!r}"
        yield from _locals_of_ours(each)
        queue += [other for other in (each.__cause__, each.__context__) if other is not None]


def _locals_of_ours(error: BaseException) -> Iterator[str]:
    trace = error.__traceback__
    while trace is not None:
        frame = trace.tb_frame
        if frame.f_code.co_filename.startswith(PACKAGE_DIRECTORY):
            for name, value in frame.f_locals.items():
                yield f"local {name} of {frame.f_code.co_qualname}: {_shown(value)}"
        trace = trace.tb_next


def _shown(value: object) -> str:
    try:
        return repr(value)
    except Exception as error:
        # An object whose `__init__` failed, as debuggers show it too.
        return f"<{type(value).__name__}: {error!r}>"


def leaks(texts: Iterable[object], secrets: Iterable[str]) -> list[str]:
    """The strings that contain one of the secrets."""
    looked_for = tuple(secrets)
    assert looked_for
    return [text for text in map(str, texts) if any(secret in text for secret in looked_for)]


@contextlib.contextmanager
def no_secret_shown(secret: str) -> Iterator[None]:
    """The block raises, and no frame of the package that the error shows has the secret in a local variable."""
    with pytest.raises(Exception) as raised:  # noqa: PT011 - which error it is, other tests ask
        yield
    error = raised.value
    frames = [
        f"{frame.name}: {name} = {value}"
        for each in traceback_chain(error)
        for frame in traceback.TracebackException.from_exception(each, capture_locals=True).stack
        if frame.filename.startswith(PACKAGE_DIRECTORY)
        for name, value in (frame.locals or {}).items()
    ]
    assert not [frame for frame in frames if secret in frame]
    assert secret not in f"{error} {error!r}"


def traceback_chain(error: BaseException | None) -> Iterator[BaseException]:
    """The error, and all that it is chained to."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
