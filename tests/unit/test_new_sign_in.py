"""A new sign-in has precedence over an older renewal, whichever way the clocks of the machines are set."""

from __future__ import annotations

from typing import Any

import pytest
from support.scripted import ScriptedWorld
from support.token_endpoint import pair
from support.waiting import settle

from blnk_auth import MemoryStore, Token, TokenSource
from blnk_auth._protocol.http_messages import HttpRequest, HttpResponse
from blnk_auth._renewal.stored_record import GrantRecord


def sign_in_unsaved(world: ScriptedWorld, *, store_down: bool = False) -> TokenSource:
    """Alice signs in with the pair at1, rt1; the store fails when it is to be saved."""
    start = world.client.start_authorization("alice")
    settle()
    world.server.will(pair(1))
    # The first write claims the sign-in.
    world.store.interfere("save", None, *([] if store_down else [OSError("full")]))
    if store_down:
        # The first read is the claim's.
        world.store.interfere("load", None, OSError("down"))
    return world.client.finish_authorization(f"https://app.test/callback?code=c&state={start.state}")


def write(world: ScriptedWorld, key: str, record: GrantRecord) -> None:
    """As another process does that does not wait for the lock."""
    stored = MemoryStore.load(world.store, key)
    MemoryStore.save(world.store, key, record.to_data(), expected=None if stored is None else stored.version)


def save_at_last(world: ScriptedWorld, source: TokenSource) -> str:
    """The store is well again; the refresh token that is stored then."""
    assert source.token().access_token == "at1"
    settle()
    return str(world.stored(source).token.refresh_token)


@pytest.mark.parametrize("ahead", [0.0, 30.0, 86_400.0])
@pytest.mark.parametrize("store_down", [False, True], ids=["full", "down"])
def test_an_unsaved_sign_in_replaces_a_pair_whose_clock_was_ahead(ahead: float, store_down: bool) -> None:
    """The stored pair bears a time that has not come yet; the user has signed in since."""
    world = ScriptedWorld()
    other = world.another_process(ahead=ahead)
    other.client.for_subject("alice").adopt(other.token(0))
    source = sign_in_unsaved(world, store_down=store_down)
    assert save_at_last(world, source) == "rt1"
    assert source.token().access_token == "at1"


@pytest.mark.parametrize("ahead", [-30.0, 0.0, 30.0])
def test_an_unsaved_sign_in_replaces_a_renewal_of_the_older_grant(ahead: float) -> None:
    """Another process renews the pair that is stored, after the user has signed in: that grant is the old one."""
    world = ScriptedWorld()
    world.signed_in()
    source = sign_in_unsaved(world)
    other = world.another_process(ahead=ahead)
    other.server.will(pair(5))
    assert other.client.for_subject("alice").renew().access_token == "at5"
    assert save_at_last(world, source) == "rt1"


@pytest.mark.parametrize("ahead", [-30.0, 0.0, 30.0])
def test_an_unsaved_sign_in_gives_way_to_another_new_one(ahead: float) -> None:
    """The user has signed in once more, at another process whose store worked."""
    world = ScriptedWorld()
    world.signed_in()
    source = sign_in_unsaved(world)
    other = world.another_process(ahead=ahead)
    other.client.for_subject("alice").adopt(other.token(7))
    assert save_at_last(world, source) == "rt7"
    assert source.token().access_token == "at7"


@pytest.mark.parametrize("ahead", [-30.0, 0.0, 30.0])
def test_a_renewal_that_comes_back_late_does_not_overwrite_a_sign_in(ahead: float) -> None:
    """Its lock did not hold (an expired lease): what a user has stored meanwhile stays."""
    world = ScriptedWorld()
    source = world.signed_in(expires_at=world.clock() - 1)
    other = world.another_process(ahead=ahead)

    def answer_late(_: HttpRequest) -> HttpResponse:
        write(world, source.store_key, GrantRecord.signed_in(other.token(7)))
        return pair(1)

    world.server.will(answer_late)
    assert source.token().access_token == "at7"
    assert world.stored(source).token.refresh_token == "rt7"


def test_renewals_keep_the_name_of_their_sign_in() -> None:
    """So does the mark that a grant has ended; each sign-in has a name of its own."""
    world = ScriptedWorld()
    source = world.signed_in()
    name = world.stored(source).sign_in
    world.server.will(pair(1))
    source.renew()
    assert world.stored(source).sign_in == name
    assert name is not None
    source.adopt(world.token(2))
    assert world.stored(source).sign_in not in (None, name)


@pytest.mark.parametrize("sign_in", [None, 7, "x"])
def test_a_record_of_another_version_is_read(sign_in: Any) -> None:
    """Without a name, or with an odd one, it is a record like any other."""
    data = {**GrantRecord(Token("at0")).to_data(), "sign_in": sign_in}
    assert GrantRecord.from_data(data, "key") == GrantRecord(Token("at0"), sign_in="x" if sign_in == "x" else None)


def sign_in_without_the_lock(world: ScriptedWorld) -> TokenSource:
    """Alice signs in with the pair at1, rt1, while the store can be read and its lock cannot be had."""
    start = world.client.start_authorization("alice")
    settle()
    world.server.will(pair(1))
    world.store.interfere("lock", OSError("read-only"))
    return world.client.finish_authorization(f"https://app.test/callback?code=c&state={start.state}")


@pytest.mark.parametrize("ahead", [-30.0, 0.0, 30.0])
def test_a_sign_in_that_did_not_get_the_lock_gives_way_to_a_later_one(ahead: float) -> None:
    """What it replaces was read without the lock, so a sign-in that another process saved meanwhile is known as one."""
    world = ScriptedWorld()
    world.signed_in()
    source = sign_in_without_the_lock(world)
    other = world.another_process(ahead=ahead)
    other.client.for_subject("alice").adopt(other.token(7))
    assert save_at_last(world, source) == "rt7"


@pytest.mark.parametrize("ahead", [-30.0, 0.0, 30.0])
def test_a_first_sign_in_that_could_not_be_saved_gives_way_to_a_later_one(ahead: float) -> None:
    """Nothing was stored when it was made, so everything that is stored now came after it."""
    world = ScriptedWorld()
    source = sign_in_unsaved(world)
    other = world.another_process(ahead=ahead)
    other.client.for_subject("alice").adopt(other.token(7))
    assert save_at_last(world, source) == "rt7"


def test_a_first_sign_in_whose_save_only_seemed_to_fail_leaves_its_own_renewal_alone() -> None:
    """The store had written it. Another process has renewed that pair since: the first one is spent."""
    world = ScriptedWorld()
    source = sign_in_unsaved(world)
    other = world.another_process(ahead=-30)
    write(world, source.store_key, GrantRecord.signed_in(world.token(1)))
    other.server.will(pair(5))
    assert other.client.for_subject("alice").renew().access_token == "at5"
    assert save_at_last(world, source) == "rt5"
