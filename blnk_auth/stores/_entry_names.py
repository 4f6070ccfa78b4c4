"""A safe name for any key, for stores whose backend restricts names: files, keyrings, key-value services.

Used by `FileStore`, `KeyringStore` and `KeyValueStore`. It promises that a name is lower-case ASCII of at most 57
characters, so no file system and no backend changes a name or confuses two names. A name begins with the kind of the
record, which is the part of the key before its first slash. So a listing of one kind need not open records of other
kinds. A name never shows the rest of the key.
"""

from __future__ import annotations

import hashlib
import re

_KIND = re.compile(r"[a-z0-9_]{1,24}", re.ASCII)
_NO_KIND = "other"
_NAME = re.compile(r"[a-z0-9_]{1,24}-[0-9a-f]{32}", re.ASCII)


def name_of(key: str) -> str:
    """The name of `key`; no two keys share one."""
    digest = hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:32]
    return f"{_kind(key)}-{digest}"


def is_name(text: str) -> bool:
    """Whether `name_of` could have returned this."""
    return _NAME.fullmatch(text) is not None


def may_begin_with(name: str, prefix: str) -> bool:
    """False if no key with this name begins with `prefix`."""
    return "/" not in prefix or name.partition("-")[0] == _kind(prefix)


def _kind(key: str) -> str:
    kind, slash, _ = key.partition("/")
    return kind if slash and _KIND.fullmatch(kind) else _NO_KIND
