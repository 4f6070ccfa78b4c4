"""The configuration file: registered clients by name.

Used by the command line and by `OAuthClient.from_config`. It is one TOML file with a table `[profiles.NAME]` for each
client; `blnk-auth init` writes it. What it promises:

* For an unknown key, a value of the wrong type, or a missing variable or profile, the `ConfigurationError` names the
  file, the profile and the key (`parameter`), and states how to correct it (`remedy`).
* A secret need not be in the file: `${NAME}` is an environment variable, `keyring:service/name` an entry of the
  keyring. A secret in the file itself is accepted only if other users cannot read the file.
* No secret appears in an error, a `repr` or a traceback.

It never uses the network, except for a profile with `provider = "discover"` when its client is made.

* `_document`: where the file is, and the profiles in it. `_settings`: every key that a profile may have.
* `_references`: `${NAME}` and `keyring:service/name`. `_profile`: a profile, and the client that it makes.
* `_provider`: the provider of a profile. `_of_url`: the settings where a URL takes the place of a profile.
"""

from __future__ import annotations

from ._document import config_path, profile_names
from ._profile import Profile, load_profile
from ._settings import SettingsOrigin

__all__ = ["Profile", "SettingsOrigin", "config_path", "load_profile", "profile_names"]
