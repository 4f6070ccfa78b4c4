"""Ledgers and accounts that look real, at the paths that the providers document.

Used by the personalities. It promises the same data for the same user in each run, with identifiers, IBANs and amounts
that pass a reader's checks, and in the documented shape where one is published: Blnk's Data API, Flinks' FDX 5. SIX
publishes no example, so bLink's shape is made up. No account here is real, and it never reads anything.
"""

from __future__ import annotations

import random
import threading
import uuid
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

Record = dict[str, Any]

_MOST_RECORDS = 1000
"""Of each kind in a workspace; the oldest are dropped."""


# --- Blnk Cloud ------------------------------------------------------------------------------------------------------

ID_FIELDS: Mapping[str, str] = {
    "ledgers": "ledger_id",
    "balances": "balance_id",
    "transactions": "transaction_id",
    "identities": "identity_id",
}
"""The resources of Blnk's Data API that have data here, and the name of their identifiers."""

_PREFIXES = {"ledgers": "ldg", "balances": "bln", "transactions": "txn", "identities": "idt"}
_PAGE_SIZES = {"ledgers": 30}
_USUAL_PAGE_SIZE = 20
_MOST_PER_PAGE = 100


class Workspace:
    """The ledgers of one Blnk workspace, with some data at the start. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._records: dict[str, deque[Record]] = {name: deque(maxlen=_MOST_RECORDS) for name in ID_FIELDS}
        chance = _chance("workspace")
        wallets = self.add("ledgers", {"name": "Customer wallets", "meta_data": {"product": "wallet"}}, chance)
        fees = self.add("ledgers", {"name": "Fees and revenue", "meta_data": {"product": "internal"}}, chance)
        people = [("Ada", "Okafor", "NG"), ("Jonas", "Keller", "CH"), ("Maya", "Tremblay", "CA")]
        balances = [self._customer(wallets, *names, chance) for names in people]
        revenue = self._balance(fees, "USD", 0, chance)
        for payer in balances:
            self.add("transactions", _transaction(payer, revenue, chance), chance)

    def add(self, resource: str, members: Record, chance: random.Random | None = None) -> Record:
        """Add a record, and return it with its identifier and its time."""
        identifier = uuid.UUID(int=(chance or _SYSTEM).getrandbits(128), version=4)
        record = {
            ID_FIELDS[resource]: f"{_PREFIXES[resource]}_{identifier}",
            **members,
            "created_at": "2026-03-02T09:15:27.558281Z",
        }
        with self._lock:
            self._records[resource].append(record)
        return record

    def all(self, resource: str) -> list[Record]:
        """Every record, oldest first."""
        with self._lock:
            return list(self._records[resource])

    def page(self, resource: str, query: Mapping[str, str]) -> Record:
        """One page, as the Data API has it: `page` from 1, `pageSize`."""
        records = self.all(resource)
        size = min(_number(query.get("pageSize"), _PAGE_SIZES.get(resource, _USUAL_PAGE_SIZE)), _MOST_PER_PAGE)
        begin = (_number(query.get("page"), 1) - 1) * size
        return {"data": records[begin : begin + size], "total": len(records)}

    def find(self, resource: str, identifier: str) -> Record | None:
        """The record with this identifier, or None."""
        return next((each for each in self.all(resource) if each[ID_FIELDS[resource]] == identifier), None)

    def _customer(self, ledger: Record, first: str, last: str, country: str, chance: random.Random) -> Record:
        email = f"{first.lower()}.{last.lower()}@example.com"
        names = {"identity_type": "individual", "first_name": first, "last_name": last}
        identity = self.add("identities", {**names, "email_address": email, "country": country}, chance)
        return self._balance(ledger, "USD", chance.randrange(10_000, 900_000), chance, identity["identity_id"])

    def _balance(
        self, ledger: Record, currency: str, cents: int, chance: random.Random, identity: str | None = None
    ) -> Record:
        owner = {} if identity is None else {"identity_id": identity}
        members = {"ledger_id": ledger["ledger_id"], "currency": currency, "balance": cents / 100, **owner}
        return self.add("balances", members, chance)


def _transaction(payer: Record, payee: Record, chance: random.Random) -> Record:
    return {
        "amount": chance.randrange(100, 2_000) / 100,
        "precision": 100,
        "currency": payer["currency"],
        "reference": f"fee-{chance.randrange(10**6):06}",
        "source": payer["balance_id"],
        "destination": payee["balance_id"],
        "status": "APPLIED",
        "meta_data": {"description": "Monthly fee"},
    }


def _number(text: str | None, usual: int) -> int:
    # At most six digits: Python refuses to read some thousands of them.
    return max(int(text), 1) if text is not None and text.isascii() and text.isdigit() and len(text) < 7 else usual


# --- accounts of a user: bLink, Flinks -------------------------------------------------------------------------------


def swiss_accounts(owner: str, bank: str) -> list[Record]:
    """The accounts of a user at a bank behind bLink."""
    chance = _chance(f"{bank} {owner}")
    return [
        {
            "id": str(uuid.UUID(int=chance.getrandbits(128), version=4)),
            "iban": _swiss_iban(chance),
            "currency": currency,
            "product": product,
            "ownerName": owner,
            "balance": {"amount": f"{chance.randrange(10_000, 5_000_000) / 100:.2f}", "currency": currency},
        }
        for product, currency in (("Private account", "CHF"), ("Savings account", "CHF"), ("EUR account", "EUR"))
    ]


def swiss_transactions(account: Record) -> list[Record]:
    """The latest transactions of such an account."""
    return [
        {
            "id": f"{account['id'][:8]}-{number}",
            "bookingDate": day,
            "creditDebitIndicator": "DBIT" if amount < 0 else "CRDT",
            "amount": {"amount": f"{abs(amount) / 100:.2f}", "currency": account["currency"]},
            "remittanceInformation": text,
        }
        for number, (day, text, amount) in enumerate(_bookings(_chance(account["id"])), 1)
    ]


def fdx_accounts(owner: str) -> list[Record]:
    """The accounts of a user at a Data Provider behind Flinks."""
    chance = _chance(f"flinks {owner}")
    accounts: list[Record] = []
    for nickname, kind in (("Everyday Chequing", "CHECKING"), ("High Interest", "SAVINGS"), ("US Dollar", "CHECKING")):
        balance = chance.randrange(10_000, 2_000_000) / 100
        accounts.append(
            {
                "accountId": f"{chance.getrandbits(64):016x}",
                "accountCategory": "DEPOSIT_ACCOUNT",
                "accountType": kind,
                "accountNumberDisplay": f"****{chance.randrange(10_000):04}",
                "nickname": nickname,
                "description": f"Account of {owner}",
                "status": "OPEN",
                "currency": {"currencyCode": "USD" if "Dollar" in nickname else "CAD"},
                "currentBalance": balance,
                "availableBalance": balance,
            }
        )
    return accounts


def fdx_transactions(account: Record) -> list[Record]:
    """The latest transactions of such an account."""
    return [
        {
            "depositTransaction": {
                "accountId": account["accountId"],
                "transactionId": f"{account['accountId'][:8]}{number}",
                "postedTimestamp": f"{day}T12:00:00Z",
                "description": text,
                "debitCreditMemo": "DEBIT" if amount < 0 else "CREDIT",
                "amount": abs(amount) / 100,
                "status": "POSTED",
            }
        }
        for number, (day, text, amount) in enumerate(_bookings(_chance(account["accountId"])), 1)
    ]


def _bookings(chance: random.Random) -> Sequence[tuple[str, str, int]]:
    """Day, text and amount in cents."""
    return (
        ("2026-03-25", "Salary", chance.randrange(400_000, 900_000)),
        ("2026-03-27", "Rent", -chance.randrange(100_000, 250_000)),
        ("2026-03-28", "Groceries", -chance.randrange(2_000, 15_000)),
        ("2026-03-30", "Train ticket", -chance.randrange(500, 9_000)),
    )


def _swiss_iban(chance: random.Random) -> str:
    """An IBAN with valid check digits (ISO 13616), of a clearing number that no bank has."""
    number = f"99999{chance.randrange(10**12):012}"
    return f"CH{98 - int(f'{number}121700') % 97:02}{number}"


_SYSTEM = random.SystemRandom()


def _chance(seed: str) -> random.Random:
    return random.Random(seed)  # noqa: S311 - the same data in each run, and no secret
