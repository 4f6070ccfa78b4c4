"""What follows when the API asks for a new sign-in: events, errors, the mark in the record, and never a renewal."""

from __future__ import annotations

import pickle
from pathlib import Path

import httpx
import pytest
from support.errors import raises
from support.providers import API, acme
from support.scripted import ScriptedWorld
from support.token_endpoint import pair
from support.waiting import settle

from blnk_auth import (
    ApiAnswer,
    ConfigurationError,
    HttpxAuth,
    OAuthClient,
    SignInRequired,
    SQLiteStore,
    StoreError,
    Token,
    TokenSource,
)
from blnk_auth._protocol.demands import Demand, Demands
from blnk_auth._renewal.goal import Goal
from blnk_auth._renewal.sign_in_demands import MOST_CAUSES

MORE_SCOPE = 'Bearer error="insufficient_scope", scope="payments"'
STEP_UP = 'Bearer error="insufficient_user_authentication", acr_values="loa3", max_age="60"'


class Api:
    """An API without a socket: its answer for each token, which a test changes."""

    def __init__(self, status: int = 403, challenge: str = MORE_SCOPE) -> None:
        self.status = status
        self.headers = {"WWW-Authenticate": challenge} if challenge else {}
        self.accepts: str | None = None
        self.tokens: list[str] = []

    def get(self, source: TokenSource, path: str = "/accounts") -> int:
        transport = httpx.MockTransport(self._answer)
        with httpx.Client(auth=HttpxAuth(source), transport=transport) as http:
            status = http.get(API + path).status_code
        settle()
        return status

    def _answer(self, request: httpx.Request) -> httpx.Response:
        token = request.headers["Authorization"].removeprefix("Bearer ")
        self.tokens.append(token)
        return httpx.Response(200) if token == self.accepts else httpx.Response(self.status, headers=self.headers)


def raised_by(api: Api, source: TokenSource) -> SignInRequired:
    with pytest.raises(SignInRequired) as caught:
        api.get(source)
    return caught.value


def test_the_event_has_everything_for_the_next_sign_in() -> None:
    """The caller gets the response of the API; nothing is renewed, and the grant stays in use."""
    world, api = ScriptedWorld(), Api()
    alice = world.signed_in(scope="accounts")
    assert api.get(alice) == 403
    (event,) = world.events
    assert (event.name, event.subject, event.provider) == ("step_up_required", "alice", "acme")
    assert isinstance(event.error, SignInRequired)
    assert (event.error.reason, event.error.scope, event.error.error) == (
        "step_up",
        "accounts payments",
        "insufficient_scope",
    )
    assert not world.server.requests
    assert alice.state == "fresh"
    assert world.stored(alice).ended is None


def test_the_error_is_raised_where_the_user_wants_it() -> None:
    """With what the challenge names, and the scope that the grant has already."""
    world, api = ScriptedWorld(step_up="raise"), Api(401, STEP_UP)
    error = raised_by(api, world.signed_in(scope="accounts"))
    assert (error.reason, error.subject, error.status_code) == ("step_up", "alice", 401)
    assert (error.scope, error.acr_values, error.max_age) == ("accounts", "loa3", 60)
    assert isinstance(error, httpx.RequestError)
    assert world.emitted() == ["step_up_required"]
    again = world.client.start_authorization(
        "alice", scope=error.scope, parameters={"acr_values": error.acr_values or "", "max_age": f"{error.max_age:.0f}"}
    )
    assert "acr_values=loa3" in again.url


def test_only_the_wanted_reason_is_raised() -> None:
    """`step_up` and `consent_ended` are chosen one by one."""
    world = ScriptedWorld(acme(ends_consent=is_forbidden), step_up="raise")
    alice = world.signed_in()
    assert Api(403, "").get(alice) == 403
    assert raised_by(Api(), alice).reason == "step_up"
    world = ScriptedWorld(acme(ends_consent=is_forbidden), consent_ended="raise")
    alice = world.signed_in()
    assert Api().get(alice) == 403
    assert raised_by(Api(403, ""), alice).reason == "consent_ended"


def is_forbidden(answer: ApiAnswer) -> bool:
    return answer.status_code == 403


def test_a_thousand_responses_are_one_event_and_one_mark() -> None:
    """And each other cause is one more."""
    world = ScriptedWorld(acme(ends_consent=is_forbidden), step_up="raise")
    api, alice = Api(), world.signed_in()
    for _ in range(50):
        raised_by(api, alice)
    assert world.emitted() == ["step_up_required"]
    assert world.store.trace.count("save") == 1
    # The clock does not move: the store was read once, for a newer sign-in, and once to be changed.
    assert world.store.trace.count("load") == 2
    raised_by(Api(challenge=STEP_UP), alice)
    Api(challenge="").get(alice)
    Api(challenge="").get(alice)
    assert world.emitted() == ["step_up_required", "step_up_required", "consent_ended"]


def test_what_is_remembered_is_bounded() -> None:
    """An API that asks for another scope each time fills no memory."""
    world = ScriptedWorld()
    alice = world.signed_in()
    demands = alice._current.demands
    cached = alice._current.cached
    assert cached is not None
    for number in range(MOST_CAUSES + 50):
        demands.note(Demand("step_up", "insufficient_scope", str(number)), ApiAnswer(403, {}), cached)
    settle()
    assert len(demands.seen.causes) == MOST_CAUSES
    step_up = world.stored(alice).demands.step_up  # type: ignore[union-attr]  # a failure here is a failure
    assert step_up is not None
    assert len((step_up.scope or "").split()) == 64


def test_the_scopes_of_all_demands_are_asked_for_together() -> None:
    """So that one sign-in gives all of them."""
    world = ScriptedWorld(step_up="raise")
    alice = world.signed_in(scope="accounts")
    raised_by(Api(), alice)
    error = raised_by(Api(challenge='Bearer error="insufficient_scope", scope="balances"'), alice)
    assert error.scope == "accounts payments balances"


# --- the record ------------------------------------------------------------------------------------------------------


def test_the_mark_is_stored_and_survives_a_renewal_and_a_restart() -> None:
    """In a further member of the record, whose schema stays the same."""
    world, api = ScriptedWorld(), Api()
    alice = world.signed_in(scope="accounts")
    api.get(alice)
    expected = Demands(Demand("step_up", "insufficient_scope", "accounts payments"))
    assert world.stored(alice).demands == expected
    world.server.will(pair(1))
    alice.renew()
    assert world.stored(alice).demands == expected
    assert world.stored(alice).token.access_token == "at1"
    other = world.another_process()
    assert api.get(other.client.for_subject("alice")) == 403
    assert other.stored(alice).demands == expected


def test_saving_the_mark_adopts_nothing() -> None:
    """It changes the version of the record and not its token, so that no process reports a newer one."""
    world, api = ScriptedWorld(), Api()
    alice = world.signed_in()
    api.get(alice)
    world.clock.advance(3000)
    world.server.will(pair(1))
    alice.token()
    settle()
    assert "adopted" not in world.events.names


def test_a_record_with_a_mark_is_the_same_token() -> None:
    """A process that finds it in the store has adopted nothing."""
    world = ScriptedWorld()
    alice = world.signed_in()
    Api().get(alice)
    cached = alice._current.cached
    renewal = alice._current.renewal()
    found = renewal.find(Goal(cached))
    assert found is not None
    assert cached is not None
    assert found.version != cached.version
    assert not renewal.events


def test_a_sign_in_that_comes_before_the_mark_is_not_marked() -> None:
    """An earlier demand is about the grant before it."""
    world = ScriptedWorld()
    alice = world.signed_in()

    def sign_in_elsewhere() -> None:
        world.another_process().client.for_subject("alice").adopt(world.token(7))

    world.store.interfere("lock", sign_in_elsewhere)
    assert Api().get(alice) == 403
    assert world.stored(alice).token.access_token == "at7"
    assert world.stored(alice).demands is None


def test_a_new_sign_in_forgets_what_was_asked_for() -> None:
    """In the record and in memory; the same demand is then reported again."""
    world, api = ScriptedWorld(), Api()
    alice = world.signed_in()
    api.get(alice)
    alice.adopt(world.token(5, scope="data:read payments"))
    assert world.stored(alice).demands is None
    assert api.get(alice) == 403
    assert world.emitted() == ["step_up_required", "signed_in", "step_up_required"]


def test_a_store_that_fails_costs_the_mark_only() -> None:
    """The response reaches the caller, the event is emitted, and the mark is stored later."""
    world, api = ScriptedWorld(), Api()
    alice = world.signed_in()
    world.store.interfere("load", StoreError("down"), StoreError("down"))
    assert api.get(alice) == 403
    assert world.emitted() == ["step_up_required", "save_failed"]
    assert world.stored(alice).demands is None
    world.clock.advance(2)
    assert api.get(alice) == 403
    assert world.stored(alice).demands is not None
    assert world.emitted() == ["step_up_required", "save_failed"]


def test_a_grant_that_was_forgotten_does_not_come_back() -> None:
    """The mark is stored beside a token, or not at all."""
    world, api = ScriptedWorld(), Api()
    alice = world.signed_in()
    world.store.delete(alice.store_key)
    api.get(alice)
    assert alice.store_key not in world.store.texts


# --- a sign-in in another process ------------------------------------------------------------------------------------


@pytest.mark.parametrize("step_up", ["event", "raise"])
def test_a_sign_in_in_another_process_is_found_before_anything_is_reported(step_up: str) -> None:
    """The store is read, and the request is repeated with the token of the new sign-in; the server is not asked."""
    world, api = ScriptedWorld(step_up=step_up), Api()
    alice = world.signed_in()
    world.another_process().client.for_subject("alice").adopt(world.token(7, scope="data:read payments"))
    api.accepts = "at7"
    assert api.get(alice) == 200
    assert api.tokens == ["at0", "at7"]
    assert world.emitted() == ["adopted"]
    assert alice.token().access_token == "at7"
    assert not world.server.requests


def test_the_store_is_read_again_once_a_second() -> None:
    """So a sign-in elsewhere is found soon, and a thousand requests do not read it a thousand times."""
    world, api = ScriptedWorld(step_up="raise"), Api()
    alice = world.signed_in()
    raised_by(api, alice)
    world.another_process().client.for_subject("alice").adopt(world.token(7))
    api.accepts = "at7"
    raised_by(api, alice)
    world.clock.advance(1.1)
    assert api.get(alice) == 200


def test_after_a_sign_in_elsewhere_the_same_demand_is_reported_again() -> None:
    """It is about another grant."""
    world, api = ScriptedWorld(), Api()
    alice = world.signed_in()
    api.get(alice)
    world.another_process().client.for_subject("alice").adopt(world.token(7))
    world.clock.advance(2)
    assert api.get(alice) == 403
    assert api.tokens == ["at0", "at0", "at7"]
    assert world.emitted() == ["step_up_required", "adopted", "step_up_required"]


def test_the_grants_of_clients_are_reported_and_never_raised() -> None:
    """No user can sign in for a client's own token."""
    world, api = ScriptedWorld(step_up="raise"), Api()
    world.server.will(pair(1))
    assert api.get(world.client.for_itself(scope="admin")) == 403
    event = world.events[-1]
    assert (event.name, event.subject) == ("step_up_required", None)


# --- bad input -------------------------------------------------------------------------------------------------------


def fails(_: ApiAnswer) -> bool:
    raise KeyError("at0")


def test_a_rule_that_fails_is_named() -> None:
    """Without what it raised, which may quote the response."""
    world = ScriptedWorld(acme(ends_consent=fails))
    with raises(ConfigurationError, parameter="ends_consent", shows="KeyError"):
        Api(403, "").get(world.signed_in())


@pytest.mark.parametrize("parameter", ["step_up", "consent_ended"])
@pytest.mark.parametrize("value", ["Raise", None, True, ["raise"], raised_by])
def test_a_wrong_choice_is_named(parameter: str, value: object) -> None:
    """At construction."""
    with raises(ConfigurationError, parameter=parameter, shows=('"event"', '"raise"')):
        ScriptedWorld(**{parameter: value})


@pytest.mark.parametrize("rule", [None, True, "no"])
def test_a_rule_that_is_not_callable_is_refused(rule: object) -> None:
    """At construction of the provider."""
    with raises(ConfigurationError, parameter="ends_consent"):
        acme(ends_consent=rule)


def test_no_secret_is_in_the_event_or_the_error() -> None:
    """A challenge may quote the token."""
    secret = "at-0123456789abcdef"
    world = ScriptedWorld(step_up="raise")
    alice = world.signed_in()
    alice.adopt(Token(secret, refresh_token="rt-0123456789abcdef", scope="accounts"))
    error = raised_by(Api(challenge=f'Bearer error="insufficient_scope", scope="x:{secret} pay"'), alice)
    assert error.scope == "accounts pay"
    for shown in (str(error), repr(error.fields()), *(repr(event) for event in world.events)):
        assert secret not in shown


def test_a_pickled_client_keeps_what_it_raises(tmp_path: Path) -> None:
    """And a pickle of an earlier version raises nothing."""
    store = SQLiteStore(tmp_path / "tokens.db")
    client = OAuthClient(acme(), client_id="id", client_auth="none", store=store, step_up="raise")
    again: OAuthClient = pickle.loads(pickle.dumps(client))
    assert again._state.rules.on_demand == {"step_up": "raise", "consent_ended": "event"}
    settings = client.__getstate__()
    del settings["step_up"], settings["consent_ended"]
    earlier = OAuthClient.__new__(OAuthClient)
    earlier.__setstate__(settings)
    assert set(earlier._state.rules.on_demand.values()) == {"event"}


def test_a_profile_specifies_what_is_raised(tmp_path: Path) -> None:
    """By the same two names; another value names the file."""
    config = tmp_path / "config.toml"
    lines = ["[profiles.default]", 'provider = "blnk_cloud"', 'client_id = "id"', 'client_auth = "none"']
    lines += ['store = "memory:"', 'step_up = "raise"']
    config.write_text("\n".join(lines))
    client = OAuthClient.from_config(path=config)
    assert client._state.rules.on_demand == {"step_up": "raise", "consent_ended": "event"}
    config.write_text("\n".join([*lines, 'consent_ended = "always"']))
    with raises(ConfigurationError, parameter="consent_ended"):
        OAuthClient.from_config(path=config)
