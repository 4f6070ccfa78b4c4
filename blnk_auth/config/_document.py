"""The file itself: where it is, and what it says, as TOML."""

from __future__ import annotations

import os
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from ..errors import ConfigurationError, redacted
from ._settings import did_you_mean

_PROFILES = "profiles"
_OTHERS = 0o077


def config_path(path: str | os.PathLike[str] | None = None) -> Path:
    """Where the file is: `path`, else the environment variable BLNK_AUTH_CONFIG, else this user's configuration."""
    given = path or os.environ.get("BLNK_AUTH_CONFIG")
    if given:
        return Path(given).expanduser()
    import platformdirs

    return platformdirs.user_config_path("blnk-auth", appauthor=False) / "config.toml"


def profile_names(path: Path) -> list[str]:
    """The profiles of a file; none if there is no file. Raises `ConfigurationError` if it cannot be read."""
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
                remedy=(
                    f"{did_you_mean(key, [_PROFILES], all_of_them='known is')} A client is a table [profiles.NAME]"
                ),
            )
    profiles = document.get(_PROFILES, {})
    if not isinstance(profiles, dict):
        raise ConfigurationError(f"{path}: profiles must be tables, each with a heading such as [profiles.default]")
    return cast("dict[str, Any]", profiles)


def is_open_to_others(path: Path) -> bool:
    """Whether other users may read the file. On Windows access follows the user's profile, not permission bits."""
    return sys.platform != "win32" and bool(path.stat().st_mode & _OTHERS)


def _hidden(value: Any) -> Any:
    """The same with each text unreadable in a traceback: which of them are secrets is found out later."""
    if isinstance(value, dict):
        return {key: _hidden(each) for key, each in cast("dict[str, Any]", value).items()}
    return [_hidden(each) for each in cast("list[object]", value)] if isinstance(value, list) else redacted(value)


def _read(path: Path) -> dict[str, Any] | None:
    try:
        document: dict[str, Any] = _hidden(tomllib.loads(path.read_text("utf-8")))
        return document
    except FileNotFoundError:
        return None
    except UnicodeDecodeError:
        why = "it is not UTF-8 text"
    except tomllib.TOMLDecodeError as error:
        # Its message quotes no more than one character of the file.
        why = f"it is not TOML: {error}"
    except OSError as error:
        why = error.strerror or type(error).__name__
    raise ConfigurationError(
        f"{path} cannot be read ({why})", remedy="correct it, or move it away and run: blnk-auth init"
    )
