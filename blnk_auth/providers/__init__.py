"""The providers that work by name, one short file each."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._blink import AUTO, BLink
    from ._blnk_cloud import BLNK_CLOUD_URL, BlnkCloud
    from ._flinks import FLINKS_PREPRODUCTION, FLINKS_PRODUCTION, Flinks
    from ._mastercard_open_finance_europe import MastercardOpenFinanceEurope
    from ._truelayer import TrueLayer
    from ._uk_open_banking import UKOpenBanking

__all__ = [
    "AUTO",
    "BLNK_CLOUD_URL",
    "FLINKS_PREPRODUCTION",
    "FLINKS_PRODUCTION",
    "BLink",
    "BlnkCloud",
    "Flinks",
    "MastercardOpenFinanceEurope",
    "TrueLayer",
    "UKOpenBanking",
]

_HOME = {
    "AUTO": "_blink",
    "BLNK_CLOUD_URL": "_blnk_cloud",
    "BLink": "_blink",
    "BlnkCloud": "_blnk_cloud",
    "FLINKS_PREPRODUCTION": "_flinks",
    "FLINKS_PRODUCTION": "_flinks",
    "Flinks": "_flinks",
    "MastercardOpenFinanceEurope": "_mastercard_open_finance_europe",
    "TrueLayer": "_truelayer",
    "UKOpenBanking": "_uk_open_banking",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOME[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted(__all__)
