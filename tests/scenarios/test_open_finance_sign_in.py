"""Signing in as open finance demands it: pushed requests, authorization details, and grants that change.

The sandbox plays each by its specification, and describes itself in its metadata.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from support.clients import HTTPX, Kind, through_every_client
from support.errors import raises
from support.worlds import World

from blnk_auth import ConfigurationError, Provider, SignInRequired, SQLiteStore, TemporarilyUnavailable, TokenSource
from blnk_auth.testing import Clock, Fault, Sandbox

DETAILS = {"type": "account_information", "actions": ["read_balances"]}
MORE = {
    "type": "payment_initiation",
    "instructedAmount": {"currency": "CHF", "amount": "12.50"},
    "creditorName": "Merchant A",
    "creditorAccount": {"iban": "CH9300762011623852957"},
}


@pytest.fixture
def world() -> Iterator[World]:
    """A server that requires pushed requests, and has the other extensions too."""
    clock = Clock()
    with Sandbox(clock=clock, extensions=("par_required", "rar", "grant_management")) as sandbox:
        yield World(sandbox, clock)


def described(world: World, **settings: Any) -> Provider:
    """The provider, as the server describes itself."""
    return Provider.discover(world.sandbox.origin, api_origins=(world.sandbox.origin,), **settings)


def sign_in(world: World, subject: str = "alice", *, client: Any = None, **asked: Any) -> TokenSource:
    client = client or world.client(described(world))
    start = client.start_authorization(subject, **asked)
    return client.finish_authorization(world.sandbox.sign_in(start.url, subject=subject))


# --- pushed requests -------------------------------------------------------------------------------------------------


@through_every_client
def test_a_pushed_sign_in_serves_every_client(world: World, kind: Kind) -> None:
    """One request at the server, one sign-in, and a token that the API accepts and that is renewed."""
    source = sign_in(world, scope="data:read")
    assert world.sandbox.counts.pushed_requests == 1
    assert world.get(kind, source).status == 200
    world.expire()
    assert world.get(kind, source).status == 200
    assert world.sandbox.counts.reuses == 0


@through_every_client
def test_everything_at_the_same_time(kind: Kind) -> None:
    """Pushed, exact, managed, and bound to a key, at a server whose nonces change with every second."""
    clock = Clock()
    extensions = ("par_required", "rar", "grant_management", "dpop_required", "dpop_nonce_changes")
    with Sandbox(clock=clock, extensions=extensions) as sandbox:
        world = World(sandbox, clock)
        client = world.client(described(world), dpop=True)
        source = sign_in(world, client=client, authorization_details=DETAILS, grant_management_action="create")
        granted = dict(source.token().extra)
        assert {"grant_id", "authorization_details"} <= granted.keys()
        assert world.get(kind, source).status == 200
        world.expire()
        assert world.get(kind, source).status == 200
        assert dict(source.token().extra) == granted
        assert (sandbox.counts.pushed_requests, sandbox.counts.reuses) == (1, 0)


def test_the_url_has_nothing_but_the_reference(world: World) -> None:
    """What is asked for stays between the client and the server."""
    start = world.client(described(world)).start_authorization(
        "alice", scope="data:read", login_hint="alice@example.com"
    )
    assert set(parse_qs(urlsplit(start.url).query)) == {"client_id", "request_uri"}
    assert start.expires_at == world.clock() + 60


@pytest.mark.parametrize("after", ["too late", "twice"])
def test_a_reference_that_has_ended_leads_to_another_sign_in(world: World, after: str) -> None:
    """The server refuses it, and the next start pushes again."""
    client = world.client(described(world))
    start = client.start_authorization("alice")
    if after == "too late":
        world.clock.advance(start.expires_at - world.clock())
    else:
        world.sandbox.sign_in(start.url, subject="alice")
    # RFC 9126 section 4 leaves it open how the user learns of it: the sandbox shows a page.
    with pytest.raises(ValueError, match="answered 400 with a page"):
        world.sandbox.sign_in(start.url, subject="alice")
    assert sign_in(world, client=client).token().access_token


def test_a_server_that_demands_it_was_not_known_to(world: World) -> None:
    """The settings of the provider lack it: the error that the server sends back names the one to set."""
    provider = described(world, requires_pushed_authorization_requests=False)
    with raises(ConfigurationError, parameter="pushed_authorization_request_endpoint"):
        sign_in(world, client=world.client(provider))
    plain = world.acme(authorization_endpoint=f"{world.sandbox.origin}/oauth/authorize")
    with raises(ConfigurationError, parameter="pushed_authorization_request_endpoint"):
        sign_in(world, client=world.client(plain))


def test_an_offer_is_taken_where_the_user_asks_for_it() -> None:
    """The server has the endpoint, and takes both."""
    clock = Clock()
    with Sandbox(clock=clock, extensions=("par",)) as sandbox:
        world = World(sandbox, clock)
        assert sign_in(world).token().access_token
        assert sandbox.counts.pushed_requests == 0
        client = world.client(described(world, requires_pushed_authorization_requests=True))
        assert sign_in(world, client=client).token().access_token
        assert sandbox.counts.pushed_requests == 1


def test_the_wrong_secret_is_found_before_the_user_is_sent_anywhere(world: World) -> None:
    """Without pushing, it would be found when the user comes back."""
    with raises(ConfigurationError, error="invalid_client", status_code=401):
        world.client(described(world), client_secret="wrong").start_authorization("alice")


@pytest.mark.parametrize(
    ("fault", "outcome_unknown"), [(Fault(status=503), False), (Fault(disconnect=True), True)], ids=repr
)
def test_a_push_that_fails_is_begun_again(world: World, fault: Fault, outcome_unknown: bool) -> None:
    """Nothing is stored, and the user's grant is as it was."""
    source = sign_in(world)
    client = world.client(described(world))
    world.sandbox.fail(fault, at="par")
    with raises(TemporarilyUnavailable, outcome_unknown=outcome_unknown):
        client.start_authorization("alice")
    assert world.stored(source).ended is None
    assert sign_in(world, client=client).token().access_token


def test_a_user_who_refuses_is_known_by_name(world: World) -> None:
    """The state was pushed, and comes back."""
    client = world.client(described(world))
    start = client.start_authorization("alice")
    with raises(SignInRequired, reason="denied", subject="alice"):
        client.finish_authorization(world.sandbox.sign_in(start.url, approve=False))


# --- authorization details and grants --------------------------------------------------------------------------------


def test_what_was_granted_is_known_after_renewals_and_in_other_processes(world: World, tmp_path: Path) -> None:
    """`grant_id` and `authorization_details` are kept with the tokens."""
    world.store = SQLiteStore(tmp_path / "tokens.db")
    source = sign_in(world, authorization_details=DETAILS, grant_management_action="create")
    granted = dict(source.token().extra)
    assert granted["authorization_details"][0]["type"] == "account_information"
    assert granted["grant_id"]
    for _ in range(2):
        world.expire()
        assert dict(source.token().extra) == granted
    # Another process: it has the client's description of itself, and reads the store.
    again = world.client(described(world), store=SQLiteStore(tmp_path / "tokens.db")).for_subject("alice")
    assert dict(again.token().extra) == granted


def test_a_pickled_source_knows_what_was_granted(world: World, tmp_path: Path) -> None:
    """It has no token, and reads the store."""
    client = world.client(
        described(world), store=SQLiteStore(tmp_path / "tokens.db"), clock=None, on_event=None, client_secret=_secret
    )
    _SECRETS.append(world.sandbox.client_secret)
    source = sign_in(world, client=client, authorization_details=DETAILS, grant_management_action="create")
    again = pickle.loads(pickle.dumps(source))
    assert dict(again.token().extra) == dict(source.token().extra)


_SECRETS: list[str] = []


def _secret() -> str:
    return _SECRETS[-1]


@pytest.mark.parametrize(
    ("action", "types"),
    [("merge", {"account_information", "payment_initiation"}), ("replace", {"payment_initiation"})],
)
def test_a_grant_is_changed(world: World, action: str, types: set[str]) -> None:
    """The same grant, with more or with something else; the sign-in's tokens are the user's from then on."""
    source = sign_in(world, authorization_details=DETAILS, grant_management_action="create")
    grant_id = source.token().extra["grant_id"]
    changed = sign_in(world, authorization_details=MORE, grant_management_action=action, grant_id=grant_id)
    assert changed.token().extra["grant_id"] == grant_id
    assert {each["type"] for each in changed.token().extra["authorization_details"]} == types
    world.expire()
    assert world.get(HTTPX, changed).status == 200
    assert changed.token().extra["grant_id"] == grant_id


def test_a_grant_that_has_ended_cannot_be_changed(world: World) -> None:
    """The server refuses to begin: nobody is sent there."""
    sign_in(world, grant_management_action="create")
    with raises(ConfigurationError, parameter="grant_id", error="invalid_grant_id"):
        world.client(described(world)).start_authorization("alice", grant_management_action="merge", grant_id="gone")


@pytest.mark.parametrize(
    ("asked", "parameter"),
    [
        ({"authorization_details": {"type": "unheard_of"}}, "authorization_details"),
        ({"grant_management_action": "query", "grant_id": "g"}, "grant_management_action"),
    ],
)
def test_what_the_metadata_does_not_list_is_not_sent(world: World, asked: dict[str, Any], parameter: str) -> None:
    """It is refused here, by name."""
    client = world.client(described(world))
    with raises(ConfigurationError, parameter=parameter):
        client.start_authorization("alice", **asked)
    assert world.sandbox.counts.pushed_requests == 0


def test_the_server_refuses_what_only_it_knows(world: World) -> None:
    """Its types have rules of their own."""
    client = world.client(described(world, authorization_details_types=()))
    with raises(ConfigurationError, parameter="authorization_details", error="invalid_authorization_details"):
        client.start_authorization("alice", authorization_details={"type": "unheard_of"})


def test_metadata_that_promises_what_the_server_does_not_do() -> None:
    """The tokens are kept, and an event reports it."""
    clock = Clock()
    with Sandbox(clock=clock) as sandbox:
        world = World(sandbox, clock)
        source = sign_in(world, authorization_details=DETAILS, grant_management_action="create")
        assert source.token().access_token
        assert world.events.names.count("odd_answer") == 2
