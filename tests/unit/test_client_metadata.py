"""How a client describes itself, where its users may be sent back to, and what kind of application that makes it."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
from support.errors import raises

from blnk_auth import ClientMetadata, ConfigurationError
from blnk_auth._protocol.client_metadata import check_own_redirect_uri, members_of
from blnk_auth._protocol.redirect_uris import accepts, any_port, check_redirect_uri, ports_of, with_port

URL = "https://app.example.com/oauth/client.json"
LOOPBACK = "http://127.0.0.1/callback"

TEXT = "client_name software_id software_version".split()
LINKS = "client_uri logo_uri tos_uri policy_uri jwks_uri".split()
LISTS = "redirect_uris contacts grant_types".split()


def test_only_what_has_a_value_is_sent() -> None:
    """An empty member would be an answer to a question that nobody asked."""
    assert members_of(ClientMetadata()) == {
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
    }


def test_everything_is_sent_as_rfc_7591_names_it() -> None:
    """Lists as lists, and a scope as one string."""
    given: dict[str, Any] = {
        **dict.fromkeys(TEXT, "x"),
        **dict.fromkeys(LINKS, "https://a.example.com/x"),
        "redirect_uris": (LOOPBACK,),
        "contacts": ["a@example.com"],
        "scope": ["read", "write"],
        "grant_types": ("client_credentials",),
    }
    expected = {
        **given,
        "redirect_uris": [LOOPBACK],
        "contacts": ["a@example.com"],
        "scope": "read write",
        "grant_types": ["client_credentials"],
    }
    assert members_of(ClientMetadata(**given)) == expected


@pytest.mark.parametrize(
    ("member", "value"),
    [
        *((name, value) for name in TEXT for value in ("", "  ", 7, "a\nb", "a\u202eb", "a" * 1001, "\ud800")),
        *((name, value) for name in LINKS for value in ("", "x", 7, "http://a.example.com/x", "javascript:alert(1)")),
        *((name, value) for name in LISTS for value in ("https://a.example.com/x", 7, None, [7], [""], ["a\nb"])),
        *((name, ["https://a.example.com/" + "a" * 1000]) for name in LISTS),
        ("contacts", ["a"] * 51),
        ("scope", 7),
        *(("redirect_uris", [uri]) for uri in ("/callback", "http://a.example.com/cb", "https://a.example.com/#x")),
        *(("redirect_uris", [uri]) for uri in ("javascript:alert(1)", "data:text/html,x", "file:///etc/passwd", "x")),
    ],
)
def test_a_value_that_cannot_be_sent_is_named(member: str, value: object) -> None:
    """When it is written, and not when a user wants to sign in."""
    with raises(ConfigurationError, parameter=member):
        ClientMetadata(**{member: value})


def test_it_is_a_value() -> None:
    """Equal if it describes the same client; copies and pickles are equal to it, and its hash too."""
    made = ClientMetadata(client_name="Acme", redirect_uris=[LOOPBACK], scope=["a", "b"])
    assert made == ClientMetadata(client_name="Acme", redirect_uris=(LOOPBACK,), scope="a b")
    assert {made: 1}[pickle.loads(pickle.dumps(made))] == 1
    assert b"blnk_auth.resource" in pickle.dumps(made)


def test_a_document_names_its_own_url_and_how_the_client_authenticates() -> None:
    """Without a secret: as a public client, or by the keys that it names."""
    made = ClientMetadata(client_name="Acme", redirect_uris=[LOOPBACK])
    assert made.document(URL) == {
        "client_id": URL,
        "client_name": "Acme",
        "redirect_uris": [LOOPBACK],
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "token_endpoint_auth_method": "none",
    }
    with_keys = ClientMetadata(client_name="Acme", redirect_uris=[LOOPBACK], jwks_uri="https://app.example.com/jwks")
    assert with_keys.document(URL)["token_endpoint_auth_method"] == "private_key_jwt"


@pytest.mark.parametrize(
    ("settings", "client_id", "parameter"),
    [
        ({"redirect_uris": [LOOPBACK]}, URL, "client_name"),
        ({"client_name": "Acme"}, URL, "redirect_uris"),
        ({"client_name": "Acme", "redirect_uris": [LOOPBACK]}, "acme", "client_id"),
        ({"client_name": "Acme", "redirect_uris": [LOOPBACK]}, "http://127.0.0.1/client.json", "client_id"),
    ],
)
def test_a_document_that_servers_refuse_is_not_made(settings: Any, client_id: str, parameter: str) -> None:
    """The name and the redirect URIs are needed, and a URL that a server may fetch."""
    with raises(ConfigurationError, parameter=parameter):
        ClientMetadata(**settings).document(client_id)


def test_the_redirect_uri_of_a_client_is_one_of_those_that_it_lists() -> None:
    """If it lists any; a loopback address is the same on every port."""
    metadata = ClientMetadata(redirect_uris=["http://127.0.0.1:8765/callback"])
    for fits in (None, LOOPBACK, "http://127.0.0.1:8765/callback", "http://127.0.0.1:1/callback"):
        check_own_redirect_uri(fits, metadata)
        check_own_redirect_uri(fits, ClientMetadata())
    for other in ("http://localhost/callback", "http://127.0.0.1/other", "https://app.example.com/callback"):
        with raises(ConfigurationError, parameter="redirect_uri"):
            check_own_redirect_uri(other, metadata)


@pytest.mark.parametrize(
    ("registered", "redirect_uri", "expected"),
    [
        ("https://a.example.com", "https://a.example.com/", True),
        ("https://a.example.com/cb", "https://a.example.com:8443/cb", False),
        ("https://a.example.com/cb", "https://a.example.com/cb?x=1", False),
        ("http://[::1]/cb", "http://[::1]:5000/cb", True),
        ("http://localhost:1/cb", "http://localhost:2/cb", True),
        ("http://127.0.0.1/cb", "http://localhost/cb", False),
        ("com.example.app:/cb", "com.example.app:/cb", True),
        ("http://[/cb", "http://127.0.0.1/cb", False),
        ("http://127.0.0.1:port/cb", "http://127.0.0.1/cb", False),
        ("http://127.0.0.1:99999/cb", "http://127.0.0.1/cb", False),
    ],
)
def test_which_redirect_uris_are_the_same(registered: str, redirect_uri: str, expected: bool) -> None:
    """Exactly, but for the port of a loopback address and an empty path."""
    assert accepts([registered], redirect_uri) is expected


def test_a_port_is_added_where_none_is_named() -> None:
    """To a loopback address, with its query."""
    for uri in (None, "https://127.0.0.1/cb", "http://127.0.0.1:5/cb", "x:/cb", "http://a.example.com/", "http://[/"):
        assert not any_port(uri)
    assert [any_port(uri) for uri in (LOOPBACK, "http://[::1]/cb", "http://localhost:0/cb")] == [True] * 3
    assert with_port("http://[::1]/cb?x=1", 5) == "http://[::1]:5/cb?x=1"
    assert with_port(LOOPBACK, 5) == "http://127.0.0.1:5/callback"
    listed = [
        "http://127.0.0.1:7/callback",
        "http://127.0.0.1:8/other",
        LOOPBACK,
        "http://[/",
        "http://127.0.0.1:6/callback",
    ]
    assert ports_of(listed, LOOPBACK) == (7, 6)
    assert ports_of(listed, "http://127.0.0.1:7/callback") == ()
    assert ports_of(listed, None) == ()


@pytest.mark.parametrize("redirect_uri", ["com.example.app:/cb", "urn:ietf:wg:oauth:2.0:oob", LOOPBACK, URL])
def test_a_redirect_uri_may_lead_to_an_application(redirect_uri: str) -> None:
    """By a scheme of its own (RFC 8252 section 7.1)."""
    check_redirect_uri(redirect_uri)
