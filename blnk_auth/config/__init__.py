"""The configuration file: registered clients by name, for the command line and for `OAuthClient.from_config`.

One TOML file with a table `[profiles.NAME]` for each client; `blnk-auth init` writes it. What it promises:

* A key that does not exist, a value of the wrong type, a variable or a profile that is missing: `ConfigurationError`
  names the file, the profile and the key, and says what is right instead.
* A secret may stay out of the file: `${NAME}` is an environment variable, `keyring:service/name` an entry of the
  keyring. One that is written out is accepted only if nobody else can read the file.
"""

from __future__ import annotations

from ._document import config_path, profile_names
from ._profile import Profile, load_profile

__all__ = ["Profile", "config_path", "load_profile", "profile_names"]
