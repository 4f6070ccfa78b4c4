"""Reading tokens: generous with everything but the access token, and silent about secrets."""

from __future__ import annotations

import copy
import json
import math
import pickle
import time
from datetime import UTC, datetime, timedelta, timezone
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.canary.leaks import leaks

from blnk_auth import Token
from blnk_auth._renewal.succession import merge_extra
from blnk_auth.token import read_seconds, read_token

NOW = 1_800_000_000.0
PAIR = {"access_token": "at1", "refresh_token": "rt1", "token_type": "Bearer", "expires_in": 3600}

END = datetime(2026, 11, 27, 10, 30, tzinfo=UTC)


def read(**members: Any) -> tuple[Token, tuple[str, ...]]:
    return read_token({**PAIR, **members}, received_at=NOW)


# --- RFC 6749 section 5.1, as servers write it -----------------------------------------------------------------------


def test_an_ordinary_answer() -> None:
    """Every member has its field; the lifetime counts from when the answer arrived."""
    token, notes = read(scope="a b", refresh_expires_in=86400)
    assert token == Token(
        "at1",
        expires_at=NOW + 3600,
        refresh_token="rt1",
        refresh_expires_at=NOW + 86400,
        scope="a b",
        issued_at=NOW,
    )
    assert notes == ()


@pytest.mark.parametrize(
    ("value", "lifetime", "is_odd"),
    [
        (3600, 3600.0, False),
        ("3600", 3600.0, False),
        (" 3600 ", 3600.0, False),
        ("3600.5", 3600.5, False),
        (3600.5, 3600.5, False),
        (3_600_000, 3_600_000.0, False),
        (0, 0.0, False),
        ("0", 0.0, False),
        (-1, 0.0, False),
        ("-1", 0.0, False),
        ("soon", None, True),
        ("", None, True),
        (True, None, True),
        (False, None, True),
        ([], None, True),
        ([3600], None, True),
        ({}, None, True),
        (math.nan, None, True),
        (math.inf, None, True),
        (-math.inf, None, True),
        ("nan", None, True),
        ("1e400", None, True),
        (10**400, None, True),
        (10**20, 1e20, False),
    ],
    ids=repr,
)
def test_f16_expires_in(value: object, lifetime: float | None, is_odd: bool) -> None:
    """F16: numbers count, also as text; zero and less is expired now; anything else is unknown, with a note."""
    token, notes = read(expires_in=value)
    assert token.expires_at == (None if lifetime is None else NOW + lifetime)
    assert bool(notes) is is_odd
    assert (token.access_token, token.refresh_token) == ("at1", "rt1")


@pytest.mark.parametrize("missing", [True, False])
def test_f16_an_unknown_lifetime_is_noted(missing: bool) -> None:
    """F16: without `expires_in` the lifetime is unknown, and an event reports that a default is assumed."""
    members = {name: value for name, value in PAIR.items() if name != "expires_in"}
    token, notes = read_token(members if missing else {**members, "expires_in": None}, received_at=NOW)
    assert token.expires_at is None
    assert notes


@pytest.mark.parametrize(
    ("value", "kept", "is_odd"),
    [
        ("Bearer", "Bearer", False),
        ("bearer", "Bearer", False),
        ("BEARER", "Bearer", False),
        (None, "Bearer", True),
        ("", "Bearer", True),
        (7, "Bearer", True),
        ("\ud800", "Bearer", True),
        ("N_A", "N_A", False),
        ("DPoP", "DPoP", False),
        ("x" * 1000, "x" * 64, False),
    ],
)
def test_f18_token_type(value: object, kept: str, is_odd: bool) -> None:
    """F18: case does not matter (RFC 6749 section 7.1); a missing one is noted; another type is kept as it is."""
    token, notes = read(token_type=value)
    assert (token.token_type, bool(notes)) == (kept, is_odd)


@pytest.mark.parametrize(
    ("value", "kept", "is_odd"),
    [
        ("a b", "a b", False),
        ("", None, False),
        (None, None, False),
        (["a", "b"], "a b", True),
        ([], None, True),
        (7, None, True),
        ({"a": 1}, None, True),
        ("\ud800", None, True),
        ("a " * 100_000, None, True),
    ],
)
def test_f18_scope(value: object, kept: str | None, is_odd: bool) -> None:
    """F18: a list is joined; anything else is unknown."""
    token, notes = read(scope=value)
    assert (token.scope, bool(notes)) == (kept, is_odd)


@pytest.mark.parametrize(
    ("value", "kept", "is_odd"),
    [("rt1", "rt1", False), (" rt1\n", "rt1", False), ("", None, False), ("  ", None, False), (None, None, False)]
    + [(odd, None, True) for odd in (7, True, ["rt1"], {"value": "rt1"}, "\ud800")],
)
def test_refresh_token(value: object, kept: str | None, is_odd: bool) -> None:
    """Absent, null and empty all mean no new one; what is not a string is noted."""
    token, notes = read(refresh_token=value)
    assert (token.refresh_token, bool(notes)) == (kept, is_odd)


@pytest.mark.parametrize(
    "member",
    [
        "refresh_expires_in",
        "refresh_token_expires_in",
        "x_refresh_token_expires_in",
        "refreshTokenExpiresIn",
        "rt_expires_in",
    ],
)
@pytest.mark.parametrize(("value", "lifetime"), [(60, 60.0), ("60", 60.0), (0, None), (-1, None), ("soon", None)])
def test_the_refresh_tokens_lifetime(member: str, value: object, lifetime: float | None) -> None:
    """Each name in use is read; 0, which Keycloak sends for `no end`, is unknown."""
    token, _ = read(**{member: value})
    assert token.refresh_expires_at == (None if lifetime is None else NOW + lifetime)
    assert token.extra == {}


@pytest.mark.parametrize("value", [None, "", "   ", 7, True, [], {}, ["at1"], b"at1", "\ud800"], ids=repr)
def test_without_an_access_token_there_is_no_token(value: object) -> None:
    """The one member that must be right; the error does not quote it."""
    with pytest.raises(ValueError, match="^access_token is missing or not a string$"):
        read(access_token=value)
    with pytest.raises(ValueError, match="access_token"):
        Token.from_response({"refresh_token": "rt1"})


def test_unknown_members_are_kept_as_they_are() -> None:
    """What bLink calls `grant_id` and OpenID's `id_token` are kept, of any type (trap 16)."""
    token, _ = read(grant_id="g1", deep={"a": [1, None]}, expires_in="60")
    assert token.extra == {"grant_id": "g1", "deep": {"a": [1, None]}}


def nested(depth: int) -> Any:
    value: Any = "x"
    for _ in range(depth):
        value = [value]
    return value


ENDLESS: list[Any] = []
ENDLESS.extend((ENDLESS, ENDLESS))


@pytest.mark.parametrize(
    "odd",
    [
        nested(40),
        nested(10_000),
        ENDLESS,
        "x" * 70_000,
        ["x" * 100] * 1000,
        "\ud800",
        {"\ud800": 1},
        {1: "x"},
        math.nan,
        10**400,
        b"bytes",
        END,
        {"x"},
        MappingProxyType({}),
    ],
    ids=lambda odd: ascii(odd)[:30] if odd is not ENDLESS and not isinstance(odd, list) else "list",
)
def test_a_member_that_no_store_can_keep_is_dropped(odd: Any) -> None:
    """Too deep, too large, or not JSON: it must not keep the pair out of the store (promise 5)."""
    token, notes = read(grant_id="g1", odd=odd)
    assert (token.access_token, token.refresh_token, token.extra) == ("at1", "rt1", {"grant_id": "g1"})
    assert len(notes) == 1
    assert "odd" not in notes[0]


def test_members_without_end_are_dropped_with_one_note() -> None:
    """What fits is kept, in the order of the answer."""
    token, notes = read(**{f"member_{number}": "x" * 1000 for number in range(1000)})
    assert "member_0" in token.extra
    assert 60 < len(token.extra) < 66
    assert len(notes) == 1


def test_what_is_deep_enough_is_kept() -> None:
    """30 levels are more than anybody sends."""
    assert read(odd=nested(30))[0].extra == {"odd": nested(30)}


@pytest.mark.parametrize("unit", ["[1]", "{}", '"x"', "0"])
def test_the_time_to_read_a_member_grows_with_its_size_only(unit: str) -> None:
    """However many values there are in an answer of a megabyte."""
    response = {**PAIR, "odd": [json.loads(unit)] * 250_000}
    began_at = time.process_time()
    read_token(response, received_at=NOW)
    assert time.process_time() - began_at < 1.0


def test_a_renewed_token_keeps_the_members_that_its_answer_does_not_repeat() -> None:
    """BLink sends `grant_id` once; a newer value takes the place of an older one."""
    assert merge_extra({"grant_id": "g1", "a": 1}, {"a": 2, "b": 3}) == ({"grant_id": "g1", "a": 2, "b": 3}, ())
    assert merge_extra({}, {"a": 1}) == ({"a": 1}, ())
    assert merge_extra({"a": 1}, {}) == ({"a": 1}, ())


def test_extra_does_not_grow_with_each_renewal() -> None:
    """A server that invents a name for each answer: the newest and the oldest stay, and a note names the others."""
    kept: Any = {"grant_id": "g1"}
    seen: list[str] = []
    for number in range(150):
        kept, notes = merge_extra(kept, {f"request_{number}": "x" * 10_000})
        seen.extend(notes)
        assert kept["grant_id"] == "g1"
        assert f"request_{number}" in kept
    assert len(json.dumps(dict(kept))) < 70_000
    assert len(seen) == 144


def test_an_answer_is_not_changed_by_reading_it() -> None:
    """Nor does changing it afterwards change the token."""
    response: dict[str, Any] = {**PAIR, "grant_id": "g1"}
    before = copy.deepcopy(response)
    token = Token.from_response(response, now=NOW)
    assert response == before
    response["grant_id"] = "g2"
    assert token.extra == {"grant_id": "g1"}


# --- what other libraries keep ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("expires_at", [1790000000, 1790000000.0, "1790000000"])
def test_an_authlib_dict_keeps_its_own_end(expires_at: object) -> None:
    """`expires_at` wins over `expires_in`, whose starting point is past (authlib, requests-oauthlib)."""
    token = Token.from_response({**PAIR, "expires_at": expires_at}, now=NOW)
    assert (token.expires_at, token.refresh_token) == (1790000000.0, "rt1")
    assert token.extra == {}


ENDS = {
    "ISO 8601, Z": "2026-11-27T10:30:00Z",
    "ISO 8601 with an offset": "2026-11-27T12:30:00+02:00",
    "ISO 8601 with a space": " 2026-11-27 10:30:00+00:00 ",
    "ISO 8601 of Go, in nanoseconds": "2026-11-27T10:30:00.000000000Z",
    "aware datetime": END,
    "aware datetime elsewhere": END.astimezone(timezone(timedelta(hours=-7))),
    "seconds": END.timestamp(),
    "seconds as text": str(int(END.timestamp())),
    "milliseconds": int(END.timestamp() * 1000),
    "milliseconds as text": str(int(END.timestamp() * 1000)),
}


@pytest.mark.parametrize("member", ["expires_at", "expiresAt", "expiry", "expiry_date", "expires_on"])
@pytest.mark.parametrize("form", ENDS)
def test_a_stated_end_is_read_in_every_usual_form(member: str, form: str) -> None:
    """An ended token is never taken for a fresh one: the stated end wins over `expires_in`, whose start is past."""
    token = Token.from_response({**PAIR, member: ENDS[form]}, now=NOW)
    assert (token.expires_at, token.issued_at, token.extra) == (END.timestamp(), None, {})


@pytest.mark.parametrize("member", ["refresh_expires_at", "refresh_token_expires_at", "refreshTokenExpiresAt"])
@pytest.mark.parametrize("form", ENDS)
def test_a_stated_expiry_of_the_refresh_token_is_read(member: str, form: str) -> None:
    """It wins over a lifetime, as that of the access token does."""
    token = Token.from_response({**PAIR, "refresh_expires_in": 9, member: ENDS[form]}, now=NOW)
    assert (token.refresh_expires_at, token.expires_at) == (END.timestamp(), NOW + 3600)


@pytest.mark.parametrize("member", ["expires_at", "expiry", "refresh_expires_at"])
@pytest.mark.parametrize(
    ("value", "why"),
    [
        (datetime(2026, 11, 27, 10, 30), "has no time zone"),
        ("2026-11-27T10:30:00", "has no time zone"),
        ("2026-11-27", "has no time zone"),
        ("tomorrow", "is not a time"),
        ("", "is not a time"),
        ([], "is not a time"),
        (True, "is not a time"),
        (math.inf, "is not a time"),
        (1e17, "is too large"),
    ],
)
def test_an_ambiguous_end_is_refused(member: str, value: object, why: str) -> None:
    """The caller can correct it, and the token does not show that it was guessed."""
    with pytest.raises(ValueError, match=f"^{member} {why}"):
        Token.from_response({**PAIR, member: value}, now=NOW)


def test_gos_zero_time_is_an_unknown_end() -> None:
    """Go writes the year 1 where the server stated no end."""
    assert Token.from_response({**PAIR, "expiry": "0001-01-01T00:00:00Z"}, now=NOW).expires_at is None


@pytest.mark.parametrize("odd", ["abc", None, 7, ["access_token"]])
def test_what_is_not_a_mapping_is_a_value_error(odd: Any) -> None:
    """As documented, for what another library keeps and for what a store returned."""
    with pytest.raises(ValueError, match="must be a mapping, not"):
        Token.from_response(odd)
    with pytest.raises(ValueError, match="must be a mapping, not"):
        Token.from_dict(odd)


@pytest.mark.parametrize(
    ("members", "expires_at", "is_odd"),
    [
        ({"expires_at": NOW + 60}, NOW + 60, False),
        ({"expires_at": (NOW + 60) * 1000}, NOW + 60, False),
        ({"expires_at": "2030-01-01T00:00:00Z"}, 1_893_456_000.0, False),
        ({"expires_in": 30, "expires_at": NOW + 60}, NOW + 30, False),
        ({"expires_in": "soon", "expires_at": NOW + 60}, None, True),
        ({"expires_at": NOW - 60}, None, True),
        ({"expires_at": "2030-01-01T00:00:00"}, None, True),
        ({"expires_at": "tomorrow"}, None, True),
    ],
)
def test_a_token_endpoint_may_state_the_end_itself(
    members: dict[str, Any], expires_at: float | None, is_odd: bool
) -> None:
    """Where `expires_in` is missing, and if it is ahead: else one of the two clocks is wrong. Nothing raises."""
    token, notes = read_token({"access_token": "at1", "token_type": "Bearer", **members}, received_at=NOW)
    assert (token.expires_at, bool(notes)) == (expires_at, is_odd)


def test_an_oauthlib_scope_list_and_expired_token_are_read() -> None:
    """requests-oauthlib keeps scope as a list."""
    token = Token.from_response({**PAIR, "scope": ["a", "b"], "expires_at": NOW - 5}, now=NOW)
    assert (token.scope, token.expires_at) == ("a b", NOW - 5)


def test_now_is_this_moment_by_default() -> None:
    """`Token.from_response(answer)` counts from the clock of this machine."""
    before = time.time()
    token = Token.from_response(PAIR)
    assert before <= (token.expires_at or 0) - 3600 <= time.time()


# --- storing ---------------------------------------------------------------------------------------------------------

TOKENS = [
    Token("at1"),
    Token("at1", token_type="N_A", scope="a b", issued_at=NOW),
    Token("at1", refresh_token="rt1", expires_at=NOW, refresh_expires_at=NOW + 1),
    Token("at1", extra={"grant_id": "g1", "deep": {"a": [1, None, "密码"]}, "expires_in": 5}),
]


@pytest.mark.parametrize("token", TOKENS, ids=repr)
def test_a_token_survives_json(token: Token) -> None:
    """to_dict, JSON, from_dict: equal; so do a pickle and a copy."""
    stored = json.loads(json.dumps(token.to_dict(), allow_nan=False))
    assert Token.from_dict(stored) == token
    assert pickle.loads(pickle.dumps(token)) == token
    assert copy.deepcopy(token) == copy.copy(token) == token


def test_whole_seconds_read_from_json_are_floats() -> None:
    """Other writers of JSON drop the `.0`."""
    token = Token.from_dict({"access_token": "at1", "expires_at": 1_800_000_000})
    assert (type(token.expires_at), token.expires_at) == (float, NOW)


@pytest.mark.parametrize(
    ("stored", "named"),
    [
        ({}, "access_token"),
        ({"access_token": ""}, "access_token"),
        ({"access_token": 7}, "access_token"),
        ({"access_token": "x", "refresh_token": 7}, "refresh_token"),
        ({"access_token": "x", "token_type": 7}, "token_type"),
        ({"access_token": "x", "scope": ["a"]}, "scope"),
        ({"access_token": "x", "expires_at": "soon"}, "expires_at"),
        ({"access_token": "x", "expires_at": True}, "expires_at"),
        ({"access_token": "x", "expires_at": 10**400}, "expires_at"),
        ({"access_token": "x", "expires_at": math.nan}, "expires_at"),
        ({"access_token": "x", "issued_at": []}, "issued_at"),
        ({"access_token": "x", "refresh_expires_at": {}}, "refresh_expires_at"),
        ({"access_token": "x", "extra": []}, "extra"),
    ],
)
def test_a_stored_token_that_is_broken_names_the_member(stored: dict[str, Any], named: str) -> None:
    """What we wrote ourselves is read strictly: a wrong type is a broken record."""
    with pytest.raises(ValueError, match=f"^{named} "):
        Token.from_dict(stored)


def test_replace_changes_what_it_names() -> None:
    """A copy with other fields; the original stays."""
    token = TOKENS[2]
    assert token.replace(scope="c") == Token(
        "at1", refresh_token="rt1", expires_at=NOW, refresh_expires_at=NOW + 1, scope="c"
    )
    assert token.scope is None


def test_a_token_is_immutable_and_hashable() -> None:
    """It is shared between threads and used in sets."""
    with pytest.raises(AttributeError):
        TOKENS[0].access_token = "x"  # type: ignore[misc]
    with pytest.raises(TypeError):
        Token("a").extra["x"] = 1  # type: ignore[index]
    assert len({TOKENS[3], TOKENS[3].replace()}) == 1


# --- anything at all -------------------------------------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=8), children, max_size=3),
    max_leaves=6,
)
NAMES = st.sampled_from(
    "access_token refresh_token token_type expires_in expires_at scope refresh_expires_in refresh_token_expires_in "
    "issued_at refresh_expires_at extra id_token".split()
)


@given(members=st.dictionaries(NAMES, JSON), access_token=st.text(min_size=1, max_size=8) | JSON)
def test_reading_raises_only_for_a_missing_access_token(members: dict[str, Any], access_token: object) -> None:
    """No value of any member raises anything but the one ValueError; what was read can be stored and read back."""
    response = {**members, "access_token": access_token}
    if not isinstance(access_token, str) or not access_token.strip():
        with pytest.raises(ValueError, match="access_token"):
            read_token(response, received_at=NOW)
        return
    token, _ = read_token(response, received_at=NOW)
    assert token.access_token == access_token.strip()
    assert token.expires_at is None or math.isfinite(token.expires_at)
    assert Token.from_dict(json.loads(json.dumps(token.to_dict(), allow_nan=False))) == token


@given(members=st.dictionaries(NAMES, JSON), access_token=st.text(min_size=1, max_size=8) | JSON)
def test_adopting_raises_only_value_errors(members: dict[str, Any], access_token: object) -> None:
    """A token of another library is a token that can be stored, or a ValueError that names the member."""
    try:
        token = Token.from_response({**members, "access_token": access_token}, now=NOW)
    except ValueError as odd:
        named = str(odd).partition(" ")[0]
        assert named == "access_token" or named in members
        return
    assert Token.from_dict(json.loads(json.dumps(token.to_dict(), allow_nan=False))) == token


@given(stored=st.dictionaries(NAMES, JSON))
def test_a_stored_token_raises_only_value_errors(stored: dict[str, Any]) -> None:
    """Any record is a token or a ValueError."""
    try:
        Token.from_dict(stored)
    except ValueError:
        return


@given(secret=st.text(min_size=12, max_size=40).filter(lambda text: text.strip() == text))
def test_a_token_shows_no_secret(secret: str) -> None:
    """Neither repr nor str nor format shows the pair or what is in extra."""
    token = Token(secret, refresh_token=secret, extra={"id_token": secret})
    assert leaks([repr(token), str(token), f"{token}", repr([token])], [secret]) == []


@given(value=JSON)
def test_seconds_are_finite_or_none(value: object) -> None:
    """`read_seconds` takes anything."""
    seconds = read_seconds(value)
    assert seconds is None or math.isfinite(seconds)
