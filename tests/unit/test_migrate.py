"""Tokens that other libraries have stored: each form is read, nothing is guessed, and no newer pair is replaced.

tests/clients/test_migrations.py has what the real packages store.
"""

from __future__ import annotations

import asyncio
import base64
import json
import zlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import trio
from support.providers import acme
from support.stores.scripted import ScriptedStore
from support.waiting import Hold
from support.worlds import World

from blnk_auth import (
    ConfigurationError,
    MemoryStore,
    OAuthClient,
    StaticToken,
    StoreError,
    Token,
    TokenSource,
)
from blnk_auth.migrate import (
    aadopt_once,
    adopt_once,
    from_authlib,
    from_hand_written,
    from_httpx_auth,
    from_requests_auth,
    from_requests_oauth2client,
    from_requests_oauthlib,
)
from blnk_auth.testing import Clock, Sandbox

END = 1_800_000_000.0
PAIR = {"access_token": "at-s3cret-1", "refresh_token": "rt-s3cret-1", "token_type": "Bearer"}
STORED = {**PAIR, "expires_in": 3600, "expires_at": END, "scope": "a b"}
TOKEN = Token("at-s3cret-1", expires_at=END, refresh_token="rt-s3cret-1", scope="a b", issued_at=END - 3600)
CACHE = {"5e" * 64: ["at-s3cret-1", END, "rt-s3cret-1"], "6f" * 64: ["at-s3cret-2", END, None]}

Importer = Callable[..., Any]
OF_DICTS = [from_authlib, from_requests_oauthlib, from_requests_oauth2client, from_hand_written]
OF_CACHES = [from_httpx_auth, from_requests_auth]

of_dicts = pytest.mark.parametrize("read", OF_DICTS, ids=lambda read: read.__name__)
of_caches = pytest.mark.parametrize("read", OF_CACHES, ids=lambda read: read.__name__)
of_all = pytest.mark.parametrize("read", [*OF_DICTS, *OF_CACHES], ids=lambda read: read.__name__)


def serialized(members: dict[str, Any], further: str = "") -> bytes:
    """As `TokenSerializer` of requests-oauth2client writes it."""
    deflated = zlib.compressobj(wbits=-15)
    body = deflated.compress((json.dumps(members) + further).encode()) + deflated.flush()
    return base64.urlsafe_b64encode(body).rstrip(b"=")


def refused(read: Importer, *arguments: Any, **named: Any) -> ConfigurationError:
    """The error; nothing of the pair is in it."""
    with pytest.raises(ConfigurationError) as caught:
        read(*arguments, **named)
    assert caught.value.remedy
    assert "s3cret" not in f"{caught.value!r} {caught.value} {caught.value.fields()}"
    return caught.value


# --- what is stored --------------------------------------------------------------------------------------------------


def as_bytes(members: dict[str, Any]) -> bytes:
    return json.dumps(members, indent=1).encode()


@of_dicts
@pytest.mark.parametrize("form", [dict[str, Any], json.dumps, as_bytes], ids=["dict", "str", "bytes"])
def test_a_token_dict_is_read(read: Importer, form: Callable[[Any], Any]) -> None:
    """As a mapping, and as JSON in a string or in bytes."""
    assert read(form(STORED)) == TOKEN


def test_scopes_and_unknown_members_are_kept() -> None:
    """A list of scopes is joined; what the API needs stays with the token, and what is the client's does not."""
    token = from_requests_oauthlib(
        {**STORED, "scope": ["a", "b"], "id_token": "x.y.z", "client_id": "c", "client_secret": "s", "created_at": 1}
    )
    assert (token.scope, token.extra) == ("a b", {"id_token": "x.y.z"})


@of_caches
def test_each_token_of_a_cache_is_read_by_its_key(read: Importer) -> None:
    """With and without a refresh token; entries of old releases have two members."""
    expected = {
        "5e" * 64: Token("at-s3cret-1", expires_at=END, refresh_token="rt-s3cret-1"),
        "6f" * 64: Token("at-s3cret-2", expires_at=END),
    }
    assert read(json.dumps(CACHE)) == expected
    assert read({key: tuple(entry) for key, entry in CACHE.items()}) == expected
    assert read({"6f" * 64: ["at-s3cret-2", END]}) == {"6f" * 64: expected["6f" * 64]}
    assert read("{}") == {}


@pytest.mark.parametrize("kind", [bytes, bytes.decode])
def test_a_serialized_bearer_token_is_read(kind: Callable[[bytes], Any]) -> None:
    """Deflated, and base64url-encoded with and without padding."""
    stored = serialized(STORED)
    assert from_requests_oauth2client(kind(stored)) == TOKEN
    assert from_requests_oauth2client(kind(stored + b"=" * (-len(stored) % 4))) == TOKEN


def test_the_key_of_a_dpop_token_is_not_kept_with_it() -> None:
    """It is for the client; without it, the token is not adopted."""
    key = {"alg": "ES256", "private_key": {"kty": "EC", "d": "s3cret"}}
    token = from_requests_oauth2client(serialized({**STORED, "token_type": "DPoP", "dpop_key": key}))
    assert (token.token_type, token.extra) == ("DPoP", {})
    assert refused(adopt_once, alice(), token).parameter == "token"


# --- when it expires -------------------------------------------------------------------------------------------------

ZURICH = ZoneInfo("Europe/Zurich")
IN_UTC = datetime.fromtimestamp(END, UTC)


@pytest.mark.parametrize(
    "stored",
    [
        {"expires_at": int(END)},
        {"expires_at": str(END)},
        {"expires_at": END * 1000},
        {"expires_at": str(int(END * 1000))},
        {"expires_at": IN_UTC},
        {"expires_at": IN_UTC.astimezone(timezone(timedelta(hours=2)))},
        {"expires_at": IN_UTC.isoformat()},
        {"expires_at": str(IN_UTC)},
        {"expires_at": IN_UTC.strftime("%Y-%m-%dT%H:%M:%SZ")},
        {"expiry": IN_UTC.isoformat(), "expires_in": 7},
        {"created_at": END - 60, "expires_in": 60},
        {"created_at": (END - 60) * 1000, "expires_in": "60"},
        {"created_at": (IN_UTC - timedelta(minutes=1)).isoformat(), "expires_in": 60},
        {"obtained_at": IN_UTC - timedelta(minutes=1), "expires_in": 60},
    ],
    ids=str,
)
def test_a_hand_written_expiry_is_one_moment(stored: dict[str, Any]) -> None:
    """Seconds, milliseconds, text or `datetime`, or when it began and how long it lives."""
    assert from_hand_written({**PAIR, **stored}).expires_at == END


@pytest.mark.parametrize("zone", [UTC, ZURICH], ids=str)
def test_a_time_without_a_zone_needs_one(zone: Any) -> None:
    """Which it gets from the caller, and never from this machine."""
    naive = IN_UTC.astimezone(zone).replace(tzinfo=None)
    for value in (naive, naive.isoformat(), str(naive)):
        assert from_hand_written({**PAIR, "expires_at": value}, timezone=zone).expires_at == END
        assert refused(from_hand_written, {**PAIR, "expires_at": value}).parameter == "expires_at"
        # A time that has a zone keeps it.
        assert from_hand_written({**PAIR, "expires_at": IN_UTC.isoformat()}, timezone=ZURICH).expires_at == END


@of_dicts
def test_a_lifetime_alone_needs_its_beginning(read: Importer) -> None:
    """It would be counted from now: a token that expired long ago would look valid for an hour."""
    stored = {**PAIR, "expires_in": 3600, "refresh_expires_in": 7200}
    assert refused(read, stored).parameter == "issued_at"
    token = read(stored, issued_at=END)
    assert (token.expires_at, token.refresh_expires_at, token.issued_at) == (END + 3600, END + 7200, END)
    assert read(stored, issued_at=0).is_expired


def test_a_lifetime_that_has_passed_needs_nothing() -> None:
    """The documentation of requests-oauthlib shows `"expires_in": "-30"`."""
    assert from_requests_oauthlib({**PAIR, "expires_in": "-30"}).is_expired


def test_the_expiry_of_a_refresh_token_is_known_where_its_beginning_is() -> None:
    """`expires_at` and `expires_in` give it; else it is unknown."""
    assert from_authlib({**STORED, "refresh_expires_in": 7200}).refresh_expires_at == END + 3600
    assert from_authlib({**PAIR, "expires_at": END, "refresh_expires_in": 7200}).refresh_expires_at is None
    assert from_authlib({**STORED, "refresh_token_expires_at": END + 5}).refresh_expires_at == END + 5


def test_without_an_expiry_it_is_unknown() -> None:
    """It is used until the API rejects it."""
    assert from_hand_written(PAIR) == Token("at-s3cret-1", refresh_token="rt-s3cret-1")
    assert from_hand_written({**PAIR, "created_at": "yesterday"}).issued_at is None


# --- what is refused -------------------------------------------------------------------------------------------------


@of_all
@pytest.mark.parametrize(
    "stored", [None, 7, ["at-s3cret-1"], "", "at-s3cret-1", b"\xff", '["at-s3cret-1"]', "{"], ids=repr
)
def test_something_else_is_refused(read: Importer, stored: Any) -> None:
    """With what to pass instead."""
    assert refused(read, stored).parameter == "stored"


@of_dicts
@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"access_token": None}, "access_token"),
        ({"access_token": " "}, "access_token"),
        ({"access_token": b"at-s3cret-1"}, "access_token"),
        ({"refresh_token": b"rt-s3cret-1"}, "refresh_token"),
        ({"refresh_token": ["rt-s3cret-1"]}, "refresh_token"),
        ({"expires_at": "s3cret"}, "expires_at"),
        ({"expires_at": datetime(2026, 1, 1)}, "expires_at"),
        ({"expires_at": END * 1e6}, "expires_at"),
        ({"expires_at": True}, "expires_at"),
        ({"expires_at": None, "expires_in": "s3cret"}, "expires_in"),
        ({"expires_at": None, "created_at": "s3cret"}, "created_at"),
        ({"refresh_expires_at": "s3cret"}, "refresh_expires_at"),
    ],
    ids=str,
)
def test_a_member_that_cannot_be_read_is_named(read: Importer, changes: dict[str, Any], named: str) -> None:
    """A pair without its refresh token, or with a guessed expiry, would cost a sign-in later."""
    assert refused(read, {**STORED, **changes}).parameter == named


@of_caches
@pytest.mark.parametrize(
    "entry", [STORED, "at-s3cret-1", [], ["at-s3cret-1"], ["a", 1, None, 2], [None, END], ["a", None]]
)
def test_an_entry_that_is_not_a_token_is_refused(read: Importer, entry: Any) -> None:
    """Its key may be anything, so it is not shown."""
    stored = {"good-s3cret": ["at-s3cret-1", END, None], "bad-s3cret": entry}
    if entry == ["a", None]:
        assert read(stored)["bad-s3cret"].expires_at is None
    else:
        assert refused(read, stored).parameter in ("stored", "access_token")


@of_all
def test_a_text_is_bounded(read: Importer) -> None:
    """Before it is read, and while it is decompressed."""
    stored = json.dumps(CACHE if read in OF_CACHES else STORED)
    assert read(stored.rjust(1_048_576))
    assert refused(read, stored.rjust(1_048_577)).parameter == "stored"
    assert refused(from_requests_oauth2client, serialized(STORED, " " * 2_000_000)).parameter == "stored"
    assert len(from_authlib({**STORED, "x": "a" * 2_000_000}).extra) == 0


@pytest.mark.parametrize("issued_at", [-1, END * 1000, float("nan"), True, "now"])
def test_an_impossible_beginning_is_refused(issued_at: Any) -> None:
    """Milliseconds would keep an expired token for thousands of years."""
    assert refused(from_authlib, {**PAIR, "expires_in": 60}, issued_at=issued_at).parameter == "issued_at"


def test_a_time_zone_is_an_object() -> None:
    """A name could only be looked up on some machines."""
    assert refused(from_hand_written, STORED, timezone="UTC").parameter == "timezone"


# --- storing it once -------------------------------------------------------------------------------------------------


def alice(store: Any = None) -> TokenSource:
    return OAuthClient(acme(), client_id="id", client_secret="s", store=store or MemoryStore()).for_subject("alice")


def test_a_second_import_changes_nothing() -> None:
    """The pair was renewed since: the imported refresh token has been used."""
    store = MemoryStore()
    source = alice(store)
    assert adopt_once(source, TOKEN)
    assert (source.token(), source.state) == (TOKEN, "fresh")
    renewed = TOKEN.replace(access_token="at2", refresh_token="rt2")
    source.adopt(renewed)
    assert not adopt_once(source, TOKEN)
    # So it is for another process.
    assert not adopt_once(alice(store), TOKEN)
    assert alice(store).token() == source.token() == renewed


def test_after_forget_it_is_stored_again() -> None:
    """Which is how to replace a record on purpose."""
    source = alice()
    source.adopt(Token("other"))
    source.forget()
    assert adopt_once(source, TOKEN)
    assert source.token() == TOKEN


def test_other_tasks_run_while_it_is_stored() -> None:
    """And the look and the save are under the store's lock."""
    store, hold = ScriptedStore(), Hold()
    source = alice(store)
    store.interfere("save", hold)

    async def adopt() -> bool:
        adopting = asyncio.create_task(aadopt_once(source, TOKEN))
        # The save ends only if this task runs meanwhile.
        await asyncio.to_thread(hold.wait_until_reached)
        hold.release()
        return await adopting

    assert asyncio.run(adopt())
    assert store.trace[-4:] == ["lock", "load", "save", "unlock"]


@pytest.mark.parametrize("run", [asyncio.run, trio.run], ids=["asyncio", "trio"])
def test_in_a_task_it_is_the_same(run: Callable[[Any], Any]) -> None:
    """For asyncio and trio."""
    source = alice()

    async def adopt_twice() -> list[bool]:
        return [await aadopt_once(source, TOKEN), await aadopt_once(source, Token("other"))]

    assert run(adopt_twice() if run is asyncio.run else adopt_twice) == [True, False]
    assert source.token() == TOKEN


def test_a_pair_that_another_process_stores_meanwhile_stays() -> None:
    """Also where the store's lock does not exclude that process."""
    store, theirs = ScriptedStore(), Token("theirs", expires_at=END)
    source = alice(store)
    store.interfere("save", lambda: store.put(source.store_key, theirs))
    assert not adopt_once(source, TOKEN)
    assert source.token() == theirs


@pytest.mark.real
def test_a_pair_that_could_not_be_saved_yet_stays(blnk_sandbox: Sandbox, blnk_clock: Clock) -> None:
    """It is in memory only, and newer than any that comes from elsewhere."""
    store = ScriptedStore()
    source = World(blnk_sandbox, blnk_clock, store=store).signed_in()
    store.interfere("save", OSError(28, "No space left on device"))
    renewed = source.renew()
    store.delete(source.store_key)
    assert not adopt_once(source, TOKEN)
    assert source.token() == renewed


def test_a_grant_that_has_ended_is_left() -> None:
    """A sign-in replaces it; an old token would only hide that one is needed."""
    store = ScriptedStore()
    source = alice(store)
    store.put(source.store_key, TOKEN, ended="refused")
    assert not adopt_once(source, TOKEN)
    assert source.state == "sign_in_required"


def test_a_store_that_fails_is_reported() -> None:
    """Nothing is stored, and the next call stores it."""
    store = ScriptedStore()
    source = alice(store)
    store.interfere("save", OSError(28, "No space left on device"))
    with pytest.raises(StoreError):
        adopt_once(source, TOKEN)
    assert adopt_once(source, TOKEN)


def test_only_a_source_can_adopt() -> None:
    """A fixed key has no grant; and what is adopted is a token."""
    key: Any = StaticToken("key", api_origins=("https://api.acme.test",))
    assert refused(adopt_once, key, TOKEN).parameter == "source"
    stored: Any = STORED
    assert refused(adopt_once, alice(), stored).parameter == "token"
