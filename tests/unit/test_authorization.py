"""Signing in: starting and finishing, and every callback that must not pass (F57). No sockets."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
import trio
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from support.canary.leaks import everything_in, leaks
from support.errors import raises
from support.providers import acme
from support.scripted import ScriptedWorld
from support.stores.scripted import ScriptedStore
from support.token_endpoint import answer, pair, refusal
from support.waiting import settle

from blnk_auth import (
    AuthorizationRequest,
    BlnkAuthError,
    ConfigurationError,
    MemoryStore,
    ProtocolError,
    SignInRequired,
    StoreError,
    TemporarilyUnavailable,
)
from blnk_auth._protocol.http_messages import HttpResponse, NoResponse
from blnk_auth._renewal.sign_in_state import LastSweep
from blnk_auth._sign_in import finish_authorization
from blnk_auth._sign_in.pending_sign_ins import PENDING_LIFETIME

ISSUER = "https://as.acme.test"


@pytest.fixture
def world() -> ScriptedWorld:
    return ScriptedWorld(acme(issuer=ISSUER))


def query(start: AuthorizationRequest) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(start.url).query).items()}


def callback(start: AuthorizationRequest | None = None, **changes: str | None) -> str:
    """The URL the browser comes back to; None leaves a parameter out."""
    parameters = {"code": "c0de-of-alice", "state": None if start is None else start.state, "iss": ISSUER, **changes}
    return "https://app.test/callback?" + urlencode({k: v for k, v in parameters.items() if v is not None})


# --- start -----------------------------------------------------------------------------------------------------------


def test_start_gives_a_url_and_its_end(world: ScriptedWorld) -> None:
    """Code, client, redirect URI, scope, PKCE S256 and a state of 256 bits, accepted for ten minutes."""
    start = world.client.start_authorization("alice", scope="data:read proxy:write")
    sent = query(start)
    challenge = sent.pop("code_challenge")
    assert sent == {
        "response_type": "code",
        "client_id": "id",
        "redirect_uri": "https://app.test/callback",
        "scope": "data:read proxy:write",
        "state": start.state,
        "code_challenge_method": "S256",
    }
    assert len(challenge) == 43
    assert len(start.state) >= 43
    assert start.expires_at == world.clock() + PENDING_LIFETIME


def test_every_start_is_another(world: ScriptedWorld) -> None:
    """State and verifier are never used twice."""
    starts = [world.client.start_authorization("alice") for _ in range(5)]
    assert len({start.state for start in starts}) == 5
    assert len({query(start)["code_challenge"] for start in starts}) == 5


def test_who_can_list_the_store_cannot_finish(world: ScriptedWorld) -> None:
    """The state is stored as a hash only."""
    start = world.client.start_authorization("alice")
    assert leaks([world.store.texts], [start.state]) == []


def test_a_start_shows_no_secret(world: ScriptedWorld) -> None:
    """Its repr hides the state, which is the key to the answer."""
    start = world.client.start_authorization("alice")
    assert leaks([repr(start), str(start)], [start.state]) == []


def test_a_provider_without_pkce_gets_none() -> None:
    """Neither a challenge in the URL nor a verifier at the exchange."""
    world = ScriptedWorld(acme(pkce=False))
    start = world.client.start_authorization("alice")
    assert "code_challenge" not in query(start)
    world.server.will(pair(1))
    world.client.finish_authorization(callback(start, iss=None))
    assert "code_verifier" not in world.server.forms[0]


@pytest.mark.parametrize(
    ("provider", "settings", "named"),
    [
        pytest.param(
            {"authorization_endpoint": None},
            {},
            "authorization_endpoint",
        ),
        ({}, {"redirect_uri": None}, "redirect_uri"),
    ],
)
def test_a_start_that_cannot_work_names_the_reason_and_stores_nothing(
    provider: dict[str, Any], settings: dict[str, Any], named: str
) -> None:
    """The parameter that is missing is named immediately."""
    world = ScriptedWorld(acme(**provider), **settings)
    with raises(ConfigurationError, parameter=named):
        world.client.start_authorization("alice")
    assert world.store.texts == {}


@pytest.mark.parametrize("subject", ["", "  ", None, 7])
def test_a_start_for_nobody_is_refused(world: ScriptedWorld, subject: Any) -> None:
    """The caller must name the subject of the grant."""
    with raises(ConfigurationError, parameter="subject"):
        world.client.start_authorization(subject)


def test_a_start_that_cannot_be_stored_raises(world: ScriptedWorld) -> None:
    """A user is not sent away with a state that nobody will know."""
    world.store.interfere("save", OSError("full"))
    with pytest.raises(StoreError):
        world.client.start_authorization("alice")


def test_a_store_that_cannot_list_does_not_stop_a_sign_in(world: ScriptedWorld) -> None:
    """Sweeping up is housekeeping."""
    world.store.interfere("load", *[OSError("broken")] * 10)
    assert world.client.start_authorization("alice").url


def test_abandoned_sign_ins_are_swept_up(world: ScriptedWorld) -> None:
    """What nobody came back for does not stay for ever (promise 9)."""
    for _ in range(20):
        world.client.start_authorization("alice")
    world.clock.advance(PENDING_LIFETIME)
    for _ in range(200):
        world.client.start_authorization("bob")
    left = [text for _, text in world.store.texts.values() if '"alice"' in text]
    assert len(left) < 20


def test_abandoned_sign_ins_are_looked_for_about_once_a_minute() -> None:
    """Each look lists keys of the store. A clock that was set back does not stop it until it has caught up."""
    last = LastSweep()
    looked_at = [now for now in (1000.0, 1000.5, 1059.0, 1060.0, 1100.0, 200.0, 210.0, 260.0) if last.is_over(now)]
    assert looked_at == [1000.0, 1060.0, 200.0, 260.0]


# --- finish ----------------------------------------------------------------------------------------------------------


def test_finish_exchanges_the_code_and_stores_the_grant(world: ScriptedWorld) -> None:
    """The verifier fits the challenge, the redirect URI is the same, the tokens are saved and used."""
    start = world.client.start_authorization("alice")
    world.server.will(pair(1, scope="data:read"))
    source = world.client.finish_authorization(callback(start))
    (form,) = world.server.forms
    assert create_s256_code_challenge(form.pop("code_verifier")) == query(start)["code_challenge"]
    assert form == {
        "grant_type": "authorization_code",
        "code": "c0de-of-alice",
        "redirect_uri": "https://app.test/callback",
    }
    assert (source.subject, source.token().access_token, source.state) == ("alice", "at1", "fresh")
    assert world.stored(source).token.refresh_token == "rt1"
    assert world.emitted() == ["signed_in"]
    assert len(world.server.requests) == 1


@pytest.mark.parametrize("run", [asyncio.run, trio.run], ids=["asyncio", "trio"])
def test_the_async_twins_do_the_same(world: ScriptedWorld, run: Any) -> None:
    """astart_authorization and afinish_authorization, on both loops."""
    world.server.will(pair(1))

    async def main() -> str:
        start = await world.client.astart_authorization("alice")
        source = await world.client.afinish_authorization(callback(start))
        return (await source.atoken()).access_token

    assert run(main() if run is asyncio.run else main) == "at1"


def test_another_process_may_finish(world: ScriptedWorld) -> None:
    """A pending sign-in is in the store."""
    start = world.client.start_authorization("alice")
    other = ScriptedWorld(acme(issuer=ISSUER), store=world.store, clock=world.clock)
    other.server.will(pair(1))
    assert other.client.finish_authorization(callback(start)).subject == "alice"


def test_a_new_sign_in_takes_the_place_of_the_old_grant(world: ScriptedWorld) -> None:
    """The source that is in use continues with the new tokens immediately."""
    source = world.signed_in()
    start = world.client.start_authorization("alice")
    world.server.will(pair(5))
    assert world.client.finish_authorization(callback(start)) is source
    assert source.token().access_token == "at5"


def test_the_scope_that_was_asked_for_is_stored_with_the_grant(world: ScriptedWorld) -> None:
    """Also where the server gave less, and through renewals: a later sign-in may ask for it again."""
    start = world.client.start_authorization("alice", scope="data:read data:write")
    world.server.will(pair(1, scope="data:read"), pair(2))
    source = world.client.finish_authorization(callback(start))
    assert world.stored(source).token.scope == "data:read"
    assert world.stored(source).requested_scope == "data:read data:write"
    source.renew()
    assert world.stored(source).requested_scope == "data:read data:write"


def test_two_tabs_of_one_user_both_succeed(world: ScriptedWorld) -> None:
    """Two sign-ins at the same time do not disturb each other, in either order."""
    one, two = (world.client.start_authorization("alice") for _ in range(2))
    world.server.will(pair(1), pair(2))
    world.client.finish_authorization(callback(two))
    source = world.client.finish_authorization(callback(one))
    assert source.token().access_token == "at2"


@pytest.mark.parametrize(
    "changes",
    [
        {"expires_at": "soon"},
        {"expires_at": 10**400},
        {"expires_at": None},
        {"subject": 7},
        {"subject": "\ud800"},
        {"redirect_uri": None},
        {"code_verifier": ["v"]},
        {"target": 7},
        {"resource": {}},
    ],
    ids=repr,
)
def test_a_record_of_a_sign_in_that_cannot_be_read_asks_to_begin_again(
    world: ScriptedWorld, changes: dict[str, Any]
) -> None:
    """Another program wrote there, or a later version: a typed error, and no token request."""
    start = world.client.start_authorization("alice")
    (key,) = world.store.texts
    record = MemoryStore.load(world.store, key)
    assert record is not None
    MemoryStore.save(world.store, key, {**record.data, **changes}, expected=record.version)
    with raises(SignInRequired, reason="restart"):
        world.client.finish_authorization(callback(start))
    assert world.server.requests == []


@pytest.mark.parametrize("state", [5, b"state", "\ud800", ["state"]], ids=repr)
def test_an_unechoed_state_that_is_not_text_is_named(world: ScriptedWorld, state: Any) -> None:
    """Before anything is read or sent."""
    with pytest.raises(ConfigurationError) as caught:
        world.client.finish_authorization("https://app.test/callback?code=c", unechoed_state=state)
    assert caught.value.parameter == "unechoed_state"


def test_two_people_never_get_each_others_grant(world: ScriptedWorld) -> None:
    """The state identifies the subject."""
    alice, bob = (world.client.start_authorization(subject) for subject in ("alice", "bob"))
    world.server.will(pair(1), pair(2))
    assert world.client.finish_authorization(callback(bob)).subject == "bob"
    assert world.client.finish_authorization(callback(alice)).subject == "alice"
    assert world.client.for_subject("bob").token().access_token == "at1"


# --- F57: what must not pass, and must use nothing up ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"state": "somebody-elses"}, SignInRequired),
        ({"state": None}, SignInRequired),
        ({"state": ""}, SignInRequired),
        ({"iss": "https://evil.test"}, ProtocolError),
        ({"iss": ISSUER + "/"}, ProtocolError),
        ({"iss": ISSUER.upper()}, ProtocolError),
        ({"code": None}, ProtocolError),
        ({"code": ""}, ProtocolError),
        ({"state": "somebody-elses", "error": "access_denied", "code": None}, SignInRequired),
    ],
    ids=repr,
)
def test_f57_a_callback_that_is_not_ours_uses_nothing_up(
    world: ScriptedWorld, changes: dict[str, str | None], expected: type[BlnkAuthError]
) -> None:
    """F57: refused without a token request and without naming either state; the right callback still works."""
    start = world.client.start_authorization("alice")
    with pytest.raises(expected) as caught:
        world.client.finish_authorization(callback(start, **changes))
    assert leaks([str(caught.value), repr(caught.value)], [start.state, "somebody-elses", "c0de-of-alice"]) == []
    assert world.server.requests == []
    world.server.will(pair(1))
    assert world.client.finish_authorization(callback(start)).token().access_token == "at1"


@pytest.mark.parametrize("name", ["state", "code", "iss", "error"])
def test_f57_a_parameter_that_comes_twice_is_refused(world: ScriptedWorld, name: str) -> None:
    """RFC 6749 section 3.1: which of the two is meant cannot be known; nothing is used up."""
    start = world.client.start_authorization("alice")
    url = callback(start, error="access_denied" if name == "error" else None)
    doubled = f"{url}&{name}={start.state}"
    with raises(ProtocolError, parameter="callback_url"):
        world.client.finish_authorization(doubled)
    world.server.will(pair(1))
    world.client.finish_authorization(callback(start))


@pytest.mark.parametrize(
    "url",
    [
        "",
        "/favicon.ico",
        "https://app.test/callback",
        "https://app.test/callback#access_token=of-the-browser&token_type=Bearer",
        None,
        b"https://app.test/callback?code=c&state=s",
        7,
    ],
    ids=repr,
)
def test_what_is_not_a_callback_is_refused(world: ScriptedWorld, url: Any) -> None:
    """A path, a URL without a query or another type: the parameter is named."""
    with raises(ConfigurationError, parameter="callback_url"):
        world.client.finish_authorization(url)


def test_of_a_callback_only_the_code_and_what_proves_it_is_used(world: ScriptedWorld) -> None:
    """Neither the host and path, which a proxy may change, nor an access token in the query or the fragment."""
    start = world.client.start_authorization("alice")
    world.server.will(pair(1))
    sent = callback(start, access_token="of-the-browser", token_type="Bearer")
    changed = sent.replace("https://app.test/callback", "http://10.0.0.7:8080/elsewhere")
    source = world.client.finish_authorization(f"{changed}#code=another&access_token=of-the-browser")
    assert source.token().access_token == "at1"
    assert world.server.forms[0]["redirect_uri"] == "https://app.test/callback"


@pytest.mark.parametrize("url", ["https://[::1/callback?code=c&state=s", "https://app.test/cb?code=c&state=\ud800"])
def test_a_malformed_callback_is_a_typed_error(world: ScriptedWorld, url: str) -> None:
    """For anything that a client sends, the web application gets an error of this library."""
    with pytest.raises(BlnkAuthError):
        world.client.finish_authorization(url)


def test_f57_the_second_hit_is_refused(world: ScriptedWorld) -> None:
    """A reloaded page does not spend the code again, which would make a strict server revoke the tokens."""
    start = world.client.start_authorization("alice")
    world.server.will(pair(1))
    source = world.client.finish_authorization(callback(start))
    with raises(SignInRequired, reason="restart") as caught:
        world.client.finish_authorization(callback(start))
    assert caught.value.reason == "restart"
    assert len(world.server.requests) == 1
    assert source.token().access_token == "at1"


@pytest.mark.parametrize(
    "given",
    [HttpResponse(500, {}, b""), HttpResponse(502, {}, b""), refusal("invalid_grant"), NoResponse("x", sent=True)],
    ids=str,
)
def test_a_failed_exchange_does_not_use_the_code_again(world: ScriptedWorld, given: Any) -> None:
    """Codes are for one use (trap 39): after any response the user starts again; an older grant stays in force."""
    source = world.signed_in()
    start = world.client.start_authorization("alice")
    world.server.will(given)
    with pytest.raises(BlnkAuthError):
        world.client.finish_authorization(callback(start))
    with pytest.raises(SignInRequired) as caught:
        world.client.finish_authorization(callback(start))
    assert caught.value.reason == "restart"
    assert len(world.server.requests) == 1
    assert (source.token().access_token, source.state) == ("at0", "fresh")


@pytest.mark.parametrize(
    "given",
    [HttpResponse(429, {}, b""), HttpResponse(503, {"retry-after": "1"}, b""), NoResponse("refused", sent=False)],
    ids=str,
)
def test_what_spent_nothing_leaves_the_callback_usable(world: ScriptedWorld, given: Any) -> None:
    """A server that does not look at the request has not spent the code: the same URL may be tried again."""
    start = world.client.start_authorization("alice")
    world.server.will(given, given, pair(1))
    for _ in range(2):
        with raises(TemporarilyUnavailable, outcome_unknown=False, remedy=finish_authorization.CODE_IS_UNSPENT):
            world.client.finish_authorization(callback(start))
    assert world.client.finish_authorization(callback(start)).token().access_token == "at1"
    with pytest.raises(SignInRequired):
        world.client.finish_authorization(callback(start))


def test_a_secret_that_cannot_be_fetched_spends_nothing() -> None:
    """No request was sent, so the same URL may be tried again."""
    secrets = iter([OSError("vault"), "s3cret"])

    def fetch() -> str:
        secret = next(secrets)
        if isinstance(secret, OSError):
            raise secret
        return secret

    world = ScriptedWorld(acme(), client_secret=fetch)
    start = world.client.start_authorization("alice")
    with pytest.raises(BlnkAuthError):
        world.client.finish_authorization(callback(start, iss=None))
    world.server.will(pair(1))
    assert world.client.finish_authorization(callback(start, iss=None)).subject == "alice"


@pytest.mark.parametrize(
    ("given", "lost"),
    [(NoResponse("cut", sent=True), True), (HttpResponse(504, {}, b""), True), (HttpResponse(500, {}, b""), False)],
)
def test_a_code_that_may_be_spent_is_not_reported_as_renewed(world: ScriptedWorld, given: Any, lost: bool) -> None:
    """Nothing was renewed at a sign-in: the user must begin again, and the error names this."""
    start = world.client.start_authorization("alice")
    world.server.will(given)
    begin_again = finish_authorization.CODE_MAY_BE_SPENT
    with raises(TemporarilyUnavailable, outcome_unknown=lost, remedy=begin_again) as caught:
        world.client.finish_authorization(callback(start))
    assert "renewed" not in str(caught.value)


def test_a_sign_in_that_cannot_be_given_back_must_begin_again(world: ScriptedWorld) -> None:
    """The store fails just then: the error must not promise what will not work."""
    start = world.client.start_authorization("alice")
    world.server.will(HttpResponse(503, {}, b""))
    world.store.interfere("save", None, OSError("full"))
    with raises(TemporarilyUnavailable, remedy=finish_authorization.CODE_MAY_BE_SPENT):
        world.client.finish_authorization(callback(start))


def test_two_requests_with_one_callback_exchange_it_once(world: ScriptedWorld) -> None:
    """The request that claims it second is refused."""
    start = world.client.start_authorization("alice")
    world.server.will(pair(1), pair(2))

    def race() -> None:
        world.client.finish_authorization(callback(start))

    world.store.interfere("save", race)
    with raises(SignInRequired, reason="restart"):
        world.client.finish_authorization(callback(start))
    assert len(world.server.requests) == 1


@pytest.mark.parametrize(("elapsed", "accepted"), [(PENDING_LIFETIME - 1, True), (PENDING_LIFETIME, False)])
def test_a_sign_in_is_accepted_for_ten_minutes(world: ScriptedWorld, elapsed: float, accepted: bool) -> None:
    """After that the user starts again."""
    start = world.client.start_authorization("alice")
    world.clock.advance(elapsed)
    if accepted:
        world.server.will(pair(1))
        world.client.finish_authorization(callback(start))
        return
    with raises(SignInRequired, reason="restart"):
        world.client.finish_authorization(callback(start))
    assert world.server.requests == []


@pytest.mark.parametrize(
    ("error", "reason"), [("access_denied", "denied"), ("login_required", "restart"), ("server_error", "restart")]
)
def test_an_error_from_the_server_is_reported(world: ScriptedWorld, error: str, reason: str) -> None:
    """RFC 6749 section 4.1.2.1: the code and its description are carried; no token is asked for."""
    start = world.client.start_authorization("alice")
    url = callback(start, code=None, error=error, error_description="no\r\nway")
    with pytest.raises(SignInRequired) as caught:
        world.client.finish_authorization(url)
    assert (caught.value.reason, caught.value.error, caught.value.error_description) == (reason, error, "no way")
    assert (reason == "restart") is bool(leaks([str(caught.value)], [f"{error}: no way"]))
    assert world.server.requests == []


@pytest.mark.parametrize(
    ("error", "parameter"),
    [
        ("invalid_scope", "scope"),
        ("invalid_request", None),
        ("unauthorized_client", None),
        ("unsupported_response_type", None),
        ("invalid_target", "resource"),
    ],
)
def test_what_another_sign_in_cannot_change_is_a_configuration_error(
    world: ScriptedWorld, error: str, parameter: str | None
) -> None:
    """To send the user there again would lead to the same error each time."""
    start = world.client.start_authorization("alice")
    with pytest.raises(ConfigurationError) as caught:
        world.client.finish_authorization(callback(start, code=None, error=error, error_description="no\r\nway"))
    assert (caught.value.error, caught.value.error_description) == (error, "no way")
    assert caught.value.parameter == parameter
    assert caught.value.remedy
    assert world.server.requests == []


def test_an_error_names_the_subject_of_the_sign_in(world: ScriptedWorld) -> None:
    """A web application needs to know which user refused."""
    start = world.client.start_authorization("alice")
    with pytest.raises(SignInRequired) as caught:
        world.client.finish_authorization(callback(start, code=None, error="access_denied"))
    assert caught.value.subject == "alice"


def test_an_error_wins_over_a_code(world: ScriptedWorld) -> None:
    """Who sends both means no."""
    start = world.client.start_authorization("alice")
    with pytest.raises(SignInRequired):
        world.client.finish_authorization(callback(start, error="access_denied"))
    assert world.server.requests == []


@pytest.mark.parametrize("iss", [None, ISSUER])
def test_iss_may_be_missing(world: ScriptedWorld, iss: str | None) -> None:
    """Not every server sends it (RFC 9207); one that is there must be right."""
    start = world.client.start_authorization("alice")
    world.server.will(pair(1))
    world.client.finish_authorization(callback(start, iss=iss))


def test_iss_must_be_there_where_the_server_always_sends_it() -> None:
    """RFC 9207 section 2.4: a code without it may be another server's; nothing is used up, and no code is sent."""
    world = ScriptedWorld(acme(issuer=ISSUER, sends_iss=True))
    start = world.client.start_authorization("alice")
    with raises(ProtocolError, parameter="callback_url"):
        world.client.finish_authorization(callback(start, iss=None))
    assert world.server.requests == []
    world.server.will(pair(1))
    world.client.finish_authorization(callback(start))


def test_a_refusal_without_the_promised_iss_is_reported_as_it_is() -> None:
    """Servers that promise iss often omit it with errors; the state matches, and an error gives nobody access."""
    world = ScriptedWorld(acme(issuer=ISSUER, sends_iss=True))
    start = world.client.start_authorization("alice")
    with pytest.raises(SignInRequired) as caught:
        world.client.finish_authorization(callback(start, iss=None, code=None, error="access_denied"))
    assert (caught.value.reason, caught.value.subject) == ("denied", "alice")


def test_a_refusal_of_another_server_is_neither_acted_on_nor_shown(world: ScriptedWorld) -> None:
    """RFC 9207: its iss is wrong, so it ends nothing and its text is not quoted."""
    start = world.client.start_authorization("alice")
    url = callback(start, iss="https://evil.test", code=None, error="access_denied", error_description="call 555")
    with pytest.raises(ProtocolError) as caught:
        world.client.finish_authorization(url)
    assert leaks(everything_in(caught.value), ["access_denied", "call 555"]) == []
    world.server.will(pair(1))
    world.client.finish_authorization(callback(start))


@pytest.mark.parametrize("iss", ["https://evil.test", "http://as.acme.test", "https://as.acme.test:8443", "nonsense"])
def test_without_an_issuer_iss_must_be_at_an_endpoints_origin(iss: str) -> None:
    """There is no issuer to compare it with, but another origin is certainly another server."""
    world = ScriptedWorld(acme())
    start = world.client.start_authorization("alice")
    with raises(ProtocolError, shows="issuer"):
        world.client.finish_authorization(callback(start, iss=iss))
    assert world.server.requests == []
    world.server.will(pair(1))
    world.client.finish_authorization(callback(start, iss="https://as.acme.test/realms/one"))


@pytest.mark.parametrize(("error", "quoted"), [("access_denied", "access_denied"), ("send-money-to", None)])
def test_a_refusal_without_state_has_its_own_words(world: ScriptedWorld, error: str, quoted: str | None) -> None:
    """It ends no sign-in, since nobody knows whose it is; only a registered code is quoted."""
    start = world.client.start_authorization("alice")
    url = callback(start, state=None, code=None, error=error, error_description="of anybody")
    with raises(SignInRequired, reason="restart", error=quoted, subject=None, shows="state") as caught:
        world.client.finish_authorization(url)
    assert leaks(everything_in(caught.value), ["send-money-to", "of anybody"]) == []
    world.server.will(pair(1))
    world.client.finish_authorization(callback(start))


@pytest.mark.parametrize(
    "other",
    [
        {"client_id": "other"},
        {"provider": acme(issuer=ISSUER, name="other")},
        {"provider": acme(issuer=ISSUER, token_endpoint="https://test.acme.test/token")},
    ],
    ids=["client", "provider", "environment"],
)
def test_a_callback_for_another_client_is_refused(world: ScriptedWorld, other: dict[str, Any]) -> None:
    """One store, two registrations: neither finishes what the other has started, nor uses it up."""
    provider = other.pop("provider", acme(issuer=ISSUER))
    another = ScriptedWorld(provider, store=world.store, clock=world.clock, **other)
    start = world.client.start_authorization("alice")
    with pytest.raises(SignInRequired):
        another.client.finish_authorization(callback(start))
    world.server.will(pair(1))
    world.client.finish_authorization(callback(start))


def test_a_server_that_does_not_echo_the_state_needs_it_from_the_session(world: ScriptedWorld) -> None:
    """`unechoed_state` replaces a missing state, and is checked like one; a state in the callback has precedence."""
    start, other = world.client.start_authorization("alice"), world.client.start_authorization("bob")
    url = callback(start, state=None)
    with raises(SignInRequired, shows="unechoed_state"):
        world.client.finish_authorization(url)
    with pytest.raises(SignInRequired):
        world.client.finish_authorization(url, unechoed_state="wrong")
    with pytest.raises(SignInRequired):
        world.client.finish_authorization(callback(start, state="wrong"), unechoed_state=start.state)
    world.server.will(pair(1), pair(2))
    assert world.client.finish_authorization(url, unechoed_state=start.state).subject == "alice"
    assert world.client.finish_authorization(callback(other), unechoed_state="ignored").subject == "bob"


def test_a_sign_in_that_cannot_be_saved_is_used_and_saved_later(world: ScriptedWorld) -> None:
    """The code is spent, so the pair must not be lost (promise 3)."""
    start = world.client.start_authorization("alice")
    world.server.will(pair(1))
    world.store.interfere("save", None, OSError("full"))
    source = world.client.finish_authorization(callback(start))
    assert source.token().access_token == "at1"
    assert world.emitted() == ["save_failed", "saved"]
    assert world.stored(source).token.refresh_token == "rt1"


def test_an_outage_at_the_exchange_is_reported_as_one(world: ScriptedWorld) -> None:
    """The type means that it may heal; the user starts again."""
    start = world.client.start_authorization("alice")
    world.server.will(answer({}, 503))
    with pytest.raises(TemporarilyUnavailable):
        world.client.finish_authorization(callback(start))


@pytest.mark.parametrize(
    "changes",
    [{"iss": "https://evil.test"}, {"state": "wrong-state"}, {"error": "access_denied"}],
    ids=repr,
)
def test_f56_an_error_does_not_lead_to_the_code_or_the_state(world: ScriptedWorld, changes: dict[str, str]) -> None:
    """Our frames' locals included: an error page with a debugger shows neither (promise 8)."""
    start = world.client.start_authorization("alice")
    url = callback(start, **changes)
    with pytest.raises(BlnkAuthError) as caught:
        world.client.finish_authorization(url)
    assert leaks(everything_in(caught.value), [start.state, "c0de-of-alice"]) == []


def test_a_start_does_not_list_the_store_each_time(world: ScriptedWorld) -> None:
    """However many sign-ins are pending: the store is looked through about once a minute, not at each start."""
    listed: list[str] = []

    class Counting(ScriptedStore):
        def keys(self, prefix: str = "") -> Iterator[str]:
            listed.append(prefix)
            return super().keys(prefix)

    counted = ScriptedWorld(store=Counting())
    for _ in range(50):
        counted.client.start_authorization("alice")
    settle()
    assert len(set(listed)) == len(listed)
    counted.clock.advance(61)
    counted.client.start_authorization("alice")
    settle()
    assert {prefix: listed.count(prefix) for prefix in listed} == dict.fromkeys(listed, 2)


def test_an_id_token_is_handed_on_and_not_read(world: ScriptedWorld) -> None:
    """Who signs users in by OpenID Connect sends a nonce, gets the ID token as it came, and judges it: nothing here
    depends on what it claims.
    """
    start = world.client.start_authorization("alice", scope="openid", parameters={"nonce": "n-of-the-application"})
    assert query(start)["nonce"] == "n-of-the-application"
    world.server.will(pair(1, id_token="not.a.jwt-of-mallory"))
    source = world.client.finish_authorization(callback(start))
    assert (source.subject, source.token().extra["id_token"]) == ("alice", "not.a.jwt-of-mallory")
