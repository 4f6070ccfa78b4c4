"""A pair that could not be saved in its own renewal never replaces a newer one, whichever way the clocks are set."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from support.errors import raises
from support.scripted import ScriptedWorld
from support.token_endpoint import pair
from support.waiting import settle

from blnk_auth import MemoryStore, SignInRequired, TokenSource
from blnk_auth._protocol.http_messages import HttpRequest, HttpResponse
from blnk_auth._renewal.stored_record import GrantRecord

with_any_clocks = pytest.mark.parametrize("ahead", [-900.0, -1.0, 0.0, 1.0, 900.0])


def renewed_unsaved(world: ScriptedWorld, number: int = 1) -> TokenSource:
    """Alice's token is renewed with `pair(number)`, which the store does not save."""
    world.server.will(pair(number))
    world.store.interfere("save", OSError("full"))
    source = world.client.for_subject("alice")
    assert source.renew().access_token == f"at{number}"
    settle()
    return source


def renewed(world: ScriptedWorld, *numbers: int) -> None:
    """Alice's token is renewed with each of these pairs."""
    for number in numbers:
        world.server.will(pair(number))
        assert world.client.for_subject("alice").renew().access_token == f"at{number}"


def kept(world: ScriptedWorld, source: TokenSource) -> str:
    """The process with the unsaved pair makes a call, which saves it: the refresh token that is stored then."""
    source.token()
    settle()
    stored = world.stored(source).token
    assert source.token() == stored
    return str(stored.refresh_token)


@with_any_clocks
def test_a_late_pair_does_not_replace_what_was_renewed_further(ahead: float) -> None:
    """Another process got the same pair from the server, within its grace period, and has renewed it since."""
    world = ScriptedWorld()
    world.signed_in()
    source = renewed_unsaved(world)
    other = world.another_process(ahead=ahead)
    renewed(other, 1, 2)
    assert kept(world, source) == "rt2"
    assert [form["refresh_token"] for form in other.server.forms] == ["rt0", "rt1"]


@with_any_clocks
def test_a_late_pair_does_not_replace_one_for_the_same_refresh_token_that_was_saved_in_time(ahead: float) -> None:
    """The server issued another pair within its grace period: it was asked under the lock, after the late one."""
    world = ScriptedWorld()
    world.signed_in()
    source = renewed_unsaved(world)
    renewed(world.another_process(ahead=ahead), 5)
    assert kept(world, source) == "rt5"


@with_any_clocks
def test_a_late_pair_replaces_the_pair_that_was_spent_for_it(ahead: float) -> None:
    """Another process has written that one again, with the mark that the server refused it."""
    world = ScriptedWorld()
    world.signed_in()
    source = renewed_unsaved(world)
    spent = world.stored(source)
    later = spent.token.replace(issued_at=world.clock() + ahead)
    write(world, source, GrantRecord(later, "refused", spent.sign_in, renewals=spent.renewals))
    assert kept(world, source) == "rt1"


def test_a_late_pair_whose_save_only_seemed_to_fail_is_not_written_again() -> None:
    """The store had written it before it failed: what is stored stays, with its version."""
    world = ScriptedWorld()
    world.signed_in()
    source, before = world.client.for_subject("alice"), world.stored(world.client.for_subject("alice"))
    world.server.will(pair(1))
    world.store.interfere("save", OSError("connection lost"))
    token = source.renew()
    settle()
    write(world, source, GrantRecord(token, sign_in=before.sign_in, renewals=1))
    written = world.store.texts
    assert kept(world, source) == "rt1"
    assert world.store.texts == written


@with_any_clocks
def test_a_late_pair_replaces_another_one_that_the_server_has_refused(ahead: float) -> None:
    """Another process got a pair for the same refresh token; the server refused that one, and the mark was stored."""
    world = ScriptedWorld()
    world.signed_in()
    source = renewed_unsaved(world)
    other = world.another_process(ahead=ahead)
    renewed(other, 5)
    refused = world.stored(source)
    write(world, source, dataclasses.replace(refused, ended="refused"))
    assert kept(world, source) == "rt1"
    assert world.stored(source).ended is None


@with_any_clocks
def test_a_late_pair_replaces_one_from_before_the_pair_that_was_spent_for_it(ahead: float) -> None:
    """The store has lost the write of that one, and was written again since."""
    world = ScriptedWorld()
    world.signed_in()
    source = world.client.for_subject("alice")
    first = world.stored(source)
    renewed(world, 1)
    renewed_unsaved(world, 2)
    again = first.token.replace(issued_at=world.clock() + ahead)
    write(world, source, GrantRecord(again, sign_in=first.sign_in, renewals=first.renewals))
    assert kept(world, source) == "rt2"


@pytest.mark.parametrize("ahead", [-30.0, 30.0])
def test_of_two_late_pairs_for_one_refresh_token_the_later_one_stays(ahead: float) -> None:
    """Nothing was stored that could order them: here the clocks decide."""
    world = ScriptedWorld()
    world.signed_in()
    source = renewed_unsaved(world)
    other = world.another_process(ahead=ahead)
    other_source = renewed_unsaved(other, 5)
    other_source.token()
    settle()
    assert world.stored(source).was_saved_late
    assert kept(world, source) == ("rt5" if ahead > 0 else "rt1")


@with_any_clocks
def test_a_late_pair_gives_way_to_a_new_sign_in_and_what_was_renewed_of_it(ahead: float) -> None:
    """However often the older grant had been renewed: the counts of two sign-ins are not compared."""
    world = ScriptedWorld()
    world.signed_in()
    renewed(world, 2, 3, 4)
    source = renewed_unsaved(world)
    other = world.another_process(ahead=ahead)
    other.client.for_subject("alice").adopt(other.token(7))
    assert kept(world, source) == "rt7"
    renewed(other, 8)
    assert world.stored(source).renewals == 1


def test_a_late_pair_does_not_bring_a_forgotten_grant_back() -> None:
    """Another process has forgotten it meanwhile."""
    world = ScriptedWorld()
    world.signed_in()
    source = renewed_unsaved(world)
    world.another_process().client.for_subject("alice").forget()
    source.token()
    settle()
    with raises(SignInRequired, reason="missing"):
        source.token()


@with_any_clocks
def test_a_provider_that_does_not_rotate_keeps_the_last_token(ahead: float) -> None:
    """The refresh token stays, so only the count shows which access token is newer."""
    world = ScriptedWorld()
    world.signed_in()
    world.server.will(pair(1, refresh_token="rt0"))
    world.store.interfere("save", OSError("full"))
    source = world.client.for_subject("alice")
    source.renew()
    settle()
    other = world.another_process(ahead=ahead)
    other.server.will(pair(2, refresh_token="rt0"), pair(3, refresh_token="rt0"))
    other.client.for_subject("alice").renew()
    other.client.for_subject("alice").renew()
    assert kept(world, source) == "rt0"
    assert world.stored(source).token.access_token == "at3"


@pytest.mark.parametrize(("ahead", "stays"), [(-900.0, "rt1"), (900.0, "rt2")])
def test_without_a_count_the_clocks_decide(ahead: float, stays: str) -> None:
    """In a record of an earlier version, and in what is renewed from it."""
    world = ScriptedWorld()
    source = world.signed_in()
    write(world, source, GrantRecord(world.token(0)))
    unsaved = renewed_unsaved(world)
    renewed(world.another_process(ahead=ahead), 1, 2)
    assert world.stored(source).renewals is None
    assert kept(world, unsaved) == stays


def test_each_renewal_counts() -> None:
    """From the sign-in on; the mark that a grant has ended keeps the count, and a new sign-in begins again."""
    world = ScriptedWorld()
    source = world.signed_in()
    assert world.stored(source).renewals == 0
    renewed(world, 1, 2)
    assert world.stored(source).renewals == 2
    source.adopt(world.token(7))
    assert world.stored(source).renewals == 0
    assert not world.stored(source).was_saved_late


def write(world: ScriptedWorld, source: TokenSource, record: GrantRecord) -> None:
    """As another process does that does not wait for the lock."""
    key: Any = source.store_key
    stored = MemoryStore.load(world.store, key)
    MemoryStore.save(world.store, key, record.to_data(), expected=None if stored is None else stored.version)


@with_any_clocks
def test_a_store_that_loses_a_new_sign_in_while_it_is_renewed_gets_the_renewed_pair(ahead: float) -> None:
    """The sign-in before it is in the store again, and is not taken for a later one."""
    world = ScriptedWorld()
    source = world.signed_in()
    before = world.store.load(source.store_key)
    assert before is not None
    source.adopt(world.token(5))
    other = world.another_process(ahead=ahead)

    def lose(_request: HttpRequest) -> HttpResponse:
        stored = world.store.load(source.store_key)
        assert stored is not None
        world.store.save(source.store_key, before.data, expected=stored.version)
        return pair(6)

    other.server.will(lose)
    assert other.client.for_subject("alice").renew().access_token == "at6"
    assert world.stored(source).token.refresh_token == "rt6"


def test_a_sign_in_made_again_with_the_token_before_it_is_later() -> None:
    """The same token, stored again: it was meant to replace the sign-in between."""
    world = ScriptedWorld()
    source = world.signed_in()
    first = world.stored(source).token
    source.adopt(world.token(5))
    other = world.another_process()

    def sign_in_again(_request: HttpRequest) -> HttpResponse:
        stored = world.store.load(source.store_key)
        assert stored is not None
        again = dataclasses.replace(GrantRecord.signed_in(first), replaces=stored.data["sign_in"])
        world.store.save(source.store_key, again.to_data(), expected=stored.version)
        return pair(6)

    other.server.will(sign_in_again)
    assert other.client.for_subject("alice").renew().access_token == first.access_token
