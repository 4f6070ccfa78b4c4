"""The providers that work by name, one short file each, and the rules by which their answers are judged.

Used by users who configure a client. It promises one function for each provider, which returns a `Provider`. The rules
are public because a user's own `Provider` may use one, and because a pickle of a provider names them. It never imports
a module before one of its names is first used (PEP 562).

* `_blink`, `_blnk_cloud`, `_flinks`, `_mastercard_open_finance_europe`, `_truelayer`: one provider each.
* `_blink_answers`: what the answers of bLink mean.
* `_uk_open_banking`: any bank of UK Open Banking.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._blink import AUTO, BLink, BLinkCustomer, blink_permission_url
    from ._blink_answers import ends_blink_consent, is_blink_rejection, judge_blink_refusal
    from ._blnk_cloud import BLNK_CLOUD_URL, BlnkCloud, is_blnk_cloud_rejection
    from ._flinks import (
        FLINKS_PREPRODUCTION,
        FLINKS_PRODUCTION,
        Flinks,
        ends_flinks_consent,
        is_flinks_rejection,
        judge_flinks_refusal,
        read_flinks_answer,
    )
    from ._mastercard_open_finance_europe import MastercardOpenFinanceEurope
    from ._truelayer import TrueLayer
    from ._uk_open_banking import UKOpenBanking, uk_open_banking_interaction

__all__ = [
    "AUTO",
    "BLNK_CLOUD_URL",
    "FLINKS_PREPRODUCTION",
    "FLINKS_PRODUCTION",
    "BLink",
    "BLinkCustomer",
    "BlnkCloud",
    "Flinks",
    "MastercardOpenFinanceEurope",
    "TrueLayer",
    "UKOpenBanking",
    "blink_permission_url",
    "ends_blink_consent",
    "ends_flinks_consent",
    "is_blink_rejection",
    "is_blnk_cloud_rejection",
    "is_flinks_rejection",
    "judge_blink_refusal",
    "judge_flinks_refusal",
    "read_flinks_answer",
    "uk_open_banking_interaction",
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
    "BLinkCustomer": "_blink",
    "blink_permission_url": "_blink",
    "ends_blink_consent": "_blink_answers",
    "ends_flinks_consent": "_flinks",
    "is_blink_rejection": "_blink_answers",
    "judge_blink_refusal": "_blink_answers",
    "is_blnk_cloud_rejection": "_blnk_cloud",
    "is_flinks_rejection": "_flinks",
    "judge_flinks_refusal": "_flinks",
    "read_flinks_answer": "_flinks",
    "uk_open_banking_interaction": "_uk_open_banking",
}


def __getattr__(name: str) -> Any:
    from ..errors._extras import public_name

    return public_name(name, __name__, _HOME)


def __dir__() -> list[str]:
    return sorted(__all__)
