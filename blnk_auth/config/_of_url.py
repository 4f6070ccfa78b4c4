"""The settings of an API that describes its own sign-in, from options and variables.

Used by the command line, where a URL takes the place of a profile. It promises that a setting is checked and resolved
as in a profile. It never reads a configuration file.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ._profile import Profile, resolve
from ._settings import COMMON, SettingsOrigin


def profile_of_url(url: str, settings: Mapping[str, Any]) -> Profile:
    """The profile that the URL takes the place of. Raises `ConfigurationError`.

    Args:
        url: The URL of the API, which is its name.
        settings: Settings of every client, by key.
    """
    known = {each.name: each for each in COMMON}
    origin = SettingsOrigin(None, url, frozenset(known))
    resolved = {key: resolve(known[key], value, Path(), os.environ, origin) for key, value in settings.items()}
    return Profile(url, None, resolved, origin.overridden)
