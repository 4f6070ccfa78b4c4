"""What an answer of the authorization server means, as tables."""

from __future__ import annotations

import base64
import contextlib
import email.utils
import html
import json
import time
from collections.abc import Callable, Mapping
from typing import Any, cast
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.canary.leaks import leaks
from support.errors import must_show, raises
from support.providers import acme
from support.token_endpoint import answer, refusal

from blnk_auth import Provider, Refusal, Verdict
from blnk_auth._protocol import response_errors
from blnk_auth._protocol.client_authentication import ClientCredentials
from blnk_auth._protocol.documents import without_deep_values
from blnk_auth._protocol.http_messages import Call, HttpResponse, NoResponse, Purpose
from blnk_auth._protocol.requests import (
    ServerRequest,
    build_code_exchange,
    build_device_authorization,
    build_refresh,
    build_revocation,
)
from blnk_auth._protocol.response_errors import no_response, spent_nothing
from blnk_auth._protocol.token_response import (
    judge_device_token_response,
    judge_revocation_response,
    judge_token_response,
)
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
    issued = judge_token_response(response, request or refresh_request(), now=NOW)
    assert issued.token is not None
    assert issued.unusable is None
    return issued.token


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
    """JSON with or without a byte order mark and form-encoded answers are read, with any media type."""
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
    "400 in a code of its own": (400, b'{"error":"TOKEN_EXPIRED"}', ProtocolError, "TOKEN_EXPIRED"),
    "200 in a code of its own": (200, b'{"error":"bad_refresh_token"}', ProtocolError, "bad_refresh_token"),
    "401 in a code of its own": (401, b'{"error":"unauthorized"}', ConfigurationError, "unauthorized"),
    "400 in a list of errors": (400, b'{"errors":[{"errorType":"invalid_grant"}]}', ProtocolError, None),
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
def test_every_other_answer_is_the_one_error_that_names_what_to_do(case: str) -> None:
    """Only a registered code has a meaning, only a 2xx or 4xx is a verdict, and nothing else of the body is quoted."""
    status, body, expected, code = ERRORS[case]
    with pytest.raises(BlnkAuthError) as caught:
        judge(HttpResponse(status, {}, body))
    assert (type(caught.value), caught.value.error, caught.value.status_code) == (expected, code, status)
    assert leaks([str(caught.value), repr(caught.value)], ["at1", "<html"]) == []


def test_a_redirect_names_what_to_change_and_not_where_it_leads() -> None:
    """F36: the token endpoint's redirects are refused; the remedy is the final URL."""
    with raises(ConfigurationError, status_code=307, shows="token_endpoint"):
        judge(HttpResponse(307, {"location": "https://evil.test/"}, b""))


def test_the_remedy_is_named() -> None:
    """Each configuration error names the parameters to look at."""
    for response, shown in (
        (refusal("invalid_client", 401), ("client_id", "client_auth")),
        (refusal("invalid_scope"), "scope"),
        (refusal("unauthorized_client"), ("unauthorized_client", "allow the grant refresh_token for this client_id")),
        (refusal("unsupported_grant_type"), "does not offer refresh_token"),
        (HttpResponse(404, {}, b""), "token_endpoint"),
    ):
        with raises(ConfigurationError, shows=shown) as caught:
            judge(response)
        assert "judge_refusal" not in str(caught.value)


UNCLEAR = {
    "a code of its own": (400, {"error": "token_expired"}, "token_expired"),
    "a code of its own in a 200": (200, {"error": "bad_refresh_token"}, "bad_refresh_token"),
    "a code of its own in a 401": (401, {"error": "unauthorized", "message": "token revoked"}, "unauthorized"),
    "a long code": (400, {"error": "refresh_token_expired_or_was_revoked"}, "refresh_token_expired_or_was_revoked"),
    "an object": (400, {"error": {"code": "refresh_token_expired", "message": "sign in"}}, "refresh_token_expired"),
    "a list": (400, {"errors": [{"errorType": "invalid_grant", "message": "invalid: abc"}]}, "invalid_grant"),
    "members of its own": (200, {"code": 40105, "message": "refresh token is invalid"}, "refresh token is invalid"),
    "invalid_request": (400, {"error": "invalid_request"}, "invalid_request"),
    "no code": (400, {}, "400"),
    "no object": (400, None, "400"),
}


@pytest.mark.parametrize("case", UNCLEAR)
def test_a_refused_refresh_that_may_be_the_end_names_judge_refusal(case: str) -> None:
    """Servers have codes of their own for a refresh token that has ended: they are quoted, and the setting is named."""
    status, members, quoted = UNCLEAR[case]
    response = HttpResponse(status, {}, b"") if members is None else answer(members, status)
    with raises(BlnkAuthError, shows=(quoted, "judge_refusal")) as caught:
        judge(response)
    assert not isinstance(caught.value, SignInRequired)


@pytest.mark.parametrize("case", UNCLEAR)
def test_a_judge_refusal_of_one_line_makes_it_a_sign_in(case: str) -> None:
    """It is asked whenever there is no access token, also about a 200 without `error`."""
    status, members, _ = UNCLEAR[case]
    response = HttpResponse(status, {}, b"") if members is None else answer(members, status)
    request = refresh_request(provider=acme(judge_refusal=lambda _: "sign_in"))
    with pytest.raises(SignInRequired):
        judge(response, request)


def test_a_refused_code_does_not_speak_of_a_grant() -> None:
    """What is not a refresh has no grant that could have ended."""
    request = build_code_exchange(
        acme(),
        credentials(),
        code="c0de",
        redirect_uri="https://app.test/",
        code_verifier=None,
        call=Call("authorization_code"),
        now=NOW,
    )
    with pytest.raises(ProtocolError) as caught:
        judge(refusal("token_expired"), request)
    assert "judge_refusal" not in str(caught.value)


def test_judge_refusal_sees_a_200_with_the_members_that_the_server_sent() -> None:
    """Not those that read_answer made of them (TikTok, Withings, Lark)."""
    seen: list[Refusal] = []

    def judge_refusal(refusal: Refusal) -> Verdict | None:
        seen.append(refusal)
        return "sign_in" if (refusal.document or {}).get("code") == 40105 else None

    provider = acme(judge_refusal=judge_refusal, read_answer=lambda document, _: document["data"])
    with pytest.raises(SignInRequired):
        judge(answer({"code": 40105, "data": {}}), refresh_request(provider=provider))
    with raises(ProtocolError, status_code=200, shows="access_token"):
        judge(answer({"code": 7, "data": {}}), refresh_request(provider=provider))
    assert [(each.response.status_code, each.error) for each in seen] == [(200, None)] * 2


def test_judge_refusal_is_not_asked_about_a_token() -> None:
    """An answer that brings a token is not a refusal, with any other members."""
    request = refresh_request(provider=acme(judge_refusal=lambda _: "sign_in"))
    assert judge(answer({"code": 1, "message": "ok", **ISSUED}), request).access_token == "at1"


@pytest.mark.parametrize(
    ("token_type", "parameter"),
    [("DPoP", "dpop"), ("mac", "token_scheme"), ("N_A", "token_scheme"), ("Token", "token_scheme")],
)
def test_a_token_of_another_type_is_issued_and_unusable(token_type: str, parameter: str) -> None:
    """RFC 6749 section 7.1: it must not be used; the error names what to do about it, and the pair is there to be
    saved.
    """
    issued = judge_token_response(answer({**ISSUED, "token_type": token_type}), refresh_request(), now=NOW)
    assert issued.token is not None
    assert (issued.token.refresh_token, issued.token.token_type) == ("rt1", token_type)
    assert isinstance(issued.unusable, ConfigurationError)
    assert issued.unusable.parameter == parameter


def test_a_scope_that_contains_a_secret_is_left_out() -> None:
    """The repr of a token shows its scope: a server that writes the refresh token there must not put it into logs."""
    issued = judge_token_response(
        answer(
            {**ISSUED, "scope": "read s3cr3t-refresh-token-of-alice", "refresh_token": "s3cr3t-refresh-token-of-alice"}
        ),
        refresh_request(),
        now=NOW,
    )
    assert issued.token is not None
    assert (issued.token.refresh_token, issued.token.scope) == ("s3cr3t-refresh-token-of-alice", None)
    assert any("scope" in note for note in issued.notes)


@pytest.mark.parametrize("token_type", ["Bearer", "bearer", "BEARER", None, "", 7])
def test_a_missing_type_and_any_spelling_of_bearer_are_usable(token_type: object) -> None:
    """As servers write it."""
    judge(answer({**ISSUED, "token_type": token_type}))


@pytest.mark.parametrize("access_token", [None, 7, "", "\ud800"])
def test_a_refresh_token_without_an_access_token_is_issued(access_token: object) -> None:
    """It replaces the one that was sent, which may be spent; the error is raised once it is saved."""
    issued = judge_token_response(answer({**ISSUED, "access_token": access_token}), refresh_request(), now=NOW)
    assert (issued.token, issued.refresh_token) == (None, "rt1")
    assert isinstance(issued.unusable, ProtocolError)
    assert leaks([repr(issued), vars(issued.unusable)], ["rt1"]) == []


@pytest.mark.parametrize(
    ("depth", "opening", "closing"), [(1000, "[", "]"), (200_000, "[", "]"), (200_000, '{"a":', "}")]
)
def test_a_member_of_any_depth_never_costs_the_pair(depth: int, opening: str, closing: str) -> None:
    """Deeper than Python can read: what is too deep is left out (promise 5)."""
    deep = opening * depth + "1" + closing * depth
    body = f'{{"access_token":"at1","odd":{deep},"text":"]}}\\"[","refresh_token":"rt1","expires_in":3600}}'.encode()
    token = judge(HttpResponse(200, {}, body))
    assert (token.access_token, token.refresh_token, token.expires_at) == ("at1", "rt1", NOW + 3600)
    assert token.extra.keys() == {"text"}


def test_a_member_in_another_encoding_never_costs_the_pair() -> None:
    """A scope in Latin-1 is odd, and the tokens beside it are ASCII."""
    body = json.dumps({**ISSUED, "name": "Zoë"}, ensure_ascii=False).encode("latin-1")
    assert judge(HttpResponse(200, {}, body)).refresh_token == "rt1"


ENDLESS = {
    "brackets": "[",
    "objects": '{"a":',
    "quotes": '"',
    "escaped quotes": '\\"',
    "quotes and brackets": '"[',
    "pairs": "a=1&",
    "names": "code code=",
    "spaces": "error ",
    "tokens": "refresh_token= ",
    "words": "x" * 31 + " ",
}


@pytest.mark.parametrize("case", ENDLESS)
@pytest.mark.parametrize("shape", ["{}", '{{"a":{}', '{{"error_description":"{}"}}', "error={}"])
def test_the_time_to_judge_an_answer_grows_with_its_size_only(case: str, shape: str) -> None:
    """A megabyte of anything, which is the most that is read."""
    body = shape.format(ENDLESS[case] * (1_000_000 // len(ENDLESS[case]))).encode()
    began_at = time.process_time()
    with contextlib.suppress(BlnkAuthError):
        judge(HttpResponse(400, {"retry-after": "9" * 100_000, "date": "Mon, " * 20_000}, body))
    assert time.process_time() - began_at < 2.0


@pytest.mark.parametrize(
    "purpose", ["refresh_token", "client_credentials", "authorization_code", "device_code", "revocation"]
)
def test_a_lost_answer_names_what_the_request_may_have_caused(purpose: Purpose) -> None:
    """At a sign-in nothing is renewed. What was never sent has caused nothing."""
    request = refresh_request()._replace(purpose=purpose)
    lost = no_response(NoResponse("ReadTimeout", sent=True), request)
    assert lost.outcome_unknown
    must_show(lost, response_errors._POSSIBLE_EFFECTS[purpose])
    unsent = no_response(NoResponse("ConnectError", sent=False), request)
    assert not unsent.outcome_unknown
    assert "may have" not in unsent.problem


def test_what_a_transport_quotes_is_cleaned_too() -> None:
    """An HTTP client's text may hold a line of the answer, which may hold our request."""
    echo = "illegal header line: refresh_token=rt-of-alice and Basic " + base64.b64encode(b"id:s3cret-9").decode()
    lost = no_response(NoResponse(echo, sent=True), refresh_request("s3cret-9", "rt-of-alice"))
    proof = base64.b64encode(b"id:s3cret-9").decode()
    assert leaks([vars(lost), str(lost)], ["rt-of-alice", proof]) == []


@pytest.mark.parametrize(
    ("response", "nothing"),
    [
        (HttpResponse(429, {}, b""), True),
        (HttpResponse(503, {}, b""), True),
        (HttpResponse(500, {}, b""), False),
        (HttpResponse(502, {}, b""), False),
        (HttpResponse(504, {}, b""), False),
        (refusal("invalid_grant"), False),
        (refusal("invalid_client"), False),
        (HttpResponse(200, {}, b""), False),
    ],
    ids=str,
)
def test_what_provably_spent_nothing(response: HttpResponse, nothing: bool) -> None:
    """Such a code or token can be used again; of everything else nobody knows."""
    with pytest.raises(BlnkAuthError) as caught:
        judge(response)
    assert spent_nothing(caught.value) is nothing


@pytest.mark.parametrize("sent", [False, True])
def test_a_request_that_never_left_spent_nothing(sent: bool) -> None:
    """No connection, for example."""
    assert spent_nothing(no_response(NoResponse("ConnectError", sent=sent), refresh_request())) is not sent


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
    """RFC 6749 section 5.2: error, error_description and error_uri, in any language."""
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
    """Blnk's house style: a sentence in `error` is not an OAuth code, but it helps a reader."""
    with raises(ConfigurationError, error_description="Authorization header is required", status_code=401) as caught:
        judge(answer({"error": "Authorization header is required"}, 401))
    assert (caught.value.error, caught.value.error_description) == (None, "Authorization header is required")


@pytest.mark.parametrize("odd", [None, 7, [], {"a": 1}, "", "   "])
def test_a_description_that_is_not_text_is_ignored(odd: object) -> None:
    """Odd secondary members of an error do no harm either."""
    with pytest.raises(SignInRequired) as caught:
        judge(refusal("invalid_grant", error_description=odd, error_uri=odd))
    assert (caught.value.error_description, caught.value.error_uri) == (None, None)


def test_a_long_description_is_cut() -> None:
    """A whole page does not belong in an error."""
    with pytest.raises(SignInRequired) as caught:
        judge(refusal("invalid_grant", error_description="word " * 1000))
    assert len(caught.value.error_description or "") <= 200


@pytest.mark.parametrize(
    "character", ["\u202e", "\u2066", "\u2028", "\u2029", "\u200b", "\x85", "\x1b", "\x9b", "\ud800"], ids=ascii
)
def test_no_character_that_hides_or_turns_the_text_is_shown(character: str) -> None:
    """Bidirectional overrides, separators and what a terminal obeys: one line, as it is read."""
    with pytest.raises(SignInRequired) as caught:
        judge(refusal("invalid_grant", error_description=f"a{character}b", error_uri=f"https://a.test/{character}"))
    assert caught.value.error_description == "a b"
    assert str(caught.value).isprintable()


ENCODINGS: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "in the other case": str.swapcase,
    "percent-encoded": lambda secret: quote(secret, safe=""),
    "percent-encoded in lower case": lambda secret: quote(secret, safe="").lower(),
    "form-encoded": quote_plus,
    "in HTML": html.escape,
    "in HTML by numbers": lambda secret: "".join(f"&#{ord(character)};" for character in secret),
    "in JSON": lambda secret: json.dumps(secret)[1:-1].replace("/", "\\/").replace("&", "\\u0026"),
    "in JSON by numbers": lambda secret: "".join(f"\\u{ord(character):04x}" for character in secret),
    "in Base64": lambda secret: base64.b64encode(secret.encode()).decode(),
    "in Base64 for URLs": lambda secret: base64.urlsafe_b64encode(secret.encode()).decode().rstrip("="),
}


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("secret", ["Tr0ub4dor&3/<x>", "cl1ent s+cret\"'", "pässwörd?§"])
def test_a_secret_is_cut_out_in_every_usual_encoding(secret: str, encoding: str) -> None:
    """A server, or the gateway before it, may have escaped what it quotes."""
    shown = ENCODINGS[encoding](secret)
    said = f"wrong secret {shown} given"
    with pytest.raises(BlnkAuthError) as caught:
        judge(refusal("invalid_client", error_description=said, error_uri=said), refresh_request(secret))
    assert leaks([vars(caught.value), str(caught.value)], [shown, secret]) == []
    assert caught.value.error_description == "wrong secret [redacted] given"


@pytest.mark.parametrize(
    "code", ["s3cret-of-client", "rt0-of-alice", "a" * 40, "blnk_at_0123456789abcdef0123456789abcdef"]
)
def test_a_code_that_may_be_a_secret_is_not_quoted(code: str) -> None:
    """Neither what was sent nor what looks like a token counts as an error code."""
    with pytest.raises(ProtocolError) as caught:
        judge(refusal(code), refresh_request("s3cret-of-client", "rt0-of-alice"))
    assert caught.value.error is None
    assert leaks([vars(caught.value), str(caught.value)], [code]) == []


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
    """What we sent, and what looks like a token, is cut out of the server's text (promise 8)."""
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
    """A secret is one in its percent-encoded form too, which is how the server echoes it from the body."""
    request = refresh_request(refresh_token="rt+0/of")
    assert b"rt%2B0%2Fof" in request.request.body
    with pytest.raises(BlnkAuthError) as caught:
        judge(refusal("invalid_request", error_description="bad value rt%2B0%2Fof"), request)
    assert leaks([str(caught.value), vars(caught.value)], ["rt%2B0%2Fof"]) == []


DEVICE = {"device_authorization_endpoint": "https://as.acme.test/device"}
OWN = {"partner_key": "p4rtner+key", "partner": "p4rtner+key of acme", "version": "2"}


@pytest.mark.parametrize("method", ["refresh", "revocation", "device_authorization"])
def test_a_server_that_quotes_a_parameter_of_the_providers_own_is_not_quoted(method: str) -> None:
    """It may be a secret, in a way of proving the client that only the provider knows; a short one is not."""
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


@pytest.mark.parametrize("status", [200, 400, 428])
@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("authorization_pending", TemporarilyUnavailable),
        ("slow_down", TemporarilyUnavailable),
        ("access_denied", SignInRequired),
        ("expired_token", SignInRequired),
    ],
)
def test_the_codes_of_the_device_grant_are_read_at_any_status(
    status: int, code: str, expected: type[BlnkAuthError]
) -> None:
    """RFC 8628 section 3.5 wants a 400; GitHub sends a 200."""
    with pytest.raises(expected) as caught:
        judge_device_token_response(refusal(code, status), refresh_request(), now=NOW)
    assert caught.value.error == code


# --- revocation ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [200, 204])
@pytest.mark.parametrize("body", [b"", HTML, b"{}"])
def test_any_success_of_a_revocation_is_one(status: int, body: bytes) -> None:
    """RFC 7009 section 2.2: the body does not matter."""
    judge_revocation_response(HttpResponse(status, {}, body), refresh_request(), now=NOW)


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
def test_a_failed_revocation_names_what_to_do(status: int, body: bytes, expected: type[BlnkAuthError]) -> None:
    """The same errors as for a token request."""
    with pytest.raises(expected):
        judge_revocation_response(HttpResponse(status, {}, body), refresh_request(), now=NOW)


# --- anything at all -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("date", ["Thu, 01 Jan 1970 00:00:10 GMT", "Thu, 01 Jan 2026 00:00:10 GMT"])
def test_f19_a_date_in_retry_after_is_read_by_the_servers_clock(date: str) -> None:
    """F22: however wrong our clock is, the wait is what the server meant."""
    until = date.replace("00:00:10", "00:00:40")
    with pytest.raises(TemporarilyUnavailable) as caught:
        judge(HttpResponse(503, {"retry-after": until, "date": date}, b""))
    assert caught.value.retry_after == 30.0


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=8), children, max_size=3),
    max_leaves=6,
)


def depth_of(value: object) -> int:
    if isinstance(value, dict):
        return 1 + max(map(depth_of, cast("dict[str, object]", value).values()), default=0)
    return 1 + max(map(depth_of, cast("list[object]", value)), default=0) if isinstance(value, list) else 0


@given(members=st.dictionaries(st.text(max_size=8), JSON, max_size=4), indent=st.sampled_from([None, 2]))
def test_leaving_out_what_is_too_deep_changes_nothing_else(members: dict[str, Any], indent: int | None) -> None:
    """With any brackets and quotes in the strings; and what is left is never deeper than the limit."""
    text = json.dumps(members, indent=indent)
    assert _same(json.loads(without_deep_values(text)), json.loads(text))
    flat = json.loads(without_deep_values(text, deepest=2))
    assert depth_of(flat) < 2
    assert flat.keys() == members.keys()


def _same(one: object, other: object) -> bool:
    # NaN is not equal to itself.
    return json.dumps(one) == json.dumps(other)
