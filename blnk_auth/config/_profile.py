"""A profile: one registered client, checked, with its references resolved."""

from __future__ import annotations

import difflib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, cast
from urllib.parse import urlsplit

from ..errors import ConfigurationError, Redacted, redacted
from ..provider import Provider
from ..stores._token_store import TokenStore
from . import _references as references
from ._document import config_path, is_open_to_others, read_profiles
from ._settings import COMMON, SECRETS, Blame, Setting, check, every_setting

Client = TypeVar("Client")

_SUBJECT = "{subject}"
_OF_SUBJECT = ("target_id", "username")
_WITH_PASSWORD = ("store", "proxy")


@dataclass(frozen=True, slots=True)
class Profile:
    """What a profile says. Making it touches no network, no store and no keyring.

    `settings` are those of `settings.COMMON` and of its provider, with `${NAME}` replaced, files made absolute, and
    what is in the keyring as a callable. `overridden` are the keys that did not come from the file: where there is no
    file, every key there is.
    """

    name: str
    path: Path
    settings: Mapping[str, Any] = field(repr=False)
    overridden: frozenset[str] = frozenset()

    @property
    def subject(self) -> str | None:
        """Whose tokens, unless somebody says otherwise."""
        return self.settings.get("subject")

    @property
    def scope(self) -> str | None:
        """What to ask for at sign-in."""
        return self.settings.get("scope")

    def make(self, client: Callable[..., Client], **further: Any) -> Client:
        """`client(provider, **settings)`, for `OAuthClient`; in the profile's store unless `further` has one.

        A `ConfigurationError` names file and profile.
        """
        settings = {**self.client_settings(), **further}
        if "store" not in settings:
            settings["store"] = self.open_store()
        try:
            return client(self.provider(), **settings)
        except ConfigurationError as error:
            failure = self._blame_parameter(str(error))
        raise failure

    def _blame_parameter(self, message: str) -> ConfigurationError:
        """The error for a message of the library, which begins with the parameter: an option, if it came from one."""
        parameter, _, why = message.partition(" ")
        if parameter.rstrip(":") not in self.overridden:
            return self.blame("", message)
        return self.blame(parameter.rstrip(":"), f"is wrong: {why}" if parameter.endswith(":") else why)

    def provider(self) -> Provider:
        """The provider. Asks the network only for `discover`. Raises `ConfigurationError`."""
        common = {each.name for each in COMMON}
        chosen = {name: value for name, value in self.settings.items() if name not in common and name != "provider"}
        return _MAKERS[self.settings["provider"]](self, chosen)

    def client_settings(self) -> dict[str, Any]:
        """The arguments of `OAuthClient` beside provider and store. Reads the private key."""
        passed = ("client_id", "client_secret", "redirect_uri", "client_auth", "key_id", "signing_algorithm")
        chosen = {name: self.settings[name] for name in passed if name in self.settings}
        if "private_key" in self.settings:
            chosen["private_key"] = self._private_key(self.settings["private_key"])
        return {**chosen, **self.network_settings()}

    def network_settings(self) -> dict[str, Any]:
        """How the authorization server is reached: `verify`, `cert` and `proxy`, as far as they are set."""
        chosen = {name: self.settings[name] for name in ("verify", "proxy") if name in self.settings}
        cert = self.settings.get("cert")
        if cert is not None:
            key, password = self.settings.get("cert_key", cert), self.settings.get("cert_password")
            chosen["cert"] = (cert, key) if password is None else (cert, key, _now(password))
        return chosen

    def open_store(self) -> TokenStore:
        """The token store: the one whose URL the profile has, else an SQLite file of this user."""
        url = self.settings.get("store")
        if url is None:
            from ..stores._sqlite import SQLiteStore

            return SQLiteStore(default_store_path())
        from ..stores._urls import open_store

        try:
            return open_store(url)
        except ConfigurationError as error:
            failure = self.blame("store", f"cannot be used: {error}")
        raise failure

    def blame(self, key: str, why: str) -> ConfigurationError:
        """The error that names the file, the profile and the key."""
        return _blame(self.path, self.name, self.overridden)(key, why)

    def _private_key(self, key: str | Callable[[], str]) -> Any:
        text = self._content(key) if isinstance(key, str) else key()
        return _jwk(text) or Redacted(text)

    def _content(self, file: str) -> str:
        try:
            return Path(file).read_text("ascii")
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is not a PEM or JWK"
        raise self.blame("private_key", f"{file!r} cannot be read ({why})")


def load_profile(
    name: str = "default",
    path: str | os.PathLike[str] | None = None,
    *,
    overrides: Mapping[str, Any] | None = None,
    environment: Mapping[str, str] = os.environ,
) -> Profile:
    """The profile `name` of the file at `path` (None: see `config_path`).

    `overrides` take the place of what the file says; if they name a provider, there need be no file.
    Raises `ConfigurationError` for whatever is missing, misspelt or of the wrong type.
    """
    file, overrides = config_path(path), overrides or {}
    table = _table(file, name, is_needed="provider" not in overrides)
    overridden = frozenset(overrides) if file.exists() else frozenset(each.name for each in every_setting())
    blame = _blame(file, name, overridden)
    merged = {**table, **overrides}
    known = check(merged, blame)
    plain = next((key for key in table if key not in overrides and _holds_secret(known[key], table[key])), None)
    if plain is not None and is_open_to_others(file):
        raise blame(
            plain,
            f"is a secret, and other users may read the file: chmod 600 {file}, or write ${{NAME}} or "
            "keyring:service/name instead of it",
        )
    resolved = {key: _resolve(known[key], value, file.parent, environment, blame) for key, value in merged.items()}
    return Profile(name, file, resolved, overridden)


def default_store_path() -> Path:
    """Where tokens are kept by a profile without `store`."""
    import platformdirs

    return platformdirs.user_data_path("blnk-auth", appauthor=False) / "tokens.db"


def _table(file: Path, name: str, *, is_needed: bool) -> Mapping[str, Any]:
    profiles = read_profiles(file)
    if profiles is None and is_needed:
        raise ConfigurationError(f"{file} does not exist", remedy="write it with: blnk-auth init")
    table = (profiles or {}).get(name)
    if table is None and is_needed:
        raise ConfigurationError(f"{file} has no profile {name!r}", remedy=f"{_instead(name, sorted(profiles or ()))}")
    if table is not None and not isinstance(table, dict):
        raise ConfigurationError(f"{file}: profiles.{name} must be a table with the heading [profiles.{name}]")
    return {} if table is None else cast("dict[str, Any]", table)


def _instead(name: str, profiles: Sequence[str]) -> str:
    if not profiles:
        return "it has none; write one with: blnk-auth init"
    near = difflib.get_close_matches(name, profiles, n=1)
    return f"it has: {', '.join(profiles)}{f'; did you mean {near[0]!r}?' if near else ''}"


def _blame(file: Path, profile: str, overridden: frozenset[str]) -> Blame:
    def blame(key: str, why: str) -> ConfigurationError:
        if key in overridden:
            setting = Setting(key, "")
            names = setting.variable if key in SECRETS else f"{setting.option} or {setting.variable}"
            return ConfigurationError(f"{names} {why}")
        return ConfigurationError(f"{file}: profile {profile!r}: {f'{key} ' if key else ''}{why}")

    return blame


def _holds_secret(setting: Setting, value: Any) -> bool:
    """Whether a secret is written out in the file."""
    if setting.is_secret:
        texts = [value] if isinstance(value, str) else list(cast("Mapping[str, str]", value).values())
        return any(map(references.is_plain, texts))
    return setting.name in _WITH_PASSWORD and references.is_plain(_password(value))


def _password(url: str) -> str:
    try:
        return urlsplit(url).password or ""
    except ValueError:
        return ""


def _resolve(setting: Setting, value: Any, directory: Path, environment: Mapping[str, str], blame: Blame) -> Any:
    try:
        if isinstance(value, str) and references.is_in_keyring(value) and _may_be_in_keyring(setting):
            return _blaming(references.from_keyring(value), lambda why: blame(setting.name, why))
        expanded = references.expand(value, environment)
    except references.Unresolved as wrong:
        raise blame(setting.name, str(wrong)) from None
    if setting.kind == "file":
        return str(directory / Path(expanded).expanduser())
    if setting.kind == "texts":
        return tuple(map(str, expanded))
    if setting.is_secret or setting.name in _WITH_PASSWORD:
        return redacted(expanded)
    return str(expanded) if isinstance(expanded, str) else expanded


def _may_be_in_keyring(setting: Setting) -> bool:
    return setting.kind == "file" or (setting.is_secret and setting.kind == "text")


def _blaming(read: Callable[[], str], blame: Callable[[str], ConfigurationError]) -> Callable[[], str]:
    def read_or_blame() -> str:
        try:
            return read()
        except references.Unresolved as wrong:
            failure = blame(str(wrong))
        raise failure

    return read_or_blame


def _now(secret: str | Callable[[], str]) -> str:
    return secret if isinstance(secret, str) else secret()


def _jwk(text: str) -> dict[str, Any] | None:
    try:
        document = json.loads(text)
    except ValueError:
        return None
    return cast("dict[str, Any]", document) if isinstance(document, dict) else None


# --- making providers -------------------------------------------------------------------------------------------------


def _blnk_cloud(_profile: Profile, chosen: dict[str, Any]) -> Provider:
    from ..providers._blnk_cloud import BlnkCloud

    return BlnkCloud(**chosen)


def _blink(_profile: Profile, chosen: dict[str, Any]) -> Provider:
    from ..providers._blink import BLink

    return BLink(**{**chosen, **{name: _of_subject(chosen[name]) for name in _OF_SUBJECT if name in chosen}})


def _of_subject(value: str) -> Any:
    def filled_in(subject: str | None) -> str:
        return value.replace(_SUBJECT, subject or "")

    return filled_in if _SUBJECT in value else value


def _flinks(_profile: Profile, chosen: dict[str, Any]) -> Provider:
    from ..providers._flinks import Flinks

    return Flinks(**chosen)


def _discover(profile: Profile, chosen: dict[str, Any]) -> Provider:
    return Provider.discover(**chosen, **profile.network_settings())


def _custom(_profile: Profile, chosen: dict[str, Any]) -> Provider:
    return Provider(**chosen)


_MAKERS: Mapping[str, Callable[[Profile, dict[str, Any]], Provider]] = {
    "blnk_cloud": _blnk_cloud,
    "blink": _blink,
    "flinks": _flinks,
    "discover": _discover,
    "custom": _custom,
}
