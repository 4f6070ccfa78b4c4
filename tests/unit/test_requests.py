"""Requests to the authorization server, byte for byte, as tables."""

from __future__ import annotations

import base64
from typing import Any
from urllib.parse import parse_qsl, unquote_plus, urlsplit

import pytest
from support.canary.leaks import leaks
from support.errors import raises
from support.providers import acme
from support.token_endpoint import form

from blnk_auth import BlnkCloud, Provider
from blnk_auth._protocol import requests
from blnk_auth._protocol.client_authentication import BasicEncoding, ClientCredentials
from blnk_auth._protocol.http_messages import Call
from blnk_auth._protocol.requests import ServerRequest
from blnk_auth.errors import ConfigurationError

NOW = 1_800_000_000.0
SECRETS = ["s3cret", "p+l/u%s: s", "pässwörd", "密码-шифр", "a" * 300]


def build_refresh(provider: Provider, who: ClientCredentials, refresh_token: str) -> ServerRequest:
    return requests.build_refresh(provider, who, refresh_token, redirect_uri=None, call=Call("refresh_token"), now=NOW)


def build_client_credentials(provider: Provider, who: ClientCredentials, scope: str | None) -> ServerRequest:
    return requests.build_client_credentials(provider, who, scope, call=Call("client_credentials"), now=NOW)


def build_code_exchange(provider: Provider, who: ClientCredentials, **members: Any) -> ServerRequest:
    return requests.build_code_exchange(provider, who, **members, call=Call("authorization_code"), now=NOW)


def build_revocation(provider: Provider, who: ClientCredentials, token: str, hint: str) -> ServerRequest:
    return requests.build_revocation(provider, who, token, hint, call=Call("revocation"), now=NOW)


def credentials(
    secret: str = "s3cret",
    *,
    client_id: str = "id",
    method: str = "client_secret_basic",
    encoding: BasicEncoding = "raw",
) -> ClientCredentials:
    return ClientCredentials(client_id, secret, method, encoding)


# --- requests --------------------------------------------------------------------------------------------------------


def test_blnk_cloud_refresh_is_curl_dash_u_with_a_form() -> None:
    """Blnk Cloud's refresh, as its page shows it: Basic with raw credentials, two form fields, nothing else."""
    request = build_refresh(BlnkCloud(), credentials("s+e/c r%t:ä"), "blnk_rt_1+/=").request
    assert (request.method, request.url) == ("POST", "https://api.cloud.blnkfinance.com/oauth/token")
    assert request.body == b"grant_type=refresh_token&refresh_token=blnk_rt_1%2B%2F%3D"
    assert request.headers == {
        "Accept": "application/json",
        "Content-Type": "application/x-www-form-urlencoded",
        "Authorization": "Basic " + base64.b64encode("id:s+e/c r%t:ä".encode()).decode(),
    }


def test_code_exchange_sends_code_redirect_uri_and_verifier() -> None:
    """RFC 6749 section 4.1.3 with RFC 7636 section 4.5: exactly these four fields."""
    call = build_code_exchange(
        BlnkCloud(), credentials(), code="c/1", redirect_uri="https://app.test/cb?x=1", code_verifier="v" * 43
    )
    assert form(call.request) == {
        "grant_type": "authorization_code",
        "code": "c/1",
        "redirect_uri": "https://app.test/cb?x=1",
        "code_verifier": "v" * 43,
    }


def test_without_pkce_no_verifier_is_sent() -> None:
    """A server that refuses unknown parameters sees none."""
    call = build_code_exchange(acme(), credentials(), code="c", redirect_uri="https://app.test/", code_verifier=None)
    assert form(call.request).keys() == {"grant_type", "code", "redirect_uri"}


@pytest.mark.parametrize(
    ("scope", "expected"),
    [
        (None, b"grant_type=client_credentials"),
        ("", b"grant_type=client_credentials"),
        ("a b:c", b"grant_type=client_credentials&scope=a+b%3Ac"),
    ],
)
def test_client_credentials_sends_scope_only_if_there_is_one(scope: str | None, expected: bytes) -> None:
    """RFC 6749 section 4.4.2."""
    assert build_client_credentials(acme(), credentials(), scope).request.body == expected


def test_revocation_sends_token_and_hint_to_its_own_endpoint() -> None:
    """RFC 7009 section 2.1, with the client's proof."""
    provider = acme(revocation_endpoint="https://as.acme.test/revoke")
    request = build_revocation(provider, credentials(), "rt/0", "refresh_token").request
    assert request.url == "https://as.acme.test/revoke"
    assert request.body == b"token=rt%2F0&token_type_hint=refresh_token"
    assert request.headers["Authorization"].startswith("Basic ")


def test_revocation_without_an_endpoint_names_where_to_revoke() -> None:
    """Blnk Cloud revokes in its dashboard only; the error names that and forget()."""
    shown = (BlnkCloud().revocation_advice, "forget()")
    with raises(ConfigurationError, parameter="revocation_endpoint", shows=shown):
        build_revocation(BlnkCloud(), credentials(), "rt0", "refresh_token")


@pytest.mark.parametrize("client_id", ["id", "i d+%", "приложение"])
@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("encoding", ["raw", "rfc6749"])
def test_f28_basic_credentials_come_back_as_they_were(client_id: str, secret: str, encoding: BasicEncoding) -> None:
    """F28, F65: a server decodes what was given: as it is (curl -u), or form-decoded (RFC 6749 section 2.3.1)."""
    sent = build_refresh(acme(), credentials(secret, client_id=client_id, encoding=encoding), "rt0").request
    scheme, _, proof = sent.headers["Authorization"].partition(" ")
    got_id, _, got_secret = base64.b64decode(proof, validate=True).decode().partition(":")
    if encoding == "rfc6749":
        assert (got_id + got_secret).isascii()
        got_id, got_secret = unquote_plus(got_id), unquote_plus(got_secret)
    assert (scheme, got_id, got_secret) == ("Basic", client_id, secret)


def test_f65_the_form_encoded_bytes_are_those_of_the_rfc() -> None:
    """Space becomes +, everything else outside the unreserved characters a percent escape of its UTF-8."""
    proof = credentials("p+l/u%s: s~ä", encoding="rfc6749").basic("p+l/u%s: s~ä")
    assert base64.b64decode(proof) == b"id:p%2Bl%2Fu%25s%3A+s~%C3%A4"


def test_f65_a_plain_provider_form_encodes_by_default() -> None:
    """RFC 6749 section 2.3.1 is the rule; raw is the exception that a provider states."""
    assert acme().basic_encoding == "rfc6749"
    assert BlnkCloud().basic_encoding == "raw"


@pytest.mark.parametrize("secret", SECRETS)
def test_post_puts_the_credentials_into_the_form_and_nowhere_else(secret: str) -> None:
    """`client_secret_post`: two more fields, no Authorization header."""
    request = build_refresh(acme(), credentials(secret, method="client_secret_post"), "rt0").request
    assert form(request) == {
        "grant_type": "refresh_token",
        "refresh_token": "rt0",
        "client_id": "id",
        "client_secret": secret,
    }
    assert "Authorization" not in request.headers


def test_none_sends_the_client_id_only() -> None:
    """A public client names itself and proves nothing, even if a secret was given."""
    request = build_refresh(acme(), credentials(method="none"), "rt0").request
    assert form(request) == {"grant_type": "refresh_token", "refresh_token": "rt0", "client_id": "id"}
    assert "Authorization" not in request.headers


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post", "none"])
def test_exactly_one_method_is_used(method: str) -> None:
    """RFC 6749 section 2.3: a client must not use more than one authentication method in a request."""
    provider = acme(revocation_endpoint="https://as.acme.test/revoke")
    who = credentials(method=method)
    for call in (
        build_refresh(provider, who, "rt0"),
        build_client_credentials(provider, who, None),
        build_code_exchange(provider, who, code="c", redirect_uri="https://a.test/", code_verifier=None),
        build_revocation(provider, who, "rt0", "refresh_token"),
    ):
        in_header, in_body = "Authorization" in call.request.headers, "client_secret" in form(call.request)
        assert (in_header, in_body) == (method == "client_secret_basic", method == "client_secret_post")


def test_a_callable_secret_is_asked_for_every_request() -> None:
    """A secret that was rotated is used without a restart."""
    rotated = iter(["first", "second"])
    who = ClientCredentials("id", lambda: next(rotated), "client_secret_post")
    sent = [form(build_refresh(acme(), who, "rt0").request)["client_secret"] for _ in range(2)]
    assert sent == ["first", "second"]


def test_a_request_shows_no_secret() -> None:
    """Neither the request nor what is sent shows header values or the body."""
    call = build_refresh(acme(), credentials("s3cret-of-client"), "rt0-of-alice")
    proof = base64.b64encode(b"id:s3cret-of-client").decode()
    assert leaks([repr(call), str(call), repr(call.request)], ["s3cret-of-client", "rt0-of-alice", proof]) == []


# --- the authorization URL -------------------------------------------------------------------------------------------


def parameters(url: str) -> dict[str, str]:
    pairs = parse_qsl(urlsplit(url).query, keep_blank_values=True)
    assert len(dict(pairs)) == len(pairs)
    return dict(pairs)


def authorization_url(endpoint: str = "https://as.acme.test/authorize", **changes: Any) -> str:
    asked: dict[str, Any] = {
        "redirect_uri": "https://app.test/cb?a=1&b=2",
        "scope": "data:read proxy:write",
        "state": "st+te",
        "code_verifier": "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
        "further": {},
        **changes,
    }
    provider = acme(authorization_endpoint=endpoint)
    return requests.build_authorization_url(provider, None, requests.authorization_parameters(provider, "i d", **asked))


def test_pkce_is_the_example_of_rfc_7636() -> None:
    """RFC 7636 appendix B: the verifier's challenge, method S256; the verifier itself stays here."""
    url = authorization_url()
    assert parameters(url)["code_challenge"] == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
    assert parameters(url)["code_challenge_method"] == "S256"
    assert "dBjftJeZ4CVP" not in url


def test_the_authorization_url_has_every_parameter_once() -> None:
    """RFC 6749 section 4.1.1 and RFC 7636 section 4.3, correctly encoded."""
    assert parameters(authorization_url()) == {
        "response_type": "code",
        "client_id": "i d",
        "redirect_uri": "https://app.test/cb?a=1&b=2",
        "scope": "data:read proxy:write",
        "state": "st+te",
        "code_challenge": "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
        "code_challenge_method": "S256",
    }


@pytest.mark.parametrize("scope", [None, ""])
def test_without_a_scope_there_is_no_parameter(scope: str | None) -> None:
    """RFC 6749 section 3.3: left out, the server decides; an empty one would be an invalid request."""
    assert "scope" not in parameters(authorization_url(scope=scope))


def test_without_a_verifier_there_is_no_challenge() -> None:
    """A provider with PKCE off sees no trace of it."""
    assert not {"code_challenge", "code_challenge_method"} & parameters(authorization_url(code_verifier=None)).keys()


@pytest.mark.parametrize(
    "endpoint", ["https://as.acme.test/authorize?tenant=a%26b", "https://as.acme.test/x?tenant=a%26b&"]
)
def test_a_query_that_the_endpoint_already_has_is_kept(endpoint: str) -> None:
    """RFC 6749 section 3.1: the endpoint's own query must be retained."""
    url = authorization_url(endpoint)
    assert url.startswith(endpoint.partition("?")[0] + "?")
    assert parameters(url)["tenant"] == "a&b"
    assert parameters(url)["state"] == "st+te"
