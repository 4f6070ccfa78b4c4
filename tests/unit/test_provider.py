"""What a provider is: data that is checked when it is made."""

from __future__ import annotations

from typing import Any

import pytest
from helpers import acme

from blnk_auth import BlnkCloud, ConfigurationError, Flinks, OAuthClient, Provider
from blnk_auth._protocol.http_messages import ApiAnswer, Call


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("name", ""),
        ("name", None),
        ("display_name", None),
        ("token_endpoint", ""),
        ("token_endpoint", "as.acme.test/token"),
        ("token_endpoint", "http://as.acme.test/token"),
        ("token_endpoint", None),
        ("authorization_endpoint", "http://as.acme.test/authorize"),
        ("authorization_endpoint", ""),
        ("authorization_endpoint", "https://as.acme.test/authorize#fragment"),
        ("authorization_endpoint", len),
        ("revocation_endpoint", "ftp://as.acme.test/"),
        ("api_origins", ()),
        ("api_origins", "https://api.acme.test"),
        ("api_origins", ("https://api.acme.test/v1",)),
        ("client_auth", "basic"),
        ("client_auth", None),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_a_bad_setting_is_named_at_once(parameter: str, value: Any) -> None:
    """A typo in a provider is found where it is written and not at the first renewal."""
    with pytest.raises(ConfigurationError, match=parameter):
        acme(**{parameter: value})


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("api_origins", None),
        ("name", 7),
        ("name", "  "),
        ("basic_encoding", "RFC6749"),
        ("grants", ("client_credential",)),
        ("grants", "authorization_code"),
        ("issuer", 7),
        ("sends_iss", True),
        ("token_endpoint", "https://as.acme.test/token#fragment"),
        ("is_rejection", None),
        ("token_headers", None),
        ("token_headers", {"X": 1}),
        ("token_headers", {"X": "a\r\nY: 1"}),
        ("token_headers", {"X Y": "a"}),
        ("token_parameters", ["x"]),
        ("token_parameters", {"x": None}),
        ("token_parameters", {"x": "\ud800"}),
        ("api_headers", {"authorization": "x"}),
        ("api_headers", {"X": "é"}),
        ("authorization_parameters", None),
        ("authorization_parameters", {"state": "x"}),
        ("authorization_parameters", {"max_age": 0}),
        ("rejection_statuses", 401),
        ("correlation_header", 7),
        ("refresh_idle_lifetime", "30"),
        ("refresh_idle_lifetime", 0),
        ("client_auth_supported", "client_secret_basic"),
        ("assertion_algorithms", "PS256"),
        ("pkce", "no"),
        ("target", "x"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_a_typo_in_a_setting_is_named_at_once(parameter: str, value: Any) -> None:
    """An encoding or a grant that does not exist would silently mean another."""
    with pytest.raises(ConfigurationError, match=parameter):
        acme(**{parameter: value})


def test_a_plain_provider_needs_its_api_origins() -> None:
    """Where tokens may go must be said (design: section 2)."""
    with pytest.raises(TypeError, match="api_origins"):
        Provider(name="acme", token_endpoint="https://as.acme.test/token")  # type: ignore[call-arg]


def test_endpoints_may_be_elsewhere_and_have_a_query() -> None:
    """As bLink's authorization endpoint, which belongs to the bank; RFC 6749 section 3.1 allows a query."""
    provider = acme(authorization_endpoint="https://bank.test/auth?tenant=1", revocation_endpoint="https://b.test/r")
    assert provider.authorization_endpoint == "https://bank.test/auth?tenant=1"


def test_a_target_is_told_to_every_call_and_names_the_authorization_endpoint() -> None:
    """Where several parties stand behind one server, their tokens are kept apart and each signs its people in."""
    heard: list[Call] = []

    def api_headers(call: Call) -> dict[str, str]:
        heard.append(call)
        return {"X-Party": call.target or ""}

    provider = acme(
        target=lambda subject: f"party-of-{subject}",
        authorization_endpoint=lambda target: f"https://{target}.test/authorize",
        api_headers=api_headers,
    )
    client = OAuthClient(provider, client_id="id", client_secret="s", redirect_uri="https://app.test/cb")
    alice = client.for_subject("alice")
    assert alice._current.api_headers() == {"X-Party": "party-of-alice"}
    assert heard == [Call("api", "alice", target="party-of-alice")]
    assert alice.store_key.endswith("/subject/alice/party-of-alice")
    assert client.for_itself().store_key.endswith("/party-of-None")
    assert client.start_authorization("alice").url.startswith("https://party-of-alice.test/authorize?")


@pytest.mark.parametrize("named", [None, "", 7])
def test_a_target_that_is_none_is_named(named: Any) -> None:
    """A look-up that knows nobody of that name must not put tokens under a key that others share."""
    client = OAuthClient(acme(target=lambda _subject: named), client_id="id", client_secret="s")
    with pytest.raises(ConfigurationError, match="target: the callable named none for the subject 'alice'"):
        client.for_subject("alice")


def test_the_environment_is_the_origin_of_the_token_endpoint() -> None:
    """Trap 5: test and production tokens are kept apart."""
    assert acme(token_endpoint="https://AS.acme.test:443/x").environment == "https://as.acme.test"


def test_people_read_a_display_name() -> None:
    """The providers have the names that they go by; any other is shown under its plain name unless it has one."""
    assert (BlnkCloud().display_name, Flinks(host="ob.test").display_name) == ("Blnk Cloud", "Flinks")
    assert acme().display_name == "acme"
    assert acme(display_name="Acme Bank").display_name == "Acme Bank"


def test_a_provider_is_immutable_and_compares_by_its_data() -> None:
    """It can be shared and tested as a table."""
    assert acme() == acme()
    assert acme() != acme(name="other")
    with pytest.raises(AttributeError):
        acme().name = "other"  # type: ignore[misc]


def test_a_plain_provider_follows_rfc_6750() -> None:
    """Only a 401 that names no other remedy is a rejection, and no body is read for it."""
    provider = acme()
    assert provider.rejection_statuses == frozenset({401})
    assert not provider.reads_rejection_body
    assert provider.is_rejection(ApiAnswer(401, {}))
    assert not provider.is_rejection(ApiAnswer(401, {"www-authenticate": 'Bearer error="insufficient_scope"'}))
