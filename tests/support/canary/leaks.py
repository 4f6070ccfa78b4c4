"""The canary's search within another test: of an error, or of any strings.

Used by tests whose subject is something else, and that look whether it shows a secret on the way. It looks where the
canary looks (`sinks`), with its search (`marks`); but only at the frames of the package, and also for secrets that are
too short for pieces of them to be searched for.
"""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

import blnk_auth

from .marks import PIECE, Secrets
from .sinks import chain_of, frames_of

PACKAGE_DIRECTORY = str(Path(blnk_auth.__file__).parent)


def everything_in(error: BaseException) -> Iterator[str]:
    """All of an error that a log may show: strings, attributes, notes and our frames' locals, over the whole chain."""
    for each in chain_of(error):
        yield f"{each!r} {each} {each.args!r} {vars(each)!r}"
        yield from _locals_of_ours(each)


def leaks(texts: Iterable[object], secrets: Iterable[str]) -> list[str]:
    """The strings that contain one of the secrets; of a long one also in other encodings, and any piece of it."""
    looked_for, marked = tuple(secrets), Secrets()
    assert looked_for
    for secret in looked_for:
        if len(secret) >= PIECE:
            marked.add("secret", secret)
    return [text for text in map(str, texts) if any(each in text for each in looked_for) or marked.found_in(text)]


@contextlib.contextmanager
def no_secret_shown(secret: str) -> Iterator[None]:
    """The block raises, and no frame of the package that the error shows has the secret in a local variable."""
    with pytest.raises(Exception) as raised:  # noqa: PT011 - which error it is, other tests ask
        yield
    error = raised.value
    assert leaks([shown.text for shown in frames_of(error) if " of blnk_auth." in shown.sink], [secret]) == []
    assert secret not in f"{error} {error!r}"


def _locals_of_ours(error: BaseException) -> Iterator[str]:
    # Not through `frames_of`: some of these tests have values in their own frames that no repr can show.
    for frame, _ in traceback.walk_tb(error.__traceback__):
        if frame.f_code.co_filename.startswith(PACKAGE_DIRECTORY):
            for name, value in frame.f_locals.items():
                yield f"local {name} of {frame.f_code.co_qualname}: {_shown(value)}"


def _shown(value: object) -> str:
    try:
        return repr(value)
    except Exception as error:
        # An object whose `__init__` failed, as debuggers show it too.
        return f"<{type(value).__name__}: {error!r}>"
