"""The configuration file itself: where it is, and its profiles, read as TOML.

Used by profiles and by the command line. It promises that a file that cannot be used raises a `ConfigurationError` that
names the file. It never checks a profile, and never shows a value of the file, since any of them may be a secret.
"""

from __future__ import annotations

import os
import sys
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, cast

from ..errors import ConfigurationError, redacted
from ..errors._pickling import public
from ._settings import did_you_mean, type_in_toml

_PROFILES = "profiles"
_OTHERS = 0o077


@public
def config_path(path: str | os.PathLike[str] | None = None) -> Path:
    """Where the configuration file is. It need not exist.

    May be called from any thread.

    Args:
        path: The file. None: the one that the environment variable BLNK_AUTH_CONFIG names, else `config.toml` in this
            user's configuration directory (`~/.config/blnk-auth/` on Linux).

    Returns:
        The path. It is relative only if the given path is.

    Raises:
        ConfigurationError: The path is not a usable path, or this user has no home directory and no file is named.
    """
    found = find_config(path)
    if found is None:
        raise ConfigurationError(
            "this user has no home directory, so there is no place for a configuration file",
            remedy="name one with --config FILE or the variable BLNK_AUTH_CONFIG, or set HOME",
            parameter="path",
        )
    return found


def find_config(path: str | os.PathLike[str] | None = None) -> Path | None:
    """As `config_path`, but None where this user has no home directory and no file is named."""
    given: Any = path or os.environ.get("BLNK_AUTH_CONFIG")
    if not given:
        directory = user_directory("config")
        return None if directory is None else directory / "config.toml"
    try:
        found = Path(given).expanduser()
    except (RuntimeError, TypeError):
        found = None
    if found is None or "\0" in str(found):
        raise ConfigurationError(
            f"path {given!r} is not a usable path on this machine",
            remedy="name the file with its full path",
            parameter="path",
        )
    return found


def user_directory(kind: Literal["config", "data", "state"]) -> Path | None:
    """This user's directory for the files of blnk-auth; None if this user has no home directory."""
    import platformdirs

    find: Mapping[str, Callable[..., Path]] = {
        "config": platformdirs.user_config_path,
        "data": platformdirs.user_data_path,
        "state": platformdirs.user_state_path,
    }
    try:
        found = find[kind]("blnk-auth", appauthor=False)
    except RuntimeError:
        return None
    # Some releases return `~/...` unchanged. As a relative path it would be a directory named `~` in the process's
    # current directory, in which anyone may have put a file.
    return found if found.is_absolute() else None


def usual_store_path() -> Path | None:
    """Where tokens are kept by a profile without `store`; None if this user has no home directory."""
    directory = user_directory("data")
    return None if directory is None else directory / "tokens.db"


@public
def profile_names(path: Path) -> list[str]:
    """List the profiles in a file.

    May be called from any thread.

    Args:
        path: The configuration file: see `config_path`.

    Returns:
        The names of its profiles, ascending; empty if there is no file.

    Raises:
        ConfigurationError: The file cannot be read, or is not a configuration file.
    """
    return sorted(read_profiles(path) or ())


def read_profiles(path: Path) -> Mapping[str, Any] | None:
    """The profiles of a file by name, unchecked; None if there is no file. Raises `ConfigurationError`."""
    document = _read(path)
    if document is None:
        return None
    for key in document:
        if key != _PROFILES:
            raise ConfigurationError(
                f"{path}: {key!r} does not belong at the top",
                remedy=f"{did_you_mean(key, [_PROFILES], all_of_them='known is')} A client is a table [profiles.NAME]",
                parameter=key,
            )
    profiles = document.get(_PROFILES, {})
    if not isinstance(profiles, dict):
        raise ConfigurationError(
            f"{path}: profiles must be a table, not {type_in_toml(profiles)}",
            remedy="add a heading for each profile, such as [profiles.default]",
        )
    return cast("dict[str, Any]", profiles)


def is_open_to_others(path: Path) -> bool:
    """Whether other users may read the file. On Windows access follows the user's profile, not permission bits."""
    return sys.platform != "win32" and bool(path.stat().st_mode & _OTHERS)


def _all_redacted(value: Any) -> Any:
    """The same value with each string redacted in tracebacks: which of them are secrets is not known yet."""
    if isinstance(value, dict):
        return {key: _all_redacted(each) for key, each in cast("dict[str, Any]", value).items()}
    return [_all_redacted(each) for each in cast("list[object]", value)] if isinstance(value, list) else redacted(value)


def _read(path: Path) -> dict[str, Any] | None:
    try:
        document: dict[str, Any] = _all_redacted(tomllib.loads(path.read_text("utf-8")))
        return document
    except (FileNotFoundError, NotADirectoryError):
        return None
    except UnicodeDecodeError:
        why = "it is not UTF-8 text"
    except tomllib.TOMLDecodeError as error:
        # Its message quotes no more than one character of the file.
        why = f"it is not TOML: {error}"
    except RecursionError:
        why = "it is nested too deeply"
    except ValueError:
        # Python reads no integer of more than 4,300 digits.
        why = "it has a number that is too long"
    except OSError as error:
        why = error.strerror or type(error).__name__
    raise ConfigurationError(
        f"{path} cannot be read ({why})", remedy="correct it, or move it away and run: blnk-auth init"
    )
