"""What a sign-in asks for, checked.

Used by all sign-ins, and made by `OAuthClient` from what its user passed. It promises that an argument that cannot work
is refused by its name, before anybody is sent anywhere. It never asks the provider anything.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from .._protocol.http_values import (
    checked_authorization_parameters,
    checked_resource,
    joined,
    joined_scope,
    without_reserved,
)
from .._renewal.authorization_grants import RefreshTokenGrant
from ..errors import ConfigurationError, is_number, is_text, kind_of, quoted
from ..errors._json_size import json_size

if TYPE_CHECKING:
    from ..provider import Provider

ACTIONS = ("create", "merge", "replace")
"""What a sign-in can do with a grant (Grant Management for OAuth 2.0, section 5.2)."""

_OF_THE_API = frozenset({"query", "revoke"})
"""Actions that a server lists with the others, and that no sign-in performs."""

_MOST_JSON = 65_536
"""Characters of one JSON parameter."""

_MOST_TEXT = 4096
"""Characters of one parameter that is text, such as a `grant_id`."""


class WantedGrant(NamedTuple):
    """The grant that a user is asked for.

    Attributes:
        subject: Whose grant it will be: the application's own lasting id of the user.
        scope: Space-separated; None lets the server decide.
        resource: What the tokens are for (RFC 8707); None if that is not specified.
        parameters: All further parameters of the authorization request, as they are sent; `resource` among them.
    """

    subject: str
    scope: str | None = None
    resource: str | None = None
    parameters: Mapping[str, str] = MappingProxyType({})

    @classmethod
    def checked(
        cls, subject: str, scope: str | Sequence[str] | None = None, resource: str | None = None
    ) -> WantedGrant:
        """From what the user of the library passed. Raises `ConfigurationError`."""
        return cls(_checked_subject(subject), joined_scope(scope), checked_resource(resource))

    @classmethod
    def of_authorization(
        cls,
        provider: Provider,
        subject: str,
        *,
        scope: str | Sequence[str] | None,
        resource: str | None,
        authorization_details: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None,
        grant_management_action: str | None,
        grant_id: str | None,
        prompt: str | Sequence[str] | None,
        login_hint: str | None,
        acr_values: str | Sequence[str] | None,
        max_age: float | None,
        claims: Mapping[str, Any] | None,
        parameters: Mapping[str, str] | None,
    ) -> WantedGrant:
        """From the arguments of a sign-in with an authorization code. Raises `ConfigurationError`."""
        wanted = cls.checked(subject, scope, resource)
        _check_action(provider, grant_management_action, grant_id)
        asked: dict[str, str | None] = {
            "resource": wanted.resource,
            "authorization_details": _authorization_details(provider, authorization_details),
            "grant_management_action": grant_management_action,
            "grant_id": grant_id,
            "prompt": _prompt(prompt),
            "login_hint": _text(login_hint, "login_hint"),
            "acr_values": joined(acr_values, "acr_values"),
            "max_age": _seconds(max_age, "max_age"),
            "claims": _claims(claims),
        }
        named = {name: value for name, value in asked.items() if value is not None}
        further = checked_authorization_parameters({} if parameters is None else parameters, "parameters")
        return wanted._replace(parameters={**without_reserved(further, named, "parameters"), **named})

    def grant(self, target: str | None) -> RefreshTokenGrant:
        """Where its tokens are kept, if the user is sent to this target."""
        return RefreshTokenGrant(self.subject, target, self.resource)


def _checked_subject(subject: str) -> str:
    """The subject, if it is a string that is not empty; else raise `ConfigurationError`."""
    if not is_text(subject) or not subject.strip():
        raise ConfigurationError(
            f"subject must be a non-empty string of valid Unicode, not {quoted(subject)}",
            parameter="subject",
            remedy="pass your own lasting id of the user who gave the grant",
        )
    return subject


# --- authorization details and claims ---------------------------------------------------------------------------------


def _authorization_details(provider: Provider, details: Any) -> str | None:
    """The JSON array that is sent (RFC 9396 section 2)."""
    if details is None:
        return None
    listed = [cast("object", details)] if isinstance(details, Mapping) else _listed(details)
    objects = [_of_a_type(each, provider) for each in listed]
    return _json(objects, "authorization_details")


def _listed(details: object) -> Sequence[object]:
    listed = cast("Sequence[object]", details) if _is_list(details) else ()
    if not listed:
        raise ConfigurationError(
            f"authorization_details must be a JSON object, or a list of these that is not empty, not {quoted(details)}",
            parameter="authorization_details",
            remedy="pass such as {'type': 'account_information'}, or leave it out",
        )
    return listed


def _is_list(value: object) -> bool:
    return isinstance(value, list | tuple)


def _of_a_type(details: object, provider: Provider) -> dict[str, Any]:
    given = dict(cast("Mapping[str, Any]", details)) if isinstance(details, Mapping) else {}
    kind, known = given.get("type"), provider.authorization_details_types
    if not is_text(kind) or not kind:
        raise ConfigurationError(
            "authorization_details: each must be a JSON object with a type",
            parameter="authorization_details",
            remedy="pass such as {'type': 'account_information', 'actions': ['read_balances']}, or a list of these",
        )
    if known and kind not in known:
        raise ConfigurationError(
            f"authorization_details: {provider.display_name} does not list the type {quoted(kind)}",
            parameter="authorization_details",
            remedy=(
                f"use one of {', '.join(known)}; if the server knows it, add it to authorization_details_types of the "
                "provider"
            ),
        )
    return given


def _claims(claims: Any) -> str | None:
    """The JSON object that is sent (OpenID Connect Core section 5.5)."""
    if claims is None:
        return None
    if not isinstance(claims, Mapping):
        raise ConfigurationError(
            f"claims must be a JSON object, not {kind_of(claims)}",
            parameter="claims",
            remedy="pass such as {'id_token': {'acr': {'essential': True}}}",
        )
    return _json(dict(cast("Mapping[str, Any]", claims)), "claims")


def _json(value: Any, parameter: str) -> str:
    if json_size(value, most=_MOST_JSON) is None:
        raise ConfigurationError(
            f"{parameter} cannot be sent: it is not JSON, too deep, or longer than {_MOST_JSON} characters",
            parameter=parameter,
            remedy="pass dicts, lists, strings, finite numbers, booleans and None only",
        )
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


# --- grant management -------------------------------------------------------------------------------------------------


def _check_action(provider: Provider, action: Any, grant_id: Any) -> None:
    """The rules of Grant Management for OAuth 2.0, section 5.2."""
    if action is None and grant_id is not None:
        raise ConfigurationError(
            "grant_management_action is missing, and a grant_id needs one",
            parameter="grant_management_action",
            remedy="pass 'merge' to add to that grant, or 'replace' to change it",
        )
    if action is None:
        return
    known = tuple(each for each in provider.grant_management_actions if each not in _OF_THE_API)
    if action not in (known or ACTIONS):
        listed = f" is not one that {provider.display_name} lists" if known else " is unknown"
        raise ConfigurationError(
            f"grant_management_action {quoted(action)}{listed}",
            parameter="grant_management_action",
            remedy=f"use one of {', '.join(known or ACTIONS)}",
        )
    if action == "create" and grant_id is not None:
        raise ConfigurationError(
            "grant_id was passed with grant_management_action='create', which makes a new grant",
            parameter="grant_id",
            remedy="leave it out, or pass 'merge' or 'replace'",
        )
    if action != "create" and _text(grant_id, "grant_id") is None:
        raise ConfigurationError(
            f"grant_id is missing, and grant_management_action={action!r} needs it",
            parameter="grant_id",
            remedy="pass the grant_id of the user's grant, as in source.token().extra['grant_id']",
        )


# --- simple values ----------------------------------------------------------------------------------------------------


def _prompt(prompt: Any) -> str | None:
    # OpenID Connect Core section 3.1.2.1: "If this parameter contains none with any other value, an error is returned."
    value = joined(prompt, "prompt")
    values = (value or "").split()
    if "none" in values and len(values) > 1:
        raise ConfigurationError(
            "prompt has 'none' beside other values",
            parameter="prompt",
            remedy="pass 'none' alone, or leave it out",
        )
    return value


def _text(value: Any, parameter: str) -> str | None:
    if value is not None and not (is_text(value) and value.strip() and value.isprintable()):
        raise ConfigurationError(
            f"{parameter} must be None, or a non-empty string of printable characters, not {quoted(value)}",
            parameter=parameter,
            remedy="pass what the provider documents, or leave it out",
        )
    if value is not None and len(value) > _MOST_TEXT:
        raise ConfigurationError(
            f"{parameter} has more than {_MOST_TEXT} characters",
            parameter=parameter,
            remedy="pass what the provider documents, or leave it out",
        )
    return value


def _seconds(value: Any, parameter: str) -> str | None:
    if value is None:
        return None
    if not is_number(value) or value < 0 or value != int(value):
        raise ConfigurationError(
            f"{parameter} must be a whole number of seconds from 0, not {quoted(value)}",
            parameter=parameter,
            remedy="pass such as 300, or leave it out",
        )
    return str(int(value))
