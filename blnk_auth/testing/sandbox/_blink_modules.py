"""The modules of bLink's API, as the banks behind it answer: accounts, payments and orders.

Used by bLink's personality. It promises the headers that SIX marks as required in each published module for clients.
SIX publishes no paths and no data, so both are made up. It never checks a token.
"""

from __future__ import annotations

import re
import uuid
from typing import Any

from ._sample_data import swiss_accounts, swiss_transactions

PSU_HEADERS = ("x-psu-ip-address", "x-psu-user-agent")

_NEEDS_PSU_HEADERS = re.compile(r"/(ais/v[34]|pss/v4|openwealth/v2)/")
"""AIS 3.1.0.7 and 4.0.0.4, PSS 4.0.0.3, OpenWealth order placement 2.2.1.1; those of AIS 5 and 6 are not published."""

_ACCOUNTS = re.compile(r"/ais/v[3-6]/accounts(/.*)?")
_SUBMISSIONS = ("/pss/v4/payments", "/openwealth/v2/orders")


def required_headers(path: str) -> tuple[str, ...]:
    """The headers that the module of this path requires beside those of every request."""
    return PSU_HEADERS if _NEEDS_PSU_HEADERS.match(path) else ()


def submitted(path: str) -> dict[str, Any] | None:
    """The members of the response to a POST; None where nothing can be submitted."""
    return {"id": str(uuid.uuid4()), "status": "RCVD"} if path in _SUBMISSIONS else None


def accounts_of(path: str, owner: str, target: str) -> dict[str, Any] | None:
    """The members of the response to a GET, for a user at a bank; None if there is nothing at this path."""
    found = _ACCOUNTS.fullmatch(path)
    if found is None:
        return None
    accounts = swiss_accounts(owner, target)
    match (found[1] or "").split("/")[1:]:
        case []:
            return {"accounts": accounts}
        case [identifier, *rest]:
            account = next((each for each in accounts if each["id"] == identifier), None)
            return None if account is None else _part_of(account, rest)
        case _:
            return None


def _part_of(account: dict[str, Any], rest: list[str]) -> dict[str, Any] | None:
    match rest:
        case []:
            return account
        case ["balances"]:
            return {"balances": [account["balance"]]}
        case ["transactions"]:
            return {"transactions": swiss_transactions(account)}
        case _:
            return None
