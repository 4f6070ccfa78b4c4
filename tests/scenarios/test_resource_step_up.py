"""A protected resource that asks for more scope, through every client: who is asked, for what, and how often.

The API and its authorization server run on loopback. The first sign-in of each test asks for `read` only.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest
from support.clients import HERD, HTTPX, Kind, body_once, through_every_client
from support.protected_site import ProtectedSite, Users
from support.waiting import Events, settle

from blnk_auth import MemoryStore, ProtectedResource, SignInRequired, SQLiteStore, TokenSource
from blnk_auth.testing import Clock


@pytest.fixture
def site() -> Iterator[ProtectedSite]:
    with ProtectedSite() as opened:
        opened.needed["/mcp/change"] = "write"
        opened.needed["/mcp/never"] = None
        yield opened


@pytest.fixture
def users() -> Users:
    return Users()


def source_at(site: ProtectedSite, sign_in: Any, **settings: Any) -> TokenSource:
    return ProtectedResource(site.url(), scope="read", **settings).for_subject("me", sign_in=sign_in)


@through_every_client
def test_a_request_that_needs_more_has_the_user_sign_in_again(site: ProtectedSite, users: Users, kind: Kind) -> None:
    """For what was requested before and what is needed. The request is then sent once more, with its body."""
    with kind.open(source_at(site, users)) as http:
        assert http.get(site.url()).status == 200
        assert http.post(site.url("/mcp/change"), json={"n": 1}).status == 200
        assert http.get(site.url("/mcp/change")).status == 200
    assert site.server.scopes == ["read", "read write"]
    first, second, third = site.requests_to("/mcp/change")
    assert first.body == second.body != third.body
    assert users.asked == 2


@through_every_client
def test_the_first_request_may_need_more_too(site: ProtectedSite, users: Users, kind: Kind) -> None:
    """It signs the user in, is not enough, and signs the user in once more."""
    with kind.open(source_at(site, users)) as http:
        assert http.post(site.url("/mcp/change"), json={}).status == 200
    assert site.server.scopes == ["read", "read write"]
    assert len(site.requests_to("/mcp/change")) == 2


@through_every_client
def test_so_may_one_that_was_sent_without_a_token(site: ProtectedSite, users: Users, kind: Kind) -> None:
    """Three attempts: its rejection, the demand, and the answer."""
    site.is_protected, site.describes = False, False
    with kind.open(source_at(site, users)) as http:
        assert http.get(site.url()).status == 200
        site.is_protected, site.describes = True, True
        assert http.post(site.url("/mcp/change"), json={}).status == 200
    assert len(site.requests_to("/mcp/change")) == 3
    assert users.asked == 2


@through_every_client
def test_fifty_requests_that_need_more_share_one_sign_in(site: ProtectedSite, users: Users, kind: Kind) -> None:
    """All of them wait for it, and succeed."""
    with kind.open(source_at(site, users)) as http:
        assert http.get(site.url()).status == 200
        answers = http.herd(site.url("/mcp/change"))
    assert [answer.status for answer in answers] == [200] * HERD
    assert users.asked == 2


@through_every_client
def test_a_user_is_asked_once_for_each_request_and_three_times_an_hour(
    site: ProtectedSite, users: Users, kind: Kind
) -> None:
    """Then the error is raised without asking. In the next hour, the user is asked again."""
    clock = Clock()
    with kind.open(source_at(site, users, clock=clock), pool=1) as http:
        assert http.get(site.url()).status == 200
        for number in range(1, 6):
            with pytest.raises(SignInRequired) as caught:
                http.post(site.url("/mcp/never"), json={})
            assert isinstance(caught.value, kind.request_error)
            assert (caught.value.reason, caught.value.scope) == ("step_up", "read admin")
            assert users.asked == 1 + min(number, 3)
        # The grant itself works on.
        assert http.get(site.url()).status == 200
        clock.advance(3601)
        with pytest.raises(SignInRequired):
            http.get(site.url("/mcp/never"))
    assert users.asked == 5


@through_every_client
def test_without_sign_in_the_error_has_where_to_send_the_user(site: ProtectedSite, users: Users, kind: Kind) -> None:
    """Fifty requests get the same sign-in, for all that is needed. Finished elsewhere, it serves the next request."""
    store = MemoryStore()
    source_at(site, users, store=store).token()
    with kind.open(source_at(site, None, store=store)) as http:
        assert http.get(site.url()).status == 200
        errors = http.results(site.url("/mcp/change"))
        required = [each for each in errors if isinstance(each, SignInRequired)]
        assert len(required) == HERD
        assert {error.reason for error in required} == {"step_up"}
        (request,) = {error.authorization for error in required}
        ProtectedResource(site.url(), store=store).finish_authorization(users(request))
        assert http.get(site.url("/mcp/change")).status == 200
    assert site.server.scopes == ["read", "read write"]


def test_only_where_nobody_is_asked_is_it_a_warning(
    site: ProtectedSite, users: Users, caplog: pytest.LogCaptureFixture
) -> None:
    """The event is the same: without `sign_in` the log has to show it."""
    caplog.set_level(logging.DEBUG, "blnk_auth")
    store, events = MemoryStore(), Events()
    with HTTPX.open(source_at(site, users, store=store, on_event=events)) as http:
        assert http.get(site.url("/mcp/change")).status == 200
    with HTTPX.open(source_at(site, None, store=store, on_event=events)) as http, pytest.raises(SignInRequired):
        http.get(site.url("/mcp/never"))
    settle()
    assert events.names.count("step_up_required") == 2
    levels = [each.levelno for each in caplog.records if each.getMessage().startswith("step_up_required")]
    assert levels == [logging.DEBUG, logging.WARNING]


@through_every_client
def test_nobody_is_asked_because_of_a_body_that_cannot_be_repeated(
    site: ProtectedSite, users: Users, kind: Kind
) -> None:
    """The error has what to ask for."""
    with kind.open(source_at(site, users)) as http:
        assert http.get(site.url()).status == 200
        with pytest.raises(SignInRequired) as caught:
            http.post(site.url("/mcp/change"), **{kind.body_parameter: body_once(kind)})
    assert (caught.value.reason, caught.value.scope) == ("step_up", "read write")
    assert users.asked == 1


@through_every_client
def test_a_user_who_refuses_is_not_asked_again_by_that_request(site: ProtectedSite, kind: Kind) -> None:
    """The error is the refusal, and the grant from before is still used."""
    asked = list[Any]()

    def refuse(request: Any) -> str:
        users = Users()
        asked.append(request)
        return (
            users(request)
            if len(asked) == 1
            else f"http://127.0.0.1/callback?error=access_denied&state={request.state}"
        )

    site.server.metadata["authorization_response_iss_parameter_supported"] = False
    with kind.open(source_at(site, refuse)) as http:
        assert http.get(site.url()).status == 200
        with pytest.raises(SignInRequired) as caught:
            http.get(site.url("/mcp/change"))
        assert caught.value.reason == "denied"
        assert http.get(site.url()).status == 200
    assert len(asked) == 2


def test_a_restart_widens_by_the_same_scopes(site: ProtectedSite, users: Users, tmp_path: Any) -> None:
    """Also where the server granted less than was requested: what was requested is stored with the grant."""
    site.needed["/mcp/delete"] = "delete"
    events = Events()

    def opened() -> TokenSource:
        return source_at(site, users, store=SQLiteStore(tmp_path / "tokens.db"), on_event=events)

    with HTTPX.open(opened()) as http:
        assert http.get(site.url("/mcp/change")).status == 200
    site.server.grants[-1].scope = "read"
    with HTTPX.open(opened()) as http:
        assert http.get(site.url("/mcp/delete")).status == 200
    assert site.server.scopes == ["read", "read", "read write delete"]
    settle()
    assert events.names.count("step_up_required") == 2
