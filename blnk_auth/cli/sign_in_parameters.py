"""`--parameter` of `login`: further parameters of the sign-in, as arguments of the library.

Used by `login`. It promises that a parameter which is an argument of `OAuthClient.authorize_interactively` is checked
as that argument, before the browser opens. It never sends anything.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import click

from ..token import read_seconds

_TEXT = ("grant_management_action", "grant_id", "prompt", "login_hint", "acr_values")
_JSON = ("authorization_details", "claims")

FURTHER = (*_TEXT, *_JSON, "max_age", "parameters")
"""The names of all these arguments."""


def arguments_of(parameters: Mapping[str, str] | None) -> dict[str, Any]:
    """The arguments of the sign-in. Raises `click.UsageError` for a value that cannot be read."""
    further = dict(parameters or {})
    arguments: dict[str, Any] = {name: further.pop(name) for name in _TEXT if name in further}
    arguments |= {name: _json(name, further.pop(name)) for name in _JSON if name in further}
    if "max_age" in further:
        arguments["max_age"] = _number("max_age", further.pop("max_age"))
    return {**arguments, "parameters": further or None}


def _json(name: str, value: str) -> Any:
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        raise click.UsageError(f"--parameter {name} must be JSON, in quotes for the shell") from None


def _number(name: str, value: str) -> float:
    seconds = read_seconds(value)
    if seconds is None:
        raise click.UsageError(f"--parameter {name} must be a number of seconds")
    return seconds
