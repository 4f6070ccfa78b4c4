"""References in the configuration file: `${NAME}` to the environment, `keyring:service/name` to the keyring.

Used by profiles, and by `blnk-auth init`. It promises that the environment is read when a profile is loaded, and the
keyring when the value is needed. It never shows a secret in an error.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, cast

from ..errors._extras import import_failure

_REFERENCE = re.compile(r"\$\$\{|\$\{([^}]*)\}?")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_BARE = re.compile(r"\$([A-Z_][A-Z0-9_]*)")
_KEYRING = "keyring:"


class UnresolvedReference(Exception):
    """A reference that cannot be resolved. The caller, which knows the file and the key, makes a `ConfigurationError`.

    Args:
        problem: What is wrong, to be read after the name of the key.
        remedy: What to do about it.
    """

    def __init__(self, problem: str, remedy: str | None = None) -> None:
        super().__init__(problem, remedy)
        self.problem = problem
        self.remedy = remedy


def expand(value: Any, environment: Mapping[str, str]) -> Any:
    """The value with each `${NAME}` in its strings replaced; `$${` becomes `${`. Raises `UnresolvedReference`."""
    if isinstance(value, str):
        bare = _BARE.fullmatch(value)
        if bare is not None and bare[1] in environment:
            raise UnresolvedReference(f"is written ${bare[1]}, which is not replaced", f"write ${{{bare[1]}}}")
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
        raise UnresolvedReference("has a ${ that does not begin a ${NAME}", "write $${ for a literal ${")
    if name not in environment:
        raise UnresolvedReference(
            f"refers to the environment variable {name}, which is not set", "set it and run again"
        )
    return environment[name]


def is_plain(text: str) -> bool:
    """Whether the text contains more than references."""
    return not is_in_keyring(text) and bool(_REFERENCE.sub("", text))


def has_reference(text: str) -> bool:
    """Whether the text has a reference."""
    return is_in_keyring(text) or bool(_REFERENCE.search(text))


def is_in_keyring(text: str) -> bool:
    """Whether the text is a reference to an entry of the keyring."""
    return text.startswith(_KEYRING)


def from_keyring(reference: str) -> Callable[[], str]:
    """A callable that reads the entry at each call. Both raise `UnresolvedReference`."""
    service, slash, name = reference.removeprefix(_KEYRING).rpartition("/")
    if not slash or not service.strip("/") or not name:
        raise UnresolvedReference("is not a complete reference to the keyring", "write keyring:service/name")
    try:
        import keyring
    except ImportError as error:
        raise UnresolvedReference(
            str(import_failure("refers to the keyring, which", "keyring", "keyring", error))
        ) from None

    def read() -> str:
        try:
            secret = keyring.get_password(service, name)
        except Exception as error:  # noqa: BLE001 - each backend raises its own, and the text may contain the secret
            failure = UnresolvedReference(
                f"refers to the keyring, which cannot be read ({type(error).__name__})",
                "check with `keyring diagnose` that this machine has one, and unlock it, or write ${NAME} instead",
            )
        else:
            if isinstance(secret, str):
                return secret
            failure = UnresolvedReference(
                "refers to an entry that the keyring does not have", f"create it: keyring set {service} {name}"
            )
        raise failure

    return read
