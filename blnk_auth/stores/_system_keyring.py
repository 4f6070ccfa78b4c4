"""Finds this machine's keyring, and checks that it is safe to use.

Used by `KeyringStore` unless it is given a backend; needs the package keyring. If there is no safe keyring, it raises
an error with a remedy. It never returns a keyring that stores plain text, or stores nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import keyring
from keyring.backends import fail, null
from keyring.backends.chainer import ChainerBackend

from ..errors import StoreError
from ._keyring_entries import REMEDY

if TYPE_CHECKING:
    from keyring.backend import KeyringBackend

_RECOMMENDED = 1
"""The package keyring gives a lower priority to backends that it does not recommend, such as plain text files."""


def system_keyring() -> KeyringBackend:
    """The keyring of this machine. Raises `StoreError` if there is none that is safe."""
    try:
        backend = cast("Any", keyring.get_keyring())
        if isinstance(backend, ChainerBackend):
            # The chainer writes to the first of its keyrings and reads from all of them, so only the first is used.
            backend = cast("Any", backend.backends)[0]
        priority = float(backend.priority)
    except Exception as error:  # noqa: BLE001 - backends are plug-ins
        failure = StoreError(
            f"no keyring can be used here ({type(error).__name__})", parameter="backend", remedy=REMEDY
        )
    else:
        if isinstance(backend, (fail.Keyring, null.Keyring)):
            raise StoreError("there is no keyring here", parameter="backend", remedy=REMEDY)
        if priority < _RECOMMENDED:
            raise StoreError(
                f"the keyring here, {type(backend).__module__}.{type(backend).__qualname__}, is not one that the "
                "package keyring recommends: it may keep tokens in plain text",
                parameter="backend",
                remedy=f"pass it as backend= if that is what you want; else {REMEDY}",
            )
        return cast("KeyringBackend", backend)
    raise failure
