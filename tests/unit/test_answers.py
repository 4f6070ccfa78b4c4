"""What an answer of the authorization server means, as tables."""

from __future__ import annotations

import base64
import email.utils
import json
from collections.abc import Mapping
from typing import Any

import pytest
from helpers import acme, answer, leaks, refusal
from hypothesis import given
from hypothesis import strategies as st

from blnk_auth import Provider
from blnk_auth._protocol.answers import judge_revocation_answer, judge_token_answer
from blnk_auth._protocol.client_authentication import ClientCredentials
from blnk_auth._protocol.http_messages import Call, HttpResponse
from blnk_auth._protocol.requests import ServerRequest, build_device_authorization, build_refresh, build_revocation
from blnk_auth.errors import BlnkAuthError, ConfigurationError, ProtocolError, SignInRequired, TemporarilyUnavailable
from blnk_auth.token import Token

NOW = 1_800_000_000.0


def credentials(secret: str = "s3cret") -> ClientCredentials:
    return ClientCredentials("id", secret, "client_secret_basic", "raw")


def refresh_request(
    secret: str = "s3cret", refresh_token: str = "rt0", provider: Provider | None = None
) -> ServerRequest:
    """A refresh request, with the secrets that its answer may not quote."""
    return build_refresh(
        provider or acme(),
        credentials(secret),
        refresh_token,
        redirect_uri=None,
        call=Call("refresh_token"),
        now=NOW,
    )


# --- answers: tokens -------------------------------------------------------------------------------------------------


def judge(response: HttpResponse, request: ServerRequest | None = None) -> Token:
    token, _ = judge_token_answer(response, request or refresh_request(), now=NOW)
    return token


ISSUED = {"access_token": "at1", "token_type": "Bearer", "expires_in": 3600, "refresh_token": "rt1", "scope": "a b"}


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, json.dumps(ISSUED).encode()),
        (201, json.dumps(ISSUED).encode()),
        (200, b"\xef\xbb\xbf" + json.dumps(ISSUED).encode()),
        (200, json.dumps(ISSUED, indent=4).encode() + b"\r\n\r\n"),
        (200, json.dumps({**ISSUED, "error": None, "error_description": ""}).encode()),
        (200, json.dumps({**ISSUED, "error": ""}).encode()),
        (200, b"access_token=at1&token_type=bearer&expires_in=3600&refresh_token=rt1&scope=a+b"),
    ],
    ids=["200", "201", "byte order mark", "pretty", "null error", "empty error", "form"],
)
@pytest.mark.parametrize("media_type", ["application/json", "text/html", ""])
def test_a_token_is_read_however_it_is_wrapped(status: int, body: bytes, media_type: str) -> None:
    """JSON with or without a byte order mark and form-encoded answers are read, whatever their media type says."""
    token = judge(HttpResponse(status, {"content-type": media_type}, body))
    assert (token.access_token, token.refresh_token, token.scope) == ("at1", "rt1", "a b")
    assert (token.token_type, token.expires_at, token.issued_at) == ("Bearer", NOW + 3600, NOW)


def test_an_integer_that_python_refuses_to_read_never_costs_the_pair() -> None:
    """A number of 5,000 digits in some member is odd, and the pair beside it is good (promise 5)."""
    body = b'{"access_token":"at1","refresh_token":"rt1","expires_in":1' + b"0" * 5000 + b"}"
    assert judge(HttpResponse(200, {}, body)).refresh_token == "rt1"


# --- answers: errors -------------------------------------------------------------------------------------------------

HTML = b"<!doctype html><html><body>access_token=at1&error=invalid_grant</body></html>"
PROBLEM = b'{"type":"about:blank","title":"Bad Gateway","status":502}'

ERRORS: Mapping[str, tuple[int, bytes, type[BlnkAuthError], str | None]] = {
    # name: status, body, error type, OAuth code
    "200 with an HTML page": (200, HTML, ProtocolError, None),
    "200 with an array": (200, b'[{"access_token":"at1"}]', ProtocolError, None),
    "200 with a string": (200, b'"at1"', ProtocolError, None),
    "200 with nothing": (200, b"", ProtocolError, None),
    "200 with null": (200, b"null", ProtocolError, None),
    "200 with bytes": (200, b"\xff\xfe\x00", ProtocolError, None),
    "200 that ends too early": (200, b'{"access_token":"at1"', ProtocolError, None),
    "200 nested beyond reason": (200, b"[" * 200_000, ProtocolError, None),
    "200 without a token": (200, b'{"token_type":"Bearer"}', ProtocolError, None),
    "200 with an empty token": (200, b'{"access_token":"  "}', ProtocolError, None),
    "200 with a null token": (200, b'{"access_token":null}', ProtocolError, None),
    "200 with a number for a token": (200, b'{"access_token":17}', ProtocolError, None),
    "200 with a verdict": (200, b'{"error":"invalid_grant"}', SignInRequired, "invalid_grant"),
    "200 with a verdict as a form": (200, b"error=invalid_grant", SignInRequired, "invalid_grant"),
    "200 with a fault": (200, b'{"error":"server_error"}', TemporarilyUnavailable, "server_error"),
    "204": (204, b"", ProtocolError, None),
    "301": (301, b"", ConfigurationError, None),
    "302": (302, b"", ConfigurationError, None),
    "307": (307, HTML, ConfigurationError, None),
    "308": (308, b'{"access_token":"at1"}', ConfigurationError, None),
    "400 verdict": (400, b'{"error":"invalid_grant"}', SignInRequired, "invalid_grant"),
    "401 verdict": (401, b'{"error":"invalid_grant"}', SignInRequired, "invalid_grant"),
    "403 verdict": (403, b'{"error":"invalid_grant"}', SignInRequired, "invalid_grant"),
    "400 empty": (400, b"", ProtocolError, None),
    "400 HTML": (400, HTML, ProtocolError, None),
    "400 invalid_client": (400, b'{"error":"invalid_client"}', ConfigurationError, "invalid_client"),
    "401 invalid_client": (401, b'{"error":"invalid_client"}', ConfigurationError, "invalid_client"),
    "400 invalid_request": (400, b'{"error":"invalid_request"}', ConfigurationError, "invalid_request"),
    "400 invalid_scope": (400, b'{"error":"invalid_scope"}', ConfigurationError, "invalid_scope"),
    "400 unauthorized_client": (400, b'{"error":"unauthorized_client"}', ConfigurationError, "unauthorized_client"),
    "400 unsupported": (400, b'{"error":"unsupported_grant_type"}', ConfigurationError, "unsupported_grant_type"),
    "400 in prose": (400, b'{"error":"The refresh token has expired"}', ProtocolError, None),
    "400 in a code of its own": (400, b'{"error":"TOKEN_EXPIRED"}', ProtocolError, None),
    "400 with a list for an error": (400, b'{"error":["invalid_grant"]}', ProtocolError, None),
    "400 with an object for an error": (400, b'{"error":{"code":"invalid_grant"}}', ProtocolError, None),
    "401 empty": (401, b"", ConfigurationError, None),
    "401 in prose": (401, b'{"error":"Authorization header is required"}', ConfigurationError, None),
    "403 empty": (403, b"", ConfigurationError, None),
    "404": (404, HTML, ConfigurationError, None),
    "405": (405, b"", ConfigurationError, None),
    "406": (406, b"", ConfigurationError, None),
    "408": (408, b"", TemporarilyUnavailable, None),
    "415": (415, b"", ConfigurationError, None),
    "425": (425, b"", TemporarilyUnavailable, None),
    "429": (429, b"", TemporarilyUnavailable, None),
    "429 with a verdict": (429, b'{"error":"invalid_grant"}', TemporarilyUnavailable, "invalid_grant"),
    "400 slow_down": (400, b'{"error":"slow_down"}', TemporarilyUnavailable, "slow_down"),
    "400 temporarily": (400, b'{"error":"temporarily_unavailable"}', TemporarilyUnavailable, "temporarily_unavailable"),
    "500": (500, b"", TemporarilyUnavailable, None),
    "500 with a verdict": (500, b'{"error":"invalid_grant"}', TemporarilyUnavailable, "invalid_grant"),
    "501": (501, b"", ConfigurationError, None),
    "502": (502, HTML, TemporarilyUnavailable, None),
    "502 with a problem document": (502, PROBLEM, TemporarilyUnavailable, None),
    "503": (503, b"", TemporarilyUnavailable, None),
    "503 with a token": (503, b'{"access_token":"at1"}', TemporarilyUnavailable, None),
    "504": (504, b"", TemporarilyUnavailable, None),
}


@pytest.mark.parametrize("case", ERRORS)
def test_every_other_answer_is_the_one_error_that_says_what_to_do(case: str) -> None:
    """Only a known code counts as a code, only a 2xx or 4xx as a verdict, and nothing of the body is quoted."""
    status, body, expected, code = ERRORS[case]
    with pytest.raises(BlnkAuthError) as caught:
        judge(HttpResponse(status, {}, body))
    assert (type(caught.value), caught.value.error, caught.value.status_code) == (expected, code, status)
    assert leaks([str(caught.value), repr(caught.value)], ["at1", "<html"]) == []


def test_a_redirect_says_what_to_change_and_not_where_it_leads() -> None:
    """F36: the token endpoint's redirects are refused; the remedy is the final URL."""
    with pytest.raises(ConfigurationError, match="never followed.*token_endpoint"):
        judge(HttpResponse(307, {"location": "https://evil.test/"}, b""))


def test_the_remedy_is_named() -> None:
    """Each configuration error names the parameters to look at."""
    for response, remedy in (
        (refusal("invalid_client", 401), "client_id, .*client_auth"),
        (refusal("invalid_scope"), "scope"),
        (refusal("unauthorized_client"), "registration"),
        (HttpResponse(404, {}, b""), "token_endpoint"),
    ):
        with pytest.raises(ConfigurationError, match=remedy):
            judge(response)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        ("7", 7.0),
        (" 7 ", 7.0),
        ("0", 0.0),
        ("-3", 0.0),
        ("1.5", 1.5),
        (email.utils.formatdate(NOW + 120, usegmt=True), 120.0),
        (email.utils.formatdate(NOW - 120, usegmt=True), 0.0),
        ("soon", None),
        ("", None),
        ("nan", None),
        ("inf", None),
        ("Fri, 99 Foo 2099 00:00:00 GMT", None),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
def test_f19_retry_after_is_seconds_or_a_date(status: int, value: str | None, expected: float | None) -> None:
    """F19: RFC 9110 section 10.2.3, counted from when the answer arrived; nonsense is unknown."""
    headers = {} if value is None else {"retry-after": value}
    with pytest.raises(TemporarilyUnavailable) as caught:
        judge(HttpResponse(status, headers, b""))
    assert caught.value.retry_after == expected


def test_the_fields_of_the_rfc_are_carried() -> None:
    """RFC 6749 section 5.2: error, error_description and error_uri, in whatever language."""
    with pytest.raises(SignInRequired) as caught:
        judge(
            refusal(
                "invalid_grant", error_description='Jeton «périmé» "x"\r\n\x1b[31m密码', error_uri="https://as.test/e#1"
            )
        )
    assert caught.value.error == "invalid_grant"
    assert caught.value.error_description == 'Jeton «périmé» "x" [31m密码'
    assert caught.value.error_uri == "https://as.test/e#1"
    assert caught.value.reason == "refused"


def test_prose_in_error_is_taken_for_the_description() -> None:
    """Blnk's house style: a sentence in `error` is no OAuth code, but it helps a person."""
    with pytest.raises(ConfigurationError, match="Authorization header is required") as caught:
        judge(answer({"error": "Authorization header is required"}, 401))
    assert (caught.value.error, caught.value.error_description) == (None, "Authorization header is required")


@pytest.mark.parametrize("odd", [None, 7, [], {"a": 1}, "", "   "])
def test_a_description_that_is_no_text_is_none(odd: object) -> None:
    """Odd secondary members of an error do no harm either."""
    with pytest.raises(SignInRequired) as caught:
        judge(refusal("invalid_grant", error_description=odd, error_uri=odd))
    assert (caught.value.error_description, caught.value.error_uri) == (None, None)


def test_a_long_description_is_cut() -> None:
    """An error is no place for a whole page."""
    with pytest.raises(SignInRequired) as caught:
        judge(refusal("invalid_grant", error_description="word " * 1000))
    assert len(caught.value.error_description or "") <= 200


RT, SECRET = "rt+0/of alice", "cl1ent s+cret"
ECHOES = {
    "refresh token": f"refresh token {RT} is unknown",
    "client secret": f"bad secret '{SECRET}'",
    "basic header": "bad header Basic " + base64.b64encode(f"id:{SECRET}".encode()).decode(),
    "a token that we did not send": "use blnk_at_0123456789abcdef0123456789abcdef0123456789",
}


@pytest.mark.parametrize("echo", ECHOES)
@pytest.mark.parametrize("member", ["error", "error_description"])
@pytest.mark.parametrize("status", [400, 401, 500])
def test_a_server_that_quotes_our_secrets_is_not_quoted(status: int, member: str, echo: str) -> None:
    """What we sent, and what looks like a token, is cut out of what the server says (promise 8)."""
    members = {"error": "invalid_grant", member: ECHOES[echo]}
    with pytest.raises(BlnkAuthError) as caught:
        judge(answer(members, status), refresh_request(SECRET, RT))
    proof = base64.b64encode(f"id:{SECRET}".encode()).decode()
    shown = [str(caught.value), repr(caught.value), vars(caught.value)]
    assert leaks(shown, [RT, SECRET, proof, "0123456789abcdef"]) == []


@pytest.mark.parametrize("echo", ["refresh token", "client secret", "basic header"])
def test_an_error_uri_with_our_secrets_is_cleaned(echo: str) -> None:
    """A link to the documentation has no business quoting what we sent."""
    with pytest.raises(BlnkAuthError) as caught:
        judge(refusal("invalid_grant", error_uri=ECHOES[echo]), refresh_request(SECRET, RT))
    proof = base64.b64encode(f"id:{SECRET}".encode()).decode()
    assert leaks([vars(caught.value)], [RT, SECRET, proof]) == []


def test_a_server_that_quotes_our_form_is_not_quoted() -> None:
    """A secret is one in its percent-encoded form too, which is how it stood in the body that the server echoes."""
    request = refresh_request(refresh_token="rt+0/of")
    assert b"rt%2B0%2Fof" in request.request.body
    with pytest.raises(BlnkAuthError) as caught:
        judge(refusal("invalid_request", error_description="bad value rt%2B0%2Fof"), request)
    assert leaks([str(caught.value), vars(caught.value)], ["rt%2B0%2Fof"]) == []


DEVICE = {"device_authorization_endpoint": "https://as.acme.test/device"}
OWN = {"partner_key": "p4rtner+key", "partner": "p4rtner+key of acme", "version": "2"}


@pytest.mark.parametrize("method", ["refresh", "revocation", "device_authorization"])
def test_a_server_that_quotes_a_parameter_of_the_providers_own_is_not_quoted(method: str) -> None:
    """It may be a secret, in a way of proving the client that only the provider knows; a short one is none."""
    provider = acme(token_parameters=OWN, revocation_endpoint=acme().token_endpoint, **DEVICE)
    request = {
        "refresh": lambda: refresh_request(provider=provider),
        "revocation": lambda: build_revocation(
            provider, credentials(), "rt0", "refresh_token", call=Call("revocation"), now=NOW
        ),
        "device_authorization": lambda: build_device_authorization(
            provider, credentials(), None, call=Call("device_code"), now=NOW
        ),
    }[method]()
    said = "version 2: p4rtner+key of acme, p4rtner%2Bkey and p4rtner+key are unknown"
    with pytest.raises(ConfigurationError) as caught:
        judge(refusal("invalid_client", error_description=said), request)
    assert caught.value.error_description == "version 2: [redacted], [redacted] and [redacted] are unknown"


# --- revocation ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [200, 204])
@pytest.mark.parametrize("body", [b"", HTML, b"{}"])
def test_any_success_of_a_revocation_is_one(status: int, body: bytes) -> None:
    """RFC 7009 section 2.2: the body does not matter."""
    judge_revocation_answer(HttpResponse(status, {}, body), refresh_request(), now=NOW)


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (503, b"", TemporarilyUnavailable),
        (401, b'{"error":"invalid_client"}', ConfigurationError),
        (400, b'{"error":"unsupported_token_type"}', ConfigurationError),
        (302, b"", ConfigurationError),
        (400, HTML, ProtocolError),
    ],
)
def test_a_failed_revocation_says_what_to_do(status: int, body: bytes, expected: type[BlnkAuthError]) -> None:
    """The same errors as for a token request."""
    with pytest.raises(expected):
        judge_revocation_answer(HttpResponse(status, {}, body), refresh_request(), now=NOW)


# --- anything at all -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("date", ["Thu, 01 Jan 1970 00:00:10 GMT", "Thu, 01 Jan 2026 00:00:10 GMT"])
def test_f19_a_date_in_retry_after_is_read_by_the_servers_clock(date: str) -> None:
    """F22: however wrong our clock is, the wait is what the server meant."""
    until = date.replace("00:00:10", "00:00:40")
    with pytest.raises(TemporarilyUnavailable) as caught:
        judge(HttpResponse(503, {"retry-after": until, "date": date}, b""))
    assert caught.value.retry_after == 30.0


@given(status=st.integers(200, 599), body=st.binary(max_size=200), retry_after=st.text(max_size=20))
def test_any_answer_is_a_token_or_one_of_our_errors(status: int, body: bytes, retry_after: str) -> None:
    """No bytes that a server can send make the reading of them crash."""
    try:
        token = judge(HttpResponse(status, {"retry-after": retry_after}, body))
    except BlnkAuthError:
        return
    assert token.access_token


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=8), children, max_size=3),
    max_leaves=6,
)
MEMBERS = st.sampled_from("error error_description error_uri access_token refresh_token expires_in scope".split())


@given(status=st.sampled_from([200, 400, 401, 500]), members=st.dictionaries(MEMBERS, JSON, max_size=7))
def test_any_members_are_a_token_or_one_of_our_errors(status: int, members: dict[str, Any]) -> None:
    """No value of any member, whatever its type, makes the reading crash."""
    try:
        token = judge(HttpResponse(status, {}, json.dumps(members).encode()))
    except BlnkAuthError:
        return
    assert token.access_token == str(members["access_token"]).strip()
