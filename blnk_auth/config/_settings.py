"""Every key that a profile may have: what it is called, what it means, what it takes. Data, and the check against it.

The command line makes its options from the same tables, so a setting has one name everywhere.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

from .._protocol.client_authentication import METHODS
from ..errors import ConfigurationError

Kind = Literal["text", "file", "flag", "number", "texts", "table"]


@dataclass(frozen=True, slots=True)
class Setting:
    """One key of a profile. `is_secret` ones are never options of the command line, and may refer to the keyring."""

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
_SIGN_IN = "Where people sign in."
_DISPLAY_NAME = "Name that people read; default: name."

COMMON: tuple[Setting, ...] = (
    Setting("client_id", "The id that the provider gave your application.", required=True),
    Setting("client_secret", "Its secret: a ${VARIABLE}, keyring:service/name, or the secret itself.", is_secret=True),
    Setting("redirect_uri", "Where the provider sends people back to, as registered."),
    Setting("store", "URL of the token store; default: an SQLite file of this user."),
    Setting("scope", "Scopes to ask for at sign-in, separated by spaces."),
    Setting("subject", "Whose tokens, unless a command says otherwise."),
    Setting("client_auth", "How the client proves itself; default: the provider's.", choices=METHODS),
    Setting("private_key", "File with the PEM or JWK for private_key_jwt, or keyring:service/name.", "file"),
    Setting("key_id", "The kid of that key."),
    Setting("signing_algorithm", "Its JWS algorithm; default: what a JWK says of itself, else what fits the key."),
    Setting("cert", "File with the client's certificate for mutual TLS.", "file"),
    Setting("cert_key", "File with the certificate's key, if it is another.", "file"),
    Setting("cert_password", "Password of that key: a ${VARIABLE} or keyring:service/name.", is_secret=True),
    Setting("verify", "File with the certificate authorities to trust instead of the usual ones.", "file"),
    Setting("proxy", "URL of the proxy to the authorization server."),
)

PROVIDERS: Mapping[str, tuple[Setting, ...]] = {
    "blnk_cloud": (
        Setting("base_url", "Address of the provider; default: its hosted one."),
        Setting("api_origins", _ORIGINS, "texts"),
    ),
    "blink": (
        Setting("base_url", "Address of bLink's consent module, given at onboarding.", required=True),
        Setting("target_id", "The bank, such as IIDP99999; {subject} stands for the subject.", required=True),
        Setting("user_agent", "Name and version of your software.", required=True),
        Setting("username", "The e-banking user; {subject} stands for the subject."),
        Setting("authorization_endpoint", _SIGN_IN),
        Setting("psu_ip_address", "The person's address; default: AUTO."),
        Setting("psu_user_agent", "The person's user agent; default: AUTO."),
        Setting("psu_headers_for_api", "Send these two with API requests too.", "flag"),
        Setting("consent", "Version of the consent flow; default: 2.0.", choices=("2.0", "3.0")),
        Setting("renewable", "Whether we renew the tokens; default: yes.", "flag"),
        Setting("api_origins", _ORIGINS, "texts"),
    ),
    "flinks": (
        Setting("host", "The host you were given, such as ob.flinksapp.com.", required=True),
        Setting("api_origins", _ORIGINS, "texts"),
        Setting("redirect_uri_on_refresh", "Send the redirect_uri with each renewal.", "flag"),
        Setting("authorization_parameters", "Further parameters of the sign-in, such as provider_id.", "table"),
    ),
    "discover": (
        Setting("issuer", "URL of the authorization server, whose metadata says the rest.", required=True),
        Setting("name", "Name under which tokens are stored; default: the host."),
        Setting("display_name", _DISPLAY_NAME),
        Setting("api_origins", "The origins that may receive the tokens; default: the issuer's.", "texts"),
        Setting("authorization_parameters", "Further parameters of the sign-in.", "table"),
        Setting("refresh_idle_lifetime", "Seconds without use after which a refresh token dies.", "number"),
    ),
    "custom": (
        Setting("name", "Name under which tokens are stored.", required=True),
        Setting("display_name", _DISPLAY_NAME),
        Setting("token_endpoint", "Where tokens are issued.", required=True),
        Setting("api_origins", "The origins that may receive the tokens; * is any https one.", "texts", required=True),
        Setting("authorization_endpoint", _SIGN_IN),
        Setting("revocation_endpoint", "Where tokens are revoked."),
        Setting("device_authorization_endpoint", "Where device codes are issued."),
        Setting("issuer", "The issuer that sign-ins must name."),
        Setting("sends_iss", "Whether it always names itself (RFC 9207); an answer without is then refused.", "flag"),
        Setting("grants", "The grant types that the server offers.", "texts"),
        Setting("basic_encoding", "How id and secret go into HTTP Basic.", choices=("rfc6749", "raw")),
        Setting("assertion_audience", "Whom assertions are meant for.", choices=("token_endpoint", "issuer")),
        Setting("token_body", "How token requests are written.", choices=("form", "json")),
        Setting("token_parameters", "Further parameters of each token request.", "table", is_secret=True),
        Setting("token_headers", "Further headers of each token request.", "table", is_secret=True),
        Setting("api_headers", "Headers of each request to the API beside the token.", "table", is_secret=True),
        Setting("authorization_parameters", "Further parameters of the sign-in.", "table"),
        Setting("pkce", "Whether sign-ins carry a code challenge; default: yes.", "flag"),
        Setting("requires_scope", "Whether sign-ins must name a scope.", "flag"),
        Setting("redirect_uri_on_refresh", "Send the redirect_uri with each renewal.", "flag"),
        Setting("revocation", "What is revoked.", choices=("tokens", "connection")),
        Setting("refresh_idle_lifetime", "Seconds without use after which a refresh token dies.", "number"),
    ),
}

PROVIDER = Setting("provider", "Which provider.", required=True, choices=tuple(PROVIDERS))

SECRETS = ("client_secret", "cert_password")
"""Settings that are no option of the command line, but may come from a variable of their own."""


def every_setting() -> tuple[Setting, ...]:
    """Each setting once, whichever provider it belongs to."""
    by_name = {PROVIDER.name: PROVIDER}
    for setting in (*COMMON, *(each for settings in PROVIDERS.values() for each in settings)):
        by_name.setdefault(setting.name, setting)
    return tuple(by_name.values())


def settings_of(provider: str) -> Mapping[str, Setting]:
    """The settings of a profile with this provider, by name."""
    return {each.name: each for each in (PROVIDER, *COMMON, *PROVIDERS[provider])}


Blame = Callable[[str, str], ConfigurationError]
"""Makes the error for a key, given what is wrong with it."""


def check(table: Mapping[str, Any], blame: Blame) -> Mapping[str, Setting]:
    """The settings of the profile in `table`, all of them known and of the right type. Raises what `blame` makes."""
    if "provider" not in table:
        raise _no_provider(table, blame)
    _check_value(PROVIDER, table["provider"], blame)
    known = settings_of(table["provider"])
    for key, value in table.items():
        if key not in known:
            raise blame(key, _unknown(key, str(table["provider"]), known))
        _check_value(known[key], value, blame)
    for setting in known.values():
        if setting.required and setting.name not in table:
            raise blame(setting.name, f"is missing. {setting.help}")
    return known


def did_you_mean(word: str, known: Iterable[str], *, all_of_them: str = "known are") -> str:
    """The right word if one is near, else all of them."""
    known = list(known)
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    return f"did you mean {near[0]!r}?" if near else f"{all_of_them}: {', '.join(known) or 'none'}"


def _unknown(key: str, provider: str, known: Collection[str]) -> str:
    others = [name for name, settings in PROVIDERS.items() if key in (each.name for each in settings)]
    if others:
        return f"does not belong to provider {provider!r}, but to {' and '.join(map(repr, others))}; remove it"
    return f"is no setting of provider {provider!r}; {did_you_mean(key, known)}"


def _no_provider(table: Mapping[str, Any], blame: Blame) -> ConfigurationError:
    misspelt = difflib.get_close_matches(PROVIDER.name, set(table) - {each.name for each in every_setting()}, n=1)
    if misspelt:
        return blame(misspelt[0], f"is no setting; did you mean {PROVIDER.name!r}?")
    return blame(PROVIDER.name, f"is missing; write one of {', '.join(PROVIDER.choices)}")


def _check_value(setting: Setting, value: Any, blame: Blame) -> None:
    is_right, right = _KINDS[setting.kind]
    if not is_right(value):
        raise blame(setting.name, f"must be {right}, not {_named(value)}")
    if setting.choices and "${" not in value and value not in setting.choices:
        raise blame(setting.name, f"{str(value)!r} is unknown; {did_you_mean(value, setting.choices)}")


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_texts(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(map(_is_text, cast("list[Any]", value)))


def _is_table(value: Any) -> bool:
    return isinstance(value, Mapping) and all(map(_is_text, cast("Mapping[str, Any]", value).values()))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


_KINDS: Mapping[Kind, tuple[Callable[[Any], bool], str]] = {
    "text": (_is_text, "text in quotes"),
    "file": (_is_text, "a file name in quotes"),
    "flag": (lambda value: isinstance(value, bool), "true or false"),
    "number": (_is_number, "a number"),
    "texts": (_is_texts, 'a list of texts, as ["...", "..."]'),
    "table": (_is_table, 'a table of texts, as { name = "..." }'),
}


def _named(value: Any) -> str:
    # The type and not the value, which may be a secret in the wrong place.
    names = {"str": "a text", "Redacted": "a text", "bool": "true or false", "list": "a list", "dict": "a table"}
    kind = str(type(value).__name__)
    return names.get(kind, "a number" if _is_number(value) else f"a {kind}")
