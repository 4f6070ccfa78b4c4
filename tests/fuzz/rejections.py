"""Targets: what an API sends. Challenges, and the bodies of rejections in any content coding."""

from __future__ import annotations

import base64
import gzip
import json
import re
import zlib
from collections.abc import Callable
from typing import Any

import httpx
import httpx2
import requests
import urllib3
from fuzz.responses import PROVIDERS
from fuzz.strategies import TEXTS, edited, json_bodies, one_of_these, texts_of
from fuzz.target import Target, only_our_errors
from hypothesis import strategies as st
from requests.adapters import HTTPAdapter
from support.scripted import ScriptedWorld
from support.token_endpoint import pair

from blnk_auth import ApiAnswer, Auth, BlnkAuthError, Flinks, Httpx2Auth, HttpxAuth, RequestsAuth, TokenSource
from blnk_auth._protocol.challenges import parse_challenges, refusal_of_proof, renewal_may_help
from blnk_auth._protocol.dpop import ServerNonces
from blnk_auth._protocol.dpop_key import DpopKey

NOW = 1_790_000_000.0
KEY = DpopKey.generate()
API = "https://ob.flinksapp.com/api/v1/recipients"

_PIECES = [
    *(
        "Bearer",
        "bearer ",
        "DPoP ",
        "Basic ",
        "Negotiate YII=",
        "error=",
        '"invalid_token"',
        "'invalid_token'",
        "invalid_token",
    ),
    *(
        '"insufficient_scope"',
        "insufficient_user_authentication",
        'realm="a"',
        "scope=",
        '"',
        "'",
        "\\",
        '\\"',
        ",",
        ", ",
        " ",
        "\t",
    ),
    *("=", ";", "\x00", "\r\n", "é", "\ud800", "a" * 70, "/+", "=="),
]
HEADERS = texts_of(_PIECES) | st.sampled_from(
    ['Bearer error="invalid_token"', "Bearer error='invalid_token', DPoP algs=\"ES256\""]
)
HELPS = (frozenset({"invalid_token", None, ""}), frozenset({"insufficient_scope", "insufficient_user_authentication"}))


def check_challenge(header: str) -> None:
    """A challenge is read as far as it can be, and a new token is asked for only where it may help."""
    for challenge in parse_challenges(header):
        assert challenge.scheme == challenge.scheme.lower()
        assert challenge.scheme.isascii()
        assert all(name == name.lower() for name in challenge.parameters)
    helps = renewal_may_help(ApiAnswer(401, {"www-authenticate": header}))
    errors = [each.parameters.get("error") for each in parse_challenges(header) if each.scheme == "bearer"]
    if header.strip() and not errors:
        assert not helps
    if any(code in header for code in HELPS[1]) and "invalid_token" not in errors:
        assert not helps


def check_rejection(value: tuple[str, int, dict[str, str], str, bytes | None]) -> None:
    """Every provider's rule judges every answer, and raises for none."""
    name, status, headers, path, body = value
    assert PROVIDERS[name].rejects_token(ApiAnswer(status, headers, path, body)) in (True, False)


def check_proof_demand(value: tuple[int, str, str, str]) -> None:
    """Nonce and clock are taken from any response, and the next proof can be made and sent."""
    status, challenge, nonce, date = value
    headers = {"www-authenticate": challenge, "dpop-nonce": nonce, "date": date}
    refusal = refusal_of_proof(status, headers)
    assert refusal in (None, "use_dpop_nonce", "invalid_dpop_proof")
    assert refusal is None or refusal in challenge
    nonces = ServerNonces()
    repeats = nonces.observe(API, headers, NOW, refusal=refusal)
    kept = nonces.nonce(API)
    # RFC 9449 section 8.1, read a second time.
    is_usable = 0 < len(nonce) <= 2048 and all("!" <= each <= "~" and each not in '"\\' for each in nonce)
    assert kept == (nonce if is_usable else None)
    assert not repeats or refusal is not None
    made = nonces.proof(KEY, method="GET", url=API, now=NOW)
    assert re.fullmatch(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+", made)
    claims = json.loads(base64.urlsafe_b64decode(made.split(".")[1] + "=="))
    assert claims.get("nonce") == kept
    # A date of any year is a time by which a server's clock may really be wrong.
    assert abs(claims["iat"]) < 1e12


# --- bodies ----------------------------------------------------------------------------------------------------------


def _by_httpx(module: Any, auth: Any, value: tuple[int, str, str, bytes]) -> object:
    with module.Client(transport=module.MockTransport(lambda _: _httpx_response(module, value)), auth=auth) as http:
        return _read(lambda: (response := http.get(API)).status_code and response.content, module.HTTPError)


def _httpx_response(module: Any, value: tuple[int, str, str, bytes]) -> Any:
    status, coding, media_type, body = value
    headers = [
        (b"content-type", media_type.encode("utf-8", "replace")),
        (b"content-encoding", coding.encode("utf-8", "replace")),
    ]
    # Bytes, so that each request of a repetition has a body of its own.
    return module.Response(status, headers=headers, stream=module.ByteStream(body))


def _by_requests(auth: Any, value: tuple[int, str, str, bytes]) -> object:
    status, coding, media_type, body = value

    class Answering(HTTPAdapter):
        def send(self, request: Any, *_: Any, **__: Any) -> Any:
            import io

            headers = {"content-type": media_type, "content-encoding": coding}
            raw = urllib3.HTTPResponse(io.BytesIO(body), headers=headers, status=status, preload_content=False)
            return self.build_response(request, raw)

    with requests.Session() as session:
        session.auth = auth
        session.mount("https://", Answering())
        return _read(lambda: session.get(API).content, requests.RequestException)


def _read(get: Callable[[], object], failure: type[Exception]) -> object:
    """What a caller gets: a body, or the kind of error."""
    try:
        return get()
    except BlnkAuthError:
        raise
    except failure as error:
        return type(error).__name__


def _clients(source: TokenSource | None) -> dict[str, Callable[[tuple[int, str, str, bytes]], object]]:
    return {
        "httpx": lambda value: _by_httpx(httpx, source and HttpxAuth(source), value),
        "httpx2": lambda value: _by_httpx(httpx2, source and Httpx2Auth(source), value),
        "requests": lambda value: _by_requests(source and RequestsAuth(source), value),
        "Auth in httpx": lambda value: _by_httpx(httpx, source and Auth(source), value),
        "Auth in requests": lambda value: _by_requests(source and Auth(source), value),
    }


def check_rejection_body(value: tuple[str, int, str, str, bytes]) -> None:
    """A rejection that is judged by its body reaches the caller as it would without us, and no pair is lost over it."""
    package, *answer = value
    given: Any = tuple(answer)
    # requests without auth= would look for a netrc file.
    plain = _clients(None)[package](given)
    world = ScriptedWorld(Flinks(host="ob.flinksapp.com"))
    source = world.signed_in()
    world.server.will(pair(1), pair(2))
    with only_our_errors():
        assert _clients(source)[package](given) == plain
    assert world.stored(source).token.refresh_token in ("rt0", "rt1", "rt2")


REJECTIONS: list[dict[str, Any]] = [
    {"message": "Unauthorized"},
    {"code": 602, "message": "m", "debugMessage": "consent"},
    {"error": "unauthorized", "error_detail": {"code": "AUTH_INVALID", "message": "m"}},
]
_BODIES = json_bodies(REJECTIONS, ["code", "error_detail", "debugMessage"]) | st.binary(max_size=60)
_CODED = {
    "": lambda body: body,
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "identity": lambda body: body,
    "gzip, gzip": lambda body: gzip.compress(gzip.compress(body)),
    "br": lambda body: body,
    "zstd": lambda body: body,
    "x-é": lambda body: body,
}
_ENCODED = st.tuples(st.sampled_from(list(_CODED)), _BODIES).map(lambda made: (made[0], _CODED[made[0]](made[1])))
_DAMAGED = _ENCODED.flatmap(lambda made: edited(made[1], [b"\x00", b"\xff"]).map(lambda body: (made[0], body)))
_BOMB = st.just(("gzip", gzip.compress(json.dumps({"message": "x" * 200_000}).encode())))

TARGETS = (
    Target("challenge", HEADERS, check_challenge),
    Target(
        "proof_demand",
        st.tuples(
            st.sampled_from([200, 400, 401, 403]),
            HEADERS | st.sampled_from(['DPoP error="use_dpop_nonce"', 'DPoP algs="ES256", error="invalid_dpop_proof"']),
            TEXTS | texts_of(["eyJ7S_zG", ".", ",", '"', "\\", " ", "~", "x" * 700]),
            TEXTS | st.sampled_from(["Mon, 21 Sep 2026 14:13:20 GMT", "Sun Nov  6 08:49:37 1994", "31 Dec 9999 -2359"]),
        ),
        check_proof_demand,
    ),
    Target(
        "rejection",
        st.tuples(
            st.sampled_from(list(PROVIDERS)),
            st.sampled_from([400, 401, 403]),
            st.fixed_dictionaries({}, optional={"www-authenticate": HEADERS, "x-corapi-source": TEXTS}),
            st.sampled_from(["/", "/api/v1/recipients", "/proxy"]) | TEXTS,
            st.none() | _BODIES,
        ),
        check_rejection,
        frozenset(PROVIDERS),
    ),
    Target(
        "rejection_body",
        st.builds(
            lambda package, status, media_type, coded: (package, status, coded[0], media_type, coded[1]),
            st.sampled_from(["httpx", "httpx2", "requests", "Auth in httpx", "Auth in requests"]),
            st.sampled_from([400, 401, 403]),
            one_of_these(
                ["application/json"], st.sampled_from(["text/event-stream", "", "text/html; charset=utf-7", "\x00"])
            ),
            _ENCODED | _DAMAGED | _BOMB,
        ),
        check_rejection_body,
        frozenset(["httpx", "httpx2", "requests"]),
    ),
)
