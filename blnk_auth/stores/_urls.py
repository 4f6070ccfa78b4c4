"""A store named by a URL, for command lines and configuration files.

Used by `blnk-auth`, by profiles, and by programs through `blnk_auth.stores.open_store`. It promises that only the
packages that a store needs are imported. It never shows a URL in an error, since it may contain a password.

sqlite:///tokens.db                         SQLiteStore; a fourth slash makes the path absolute, as SQLAlchemy has it
file:///home/me/.local/state/acme/tokens    FileStore; the path is absolute (RFC 8089), and may begin with /~/
                                            either may end in ?check_permissions=false
postgresql+psycopg://user:secret@host/name  SQLStore, as does mysql+pymysql:// and any other URL of SQLAlchemy
redis://host:6379/0                         RedisStore, as does rediss://
keyring:acme                                KeyringStore of the service "acme"
memory:                                     MemoryStore
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from difflib import get_close_matches
from pathlib import Path
from urllib.parse import unquote, urlsplit

from ..errors import ConfigurationError, clears_locals, is_text, kind_of
from ..errors._pickling import public
from ._token_store import TokenStore

_PERMISSIONS = "check_permissions="

KNOWN = (
    "sqlite:///path",
    "file:///path",
    "postgresql+psycopg://user:password@host/database",
    "mysql+pymysql://user:password@host/database",
    "redis://host:port/number",
    "rediss://host:port/number",
    "keyring:service",
    "memory:",
)


@public
@clears_locals
def open_store(url: str, *, create: bool = True) -> TokenStore:
    """Open the store that a URL names. Only the packages that it needs are imported. May be called from any thread.

    Args:
        url: The URL, such as `"sqlite:///tokens.db"`; the how-to "Move tokens" lists every kind.
        create: False refuses a file or directory that does not exist. True, the default, creates it.

    Returns:
        The store.

    Raises:
        ConfigurationError: The URL does not name a store, or a package that it needs is missing.
        StoreError: The store cannot be opened.
    """
    if not isinstance(url, str):
        raise ConfigurationError(
            f"url must be a string, not {kind_of(url)}",
            parameter="url",
            remedy=f"known are {', '.join(KNOWN)}",
        )
    scheme, colon, _ = url.partition(":")
    opener = _OPENERS.get(scheme.lower().partition("+")[0])
    if not colon or opener is None or ("+" in scheme and opener is not _sql):
        # Not the URL itself, which may contain a password.
        named = repr(scheme) if colon else "a string without a colon"
        raise ConfigurationError(
            f"{named} does not name a kind of store",
            parameter="url",
            remedy=f"{_suggestion(scheme, colon)}known are {', '.join(KNOWN)}",
        )
    return opener(url, create)


def _suggestion(scheme: str, colon: str) -> str:
    if not colon or len(scheme) == 1:
        # Most likely a path, of Windows if it begins with a drive.
        return "a file is written sqlite:///tokens.db; "
    similar = get_close_matches(scheme.lower().partition("+")[0], _OPENERS, 1)
    return f"did you mean {similar[0]}:? " if similar else ""


def sqlite_path(url: str) -> Path | None:
    """The database file that a URL names; None for another kind of store, and for an invalid URL."""
    if url.partition(":")[0].lower() != "sqlite":
        return None
    with suppress(ConfigurationError, RuntimeError):
        return Path(_path(url).removeprefix("/")).expanduser()
    return None


def _sqlite(url: str, create: bool) -> TokenStore:
    from ._sqlite import SQLiteStore

    return SQLiteStore(_existing(_path(url).removeprefix("/"), create), check_permissions=_checks_permissions(url))


def _file(url: str, create: bool) -> TokenStore:
    from ._file import FileStore

    path = _path(url)
    # Remove the slash before a home directory (`/~`) or a Windows drive letter (`/C:`).
    has_no_slash = path.startswith("/~") or path[2:3] == ":"
    directory = _existing(path.removeprefix("/") if has_no_slash else path, create)
    return FileStore(directory, check_permissions=_checks_permissions(url))


def _sql(url: str, _create: bool) -> TokenStore:
    from ._sql import SQLStore

    return SQLStore(url)


def _redis(url: str, _create: bool) -> TokenStore:
    from ._redis import RedisStore

    return RedisStore(url)


def _keyring(url: str, _create: bool) -> TokenStore:
    from ._keyring import KeyringStore

    return KeyringStore(unquote(url.partition(":")[2]))


def _memory(_url: str, _create: bool) -> TokenStore:
    from ._memory import MemoryStore

    return MemoryStore()


def _path(url: str) -> str:
    scheme, _, rest = url.partition(":")
    try:
        split = urlsplit(url)
        path = "" if split.netloc or not rest.startswith("//") else unquote(split.path)
    except ValueError:
        path = ""
    if not path.strip("/") or "\0" in path or not is_text(path):
        raise ConfigurationError(
            f"this {scheme} URL has a host, or no usable path",
            parameter="url",
            remedy=f"write it as {scheme}:///path, with three slashes",
        )
    return path


def _checks_permissions(url: str) -> bool:
    """The value of `check_permissions` in the query of a URL; True if it has none."""
    scheme, _, query = url.partition("?")
    values = {"": True, _PERMISSIONS + "true": True, _PERMISSIONS + "false": False}
    if query not in values:
        raise ConfigurationError(
            f"this {scheme.partition(':')[0]} URL has a query that is not known",
            parameter="url",
            remedy=f"leave it out, or write ?{_PERMISSIONS}false; a question mark in a path is written %3F",
        )
    return values[query]


def _existing(path: str, create: bool) -> str:
    try:
        is_there = Path(path).expanduser().exists()
    except (OSError, RuntimeError):
        # A name that is too long, or a home directory that does not exist.
        is_there = False
    if not create and not is_there:
        raise ConfigurationError(f"there is no store at {path!r}", parameter="url", remedy="check the path in the URL")
    return path


_OPENERS: dict[str, Callable[[str, bool], TokenStore]] = {
    "sqlite": _sqlite,
    "file": _file,
    "postgresql": _sql,
    "mysql": _sql,
    "mariadb": _sql,
    "redis": _redis,
    "rediss": _redis,
    "keyring": _keyring,
    "memory": _memory,
}
