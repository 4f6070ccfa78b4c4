"""A profile: one registered client, checked, with its references resolved.

Used by the command line and by `OAuthClient.from_config`. It promises that every `ConfigurationError` names the file
and the profile, or the option and the variable, from which the wrong setting came. Loading a profile never uses the
network, a store or the keyring; `make` opens the store, and uses the network only for `provider = "discover"`.
"""

from __future__ import annotations

import difflib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, cast
from urllib.parse import urlsplit

from ..errors import ConfigurationError, Redacted, clears_locals, quoted, redacted
from ..errors._pickling import public
from ..provider import Provider
from ..stores._token_store import TokenStore
from . import _references as references
from ._document import find_config, is_open_to_others, read_profiles, usual_store_path
from ._provider import make_provider
from ._settings import COMMON, Setting, SettingsOrigin, check, every_setting, type_in_toml

Client = TypeVar("Client")

_BEGINNING_OF_PEM = "-----BEGIN "
_WITH_PASSWORD = ("store", "proxy")


@public
@clears_locals
@dataclass(frozen=True, slots=True)
class Profile:
    """A registered client, as the configuration describes it. `load_profile` makes one.

    Immutable; may be used from any thread. Its methods block: they may read files, the keyring and the network.

    It has secrets, so it cannot be pickled: load it again in the other process.

    Attributes:
        name: The name of the profile.
        path: The configuration file, whether or not it exists. None: no file was named, and this user has no home
            directory.
        settings: The settings by key, with `${NAME}` replaced, files made absolute, and references to the keyring as
            callables. It contains secrets, so it is not in the repr.
        overridden: The keys that come from options or variables. If there is no file, or the file does not have the
            profile: every key.
    """

    name: str
    path: Path | None
    settings: Mapping[str, Any] = field(repr=False)
    overridden: frozenset[str] = frozenset()

    def __copy__(self) -> Profile:
        return self

    def __deepcopy__(self, memo: object) -> Profile:
        return self

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("a Profile has secrets and is not pickled; load it again in the other process")

    @property
    def subject(self) -> str | None:
        """Whose tokens are used if a command names no subject. None: not set."""
        return self.settings.get("subject")

    @property
    def scope(self) -> str | None:
        """The scope to ask for at sign-in, space-separated. None: not set."""
        return self.settings.get("scope")

    @property
    def resource(self) -> str | None:
        """The resource that the tokens are for (RFC 8707). None: not set."""
        return self.settings.get("resource")

    @property
    def audience(self) -> str | None:
        """The audience of the client's own tokens. None: not set."""
        return self.settings.get("audience")

    @property
    def origin(self) -> SettingsOrigin:
        """Where the settings come from, for errors."""
        return SettingsOrigin(self.path, self.name, self.overridden)

    def make(self, client: Callable[..., Client], **further: Any) -> Client:
        """Make the client: `client(provider, **settings)`.

        Args:
            client: `OAuthClient`, or another callable with its arguments.
            **further: Further arguments, which replace those of the profile. Without `store`, the profile's store is
                opened.

        Returns:
            What `client` returns.

        Raises:
            ConfigurationError: A setting is wrong; the error names the file and the profile, or the option.
            StoreError: The store cannot be opened.
        """
        settings = {**self.client_settings(), **further}
        if "store" not in settings:
            settings["store"] = self.open_store()
        try:
            return client(self.provider(), **settings)
        except ConfigurationError as error:
            failure = self.origin.located(error)
        raise failure

    def provider(self) -> Provider:
        """Make the provider. It uses the network only for `provider = "discover"`.

        Returns:
            The provider.

        Raises:
            ConfigurationError: A setting of the provider is wrong.
            TemporarilyUnavailable: The metadata cannot be fetched now.
            ProtocolError: The issuer publishes no valid metadata.
        """
        common = {each.name for each in COMMON}
        chosen = {name: value for name, value in self.settings.items() if name not in common and name != "provider"}
        return make_provider(self.settings["provider"], chosen, self.network_settings)

    def client_settings(self) -> dict[str, Any]:
        """The arguments of `OAuthClient` other than provider and store. It reads the private key.

        Returns:
            The arguments by name. They contain secrets.

        Raises:
            ConfigurationError: The private key, or a reference to the keyring, cannot be read.
        """
        passed = "client_id client_secret redirect_uri client_auth key_id signing_algorithm step_up consent_ended dpop"
        # `dpop = false` is the default, which `OAuthClient` calls None.
        chosen = {name: value for name in passed.split() if (value := self.settings.get(name)) not in (None, False)}
        named = (("private_key", "private_key"), ("dpop_key", "dpop"))
        chosen |= {argument: self._private_key(name) for name, argument in named if name in self.settings}
        return {**chosen, **self.network_settings()}

    def network_settings(self) -> dict[str, Any]:
        """How the authorization server is reached.

        Returns:
            `verify`, `cert` and `proxy`, as far as they are set.

        Raises:
            ConfigurationError: The password of the certificate's key is in the keyring and cannot be read.
        """
        chosen = {name: self.settings[name] for name in ("verify", "proxy") if name in self.settings}
        cert = self.settings.get("cert")
        if cert is None and "cert_key" in self.settings:
            raise self.origin.error("cert_key", "has no effect without cert", "set cert to the certificate's file")
        if cert is not None:
            key, password = self.settings.get("cert_key", cert), self.settings.get("cert_password")
            password = password() if callable(password) else password
            chosen["cert"] = (cert, key) if password is None else (cert, key, password)
        return chosen

    def open_store(self, *, create: bool = True) -> TokenStore:
        """Open the token store: the one whose URL the profile has, else an SQLite file of this user.

        Args:
            create: False refuses a file or directory that does not exist. True, the default, creates it.

        Returns:
            The store. The caller closes it.

        Raises:
            ConfigurationError: The URL is wrong, or there is none and this user has no home directory.
            StoreError: The store cannot be opened.
        """
        url = self.settings.get("store")
        if url is None:
            return self._usual_store(create=create)
        from ..stores._urls import open_store

        try:
            return open_store(url, create=create)
        except ConfigurationError as error:
            failure = self.origin.error("store", f"cannot be used: {error.problem}", error.remedy)
        raise failure

    def store_file(self) -> Path | None:
        """Where the token store is, if it is one file. It need not exist.

        Returns:
            The path; None if the store is not a file, or is several.
        """
        url = self.settings.get("store")
        if url is None:
            return usual_store_path()
        from ..stores._urls import sqlite_path

        return sqlite_path(url)

    def _usual_store(self, *, create: bool) -> TokenStore:
        from ..stores._sqlite import SQLiteStore

        path = usual_store_path()
        if path is None:
            raise self.origin.error(
                "store",
                "is missing, and this user has no home directory for the usual one",
                "set it to a URL such as sqlite:////var/lib/acme/tokens.db, or set HOME",
            )
        if not create and not path.exists():
            raise self.origin.error("store", f"is not set, and there is no {str(path)!r}", "sign in first, or set it")
        return SQLiteStore(path)

    def _private_key(self, name: str) -> Any:
        key: str | Callable[[], str] = self.settings[name]
        text = self._content(key, name) if isinstance(key, str) else key()
        return _jwk(text) or Redacted(text)

    def _content(self, file: str, name: str) -> str:
        if _BEGINNING_OF_PEM in file:
            raise self.origin.error(name, "is a key itself", "name the file that has the key")
        try:
            return Path(file).read_text("ascii")
        except OSError as error:
            why = error.strerror or type(error).__name__
        except ValueError:
            why = "it is not a PEM or JWK"
        remedy = "name a file that has the key, and that this user may read"
        raise self.origin.error(name, f"{file!r} cannot be read ({why})", remedy)


@public
@clears_locals
def load_profile(
    name: str = "default",
    path: str | os.PathLike[str] | None = None,
    *,
    overrides: Mapping[str, Any] | None = None,
    environment: Mapping[str, str] = os.environ,
) -> Profile:
    """Load a profile of the configuration file.

    May be called from any thread.

    Args:
        name: The name of the profile. Default: "default".
        path: The file. None: see `config_path`.
        overrides: Settings that replace those of the file. If they name a provider, the file need not exist, and its
            profile is not used if it is for another provider. None: nothing is replaced.
        environment: The variables that `${NAME}` refers to. Default: those of the process.

    Returns:
        The profile, checked.

    Raises:
        ConfigurationError: A setting is missing, misspelt or of the wrong type, or the file cannot be read.
    """
    if not isinstance(cast("object", name), str):
        raise ConfigurationError(
            f"profile must be a string, not {quoted(name)}",
            parameter="profile",
            remedy="pass the name of a profile, such as 'default'",
        )
    overrides = overrides or {}
    file = find_config(path)
    is_named = bool(path or os.environ.get("BLNK_AUTH_CONFIG"))
    table = _table(file, name, is_needed="provider" not in overrides, is_named=is_named)
    if table is not None and overrides.get("provider", table.get("provider")) != table.get("provider"):
        # A variable or an option names another provider: the profile describes another client.
        table = None
    everything = frozenset(each.name for each in every_setting())
    origin = SettingsOrigin(file, name, everything if table is None else frozenset(overrides))
    table = table or {}
    merged = {**table, **overrides}
    known = check(merged, origin)
    plain = next((key for key in table if key not in overrides and _holds_secret(known[key], table[key])), None)
    if plain is not None and file is not None and is_open_to_others(file):
        raise origin.error(
            plain,
            "is a secret, and other users may read the file",
            f"run chmod 600 {file}, or write ${{NAME}} or keyring:service/name instead of the secret",
        )
    directory = Path() if file is None else file.parent
    resolved = {key: resolve(known[key], value, directory, environment, origin) for key, value in merged.items()}
    return Profile(name, file, resolved, origin.overridden)


def _table(file: Path | None, name: str, *, is_needed: bool, is_named: bool) -> Mapping[str, Any] | None:
    """The table of a profile; None if there is none and none is needed."""
    if file is None:
        if is_needed:
            raise ConfigurationError(
                "this user has no home directory, so there is no configuration file",
                remedy="name one with --config FILE or the variable BLNK_AUTH_CONFIG, or set HOME",
                parameter="path",
            )
        return None
    if not is_needed and not is_named and not os.access(file, os.R_OK):
        # In a container, HOME may be a directory of another user.
        return None
    profiles = read_profiles(file)
    table = (profiles or {}).get(name)
    if table is None:
        if is_needed:
            raise _no_profile(file, name, profiles)
        return None
    if not isinstance(table, dict):
        raise ConfigurationError(
            f"{file}: profiles.{name} must be a table, not {type_in_toml(table)}",
            remedy=f"add the heading [profiles.{name}]",
        )
    return cast("dict[str, Any]", table)


def _no_profile(file: Path, name: str, profiles: Mapping[str, Any] | None) -> ConfigurationError:
    if profiles is None:
        return ConfigurationError(f"{file} does not exist", remedy="write it with: blnk-auth init", parameter="path")
    remedy = _existing(name, sorted(profiles))
    return ConfigurationError(f"{file} has no profile {name!r}", remedy=remedy, parameter="profile")


def _existing(name: str, profiles: Sequence[str]) -> str:
    if not profiles:
        return "it has none; write one with: blnk-auth init"
    similar = difflib.get_close_matches(name, profiles, n=1)
    return f"it has: {', '.join(profiles)}{f'; did you mean {similar[0]!r}?' if similar else ''}"


def _holds_secret(setting: Setting, value: Any) -> bool:
    """Whether a secret is written out in the file."""
    if setting.is_secret:
        values = [value] if isinstance(value, str) else list(cast("Mapping[str, str]", value).values())
        return any(map(references.is_plain, values))
    return setting.name in _WITH_PASSWORD and references.is_plain(_password(value))


def _password(url: str) -> str:
    try:
        return urlsplit(url).password or ""
    except ValueError:
        return ""


def resolve(
    setting: Setting, value: Any, directory: Path, environment: Mapping[str, str], origin: SettingsOrigin
) -> Any:
    """The value of a setting, with its references replaced. Raises `ConfigurationError`."""
    try:
        if isinstance(value, str) and references.is_in_keyring(value) and _may_be_in_keyring(setting):
            return _located(references.from_keyring(value), setting.name, origin)
        expanded = references.expand(value, environment)
    except references.UnresolvedReference as error:
        raise origin.error(setting.name, error.problem, error.remedy) from None
    if setting.kind == "file":
        return _file(setting, expanded, directory, origin)
    if setting.kind == "list":
        return tuple(map(str, expanded))
    if setting.is_secret or setting.name in _WITH_PASSWORD:
        return redacted(expanded)
    return str(expanded) if isinstance(expanded, str) else expanded


def _file(setting: Setting, name: str, directory: Path, origin: SettingsOrigin) -> str:
    try:
        return str(directory / Path(name).expanduser())
    except RuntimeError:
        problem = f"{name!r} begins with ~, and there is no such home directory"
        raise origin.error(setting.name, problem, "write the full path") from None


def _may_be_in_keyring(setting: Setting) -> bool:
    return setting.kind == "file" or (setting.is_secret and setting.kind == "text")


def _located(read: Callable[[], str], key: str, origin: SettingsOrigin) -> Callable[[], str]:
    """A callable that does the same, and whose error names the place of the reference."""

    def read_or_raise() -> str:
        try:
            return read()
        except references.UnresolvedReference as error:
            failure = origin.error(key, error.problem, error.remedy)
        raise failure

    return read_or_raise


def _jwk(text: str) -> dict[str, Any] | None:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return cast("dict[str, Any]", document) if isinstance(document, dict) else None
