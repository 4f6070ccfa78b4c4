"""What the file refers to instead of saying it: `${NAME}` in the environment, `keyring:service/name` in the keyring."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Mapping
from typing import Any, cast

from ..errors import import_failure

_REFERENCE = re.compile(r"\$\$\{|\$\{([^}]*)\}?")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_KEYRING = "keyring:"


class Unresolved(Exception):
    """Says what is wrong with a reference, for whoever knows the file and the key."""


def expand(value: Any, environment: Mapping[str, str]) -> Any:
    """The value with each `${NAME}` in its texts replaced; `$${` stands for `${`. Raises `Unresolved`."""
    if isinstance(value, str):
        return _REFERENCE.sub(lambda found: _variable(found, environment), value)
    if isinstance(value, list):
        return [expand(each, environment) for each in value]  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, dict):
        return {key: expand(each, environment) for key, each in cast("dict[str, Any]", value).items()}
    return value


def _variable(found: re.Match[str], environment: Mapping[str, str]) -> str:
    name = found[1]
    if name is None:
        return "${"
    if not found[0].endswith("}") or not _NAME.fullmatch(name):
        raise Unresolved("has a ${ that begins no ${NAME}; write $${ if it stands for itself")
    if name not in environment:
        raise Unresolved(f"refers to the environment variable {name}, which is not set; set it and run again")
    return environment[name]


def is_plain(text: str) -> bool:
    """Whether the text itself says something, beside what it refers to."""
    return not is_in_keyring(text) and bool(_REFERENCE.sub("", text))


def has_reference(text: str) -> bool:
    """Whether the text refers to anything."""
    return is_in_keyring(text) or bool(_REFERENCE.search(text))


def is_in_keyring(text: str) -> bool:
    """Whether the text names an entry of the keyring."""
    return text.startswith(_KEYRING)


def from_keyring(reference: str) -> Callable[[], str]:
    """A callable that reads the entry at each call. It raises `Unresolved`, as this function does at once."""
    service, slash, name = reference.removeprefix(_KEYRING).rpartition("/")
    if not slash or not service.strip("/") or not name:
        raise Unresolved("must be written keyring:service/name")
    try:
        keyring: Any = importlib.import_module("keyring")
    except ImportError as error:
        raise Unresolved(str(import_failure("refers to the keyring, which", "keyring", "keyring", error))) from None

    def read() -> str:
        try:
            secret = keyring.get_password(service, name)
        except Exception as error:  # noqa: BLE001 - each backend raises its own, and the text may hold the secret
            failure = (
                f"refers to the keyring, which cannot be read ({type(error).__name__}); see with `keyring diagnose` "
                "that this machine has one, and unlock it, or write ${NAME} instead"
            )
        else:
            if isinstance(secret, str):
                return secret
            failure = f"refers to an entry that the keyring does not have; make it: keyring set {service} {name}"
        raise Unresolved(failure)

    return read
