"""The provider of a profile, made from its settings.

Used by `Profile.provider`. It promises the same checks as in Python code, since the settings become the arguments of
the provider's own function. It never uses the network, except for `provider = "discover"`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..provider import Provider

_SUBJECT = "{subject}"
_OF_SUBJECT = ("target_id", "username")


NetworkSettings = Callable[[], dict[str, Any]]
"""Returns `verify`, `cert` and `proxy`, as far as they are set. It may read the keyring."""

Settings = dict[str, Any]
"""The settings of a provider by name, checked and resolved."""


def make_provider(kind: str, settings: Settings, network_settings: NetworkSettings) -> Provider:
    """Make the provider. `kind` is the value of the setting `provider`. Raises `ConfigurationError`."""
    return MAKERS[kind](settings, network_settings)


def _blnk_cloud(settings: Settings, _network_settings: NetworkSettings) -> Provider:
    from ..providers._blnk_cloud import BlnkCloud

    return BlnkCloud(**settings)


def _blink(settings: Settings, _network_settings: NetworkSettings) -> Provider:
    from ..providers._blink import BLink

    return BLink(**{**settings, **{name: _of_subject(settings[name]) for name in _OF_SUBJECT if name in settings}})


def _flinks(settings: Settings, _network_settings: NetworkSettings) -> Provider:
    from ..providers._flinks import Flinks

    return Flinks(**settings)


def _discover(settings: Settings, network_settings: NetworkSettings) -> Provider:
    return Provider.discover(**settings, **network_settings())


def _custom(settings: Settings, _network_settings: NetworkSettings) -> Provider:
    return Provider(**settings)


def _of_subject(value: str) -> Any:
    """The value, or a callable that replaces `{subject}` in it."""

    def filled_in(subject: str | None) -> str:
        return value.replace(_SUBJECT, subject or "")

    return filled_in if _SUBJECT in value else value


MAKERS: Mapping[str, Callable[[Settings, NetworkSettings], Provider]] = {
    "blnk_cloud": _blnk_cloud,
    "blink": _blink,
    "flinks": _flinks,
    "discover": _discover,
    "custom": _custom,
}
"""By the value of the setting `provider`."""
