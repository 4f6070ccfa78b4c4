"""`OAuthClient` and providers immediately refuse what cannot work, and name the parameter."""

from __future__ import annotations

import gc
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
import requests
from support.canary.leaks import everything_in, leaks
from support.errors import raises
from support.providers import acme
from support.scripted import ScriptedWorld
from support.token_endpoint import answer, pair

from blnk_auth import BlnkCloud, ConfigurationError, MemoryStore, OAuthClient, RenewalPolicy, SignInRequired, Token
from blnk_auth._renewal.credential import credential_of


def client(**settings: Any) -> OAuthClient:
    given: dict[str, Any] = {
        "provider": acme(),
        "client_id": "id",
        "client_secret": "s3cret-of-client",
        "redirect_uri": "https://app.test/cb",
        **settings,
    }
    return OAuthClient(given.pop("provider"), **given)


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("provider", None),
        ("provider", "blnk_cloud"),
        ("provider", BlnkCloud),
        ("client_id", ""),
        ("client_id", "  "),
        ("client_id", None),
        ("client_id", 7),
        ("client_secret", None),
        ("client_secret", ""),
        ("client_auth", "basic"),
        ("client_auth", "CLIENT_SECRET_BASIC"),
        ("client_auth", 7),
        ("redirect_uri", ""),
        ("redirect_uri", "app.test/cb"),
        ("redirect_uri", 7),
        ("redirect_uri", "http://app.test/cb"),
        ("redirect_uri", "https://app.test/cb#fragment"),
        ("redirect_uri", "https:///cb"),
        ("redirect_uri", "https://user:pass@app.test/cb"),
        ("redirect_uri", "https://app.test:x/cb"),
        ("store", "tokens.db"),
        ("store", {}),
        ("store", MemoryStore),
        ("token_http", "requests"),
        ("token_http", httpx.AsyncClient),
    ],
    ids=lambda value: getattr(value, "__name__", repr(value))[:40],
)
def test_a_bad_parameter_is_named_immediately(parameter: str, value: Any) -> None:
    """Before anything is stored or sent, and never as an error of Python's own."""
    with raises(ConfigurationError, parameter=parameter):
        client(**{parameter: value})


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("verify", False),
        ("verify", "/no/such/ca.pem"),
        ("cert", "/no/such/cert.pem"),
        ("proxy", "ftp://proxy.test"),
        ("proxy", "proxy.test:3128"),
        ("redirect_uri", "https://[::1/cb"),
        ("client_secret", b"s3cret"),
        ("client_secret", 7),
        ("policy", {"cooldown": 1}),
        ("on_event", "print"),
        ("clock", 1_800_000_000.0),
        ("clock", lambda: None),
        ("clock", lambda: float("nan")),
        ("clock", lambda: 1 / 0),
        ("client_id", "\ud800"),
    ],
    ids=lambda value: getattr(value, "__name__", repr(value))[:40],
)
def test_a_bad_parameter_is_named_immediately_and_not_at_the_first_renewal(parameter: str, value: Any) -> None:
    """Certificates, proxies, the secret's type, a store's class instead of a store."""
    with raises(ConfigurationError, parameter=parameter):
        client(**{parameter: value})


def test_a_client_id_with_a_colon_does_not_fit_raw_basic() -> None:
    """RFC 7617: the first colon ends the user id, so a raw `a:b` would be sent as another client."""
    with raises(ConfigurationError, parameter="client_id"):
        client(provider=BlnkCloud(), client_id="a:b")
    client(provider=acme(), client_id="a:b")


@pytest.mark.parametrize("settings", [{"verify": "/ca.pem"}, {"cert": "/c.pem"}, {"proxy": "http://p.test"}], ids=repr)
def test_token_http_brings_its_own_settings(settings: dict[str, Any]) -> None:
    """Two places for one setting would contradict each other."""
    with requests.Session() as session, raises(ConfigurationError, parameter="token_http"):
        client(token_http=session, **settings)


@pytest.mark.parametrize(
    "redirect_uri",
    [
        "https://app.test/cb?x=1",
        "http://127.0.0.1:8765/cb",
        "http://localhost/cb",
        "http://[::1]:0/cb",
        "com.example.app:/cb",
        None,
    ],
)
def test_good_redirect_uris_pass(redirect_uri: str | None) -> None:
    """https, loopback http (RFC 8252 section 7.3), a private scheme (7.1), or none at all."""
    assert client(redirect_uri=redirect_uri).redirect_uri == redirect_uri


def test_a_public_client_needs_no_secret() -> None:
    """`none` must be written out."""
    assert repr(client(client_auth="none", client_secret=None)) == "<OAuthClient 'id' of acme>"


@pytest.mark.parametrize(
    "subject",
    ["", "   ", None, 7, b"alice", pytest.param("\ud800")],
    ids=repr,
)
def test_a_subject_must_be_named(subject: Any) -> None:
    """An empty subject would share one slot between people."""
    with raises(ConfigurationError, parameter="subject"):
        client().for_subject(subject)


TAKES_A_SCOPE: dict[str, Callable[[OAuthClient, Any], object]] = {
    "for_itself": lambda made, scope: made.for_itself(scope=scope),
    "start_authorization": lambda made, scope: made.start_authorization("alice", scope=scope),
    "authorize_interactively": lambda made, scope: made.authorize_interactively("alice", scope=scope),
    "authorize_device": lambda made, scope: made.authorize_device("alice", on_prompt=print, scope=scope),
}


@pytest.mark.parametrize("method", TAKES_A_SCOPE)
@pytest.mark.parametrize(
    "scope", [7, True, b"a", "\ud800", ["a", 7], ["a", None], ("\ud800",), {"a": 1}, {"a"}, range(2)], ids=ascii
)
def test_what_is_not_a_scope_is_refused_by_every_method(method: str, scope: Any) -> None:
    """One rule: a string, or a list or tuple of strings. A set or a mapping has no order that could be meant."""
    with raises(ConfigurationError, parameter="scope") as caught:
        TAKES_A_SCOPE[method](client(), scope)
    assert caught.value.parameter == "scope"


@pytest.mark.parametrize(
    ("scope", "sent"),
    [("a b", "a b"), (["a", "b"], "a b"), (("b", "a"), "b a"), (["a b", "c"], "a b c"), ([], None), ("", None)],
)
def test_a_scope_is_a_string_or_a_list_that_is_joined_in_order(scope: Any, sent: str | None) -> None:
    """As other libraries take it; the same scope is the same source, however it is written."""
    made = client()
    query = parse_qs(urlsplit(made.start_authorization("alice", scope=scope).url).query)
    assert query.get("scope") == (None if sent is None else [sent])
    assert made.for_itself(scope=scope).store_key == made.for_itself(scope=sent).store_key


def test_a_subject_that_never_signed_in_gets_an_error_and_nothing_is_stored() -> None:
    """At the first use, with the remedy."""
    store = MemoryStore()
    with raises(SignInRequired, reason="missing", subject="bob") as caught:
        client(store=store).for_subject("bob").token()
    assert (caught.value.reason, caught.value.subject) == ("missing", "bob")
    assert list(store.keys()) == []


def test_for_itself_names_the_missing_grant() -> None:
    """Blnk Cloud has no client credentials grant (FACT in its metadata)."""
    with raises(ConfigurationError, parameter="for_itself"):
        client(provider=BlnkCloud()).for_itself()


def test_what_is_given_can_be_read_back() -> None:
    """The provider, the store and the redirect URI."""
    store, provider = MemoryStore(), acme()
    made = client(provider=provider, store=store)
    assert (made.provider, made.store, made.redirect_uri) == (provider, store, "https://app.test/cb")
    assert isinstance(client().store, MemoryStore)
    assert client().store is not client().store


def test_production_and_test_never_share_a_token() -> None:
    """Traps 5 and 33: provider, environment, client and subject are all in the key."""
    keys = {
        made.for_subject(subject).store_key
        for made in (
            client(),
            client(provider=acme(token_endpoint="https://test.acme.test/token")),
            client(provider=acme(name="other")),
            client(client_id="other"),
        )
        for subject in ("alice", "bob")
    }
    assert len(keys) == 8


@pytest.mark.parametrize(
    "settings",
    [{"client_id": ""}, {"redirect_uri": "http://app.test/"}, {"store": "x"}, {"client_auth": "x"}],
    ids=repr,
)
def test_f56_a_refused_client_does_not_lead_to_its_secret(settings: dict[str, Any]) -> None:
    """Neither the message nor the locals of our frames show the secret that was passed along (promise 8)."""
    with pytest.raises(ConfigurationError) as caught:
        client(**settings)
    assert leaks(everything_in(caught.value), ["s3cret-of-client"]) == []


def test_nothing_of_a_client_shows_its_secrets() -> None:
    """Neither repr nor vars, all the way down (promise 8)."""
    made = client(proxy="http://user:pr0xy-pass@proxy.test", policy=RenewalPolicy())
    shown: list[object] = [
        made,
        vars(made),
        *(vars(value) for value in vars(made).values() if hasattr(value, "__dict__")),
    ]
    assert leaks(shown, ["s3cret-of-client", "pr0xy-pass"]) == []


def test_f52_a_pickle_carries_neither_the_proxys_password_nor_the_keys(tmp_path: Path) -> None:
    """A secret is a secret in whichever parameter it came (promise 8)."""
    import pickle

    made = client(proxy="http://user:pr0xy-pass@proxy.test")
    assert leaks([pickle.dumps(made.for_subject("alice"))], ["pr0xy-pass"]) == []


def test_the_users_own_http_client_is_used_for_tokens_only_as_it_is() -> None:
    """`token_http`: its transport carries the request, redirects and its own auth are off."""
    seen: list[httpx.Request] = []

    def handle(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, content=answer({"access_token": "at1", "expires_in": 60}).body)

    with httpx.Client(transport=httpx.MockTransport(handle), auth=("wrong", "wrong"), follow_redirects=True) as http:
        assert client(token_http=http).for_itself().token().access_token == "at1"
    (request,) = seen
    assert request.headers["Authorization"] != httpx.BasicAuth("wrong", "wrong")._auth_header
    assert request.headers["User-Agent"].startswith("blnk-auth/")


def test_a_test_that_replaces_time_moves_the_clock_of_a_client_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """As freezegun does: nothing keeps the function that `time.time` was when the client was made."""
    source = ScriptedWorld(clock=None).client.for_subject("alice")
    started_at = time.time()
    source.adopt(Token("at0", refresh_token="rt0", expires_at=started_at + 3600, issued_at=started_at))
    assert source.state == "fresh"
    assert credential_of(source).fresh() is not None
    monkeypatch.setattr(time, "time", lambda: started_at + 7200)
    assert credential_of(source).fresh() is None
    assert source.state == "expired"


# --- what a token is for ---------------------------------------------------------------------------------------------

R1, R2 = "https://one.api.test/", "https://two.api.test/"


def test_each_combination_of_arguments_is_a_token_of_its_own() -> None:
    """RFC 8707: a token for one resource is never used for another, in memory or in the store."""
    world = ScriptedWorld()
    combinations: list[dict[str, Any]] = [
        {},
        {"scope": "a"},
        {"resource": R1},
        {"resource": R2},
        {"audience": R1},
        {"resource": R1, "audience": R1},
        {"parameters": {"organization": "x"}},
        {"parameters": {"organization": "y"}},
    ]
    world.server.will(*(pair(number, refresh_token=None) for number in range(len(combinations))))
    for number, arguments in enumerate(combinations):
        source = world.client.for_itself(**arguments)
        assert source.token().access_token == f"at{number}"
        assert world.client.for_itself(**arguments) is source
    forms = [
        {"grant_type": "client_credentials", **arguments, **arguments.get("parameters", {})}
        for arguments in combinations
    ]
    for form in forms:
        form.pop("parameters", None)
    assert world.server.forms == forms
    assert len({world.client.for_itself(**arguments).store_key for arguments in combinations}) == len(combinations)


def test_the_order_of_parameters_makes_no_other_token() -> None:
    """A mapping has no order that a caller would think of."""
    world = ScriptedWorld()
    one = world.client.for_itself(parameters={"a": "1", "b": "2"})
    assert world.client.for_itself(parameters={"b": "2", "a": "1"}) is one
    assert world.client.for_itself(parameters={}) is world.client.for_itself()


def test_a_grant_for_a_resource_is_asked_for_kept_and_renewed_as_such() -> None:
    """RFC 8707 sections 2.1 and 2.2: in the authorization request, the exchange and each refresh."""
    world = ScriptedWorld()
    other = world.signed_in()
    start = world.client.start_authorization("alice", resource=R1)
    assert parse_qs(urlsplit(start.url).query)["resource"] == [R1]
    world.server.will(pair(1), pair(2))
    source = world.client.finish_authorization(f"https://app.test/callback?code=c&state={start.state}")
    assert source is world.client.for_subject("alice", resource=R1)
    assert source is not other
    source.renew()
    assert [form["resource"] for form in world.server.forms] == [R1, R1]
    assert (source.token().access_token, other.token().access_token) == ("at2", "at0")
    assert source.store_key == f"{other.store_key};resource=https%3A%2F%2Fone.api.test%2F"


def test_a_device_sign_in_may_be_for_a_resource() -> None:
    """It is sent with the request for the code and with each poll."""
    world = ScriptedWorld(acme(device_authorization_endpoint="https://as.acme.test/device"))
    codes = {"device_code": "d", "user_code": "u", "verification_uri": "https://as.acme.test/", "expires_in": 60}
    world.server.will(answer(codes), pair(1))
    source = world.client.authorize_device("alice", resource=R1, on_prompt=lambda _: None, wait=lambda _: None)
    assert [form["resource"] for form in world.server.forms] == [R1, R1]
    assert source is world.client.for_subject("alice", resource=R1)


@pytest.mark.parametrize("value", ["", "api", "/path", "https://a b", "https://a.test/#x", "\ud800", 7, ["https://a"]])
@pytest.mark.parametrize("method", ["for_itself", "for_subject", "start_authorization", "authorize_device"])
def test_what_is_not_a_resource_is_refused_by_every_method(method: str, value: Any) -> None:
    """RFC 8707 section 2: an absolute URI without a fragment; before anything is sent or stored."""
    world = ScriptedWorld()
    subject = () if method == "for_itself" else ("alice",)
    further: dict[str, Any] = {"on_prompt": print} if method == "authorize_device" else {}
    with pytest.raises(ConfigurationError) as caught:
        getattr(world.client, method)(*subject, resource=value, **further)
    assert caught.value.parameter == "resource"
    assert caught.value.remedy
    assert world.store.texts == {}


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("audience", ""),
        ("audience", 7),
        ("parameters", {"scope": "a"}),
        ("parameters", {"resource": R1}),
        ("parameters", {"client_secret": "x"}),
        ("parameters", {"a": 1}),
        ("parameters", "a=1"),
    ],
)
def test_what_cannot_be_sent_for_the_client_itself_is_refused(parameter: str, value: Any) -> None:
    """By the name of the argument, and before a request."""
    with pytest.raises(ConfigurationError) as caught:
        ScriptedWorld().client.for_itself(**{parameter: value})
    assert caught.value.parameter == parameter


def test_a_resource_named_twice_is_refused() -> None:
    """As an argument and among the parameters: which of the two the token would be for cannot be known."""
    with raises(ConfigurationError, parameter="parameters"):
        ScriptedWorld().client.start_authorization("alice", resource=R1, parameters={"resource": R2})


def test_a_client_that_nothing_refers_to_is_freed_immediately() -> None:
    """Its store and its connections do not wait for the garbage collector."""
    world = ScriptedWorld()
    world.signed_in()
    state = weakref.ref(world.client._state)
    gc.disable()
    try:
        del world
        assert state() is None
    finally:
        gc.enable()
