"""Targets: pickles of this library with some bits flipped, as a bad disk or a cut transfer leaves them.

A pickle can name anything, so nothing is promised about pickles that somebody made on purpose: what is unpickled here
may name this package and little else.
"""

from __future__ import annotations

import io
import pickle
from functools import cache
from typing import Any

from fuzz.target import Target, check_message
from hypothesis import strategies as st
from support.pickled import EARLIER, ERRORS, VALUES

from blnk_auth import BlnkAuthError, MemoryStore, OAuthClient, RequestsAuth
from blnk_auth.stores import FileStore

_ALLOWED = {"builtins": {"bytes", "dict", "frozenset", "list", "set", "tuple", "bytearray"}, "functools": {"partial"}}


class _Unpickler(pickle._Unpickler):  # type: ignore[name-defined, misc]
    """In Python, so that a traceback shows who raised, and no index of a memo costs gigabytes."""

    def find_class(self, module: str, name: str) -> Any:
        if module.split(".", maxsplit=1)[0] == "blnk_auth" or name in _ALLOWED.get(module, ()):
            try:
                return super().find_class(module, name)
            except (AttributeError, ImportError) as error:
                raise pickle.UnpicklingError("there is no such name") from error
        raise pickle.UnpicklingError(f"{module}.{name} is not allowed here")


@cache
def pickles() -> tuple[bytes, ...]:
    """What is pickled, in the oldest and the newest protocol, and what earlier commits made."""
    import base64

    from support.providers import acme

    client = OAuthClient(acme(), client_id="id", client_secret=str, store=MemoryStore())
    values = [*VALUES.values(), *ERRORS, client, client.for_subject("alice"), client.for_itself(scope="a")]
    values += [RequestsAuth(client.for_subject("alice")), MemoryStore()]
    made = [pickle.dumps(value, protocol) for value in values for protocol in (2, 5)]
    return (*made, *(base64.b64decode(text) for text in EARLIER.values()))


def check_pickle(value: bytes) -> None:
    """An error is ours, or pickle's own: no frame of this package raises anything else."""
    try:
        made = _Unpickler(io.BytesIO(value)).load()
    except BlnkAuthError as error:
        check_message(str(error))
        return
    except pickle.UnpicklingError:
        return
    except Exception as error:
        assert not _raised_by_us(error), f"{type(error).__name__} in this package: {error}"
        return
    if isinstance(made, FileStore):
        return
    pickle.loads(pickle.dumps(made)) if type(made).__module__ == "blnk_auth.policy" else None


def _raised_by_us(error: BaseException) -> bool:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is not None and isinstance(error, TypeError) and trace.tb_frame.f_code.co_name == "__init__":
        # An error is pickled as a call of its class, and Python names the argument that is wrong.
        return not isinstance(trace.tb_frame.f_locals.get("self"), BlnkAuthError)
    return trace is not None and trace.tb_frame.f_globals.get("__name__", "").partition(".")[0] == "blnk_auth"


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A pickle with up to four bits flipped, or cut short."""
    made = bytearray(draw(st.sampled_from(pickles())))
    for _ in range(draw(st.integers(1, 4))):
        made[draw(st.integers(0, len(made) - 1))] ^= 1 << draw(st.integers(0, 7))
    return bytes(made[: draw(st.integers(0, len(made)))]) if draw(st.integers(0, 9)) == 9 else bytes(made)


TARGETS = (Target("damaged_pickle", damaged(), check_pickle),)
