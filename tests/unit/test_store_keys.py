"""Store keys: what is stored where, and what a key contains."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blnk_auth._renewal.authorization_grants import AuthorizationGrant, ClientCredentialsGrant, RefreshTokenGrant
from blnk_auth._renewal.presenting_grants import JwtBearerGrant, TokenExchangeGrant
from blnk_auth._renewal.store_keys import (
    Registration,
    client_key,
    parse_token_key,
    pending_key,
    resource_key,
    sign_in_key,
    token_key,
)

ACME = Registration("acme", "https://as.acme.test", "id")
PREFIX = "token/acme/https%3A%2F%2Fas.acme.test/id"

# Strings that are likely to be mistaken for a part of a key, and any others.
TEXTS = st.sampled_from(["", "/", ";", "=", "%2F", "%", "a/b", ";resource=r", "subject", "ä"]) | st.text(
    st.characters(exclude_categories=["Cs"]), max_size=6
)
OPTIONAL = st.none() | TEXTS
REGISTRATIONS = st.builds(Registration, TEXTS, TEXTS, TEXTS)
NOT_EMPTY = OPTIONAL.map(lambda text: text or None)
GRANTS: st.SearchStrategy[AuthorizationGrant] = st.one_of(
    st.builds(RefreshTokenGrant, TEXTS, OPTIONAL, OPTIONAL, OPTIONAL),
    st.builds(ClientCredentialsGrant, NOT_EMPTY, OPTIONAL, OPTIONAL, OPTIONAL),
    st.builds(TokenExchangeGrant, TEXTS, NOT_EMPTY, *[OPTIONAL] * 7),
    st.builds(JwtBearerGrant, NOT_EMPTY, *[OPTIONAL] * 4),
)


@pytest.mark.parametrize(
    ("grant", "ending"),
    [
        (RefreshTokenGrant("alice"), "/subject/alice"),
        (RefreshTokenGrant("a/b c"), "/subject/a%2Fb%20c"),
        (RefreshTokenGrant("alice", "IIDX/1"), "/subject/alice/IIDX%2F1"),
        (RefreshTokenGrant("alice;resource=r"), "/subject/alice%3Bresource%3Dr"),
        (RefreshTokenGrant("alice", None, "https://r.test"), "/subject/alice;resource=https%3A%2F%2Fr.test"),
        (RefreshTokenGrant("alice", "b", "r", "a"), "/subject/alice/b;resource=r;audience=a"),
        (ClientCredentialsGrant(None), "/itself/"),
        (ClientCredentialsGrant("client:admin x"), "/itself/client%3Aadmin%20x"),
        (ClientCredentialsGrant("s", "b"), "/itself/s/b"),
        (
            ClientCredentialsGrant("s", None, "r", "a", (("b", "1 2"), ("c", ""))),
            "/itself/s;resource=r;audience=a;parameters=b%3D1%2B2%26c%3D",
        ),
        (ClientCredentialsGrant(None, None, None, "https://a.test"), "/itself/;audience=https%3A%2F%2Fa.test"),
        (TokenExchangeGrant("urn:t"), "/exchange/;subject_token_type=urn%3At"),
        (
            TokenExchangeGrant("t", "alice", None, "r", None, "s t", "u", "v"),
            "/exchange/alice;resource=r;scope=s%20t;subject_token_type=t;requested_token_type=u;actor_token_type=v",
        ),
        (
            TokenExchangeGrant("t", None, "b", None, "a", fingerprint="0f"),
            "/exchange//b;audience=a;subject_token_type=t;presented=0f",
        ),
        (JwtBearerGrant(), "/assertion/"),
        (JwtBearerGrant("alice", "b", "r", "s t", "0f"), "/assertion/alice/b;resource=r;scope=s%20t;presented=0f"),
    ],
    ids=repr,
)
def test_a_key_names_the_client_and_the_grant(grant: AuthorizationGrant, ending: str) -> None:
    """The forms that are stored, byte for byte: changing one would lose every grant that is stored under it."""
    key = token_key(ACME, grant)
    assert key == PREFIX + ending
    assert key.startswith(ACME.tokens)
    assert parse_token_key(key) == (ACME, grant)


@given(registration=REGISTRATIONS, grant=GRANTS)
def test_parsing_undoes_building(registration: Registration, grant: AuthorizationGrant) -> None:
    """With any names, a key leads back to the grant that it was made for."""
    assert parse_token_key(token_key(registration, grant)) == (registration, grant)


@given(one=st.tuples(REGISTRATIONS, GRANTS), other=st.tuples(REGISTRATIONS, GRANTS))
def test_no_two_grants_share_a_key(
    one: tuple[Registration, AuthorizationGrant], other: tuple[Registration, AuthorizationGrant]
) -> None:
    """Two grants under one key would share tokens: the token of one user, or for one resource, would go to another."""
    assert (token_key(*one) == token_key(*other)) is (one == other)


@given(one=REGISTRATIONS, other=REGISTRATIONS, grant=GRANTS)
def test_a_client_lists_only_its_own_keys(one: Registration, other: Registration, grant: AuthorizationGrant) -> None:
    """What the keys of one client begin with, the keys of another never do."""
    assert token_key(one, grant).startswith(other.tokens) is (one == other)


@given(
    key=st.text(alphabet="token/subject/itself/;=resourceaudience%2Fa", max_size=60) | TEXTS.map(f"{PREFIX}/".__add__)
)
def test_a_text_that_is_not_a_key_is_not_parsed(key: str) -> None:
    """A key of another client, of a later version or of another program is None, and never another grant's name."""
    parsed = parse_token_key(key)
    assert parsed is None or token_key(*parsed) == key


@pytest.mark.parametrize(
    "key",
    [
        "",
        "token/",
        "authorization/acme/e/id/subject/alice",
        "token/acme/e/id/elsewhere/alice",
        "token/acme/e/id/subject/alice/b/c",
        "token/acme/e/id/subject/alice;colour=blue",
        "token/acme/e/id/subject/alice;audience=a;resource=r",
        "token/acme/e/id/subject/alice;resource",
        "token/acme/e/id/subject/alice;parameters=a%3D1",
        "token/acme/e/id/itself/;parameters=a",
        "token/acme/e/id/exchange/alice",
        "token/acme/e/id/exchange/;subject_token_type=t;scope=s",
        "token/acme/e/id/assertion/;audience=a",
        "token/acme/e/id/assertion/;subject_token_type=t",
        "token/acme/e/id/subject/%61lice",
        "token/acme/e/id/subject/a%2fb",
        "token/acme/e/id/subject/%ff",
    ],
)
def test_odd_keys_are_not_parsed(key: str) -> None:
    """Unknown kinds, options and quotings belong to somebody else: guessing would make two keys of one grant."""
    assert parse_token_key(key) is None


def test_a_sign_in_is_stored_under_a_hash_of_its_state() -> None:
    """Anyone who can list the keys must not be able to finish a sign-in."""
    key = sign_in_key(ACME, "s3cret-state")
    assert key.startswith(ACME.sign_ins)
    assert ACME.sign_ins == "authorization/acme/https%3A%2F%2Fas.acme.test/id/"
    assert len(key) == len(ACME.sign_ins) + 64
    assert "s3cret" not in key
    assert key != sign_in_key(ACME, "another")


@pytest.mark.parametrize(
    ("key", "stored_under"),
    [
        (resource_key("https://api.acme.test/mcp?a=1"), "resource/https%3A%2F%2Fapi.acme.test%2Fmcp%3Fa%3D1"),
        (
            pending_key(token_key(ACME, RefreshTokenGrant("a/b", None, "https://r.test"))),
            "pending/acme/https%3A%2F%2Fas.acme.test/id/subject/a%2Fb;resource=https%3A%2F%2Fr.test",
        ),
    ],
)
def test_what_was_learned_and_a_pending_sign_in_have_keys_of_their_own(key: str, stored_under: str) -> None:
    """The forms that are stored, byte for byte. Neither is taken for the key of a grant."""
    assert key == stored_under
    assert parse_token_key(key) is None


def test_each_registration_that_is_asked_for_has_a_key_of_its_own() -> None:
    """It does not depend on the order of the members, and does on the issuer and on each of them."""
    wanted = {"client_name": "Acme", "redirect_uris": ["http://127.0.0.1/callback"]}
    key = client_key("https://as.acme.test/a", wanted)
    assert key.startswith("client/https%3A%2F%2Fas.acme.test%2Fa/")
    assert key == client_key("https://as.acme.test/a", dict(reversed(wanted.items())))
    assert key != client_key("https://as.acme.test/b", wanted)
    assert key != client_key("https://as.acme.test/a", {**wanted, "client_name": "Other"})
