"""Which keyring this machine has, and whether it is safe to use.

Used by `KeyringStore` unless it is given a backend; needs the package keyring. It promises an error with a remedy where
there is no safe keyring. It never returns a keyring that keeps plain text, or nothing.
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
"""keyring gives backends that it does not recommend, plain text files among them, a lower priority."""


def system_keyring() -> KeyringBackend:
    """The keyring of this machine. Raises `StoreError` if there is none that is safe."""
    try:
        backend = cast("Any", keyring.get_keyring())
        if isinstance(backend, ChainerBackend):
            # It writes to the first of its keyrings and reads from all of them, so only the first is used.
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
