"""Every key that a profile may have, with its meaning and type, and the check of a profile against these tables.

Used by profiles, and by the command line, which makes its options from the same tables. It promises that a setting has
the same name everywhere. It never reads a file or a variable, and never quotes a value that may be a secret.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

from .._protocol.client_authentication import METHODS
from ..errors import ConfigurationError, is_bool, is_number, quoted
from ..errors._pickling import public

Kind = Literal["text", "file", "flag", "number", "list", "table"]
"""The type of a setting. A `file` is a file name; the values of a `list` and of a `table` are strings."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One key of a profile.

    Attributes:
        name: The key.
        help: What it means, for readers of the command line.
        kind: Its type.
        required: Whether a profile must have it.
        is_secret: Whether it is a secret: never an option of the command line, and may refer to the keyring.
        choices: The values it may have; empty: any.
    """

    name: str
    help: str
    kind: Kind = "text"
    required: bool = False
    is_secret: bool = False
    choices: tuple[str, ...] = ()

    @property
    def option(self) -> str:
        """Its name on the command line."""
        return f"--{self.name.replace('_', '-')}"

    @property
    def variable(self) -> str:
        """Its name in the environment."""
        return f"BLNK_AUTH_{self.name.upper()}"


_ORIGINS = "Further origins that may receive the tokens."
_SIGN_IN = "Where users sign in."
_PUSH_ENDPOINT = "Where sign-ins are pushed (RFC 9126)."
_PUSHED = "Whether each sign-in is pushed first (RFC 9126); default: as the server demands."
_DISPLAY_NAME = "Name for readers; default: name."

_ON_DEMAND = ("event", "raise")

COMMON: tuple[Setting, ...] = (
    Setting("client_id", "The id that the provider gave your application.", required=True),
    Setting("client_secret", "Its secret: a ${VARIABLE}, keyring:service/name, or the secret itself.", is_secret=True),
    Setting("redirect_uri", "Where the provider redirects users to, as registered."),
    Setting("store", "URL of the token store; default: an SQLite file of this user."),
    Setting("scope", "Scopes to ask for at sign-in, separated by spaces."),
    Setting("resource", "URI of the resource that the tokens are for (RFC 8707)."),
    Setting("audience", "The audience of the client's own tokens, at servers that ask for one."),
    Setting("subject", "Whose tokens, unless a command has --subject."),
    Setting("client_auth", "How the client proves itself; default: the provider's.", choices=METHODS),
    Setting("private_key", "File with the PEM or JWK for private_key_jwt, or keyring:service/name.", "file"),
    Setting("key_id", "The kid of that key."),
    Setting("signing_algorithm", "Its JWS algorithm; default: the alg of a JWK, else what fits the key."),
    Setting("dpop", "Whether tokens are bound to a key (DPoP, RFC 9449): one for each grant.", "flag"),
    Setting("dpop_key", "File with the PEM or JWK that all tokens are bound to, or keyring:service/name.", "file"),
    Setting(
        "step_up", "When the API asks for more: an event only, or an error too; default: event.", choices=_ON_DEMAND
    ),
    Setting("consent_ended", "The same when the user's consent has ended; default: event.", choices=_ON_DEMAND),
    Setting("cert", "File with the client's certificate for mutual TLS.", "file"),
    Setting("cert_key", "File with the certificate's key, if it is another.", "file"),
    Setting("cert_password", "Password of that key: a ${VARIABLE} or keyring:service/name.", is_secret=True),
    Setting("verify", "File with the certificate authorities to trust instead of the usual ones.", "file"),
    Setting("proxy", "URL of the proxy to the authorization server."),
)

PROVIDERS: Mapping[str, tuple[Setting, ...]] = {
    "blnk_cloud": (
        Setting("base_url", "Address of the provider; default: its hosted one."),
        Setting("api_origins", _ORIGINS, "list"),
    ),
    "blink": (
        Setting("base_url", "Address of bLink's consent module, given at onboarding.", required=True),
        Setting("target_id", "The bank, such as IIDP99999; {subject} is replaced by the subject.", required=True),
        Setting("user_agent", "Name and version of your software.", required=True),
        Setting("username", "The e-banking user; {subject} is replaced by the subject."),
        Setting("authorization_endpoint", _SIGN_IN),
        Setting("psu_ip_address", "The user's IP address; default: AUTO."),
        Setting("psu_user_agent", "The user's user agent; default: AUTO."),
        Setting("psu_headers_for_api", "Send these two with API requests too; default: yes.", "flag"),
        Setting("consent", "Version of the consent flow; default: 2.0.", choices=("2.0", "3.0")),
        Setting("pushed_authorization_request_endpoint", _PUSH_ENDPOINT),
        Setting("instance_id", "The X-Instance-ID of your software at a customer, if SIX has registered one."),
        Setting("renewable", "Whether the tokens are renewed; default: yes.", "flag"),
        Setting("api_origins", _ORIGINS, "list"),
    ),
    "flinks": (
        Setting("host", "The host you were given, such as ob.flinksapp.com.", required=True),
        Setting("api_origins", _ORIGINS, "list"),
        Setting("redirect_uri_on_refresh", "Send the redirect_uri with each renewal.", "flag"),
        Setting("authorization_parameters", "Further parameters of the sign-in, such as provider_id.", "table"),
    ),
    "discover": (
        Setting("issuer", "URL of the authorization server, whose metadata has the rest.", required=True),
        Setting("name", "Name under which tokens are stored; default: the host."),
        Setting("display_name", _DISPLAY_NAME),
        Setting("api_origins", "The origins that may receive the tokens; default: the issuer's.", "list"),
        Setting("grants", "The grant types that the server offers, where its metadata does not list them.", "list"),
        Setting("requires_pushed_authorization_requests", _PUSHED, "flag"),
        Setting("authorization_parameters", "Further parameters of the sign-in.", "table"),
        Setting("refresh_idle_lifetime", "How long an unused refresh token lives; in the file: seconds.", "number"),
    ),
    "custom": (
        Setting("name", "Name under which tokens are stored.", required=True),
        Setting("display_name", _DISPLAY_NAME),
        Setting("token_endpoint", "Where tokens are issued.", required=True),
        Setting("api_origins", "The origins that may receive the tokens; * is any https one.", "list", required=True),
        Setting("authorization_endpoint", _SIGN_IN),
        Setting("revocation_endpoint", "Where tokens are revoked."),
        Setting("device_authorization_endpoint", "Where device codes are issued."),
        Setting("pushed_authorization_request_endpoint", _PUSH_ENDPOINT),
        Setting("requires_pushed_authorization_requests", _PUSHED, "flag"),
        Setting("issuer", "The issuer that sign-ins must name."),
        Setting("sends_iss", "Whether it always sends iss (RFC 9207); a response without it is then refused.", "flag"),
        Setting("grants", "The grant types that the server offers.", "list"),
        Setting("basic_encoding", "How id and secret go into HTTP Basic.", choices=("rfc6749", "raw")),
        Setting("assertion_audience", "The audience of assertions.", choices=("token_endpoint", "issuer")),
        Setting("token_body", "How token requests are written.", choices=("form", "json")),
        Setting("token_parameters", "Further parameters of each token request.", "table", is_secret=True),
        Setting("token_headers", "Further headers of each token request.", "table", is_secret=True),
        Setting("token_scheme", "The authentication scheme before the token; default: Bearer."),
        Setting("api_headers", "Headers of each request to the API beside the token.", "table", is_secret=True),
        Setting("authorization_parameters", "Further parameters of the sign-in.", "table"),
        Setting("pkce", "Whether sign-ins carry a code challenge; default: yes.", "flag"),
        Setting("requires_scope", "Whether sign-ins must name a scope.", "flag"),
        Setting("redirect_uri_on_refresh", "Send the redirect_uri with each renewal.", "flag"),
        Setting("api_origins_from_token", "Members of a token response that name a further origin.", "list"),
        Setting("api_host_suffixes", "The hosts at or below which such an origin may be.", "list"),
        Setting("revocation", "What is revoked.", choices=("tokens", "connection")),
        Setting("refresh_idle_lifetime", "How long an unused refresh token lives; in the file: seconds.", "number"),
        Setting(
            "earliest_renewal", "How long before expiry the server renews a token; in the file: seconds.", "number"
        ),
        Setting("repeats_lost_refresh", "Send a refresh again whose response was lost; default: yes.", "flag"),
    ),
}

PROVIDER = Setting("provider", "Which provider.", required=True, choices=tuple(PROVIDERS))

SECRETS = ("client_secret", "cert_password")
"""Settings that are not options of the command line, but have their own environment variable."""


def every_setting() -> tuple[Setting, ...]:
    """Each setting once, of every provider."""
    by_name = {PROVIDER.name: PROVIDER}
    for setting in (*COMMON, *(each for settings in PROVIDERS.values() for each in settings)):
        by_name.setdefault(setting.name, setting)
    return tuple(by_name.values())


def settings_of(provider: str) -> Mapping[str, Setting]:
    """The settings of a profile with this provider, by name."""
    return {each.name: each for each in (PROVIDER, *COMMON, *PROVIDERS[provider])}


class SettingError(ConfigurationError):
    """A setting is wrong, as this package found: so the remedy names settings, and not arguments of Python code."""


@public
@dataclass(frozen=True, slots=True)
class SettingsOrigin:
    """Where the settings of a profile come from, so that an error names the right place. Immutable; may be shared.

    Attributes:
        file: The configuration file; None if there is none, and this user has no home directory for one.
        profile: The name of the profile.
        overridden: The keys that come from options or variables and not from the file.
    """

    file: Path | None
    profile: str
    overridden: frozenset[str]

    def error(self, key: str, problem: str, remedy: str | None = None) -> ConfigurationError:
        """Make the error for a setting.

        Args:
            key: The setting.
            problem: What is wrong, to be written after the name of the setting.
            remedy: What to do about it. None: nothing can be advised.

        Returns:
            The error; its `parameter` is the key.
        """
        if key in self.overridden:
            return SettingError(f"{_option_names(key)} {problem}", remedy=remedy, parameter=key)
        return SettingError(f"{self._where}: {key} {problem}", remedy=remedy, parameter=key)

    def located(self, error: ConfigurationError) -> ConfigurationError:
        """Add the place from which a setting came to an error of the library.

        Args:
            error: The error; its `parameter` is the setting.

        Returns:
            A copy, whose `problem` begins with the place.
        """
        where = _option_names(error.parameter) if error.parameter in self.overridden else self._where
        return error.replace(problem=f"{where}: {error.problem}")

    @property
    def _where(self) -> str:
        return f"{'no file' if self.file is None else self.file}: profile {self.profile!r}"


def _option_names(key: str) -> str:
    setting = Setting(key, "")
    return setting.variable if key in SECRETS else f"{setting.option} or {setting.variable}"


def check(table: Mapping[str, Any], origin: SettingsOrigin) -> Mapping[str, Setting]:
    """The settings of the profile in `table`. Raises `ConfigurationError` if one is unknown, wrong or missing."""
    if "provider" not in table:
        raise _no_provider(table, origin)
    _check_value(PROVIDER, table["provider"], origin)
    if table["provider"] not in PROVIDERS:
        # The provider decides which settings exist, and references are resolved later.
        raise origin.error("provider", "cannot be a reference", f"write one of {', '.join(PROVIDERS)}")
    known = settings_of(table["provider"])
    for key, value in table.items():
        if key not in known:
            raise origin.error(key, *_unknown(key, str(table["provider"]), known))
        _check_value(known[key], value, origin)
    for setting in known.values():
        if setting.required and setting.name not in table:
            raise origin.error(setting.name, "is missing", setting.help.rstrip("."))
    return known


def did_you_mean(word: str, known: Iterable[str], *, all_of_them: str = "known are") -> str:
    """A question that names the most similar known word; if no word is similar, the list of all of them."""
    known = list(known)
    similar = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    return f"did you mean {similar[0]!r}?" if similar else f"{all_of_them}: {', '.join(known) or 'none'}"


def _unknown(key: str, provider: str, known: Collection[str]) -> tuple[str, str]:
    others = [name for name, settings in PROVIDERS.items() if key in (each.name for each in settings)]
    if others:
        return f"does not belong to provider {provider!r}, but to {' and '.join(map(repr, others))}", "remove it"
    return f"is not a setting of provider {provider!r}", did_you_mean(key, known)


def _no_provider(table: Mapping[str, Any], origin: SettingsOrigin) -> ConfigurationError:
    misspelt = difflib.get_close_matches(PROVIDER.name, set(table) - {each.name for each in every_setting()}, n=1)
    if misspelt:
        return origin.error(misspelt[0], "is not a setting", f"did you mean {PROVIDER.name!r}?")
    return origin.error(PROVIDER.name, "is missing", f"write one of {', '.join(PROVIDER.choices)}")


def _check_value(setting: Setting, value: Any, origin: SettingsOrigin) -> None:
    is_right, right = _KINDS[setting.kind]
    if not is_right(value):
        raise origin.error(setting.name, f"must be {right}, not {type_in_toml(value)}")
    if setting.choices and "${" not in value and value not in setting.choices:
        raise origin.error(setting.name, f"{quoted(str(value))} is unknown", did_you_mean(value, setting.choices))


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_list_of_text(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(map(_is_text, cast("list[Any]", value)))


def _is_table(value: Any) -> bool:
    return isinstance(value, Mapping) and all(map(_is_text, cast("Mapping[str, Any]", value).values()))


_KINDS: Mapping[Kind, tuple[Callable[[Any], bool], str]] = {
    "text": (_is_text, "text in quotes"),
    "file": (_is_text, "a file name in quotes"),
    "flag": (is_bool, "true or false"),
    "number": (is_number, "a number"),
    "list": (_is_list_of_text, 'a list of strings, such as ["...", "..."]'),
    "table": (_is_table, 'a table of strings, such as { name = "..." }'),
}


def type_in_toml(value: Any) -> str:
    """The type of a value that is refused. The value is not shown: it may be a secret under the wrong key."""
    types = {"str": "a string", "Redacted": "a string", "bool": "true or false", "list": "a list", "dict": "a table"}
    kind = str(type(value).__name__)
    return types.get(kind, "a number" if is_number(value) else f"a {kind}")
