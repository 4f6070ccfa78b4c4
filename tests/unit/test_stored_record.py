"""The stored form of a grant."""

from __future__ import annotations

import json
from typing import Any

import pytest
from support.errors import raises

from blnk_auth import StoreError, Token
from blnk_auth._renewal.stored_record import GrantRecord

TOKEN = Token("at1", refresh_token="rt1", expires_at=1.0, extra={"grant_id": "g1"})


@pytest.mark.parametrize("grant", [GrantRecord(TOKEN), GrantRecord(TOKEN, "refused"), GrantRecord(Token("at1"))])
def test_a_grant_survives_json(grant: GrantRecord) -> None:
    """A written record is read back equal, with its schema version beside it."""
    data = json.loads(json.dumps(grant.to_data(), allow_nan=False))
    assert GrantRecord.from_data(data, "key") == grant
    assert data["schema"] == 1


def test_a_sign_in_is_named_by_a_hash_of_its_first_token() -> None:
    """The same token adopted twice is one sign-in; records of earlier versions have no name, and odd names are
    ignored.
    """
    record = GrantRecord.signed_in(TOKEN)
    assert record.sign_in == GrantRecord.signed_in(TOKEN).sign_in
    assert record.sign_in != GrantRecord.signed_in(TOKEN.replace(refresh_token="rt2")).sign_in
    assert GrantRecord.from_data(record.to_data(), "key").sign_in == record.sign_in
    assert "sign_in" not in GrantRecord(TOKEN).to_data()
    assert GrantRecord.from_data({**record.to_data(), "sign_in": 7}, "key").sign_in is None


@pytest.mark.parametrize("odd", [None, True, -1, 1.0, "1", 2**53, [1]])
def test_a_count_of_renewals_that_is_not_one_is_not_known(odd: Any) -> None:
    """As in a record of an earlier version, which has none; what is odd is never an error."""
    record = GrantRecord(TOKEN, sign_in="x", renewals=3, was_saved_late=True)
    assert GrantRecord.from_data(record.to_data(), "key").rank == (3, False)
    read = GrantRecord.from_data({**record.to_data(), "renewals": odd, "saved_late": odd}, "key")
    assert (read.token, read.renewals, read.rank) == (TOKEN, None, None)
    assert not {"renewals", "saved_late"} & set(GrantRecord(TOKEN).to_data())


def test_members_of_a_later_version_are_ignored() -> None:
    """A record that it has written is read, and renewed without them."""
    assert GrantRecord.from_data({**GrantRecord(TOKEN).to_data(), "later": {"x": 1}}, "key") == GrantRecord(TOKEN)


def test_what_a_sign_in_replaced_is_stored() -> None:
    """And read back; anything but a string counts as unknown."""
    record = GrantRecord(TOKEN, replaces="0123456789abcdef")
    assert GrantRecord.from_data(record.to_data(), "key").replaces == "0123456789abcdef"
    assert GrantRecord.from_data({**record.to_data(), "replaces": 7}, "key").replaces is None
    assert "replaces" not in GrantRecord(TOKEN).to_data()


def test_a_living_grant_has_no_mark() -> None:
    """Absent means alive."""
    assert "ended" not in GrantRecord(TOKEN).to_data()


@pytest.mark.parametrize(
    ("data", "parameter"),
    [
        ({"schema": 3}, None),
        ({"schema": 2}, "record"),
        ({"schema": 2, "token": {"access_token": "a"}}, "record"),
        ({"schema": 2, "token": {"access_token": "a"}, "dpop": "key"}, "record"),
        ({"schema": 2, "token": {"access_token": "a"}, "dpop": {"jkt": 1}}, "record"),
        ({"schema": 2, "token": {"access_token": "a"}, "dpop": {"jwk": {"kty": "EC"}}}, "record"),
        ({"schema": 0, "token": {"access_token": "a"}}, "record"),
        ({"schema": "1", "token": {"access_token": "a"}}, "record"),
        ({"schema": 1}, "record"),
        ({"schema": 1, "token": []}, "record"),
        ({"schema": 1, "token": {"access_token": "a"}, "ended": 7}, "record"),
        ({"schema": 1, "token": {}}, "record"),
    ],
)
def test_a_broken_record_names_the_key_and_the_remedy(data: dict[str, Any], parameter: str | None) -> None:
    """It is never taken for nothing, since the next save would then destroy it."""
    with raises(StoreError, key="token/acme/alice", parameter=parameter):
        GrantRecord.from_data(data, "token/acme/alice")
