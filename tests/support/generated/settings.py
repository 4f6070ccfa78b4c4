"""The keys of `docs/reference/configuration.md`, from the tables that profiles are checked against.

Used by `support.reference`. It promises every key of every provider, with its type, its default and its meaning. A
default that the table does not mention is that of the function that gets the setting.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any

from support.generated.markdown import codes, listing, prose

from blnk_auth import OAuthClient, Provider
from blnk_auth.config._settings import COMMON, PROVIDER, PROVIDERS, SECRETS, Setting
from blnk_auth.providers import BLink, BlnkCloud, Flinks

CLIENT = "client"
_MAKERS: dict[str, Callable[..., Any]] = {
    CLIENT: OAuthClient,
    "blnk_cloud": BlnkCloud,
    "blink": BLink,
    "flinks": Flinks,
    "discover": Provider.discover,
    "custom": Provider,
}
_TYPES = {
    "text": "string",
    "file": "file name",
    "flag": "boolean",
    "number": "seconds",
    "list": "list of strings",
    "table": "table of strings",
}
_DEFAULT = re.compile(r"; default: (.+?)\.$")


def tables() -> list[str]:
    """The names of all tables: `client` for the keys that every profile may have, then each provider."""
    return [CLIENT, *PROVIDERS]


def keys(name: str) -> str:
    """The table of one of them."""
    settings = (PROVIDER, *COMMON) if name == CLIENT else PROVIDERS[name]
    defaults = inspect.signature(_MAKERS[name]).parameters
    return listing((f"**`{each.name}`** ({_kind(each, defaults)})", _meaning(each)) for each in settings)


def _kind(setting: Setting, parameters: Any) -> str:
    default = _default(setting, parameters)
    prefix = "" if default in ("", "required") else "default "
    return ", ".join(filter(None, (_type(setting), f"{prefix}{default}")))


def _type(setting: Setting) -> str:
    return f"one of {codes(setting.choices)}" if setting.choices else _TYPES[setting.kind]


def _default(setting: Setting, parameters: Any) -> str:
    if setting.required:
        return "required"
    named = _DEFAULT.search(setting.help)
    if named is not None:
        return {"yes": "`true`", "event": "`event`"}.get(named[1], prose(named[1]))
    parameter = parameters.get(setting.name)
    default = None if parameter is None else parameter.default
    if setting.kind == "flag":
        return f"`{str(bool(default)).lower()}`"
    return f"`{default}`" if isinstance(default, str | float) else ""


def _meaning(setting: Setting) -> str:
    secret = " Not an option, only a variable." if setting.name in SECRETS else ""
    if setting.is_secret and not secret:
        secret = " Neither an option nor a variable."
    return prose(_DEFAULT.sub(".", setting.help)) + secret
