"""Rich authorization requests (RFC 9396): which `authorization_details` are understood, and what is granted.

Used by the authorization endpoint, the PAR endpoint and the token endpoint. It promises the errors of section 5: an
unknown type, an unknown field, a field of the wrong type or a missing one is `invalid_authorization_details`. It never
grants a detail that was not asked for.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from ._issued import OAuthError
from ._sample_data import swiss_accounts

Detail = dict[str, Any]

_BANK = "Blnk Cloud"
_MOST_DETAILS = 100


def _is_string(value: object) -> bool:
    return isinstance(value, str) and value != ""


def _is_list_of_strings(value: object) -> bool:
    return isinstance(value, list) and all(map(_is_string, cast("list[object]", value)))


def _is_object(value: object) -> bool:
    return isinstance(value, dict)


def _is_list_of_objects(value: object) -> bool:
    return isinstance(value, list) and all(map(_is_object, cast("list[object]", value)))


def _is_amount(value: object) -> bool:
    members = cast("Detail", value) if isinstance(value, dict) else {}
    return all(_is_string(members.get(name)) for name in ("currency", "amount"))


Check = Callable[[object], bool]

_COMMON: Mapping[str, Check] = {
    "type": _is_string,
    "locations": _is_list_of_strings,
    "actions": _is_list_of_strings,
    "datatypes": _is_list_of_strings,
    "privileges": _is_list_of_strings,
    "identifier": _is_string,
}
"""The fields of section 2.2, which every type has."""

_OF_TYPES: Mapping[str, Mapping[str, Check]] = {
    "account_information": {"accounts": _is_list_of_objects},
    "payment_initiation": {
        "instructedAmount": _is_amount,
        "creditorName": _is_string,
        "creditorAccount": _is_object,
        "debtorAccount": _is_object,
        "remittanceInformationUnstructured": _is_string,
    },
}
"""The further fields of each type, as the examples of RFC 9396 have them."""

_REQUIRED: Mapping[str, Sequence[str]] = {"payment_initiation": ("instructedAmount", "creditorName", "creditorAccount")}

TYPES = tuple(_OF_TYPES)


def read_details(encoded: str | None) -> tuple[Detail, ...]:
    """The value of the parameter `authorization_details`: none if it is absent; `invalid_authorization_details`."""
    if encoded is None:
        return ()
    try:
        details = json.loads(encoded)
    except (ValueError, RecursionError):
        raise _refused("is not JSON") from None
    if not isinstance(details, list) or not 0 < len(cast("list[object]", details)) <= _MOST_DETAILS:
        raise _refused("must be a JSON array of objects, and not empty")
    return tuple(map(_checked, cast("list[object]", details)))


def granted_to(subject: str, asked: Sequence[Detail]) -> tuple[Detail, ...]:
    """What the user grants. RFC 9396 section 7.1: where accounts were left open, the user chose them all."""
    return tuple(
        {**detail, "accounts": [{"iban": account["iban"]} for account in swiss_accounts(subject, _BANK)]}
        if detail["type"] == "account_information" and "accounts" not in detail
        else detail
        for detail in asked
    )


def part_of(granted: Sequence[Detail], asked: Sequence[Detail]) -> tuple[Detail, ...]:
    """What a token request wants of a grant (section 6.1): everything, or some of the granted details."""
    if any(detail not in granted for detail in asked):
        raise _refused("asks for more than was granted")
    return tuple(asked or granted)


def merged(granted: Sequence[Detail], further: Sequence[Detail]) -> tuple[Detail, ...]:
    """Both, without what is there already."""
    return (*granted, *(detail for detail in further if detail not in granted))


def _checked(detail: object) -> Detail:
    if not isinstance(detail, dict):
        raise _refused("must be a JSON array of objects")
    fields = cast("Detail", detail)
    kind = _type_of(fields)
    known = {**_COMMON, **_OF_TYPES[kind]}
    for name, value in fields.items():
        if name not in known:
            raise _refused(f"has the unknown field {name!r} in an object of type {kind!r}")
        if not known[name](value):
            raise _refused(f"has a wrong value for the field {name!r} in an object of type {kind!r}")
    for name in _REQUIRED.get(kind, ()):
        if name not in fields:
            raise _refused(f"lacks the field {name!r} in an object of type {kind!r}")
    return fields


def _type_of(fields: Detail) -> str:
    kind = fields.get("type")
    if not isinstance(kind, str) or not kind:
        raise _refused("has an object without type")
    if kind not in _OF_TYPES:
        raise _refused(f"has the unknown type {kind!r}; there are {', '.join(TYPES)}")
    return kind


def _refused(problem: str) -> OAuthError:
    return OAuthError("invalid_authorization_details", f"authorization_details {problem}")
