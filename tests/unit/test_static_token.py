"""A fixed key: sent as it is, to its own origins, and shown to nobody."""

from __future__ import annotations

import asyncio
import copy
import pickle
from typing import Any

import httpx
import pytest
from support.canary.leaks import everything_in, leaks
from support.errors import raises
from support.providers import API, acme

from blnk_auth import Call, ConfigurationError, HttpxAuth, Provider, StaticToken
from blnk_auth._protocol.origins import parse_origin

ORIGINS = ("https://api.acme.test",)
KEY = "blnk_fdb796a5-key"


def answering(status: int) -> httpx.MockTransport:
    return httpx.MockTransport(lambda _: httpx.Response(status))


def test_a_key_is_a_bearer_token_by_default() -> None:
    """Blnk Cloud's API keys."""
    key = StaticToken(KEY, api_origins=ORIGINS)
    assert (key._credential.rules.header_name, key._credential.ready(None).header) == ("Authorization", f"Bearer {KEY}")
    assert key.token().access_token == KEY
    assert asyncio.run(key.atoken()).access_token == KEY


def test_a_custom_header_carries_the_key_as_it_is() -> None:
    """Blnk Core's X-Blnk-Key."""
    key = StaticToken(KEY, api_origins=ORIGINS, header="X-Blnk-Key")
    assert (key._credential.rules.header_name, key._credential.ready(None).header) == ("X-Blnk-Key", KEY)


@pytest.mark.parametrize("header", ["authorization", "AUTHORIZATION"])
def test_the_name_of_a_header_has_no_case(header: str) -> None:
    """RFC 9110 section 5.1."""
    assert StaticToken(KEY, api_origins=ORIGINS, header=header)._credential.ready(None).header == f"Bearer {KEY}"


@pytest.mark.parametrize("value", [f" {KEY}\n", f"{KEY}\r\n"])
def test_the_line_end_of_a_file_is_not_part_of_the_key(value: str) -> None:
    """Secrets come from files."""
    assert StaticToken(value, api_origins=ORIGINS).token().access_token == KEY


@pytest.mark.parametrize("value", ["", "  ", None, 7, "two words", "a\r\nX-Evil: 1", "schlüssel", b"bytes"], ids=repr)
def test_what_no_header_can_carry_is_refused_by_name(value: Any) -> None:
    """Nothing is smuggled into a header, and the value is not quoted."""
    with raises(ConfigurationError, parameter="value") as caught:
        StaticToken(value, api_origins=ORIGINS)
    assert "X-Evil" not in str(caught.value)


@pytest.mark.parametrize(
    "header",
    ["", "two words", "X:Y", "X\r\nY", "X-Schlüssel", None, pytest.param(7)],
    ids=repr,
)
def test_what_is_no_header_is_refused_by_name(header: Any) -> None:
    """RFC 9110 section 5.1: a token."""
    with raises(ConfigurationError, parameter="header"):
        StaticToken(KEY, api_origins=ORIGINS, header=header)


@pytest.mark.parametrize("origins", [(), "https://api.acme.test", ("http://api.acme.test",)], ids=repr)
def test_bad_origins_are_refused_by_name(origins: Any) -> None:
    """A key without a home is not sent anywhere."""
    with raises(ConfigurationError, parameter="api_origins"):
        StaticToken(KEY, api_origins=origins)


def test_it_is_sent_to_its_origins_only() -> None:
    """Promise 6."""
    key = StaticToken(KEY, api_origins=ORIGINS)
    assert key._credential.rules.origins.permits(parse_origin("https://api.acme.test", "x"))
    assert not key._credential.rules.origins.permits(parse_origin("https://evil.test", "x"))


def test_the_log_names_why_a_key_was_not_sent(caplog: pytest.LogCaptureFixture) -> None:
    """It has no client with an `on_event`."""
    key = StaticToken(KEY, api_origins=ORIGINS, header="X-Blnk-Key")
    with caplog.at_level("DEBUG", logger="blnk_auth"):
        httpx.Client(auth=HttpxAuth(key), transport=answering(200)).get("https://other.test")
        httpx.Client(auth=HttpxAuth(key), transport=answering(200)).get(ORIGINS[0], headers={"x-blnk-key": "mine"})
    elsewhere, own = caplog.messages
    assert "add it to the StaticToken: api_origins=('https://other.test',)" in elsewhere
    assert "has a header X-Blnk-Key of its own" in own
    assert leaks(caplog.messages, [KEY, "mine"]) == []


def test_nothing_is_ever_renewed() -> None:
    """No answer is a rejection that could be resolved."""
    key = StaticToken(KEY, api_origins=ORIGINS)
    assert key._credential.rules.rejection_statuses == frozenset()
    assert key._credential.after_rejection is None


def test_it_is_neither_shown_nor_pickled() -> None:
    """A copy is the same object; a pickle is refused with the remedy."""
    key = StaticToken(KEY, api_origins=ORIGINS)
    assert leaks([repr(key), str(key), repr(key._credential.ready(None))], [KEY]) == []
    assert copy.copy(key) is key is copy.deepcopy(key)
    with pytest.raises(TypeError, match="is not pickled; make it again"):
        pickle.dumps(key)


def test_f56_a_refused_key_is_not_in_the_locals_of_our_frames() -> None:
    """The traceback of a typo in `header=` does not show the key (promise 8)."""
    with pytest.raises(ConfigurationError) as caught:
        StaticToken(KEY, api_origins=ORIGINS, header="two words")
    assert leaks(everything_in(caught.value), [KEY]) == []


# --- with a provider ----------------------------------------------------------------------------------------------


def requests_with(key: StaticToken, *urls: str, status: int = 200) -> list[httpx.Request]:
    """What arrives at these URLs when the key is used."""
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(status)

    with httpx.Client(auth=HttpxAuth(key), transport=httpx.MockTransport(answer)) as http:
        for url in urls:
            http.get(url)
    return seen


def test_a_key_of_a_provider_brings_the_providers_headers() -> None:
    """Made again for each request, for the subject and its target; and for a client that takes headers only."""
    calls: list[Call] = []

    def api_headers(call: Call) -> dict[str, str]:
        calls.append(call)
        return {"X-Call": str(len(calls))}

    made = acme(api_headers=api_headers, target=lambda subject: f"bank-of-{subject}")
    key = StaticToken(KEY, provider=made, header="X-Key", subject="alice")
    sent = requests_with(key, f"{API}/1", f"{API}/2")
    assert [(each.headers["x-key"], each.headers["x-call"]) for each in sent] == [(KEY, "1"), (KEY, "2")]
    assert key.headers(f"{API}/3") == {"X-Key": KEY, "X-Call": "3"}
    assert asyncio.run(key.aheaders(f"{API}/4")) == {"X-Key": KEY, "X-Call": "4"}
    assert calls == [Call("api", "alice", target="bank-of-alice")] * 4
    assert "authorization" not in sent[0].headers


def test_a_key_of_a_provider_is_sent_to_its_origins_and_those_that_are_added() -> None:
    """And to no other: neither the key nor the headers."""
    made = acme(api_headers={"X-App": "Acme"})
    key = StaticToken(KEY, provider=made, api_origins=("https://further.acme.test",))
    there, further, elsewhere = requests_with(key, API, "https://further.acme.test", "https://evil.test")
    assert there.headers["authorization"] == further.headers["authorization"] == f"Bearer {KEY}"
    assert elsewhere.headers.keys().isdisjoint({"authorization", "x-app"})


def test_a_key_of_a_provider_has_the_providers_scheme() -> None:
    """`token_scheme` is how its API reads the Authorization header."""
    key = StaticToken(KEY, provider=acme(token_scheme="Zoho-oauthtoken"))
    assert key.headers(API) == {"Authorization": f"Zoho-oauthtoken {KEY}"}


def test_a_header_that_cannot_be_made_is_reported_as_the_clients_own_error() -> None:
    """The request is not sent without it."""
    key = StaticToken(KEY, provider=acme(api_headers=lambda call: {"X-Call": "two\nlines"}))
    with raises(ConfigurationError, parameter="api_headers") as caught:
        requests_with(key, API)
    assert isinstance(caught.value, httpx.RequestError)
    assert leaks(everything_in(caught.value), [KEY]) == []


@pytest.mark.parametrize("provider", ["acme", 7, Provider], ids=repr)
def test_what_is_no_provider_is_refused_by_name(provider: Any) -> None:
    """A class, or a name."""
    with raises(ConfigurationError, parameter="provider"):
        StaticToken(KEY, provider=provider)


def test_a_key_without_an_origin_is_refused() -> None:
    """Neither a provider nor an origin is named."""
    with raises(ConfigurationError, parameter="api_origins"):
        StaticToken(KEY)
