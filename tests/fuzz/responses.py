"""Targets: what an authorization server sends. Tokens, errors, device codes, metadata, and the times in headers."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, get_args

import httpx
from fuzz.strategies import TEXTS, json_bodies, one_of_these
from fuzz.target import Target, check_message, only_our_errors
from hypothesis import strategies as st
from support.providers import acme
from support.scripted import ScriptedWorld

from blnk_auth import BLink, BlnkAuthError, BlnkCloud, Flinks, Provider, SignInRequired, Token
from blnk_auth._protocol.client_authentication import ClientCredentials
from blnk_auth._protocol.discovery import _kept
from blnk_auth._protocol.http_messages import Call, HttpResponse, Purpose
from blnk_auth._protocol.pushed_authorization import judge_pushed_authorization
from blnk_auth._protocol.requests import build_pushed_authorization, build_refresh
from blnk_auth._protocol.response_errors import retry_after_of
from blnk_auth._protocol.token_response import (
    judge_device_token_response,
    judge_revocation_response,
    judge_token_response,
)
from blnk_auth._renewal.schedule import schedule_of
from blnk_auth._renewal.stored_record import GrantRecord, why_not_storable
from blnk_auth._sign_in.device import read_device_authorization
from blnk_auth.cli.qr_code import terminal_qr_code
from blnk_auth.policy import RenewalPolicy
from blnk_auth.providers import TrueLayer, read_flinks_answer
from blnk_auth.token import read_seconds

NOW = 1_800_000_000.0
ISSUER = "https://as.acme.test"

PROVIDERS: Mapping[str, Provider] = {
    "acme": acme(),
    "dpop": acme(token_scheme="DPoP", correlation_header="x-request-id"),
    "blink": BLink(base_url="https://api.b.test", target_id="IIDX99999", username="u", user_agent="Acme 1.0"),
    "blnk_cloud": BlnkCloud(),
    "flinks": Flinks(host="ob.flinksapp.com"),
    "truelayer": TrueLayer(),
}

ISSUED = {"access_token": "at1", "token_type": "Bearer", "expires_in": 3600, "refresh_token": "rt1", "scope": "a b"}
REFUSED = {
    "error": "invalid_grant",
    "error_description": "The refresh token rt0 has ended",
    "error_uri": "https://e.test",
}
TOKEN_DOCUMENTS: list[dict[str, Any]] = [
    ISSUED,
    {
        **ISSUED,
        "refresh_expires_in": 86_400,
        "grant_id": "g1",
        "id_token": "a.b.c",
        "claims": {"sub": [1, {"a": None}]},
    },
    {"access_token": "eyJhbGciOiJub25lIn0.eyJleHAiOjE4MDAwMDM2MDB9.x", "token_type": "bearer", "expires_in": 0},
    {"access_token": "at1", "expires_at": "2027-01-15T08:00:00Z", "refreshToken": "rt1", "scope": ["a", "b"]},
    {"refresh_token": "rt1", "token_type": "Bearer"},
]
ERROR_DOCUMENTS: list[dict[str, Any]] = [
    REFUSED,
    {"error": "invalid_client", "error_description": "client s3cret-of-client is unknown"},
    {"type": "/problems/INVALID_GRANT", "title": "Bad Request", "status": 400, "detail": "grant rt0"},
    {"errors": [{"code": "x", "message": "m", "type": "t"}], "message": "m"},
    {"error": {"errorType": "E", "message": "m", "code": 602}, "message": "m", "debugMessage": None},
    {"error_detail": {"code": "AUTH_INVALID", "message": "no"}, "error": "unauthorized"},
    {"error": "authorization_pending", "interval": 5},
]
MEMBERS = [
    *(
        "access_token",
        "refresh_token",
        "token_type",
        "expires_in",
        "expires_at",
        "refresh_expires_in",
        "scope",
        "extra",
    ),
    *(
        "issued_at",
        "error",
        "error_description",
        "error_uri",
        "errors",
        "detail",
        "title",
        "type",
        "message",
        "grant_id",
    ),
]

HEADERS = st.dictionaries(
    st.sampled_from(
        ["retry-after", "date", "x-request-id", "x-correlation-id", "ob-correlation-id", "x-corapi-source"]
    ),
    st.sampled_from(["PLATFORM", "PROVIDER", "120", "1e9", "Sun, 06 Nov 1994 08:49:37 GMT"]) | TEXTS,
    max_size=2,
)
STATUSES = one_of_these([200, 201, 204, 302, 400, 401, 403, 404, 429, 500, 502, 503], st.integers(100, 599))
PURPOSES = st.sampled_from(["refresh_token", "authorization_code", "client_credentials", "device_code"])
TOKEN_BODIES = json_bodies(TOKEN_DOCUMENTS, MEMBERS) | st.binary(max_size=60)
ERROR_BODIES = json_bodies(ERROR_DOCUMENTS, MEMBERS) | st.binary(max_size=60)
FORMS = st.sampled_from(
    [b"access_token=at1&refresh_token=rt1&expires_in=60", b"error=invalid_grant&x=%ff", b"error=a&error=b"]
)


def judged(name: str, purpose: Purpose, status: int, headers: dict[str, str], body: bytes) -> object:
    """What the judge of token answers makes of an answer."""
    credentials = ClientCredentials("id", "s3cret-of-client", "client_secret_post", "raw")
    provider = PROVIDERS[name]
    call = Call(purpose, "alice", target="IIDX99999")
    request = build_refresh(provider, credentials, "rt0-of-alice", redirect_uri=None, call=call, now=NOW)
    request = type(request)(request.request, provider, purpose, request.secrets)
    response = HttpResponse(status, headers, body)
    with only_our_errors():
        judge_revocation_response(response, request, now=NOW)
    with only_our_errors():
        judge_device_token_response(response, request, now=NOW)
    return judge_token_response(response, request, now=NOW)


def check_response(value: tuple[str, Purpose, int, dict[str, str], bytes]) -> None:
    """An answer is a token that can be stored and scheduled, or one of our errors; a pair that is there is not lost."""
    pair = pair_in(*value[2:]) if value[0] != "flinks" else None
    try:
        issued: Any = judged(*value)
    except BlnkAuthError as error:
        check_message(str(error))
        assert not any(secret in str(error) for secret in ("rt0-of-alice", "s3cret-of-client"))
        assert pair is None, f"a pair was lost: {error}"
        return
    token: Token | None = issued.token
    if token is None:
        assert issued.refresh_token
        assert issued.unusable is not None
        assert pair is None
        return
    assert why_not_storable(token) is None
    data = json.loads(json.dumps(GrantRecord(token).to_data(), allow_nan=False))
    assert GrantRecord.from_data(data, "key").token == token
    schedule = schedule_of(token, RenewalPolicy(), renewable=True, jitter_position=0.5)
    assert not any(map(math.isnan, schedule))
    if pair is not None:
        assert (token.access_token, token.refresh_token) == pair


def pair_in(status: int, _headers: Mapping[str, str], body: bytes) -> tuple[str, str | None] | None:
    """The pair in an ordinary success, as the simplest of readers would read it; None if there is none for certain."""
    try:
        document = json.loads(body.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        return None
    if not 200 <= status < 300 or not isinstance(document, dict) or document.get("error"):
        return None
    access_token, refresh_token = document.get("access_token"), document.get("refresh_token")
    if not _is_plain(access_token) or not (refresh_token is None or _is_plain(refresh_token)):
        return None
    return access_token, refresh_token


def _is_plain(value: object) -> bool:
    return isinstance(value, str) and value.isascii() and value.isprintable() and bool(value) and value == value.strip()


def check_renewal(value: tuple[int, dict[str, str], bytes]) -> None:
    """With any response to a refresh, the caller gets a token or our error, and the newest pair is stored."""
    status, headers, body = value
    world = ScriptedWorld(
        token_http=httpx.Client(transport=httpx.MockTransport(lambda _: _response(status, headers, body)))
    )
    source = world.signed_in()
    with only_our_errors():
        assert source.renew().access_token
    record = world.stored(source)
    pair = pair_in(status, headers, body)
    if pair is None:
        assert record.token.refresh_token
        assert record.ended in (None, "refused")
    else:
        assert (record.token.access_token, record.token.refresh_token) == (pair[0], pair[1] or "rt0")
        assert record.ended is None
    if status >= 500:
        assert record.token.refresh_token == "rt0"
        assert record.ended is None


def _response(status: int, headers: dict[str, str], body: bytes) -> httpx.Response:
    raw = [(name.encode("latin-1", "replace"), text.encode("utf-8", "replace")) for name, text in headers.items()]
    return httpx.Response(status, headers=raw, stream=httpx.ByteStream(body))


# --- device authorization --------------------------------------------------------------------------------------------

DEVICE_DOCUMENTS: list[dict[str, Any]] = [
    {
        "device_code": "dc1",
        "user_code": "WDJB-MJHT",
        "verification_uri": "https://as.acme.test/device",
        "verification_uri_complete": "https://as.acme.test/device?user_code=WDJB-MJHT",
        "expires_in": 1800,
        "interval": 5,
    },
    {"device_code": "dc1", "user_code": "U", "verification_url": "https://as.acme.test/device", "expires_in": "1800"},
]


def check_device_authorization(body: bytes) -> None:
    """What the user is shown is printable and short, and the address is one that may be opened."""
    try:
        members = json.loads(body)
    except (ValueError, RecursionError):
        return
    if not isinstance(members, dict):
        return
    with only_our_errors():
        read = read_device_authorization(members, now=NOW)
        shown = (read.user_code, read.verification_uri, read.verification_uri_complete or "")
        assert all(text.isprintable() and len(text) <= 2048 for text in shown)
        assert all(not text or text.lower().startswith(("https://", "http://")) for text in shown[1:]), shown
        assert math.isfinite(read.expires_at)
        assert math.isfinite(read.interval)
        assert read.interval >= 0
        drawn = terminal_qr_code(read.verification_uri_complete or read.verification_uri)
        assert drawn is None or len(drawn) < 20_000


# --- pushed authorization requests -----------------------------------------------------------------------------------

PUSHED_DOCUMENTS: list[dict[str, Any]] = [
    {"request_uri": "urn:ietf:params:oauth:request_uri:6esc_11ACC5bwc014ltc14eY22c", "expires_in": 60},
    {"request_uri": "urn:example:1", "expires_in": "90"},
    {"error": "invalid_authorization_details", "error_description": "state-0f-alice and s3cret-of-client"},
    *ERROR_DOCUMENTS,
]


def check_pushed_authorization(value: tuple[str, int, dict[str, str], bytes]) -> None:
    """An answer is a reference that a URL can carry, with a positive lifetime, or an error without what was sent."""
    name, status, headers, body = value
    credentials = ClientCredentials("id", "s3cret-of-client", "client_secret_post", "raw")
    request = build_pushed_authorization(
        acme(pushed_authorization_request_endpoint=f"{ISSUER}/par"),
        credentials,
        {"client_id": "id", "state": "state-0f-alice"},
        call=Call("pushed_authorization_request", "alice", target="IIDX99999"),
        now=NOW,
    )
    request = request._replace(provider=PROVIDERS[name])
    try:
        pushed = judge_pushed_authorization(HttpResponse(status, headers, body), request, now=NOW)
    except BlnkAuthError as error:
        check_message(str(error))
        assert not isinstance(error, SignInRequired), "no grant has ended"
        assert not any(secret in str(error) for secret in ("state-0f-alice", "s3cret-of-client"))
        return
    assert pushed.request_uri.strip()
    assert len(pushed.request_uri.encode()) < 20_000
    assert pushed.lifetime is None or 0 < pushed.lifetime < math.inf
    assert pushed.request_uri not in repr(pushed)


# --- metadata --------------------------------------------------------------------------------------------------------

METADATA: dict[str, Any] = {
    "issuer": ISSUER,
    "token_endpoint": f"{ISSUER}/token",
    "authorization_endpoint": f"{ISSUER}/authorize",
    "revocation_endpoint": f"{ISSUER}/revoke",
    "device_authorization_endpoint": f"{ISSUER}/device",
    "grant_types_supported": ["authorization_code", "refresh_token"],
    "token_endpoint_auth_methods_supported": ["client_secret_basic", "private_key_jwt"],
    "token_endpoint_auth_signing_alg_values_supported": ["ES256"],
    "code_challenge_methods_supported": ["S256"],
    "authorization_response_iss_parameter_supported": True,
    "mtls_endpoint_aliases": {"token_endpoint": "https://mtls.acme.test/token"},
    "pushed_authorization_request_endpoint": f"{ISSUER}/par",
    "require_pushed_authorization_requests": True,
    "authorization_details_types_supported": ["account_information"],
    "grant_management_actions_supported": ["create", "merge", "query"],
    "dpop_signing_alg_values_supported": ["ES256"],
}


def check_metadata(value: tuple[int, bytes]) -> None:
    """A document is a provider of that very issuer, with endpoints that may get a secret, or one of our errors."""
    status, body = value
    _kept.__init__()  # type: ignore[misc]  # a document is kept for an hour
    with only_our_errors(), httpx.Client(transport=httpx.MockTransport(lambda _: _response(status, {}, body))) as http:
        provider = Provider.discover(ISSUER, token_http=http)
        assert provider.issuer == ISSUER
        # Python refuses to read integers of thousands of digits, and the library reads documents that have them.
        # Python's own parser gives up earlier than the library: at large integers, and at a great depth.
        with suppress(ValueError, RecursionError):
            assert json.loads(body.decode(json.detect_encoding(body), "replace"), parse_int=str)["issuer"] == ISSUER
        assert str(provider.token_endpoint).startswith(("https://", "HTTPS://", "http://"))
        provider.with_certificate()


# --- times -----------------------------------------------------------------------------------------------------------

_MOMENTS = st.integers(86_400, 3_000_000_000)
_FORMATS = ["%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"]
_TIMES = (
    st.sampled_from(
        ["120", "1e9", "-1", "1" * 500, "Sun, 06 Nov 1994 08:49:37 -0000", "Sun Nov  6 08:49:37 1994", "0 0 0 0"]
    )
    | st.tuples(_MOMENTS, st.sampled_from(_FORMATS)).map(lambda made: http_date(*made))
    | TEXTS
)


def http_date(moment: int, form: str) -> str:
    """A time in one of the three formats of RFC 9110 section 5.6.7."""
    return datetime.fromtimestamp(moment, UTC).strftime(form)


def check_retry_after(value: tuple[str, str]) -> None:
    """It is None or a finite number of seconds from now on, the same wherever this machine is."""
    retry_after, date = value
    found = {_in_zone(zone, retry_after, date) for zone in ("UTC", "Asia/Kathmandu")}
    assert len(found) == 1, f"it depends on the time zone of this machine: {found}"
    (seconds,) = found
    assert seconds is None or (math.isfinite(seconds) and seconds >= 0)


def check_http_date(value: tuple[int, str]) -> None:
    """RFC 9110 section 5.6.7: each of the three formats is read, as a time in UTC."""
    moment, form = value
    seconds = _in_zone("Asia/Kathmandu", http_date(moment, form), http_date(moment - 90, _FORMATS[0]))
    assert seconds == 90, f"{http_date(moment, form)!r} was read as {seconds} seconds instead of 90"


def _in_zone(zone: str, retry_after: str, date: str) -> float | None:
    former = os.environ.get("TZ")
    os.environ["TZ"] = zone
    time.tzset()
    try:
        return retry_after_of({"retry-after": retry_after, "date": date}, NOW)
    finally:
        os.environ.pop("TZ") if former is None else os.environ.update(TZ=former)
        time.tzset()


def check_expiry_in_jwt(access_token: str) -> None:
    """The `exp` of a JWT is a hint: a finite lifetime, or nothing."""
    answer = read_flinks_answer({"access_token": access_token, "expires_in": 0, "refresh_token": "rt1"}, NOW)
    assert answer["access_token"] == access_token
    seconds = read_seconds(answer.get("expires_in", 1.0))
    assert seconds is not None
    assert seconds > 0


def _jwt(claims: bytes) -> str:
    import base64

    return f"eyJhbGciOiJub25lIn0.{base64.urlsafe_b64encode(claims).decode().rstrip('=')}.c2ln"


_JWTS = json_bodies([{"exp": 1_800_003_600, "sub": "alice"}], ["exp", "iat"]).map(_jwt)

_WORDS = frozenset([*PROVIDERS, *get_args(Purpose), *_FORMATS])

TARGETS = (
    Target(
        "token_response",
        st.tuples(st.sampled_from(list(PROVIDERS)), PURPOSES, STATUSES, HEADERS, TOKEN_BODIES | FORMS),
        check_response,
        _WORDS,
    ),
    Target(
        "error_response",
        st.tuples(st.sampled_from(list(PROVIDERS)), PURPOSES, STATUSES, HEADERS, ERROR_BODIES | FORMS),
        check_response,
        _WORDS,
    ),
    Target("renewal", st.tuples(STATUSES, HEADERS, TOKEN_BODIES | ERROR_BODIES | FORMS), check_renewal),
    Target(
        "device_authorization", json_bodies(DEVICE_DOCUMENTS, list(DEVICE_DOCUMENTS[0])), check_device_authorization
    ),
    Target(
        "pushed_authorization",
        st.tuples(
            st.sampled_from(list(PROVIDERS)),
            STATUSES,
            HEADERS,
            json_bodies(PUSHED_DOCUMENTS, ["request_uri", *MEMBERS]) | st.binary(max_size=60),
        ),
        check_pushed_authorization,
        _WORDS,
    ),
    Target(
        "metadata", st.tuples(one_of_these([200], STATUSES), json_bodies([METADATA], list(METADATA))), check_metadata
    ),
    Target("retry_after", st.tuples(_TIMES, _TIMES), check_retry_after),
    Target("http_date", st.tuples(_MOMENTS, st.sampled_from(_FORMATS)), check_http_date, _WORDS),
    Target("expiry_in_jwt", _JWTS | TEXTS.map(lambda text: f"a.{text}.b"), check_expiry_in_jwt),
)
