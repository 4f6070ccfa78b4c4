"""Targets: tokens that a client presents to another server: those of a workload, and those of a token exchange.

Nothing here verifies a signature: the type, the audience and the end of such a token are hints for the client.
"""

from __future__ import annotations

import base64
import json
import math
import tempfile
from pathlib import Path

from fuzz.responses import HEADERS, NOW, STATUSES
from fuzz.strategies import TEXTS, json_bodies
from fuzz.target import Target, check_message, only_our_errors
from hypothesis import strategies as st
from support.providers import acme

from blnk_auth import BlnkAuthError
from blnk_auth._protocol.client_authentication import ClientCredentials
from blnk_auth._protocol.http_messages import Call, HttpResponse
from blnk_auth._protocol.requests import build_token_exchange
from blnk_auth._protocol.token_response import judge_token_response
from blnk_auth.workload_identity import KubernetesToken, _token_in

AUDIENCE = "https://as.acme.test"
ID_JAG = "urn:ietf:params:oauth:token-type:id-jag"
CLAIMS = [{"exp": 1_800_003_600, "aud": AUDIENCE}, {"exp": 4_000_000_000.5, "aud": [AUDIENCE, "x"], "sub": "pod"}]


def jwt(claims: bytes) -> str:
    """A JWT with these claims, which nobody has signed."""
    return f"eyJhbGciOiJub25lIn0.{base64.urlsafe_b64encode(claims).decode().rstrip('=')}.c2ln"


_JWTS = json_bodies(CLAIMS, ["exp", "aud", "nbf"]).map(jwt) | TEXTS.map(lambda text: f"a.{text}.b") | TEXTS


def check_workload_token(value: tuple[bool, str]) -> None:
    """The text of the file is returned unchanged, or there is an error that does not show it."""
    for_audience, token = value
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "token"
        path.write_bytes(token.encode("utf-8", "surrogatepass"))
        source = KubernetesToken(path, AUDIENCE if for_audience else None)
        try:
            found = source()
        except BlnkAuthError as error:
            check_message(str(error))
            assert len(token) < 40 or token not in f"{error} {error!r}"
        else:
            # Read as text: what ends a line is one character.
            read = token.replace("\r\n", "\n").replace("\r", "\n").strip()
            assert found == read[: len(found)]


def check_job_token(value: tuple[int, dict[str, str], bytes]) -> None:
    """The response of GitHub has a token that is not empty, or is an error of this library."""
    with only_our_errors():
        assert _token_in(HttpResponse(*value))


def check_exchanged_token(value: tuple[bool, int, dict[str, str], bytes]) -> None:
    """Never of another type than was asked for; what is not an access token has a finite end, or none."""
    asks, status, headers, body = value
    wanted = ID_JAG if asks else None
    parameters = {"subject_token": "s3cret-of-subject", "requested_token_type": wanted}
    call = Call("token_exchange", "alice", False, None)
    request = build_token_exchange(acme(), ClientCredentials("id", None, "none"), parameters, call=call, now=NOW)
    try:
        issued = judge_token_response(HttpResponse(status, headers, body), request, now=NOW)
    except BlnkAuthError as error:
        check_message(str(error))
        assert "s3cret-of-subject" not in f"{error} {error!r}"
        return
    if issued.token is None:
        return
    assert wanted is None or issued.token.extra.get("issued_token_type") in (None, wanted)
    assert issued.token.expires_at is None or math.isfinite(issued.token.expires_at)
    assert issued.token.from_dict(json.loads(json.dumps(issued.token.to_dict()))) == issued.token


_ISSUED = [
    {"access_token": jwt(b'{"exp": 1800003600}'), "issued_token_type": ID_JAG, "token_type": "N_A", "scope": "a"},
    {"access_token": jwt(b'{"exp": 1e400}'), "issued_token_type": ID_JAG, "token_type": "n_a", "refresh_token": "rt1"},
    {"access_token": "at1", "issued_token_type": "urn:x:y", "token_type": "Bearer", "expires_in": 60},
]
_NAMES = ["issued_token_type", "token_type", "access_token", "expires_in", "error"]

TARGETS = (
    Target("workload_token", st.tuples(st.booleans(), _JWTS), check_workload_token),
    Target(
        "job_token",
        st.tuples(STATUSES, HEADERS, json_bodies([{"value": "a.b.c", "count": 1}], ["value"]) | st.binary(max_size=60)),
        check_job_token,
    ),
    Target(
        "exchanged_token",
        st.tuples(st.booleans(), STATUSES, HEADERS, json_bodies(_ISSUED, _NAMES) | st.binary(max_size=60)),
        check_exchanged_token,
    ),
)
