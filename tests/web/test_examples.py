"""Connecting, reconnecting and disconnecting in a web application, and every callback that must not connect anybody."""

from __future__ import annotations

import pytest
from web.conftest import Application, User

from blnk_auth.testing import Sandbox
from blnk_auth.testing.sandbox import Fault


def connect(user: User, sandbox: Sandbox, account: str, *, approve: bool = True) -> str:
    """Click "Connect" and decide at the provider; returns where the browser is sent, unvisited."""
    answer = user.post("/connect")
    assert answer.status_code in (302, 303)
    return sandbox.sign_in(answer.headers["location"], subject=account, approve=approve)


def test_a_user_connects_and_calls_the_api(application: Application, sandbox: Sandbox) -> None:
    """Connect, agree, come back: the page shows the answer of the API, and offers to reconnect and to disconnect."""
    alice = application.log_in("alice")
    assert ">Connect<" in alice.get("/").text
    back = alice.get(connect(alice, sandbox, "alice-at-blnk"))
    assert (back.status_code in (302, 303), back.headers["location"]) == (True, "/")
    page = alice.get("/").text
    assert "Connected as alice-at-blnk." in page
    assert ">Reconnect<" in page
    assert ">Disconnect<" in page


def test_every_user_has_an_account_of_their_own(application: Application, sandbox: Sandbox) -> None:
    """Two users at the same time, in one application."""
    alice, bob = application.log_in("alice"), application.log_in("bob")
    callbacks = [(alice, connect(alice, sandbox, "a")), (bob, connect(bob, sandbox, "b"))]
    for user, callback in reversed(callbacks):
        user.get(callback)
    assert "Connected as a." in alice.get("/").text
    assert "Connected as b." in bob.get("/").text


def test_a_replayed_callback_is_refused(application: Application, sandbox: Sandbox) -> None:
    """F57: a reload, or a link from a log, sends no code again, and the user stays connected."""
    alice = application.log_in("alice")
    callback = connect(alice, sandbox, "a")
    alice.get(callback)
    assert alice.get(callback).status_code == 400
    assert sandbox.counts.token_requests == 1
    assert "Connected as a." in alice.get("/").text


def test_a_callback_that_the_browser_sends_twice_is_not_a_failure(application: Application, sandbox: Sandbox) -> None:
    """The first answer is lost, cookie and all, as with a prefetch: nobody who is connected reads otherwise."""
    alice = application.log_in("alice")
    callback = connect(alice, sandbox, "a")
    session = alice.session()
    alice.get(callback)
    alice.go_back_to(session)
    again = alice.get(callback)
    # Django's session is kept by the server, so it knows that the link was used.
    assert (again.headers.get("location") == "/") or "see whether you are connected" in again.text
    assert sandbox.counts.token_requests == 1
    assert "Connected as a." in alice.get("/").text


def test_a_callback_after_an_outage_may_be_reloaded(application: Application, sandbox: Sandbox) -> None:
    """A server that is overloaded just then has spent nothing: the same page works when it is loaded again."""
    alice = application.log_in("alice")
    callback = connect(alice, sandbox, "a")
    sandbox.fail(Fault(status=503))
    refused = alice.get(callback)
    assert refused.status_code == 503
    assert "Not connected yet" in refused.text
    assert alice.get(callback).status_code in (302, 303)
    assert "Connected as a." in alice.get("/").text


def test_another_users_callback_connects_nobody(application: Application, sandbox: Sandbox) -> None:
    """A victim who is sent an attacker's last link is not connected to the attacker's account, nor uses it up."""
    mallory, alice = application.log_in("mallory"), application.log_in("alice")
    callback = connect(mallory, sandbox, "m")
    refused = alice.get(callback)
    assert refused.status_code == 400
    assert "not yours" in refused.text
    assert ">Connect<" in alice.get("/").text
    assert ">Connect<" in mallory.get("/").text
    assert sandbox.counts.token_requests == 0
    mallory.get(callback)
    assert "Connected as m." in mallory.get("/").text


def test_who_is_not_logged_in_connects_nobody(application: Application, sandbox: Sandbox) -> None:
    """The callback asks who is there, and the user may still finish it."""
    alice = application.log_in("alice")
    callback = connect(alice, sandbox, "a")
    visitor = application.anonymous()
    assert visitor.get(callback).status_code in (302, 401)
    assert visitor.get("/").status_code in (302, 401)
    assert sandbox.counts.token_requests == 0
    alice.get(callback)
    assert "Connected as a." in alice.get("/").text


def test_two_tabs_do_not_spoil_each_other(application: Application, sandbox: Sandbox) -> None:
    """Both come back, the second first: both are accepted, and the last word counts."""
    alice = application.log_in("alice")
    first, second = connect(alice, sandbox, "a1"), connect(alice, sandbox, "a2")
    assert alice.get(second).status_code in (302, 303)
    assert alice.get(first).status_code in (302, 303)
    assert "Connected as a1." in alice.get("/").text


@pytest.mark.parametrize("change", ["wrong", "missing", "twice", "empty"])
def test_a_callback_with_a_wrong_state_is_refused(application: Application, sandbox: Sandbox, change: str) -> None:
    """F57: nothing is asked of the provider, and the right callback still works."""
    alice = application.log_in("alice")
    callback = connect(alice, sandbox, "a")
    head, _, state = callback.partition("&state=")
    state, _, tail = state.partition("&")
    changed = {
        "wrong": f"{head}&state=x{state}&{tail}",
        "missing": f"{head}&{tail}",
        "twice": f"{callback}&state={state}",
        "empty": f"{head}&state=&{tail}",
    }[change]
    assert alice.get(changed).status_code == 400
    assert sandbox.counts.token_requests == 0
    if change != "twice":
        alice.get(callback)
        assert "Connected as a." in alice.get("/").text


def test_a_user_who_denies_gets_a_page_that_reports_it(application: Application, sandbox: Sandbox) -> None:
    """No code is exchanged, and they may try again."""
    alice = application.log_in("alice")
    denied = alice.get(connect(alice, sandbox, "a", approve=False))
    assert denied.status_code == 400
    assert "did not give access" in denied.text
    assert ">Connect<" in alice.get("/").text
    alice.get(connect(alice, sandbox, "a"))
    assert "Connected as a." in alice.get("/").text


def test_a_user_reconnects_when_the_provider_has_ended_the_grant(application: Application, sandbox: Sandbox) -> None:
    """The page asks to reconnect, and not as though they had never connected."""
    alice = application.log_in("alice")
    alice.get(connect(alice, sandbox, "a"))
    sandbox.revoke_grant("a")
    page = alice.get("/").text
    assert ">Reconnect<" in page
    assert "Connected as" not in page
    alice.get(connect(alice, sandbox, "a"))
    assert "Connected as a." in alice.get("/").text


def test_a_user_disconnects(application: Application, sandbox: Sandbox) -> None:
    """The tokens are forgotten, theirs only."""
    alice, bob = application.log_in("alice"), application.log_in("bob")
    for user, account in ((alice, "a"), (bob, "b")):
        user.get(connect(user, sandbox, account))
    assert alice.post("/disconnect").headers["location"] == "/"
    assert ">Connect<" in alice.get("/").text
    assert "Connected as b." in bob.get("/").text


def test_a_link_changes_nothing(application: Application, sandbox: Sandbox) -> None:
    """Connect and disconnect are POST: an image or a link on another page does neither."""
    alice = application.log_in("alice")
    alice.get(connect(alice, sandbox, "a"))
    assert alice.get("/connect").status_code == 405
    assert alice.get("/disconnect").status_code == 405
    assert "Connected as a." in alice.get("/").text


def test_another_site_cannot_post(application: Application, sandbox: Sandbox) -> None:
    """The framework asks for its token, or the session cookie stays at home when another site posts."""
    alice = application.log_in("alice")
    alice.get(connect(alice, sandbox, "a"))
    session = next(cookie for cookie in alice.cookies.jar if "session" in cookie.name)
    said = {name.lower(): value for name, value in vars(session)["_rest"].items()}
    assert said["samesite"].lower() == "lax"
    assert "httponly" in said
    assert session.secure
    if any("csrf" in cookie.name for cookie in alice.cookies.jar):
        assert alice.post("/disconnect", with_token=False).status_code == 403


def test_what_the_account_is_called_is_escaped(application: Application, sandbox: Sandbox) -> None:
    """The name comes from outside."""
    alice = application.log_in("alice")
    alice.get(connect(alice, sandbox, "<script>alert(1)</script>"))
    assert "Connected as &lt;script&gt;" in alice.get("/").text
