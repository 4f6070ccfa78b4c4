"""The sandbox's check of DPoP proofs (RFC 9449), by bare httpx and joserfc: it is the oracle of others."""

from __future__ import annotations

from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
import pytest
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey
from support.by_hand import asked, authorization_url, bearer, code_for, exchange, members, push, pushed_url, refresh
from support.limits import PATIENCE
from support.proofs_by_hand import Prover

from blnk_auth.testing import Clock, Counts, Sandbox

pytestmark = pytest.mark.real

API = "/data/ledgers"


@pytest.fixture
def sandbox(clock: Clock, request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    extensions, settings = getattr(request, "param", ("dpop",)), {}
    if extensions == "public":
        extensions, settings = ("dpop", "par"), {"client_secret": ""}
    with Sandbox(clock=clock, extensions=extensions, **settings) as running:
        yield running


@pytest.fixture
def prover(clock: Clock) -> Prover:
    return Prover(clock())


def with_extensions(*extensions: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("sandbox", [extensions], indirect=True)


def at_token(sandbox: Sandbox, prover: Prover, **changes: Any) -> str:
    return prover.proof("POST", f"{sandbox.origin}/oauth/token", **changes)


def bound(sandbox: Sandbox, http: httpx.Client, prover: Prover, **changes: Any) -> dict[str, Any]:
    """A token response that is bound to the key of the prover."""
    response = exchange(sandbox, http, code_for(sandbox), proof=at_token(sandbox, prover, **changes))
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def call(
    sandbox: Sandbox, http: httpx.Client, prover: Prover, token: str, *, path: str = API, **changes: Any
) -> httpx.Response:
    """An API request with a token and a proof."""
    url = f"{sandbox.origin}{path.partition('?')[0]}"
    proof = prover.proof("GET", changes.pop("url", url), access_token=token, **changes)
    return http.get(path, headers={"Authorization": f"DPoP {token}", "DPoP": proof})


def error_of(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, response.json()["error"]


def challenge_of(response: httpx.Response) -> tuple[int, str]:
    """The status and the first challenge, without its description."""
    return response.status_code, response.headers["www-authenticate"].partition(",")[0]


# --- right proofs ----------------------------------------------------------------------------------------------------


def test_tokens_that_are_asked_for_with_a_proof_are_bound_to_its_key(
    sandbox: Sandbox, http: httpx.Client, prover: Prover
) -> None:
    """`token_type` is DPoP, for the code and for each refresh; the API takes the token with a proof of the same key."""
    answer = bound(sandbox, http, prover)
    for _ in range(2):
        assert answer["token_type"] == "DPoP"
        assert call(sandbox, http, prover, answer["access_token"]).status_code == 200
        answer = refresh(sandbox, http, answer["refresh_token"], proof=at_token(sandbox, prover)).json()
    assert sandbox.counts == Counts(token_requests=3, code_exchanges=1, refreshes=2, api_requests=2, proofs=5)


@pytest.mark.parametrize(
    ("algorithm", "key"),
    [
        ("ES256", ECKey.generate_key("P-256")),
        ("ES384", ECKey.generate_key("P-384")),
        ("ES512", ECKey.generate_key("P-521")),
        ("PS256", RSAKey.generate_key(2048)),
        ("RS256", RSAKey.generate_key(2048)),
        ("EdDSA", OKPKey.generate_key("Ed25519")),
        ("Ed25519", OKPKey.generate_key("Ed25519")),
    ],
)
def test_every_algorithm_of_the_metadata_works(
    sandbox: Sandbox, http: httpx.Client, clock: Clock, algorithm: str, key: Any
) -> None:
    """For the token and for the API; each key has a thumbprint of its own kind."""
    announced = http.get("/.well-known/oauth-authorization-server").json()["dpop_signing_alg_values_supported"]
    assert algorithm in announced
    assert not {"none", "HS256"} & set(announced)
    prover = Prover(clock(), key, algorithm)
    assert call(sandbox, http, prover, bound(sandbox, http, prover)["access_token"]).status_code == 200


@pytest.mark.parametrize(
    ("path", "htu"),
    [
        ("/data/ledgers?instance_id=a%2Fb", "{}/data/ledgers"),
        ("/data/a%7eb", "{}/data/a~b"),
        ("/proxy/a%2fb", "{}/proxy/a%2Fb"),
        ("/data/ledgers", "{}/data/./x/../ledgers"),
        ("/data/ledgers", "HTTP://LOCALHOST:{port}/data/ledgers"),
    ],
)
def test_urls_are_compared_after_normalization(
    sandbox: Sandbox, http: httpx.Client, prover: Prover, path: str, htu: str
) -> None:
    """RFC 9449 section 4.3 and RFC 3986 section 6.2; the query of the request does not matter."""
    port = sandbox.origin.rpartition(":")[2]
    token = bound(sandbox, http, prover)["access_token"]
    proof = prover.proof("GET", htu.format(sandbox.origin, port=port), access_token=token)
    headers = {"Authorization": f"DPoP {token}", "DPoP": proof}
    if "LOCALHOST" in htu:
        headers["Host"] = f"localhost:{port}"
    assert http.get(path, headers=headers).status_code == 200


def test_a_token_without_a_proof_is_a_bearer_token_as_before(sandbox: Sandbox, http: httpx.Client) -> None:
    """Without "dpop_required", a client may do without; its next renewal can bind what it has."""
    answer = exchange(sandbox, http, code_for(sandbox)).json()
    assert answer["token_type"] == "Bearer"
    assert http.get(API, headers=bearer(answer)).status_code == 200
    prover = Prover(sandbox.clock())
    later = refresh(sandbox, http, answer["refresh_token"], proof=at_token(sandbox, prover)).json()
    assert later["token_type"] == "DPoP"


def test_the_response_has_the_servers_time(sandbox: Sandbox, http: httpx.Client, clock: Clock) -> None:
    """A client corrects the `iat` of its proofs by it."""
    for response in (http.get(API), exchange(sandbox, http, "unknown")):
        assert parsedate_to_datetime(response.headers["date"]).timestamp() == int(clock())


# --- wrong proofs ----------------------------------------------------------------------------------------------------

PRIVATE = ECKey.generate_key("P-256")

WRONG = {
    "typ": {"header": {"typ": "jwt"}},
    "no typ": {"header": {"typ": None}},
    "no jwk": {"header": {"jwk": None}},
    "another jwk": {"header": {"jwk": ECKey.generate_key("P-256").as_dict(private=False)}},
    "private jwk": {"header": {"jwk": PRIVATE.as_dict(private=True)}},
    "symmetric jwk": {"header": {"jwk": OctKey.generate_key(256).as_dict()}},
    "jwk that is no key": {"header": {"jwk": {"kty": "EC", "crv": "P-256", "x": "AAAA", "y": "AAAA"}}},
    "method": {"htm": "PUT"},
    "method in another case": {"htm": "get"},
    "no method": {"htm": None},
    "url": {"htu": "https://api.acme.test/oauth/token"},
    "no url": {"htu": None},
    "url that is no url": {"htu": "http://[/"},
    "no jti": {"jti": None},
    "empty jti": {"jti": ""},
    "no iat": {"iat": None},
    "iat as text": {"iat": "1"},
    "iat as a switch": {"iat": True},
}


@pytest.mark.parametrize("changes", WRONG.values(), ids=WRONG.keys())
def test_a_wrong_proof_is_refused_at_both_kinds_of_servers(
    sandbox: Sandbox, http: httpx.Client, prover: Prover, changes: dict[str, Any]
) -> None:
    """`invalid_dpop_proof`: 400 at the token endpoint, 401 with a challenge at the API; nothing is spent."""
    answer = bound(sandbox, http, prover)
    sandbox.clear_record()
    if "d" in (changes.get("header", {}).get("jwk") or {}):
        prover = Prover(prover.now, PRIVATE)
    refused = refresh(sandbox, http, answer["refresh_token"], proof=at_token(sandbox, prover, **changes))
    assert error_of(refused) == (400, "invalid_dpop_proof")
    refused = call(sandbox, http, prover, answer["access_token"], **changes)
    assert challenge_of(refused) == (401, 'DPoP error="invalid_dpop_proof"')
    assert (sandbox.counts.refused_proofs, sandbox.counts.proofs, sandbox.counts.reuses) == (2, 0, 0)
    assert refresh(sandbox, http, answer["refresh_token"], proof=at_token(sandbox, prover)).status_code == 200


@pytest.mark.parametrize("suffix", ["?", "?a=b", "#", "#a", "/"])
def test_htu_has_neither_query_nor_fragment(sandbox: Sandbox, http: httpx.Client, prover: Prover, suffix: str) -> None:
    """RFC 9449 section 4.2; and a slash more is another URL."""
    token = bound(sandbox, http, prover)["access_token"]
    refused = call(sandbox, http, prover, token, url=f"{sandbox.origin}{API}{suffix}")
    assert challenge_of(refused) == (401, 'DPoP error="invalid_dpop_proof"')


@pytest.mark.parametrize("text", ["", "x", "a.b.c", "..", "e30.e30.", "{proof}.x", "{proof}, {proof}", "{cut}"])
def test_what_is_not_a_signed_jwt_is_refused(sandbox: Sandbox, http: httpx.Client, prover: Prover, text: str) -> None:
    """Also two proofs in one request, and a signature that is cut."""
    proof = at_token(sandbox, prover)
    header = text.format(proof=proof, cut=proof[:-20])
    refused = exchange(sandbox, http, code_for(sandbox), proof=header)
    assert error_of(refused) == (400, "invalid_dpop_proof")


@pytest.mark.parametrize("algorithm", ["none", "HS256"])
def test_unsigned_and_symmetric_proofs_are_refused(
    sandbox: Sandbox, http: httpx.Client, prover: Prover, algorithm: str
) -> None:
    """`none`, and a MAC, which the holder of the public key cannot check."""
    jwk = prover.key.as_dict(private=False)
    prover.key, prover.algorithm = OctKey.generate_key(256), algorithm
    proof = at_token(sandbox, prover, header={"jwk": jwk})
    assert error_of(exchange(sandbox, http, code_for(sandbox), proof=proof)) == (400, "invalid_dpop_proof")


@pytest.mark.filterwarnings("ignore:Key size should be >= 2048")
def test_a_short_rsa_key_is_refused(sandbox: Sandbox, http: httpx.Client, clock: Clock) -> None:
    """Less than 2048 bits."""
    proof = at_token(sandbox, Prover(clock(), RSAKey.generate_key(1024), "RS256"))
    assert error_of(exchange(sandbox, http, code_for(sandbox), proof=proof)) == (400, "invalid_dpop_proof")


@pytest.mark.parametrize(("seconds", "status"), [(-61, 400), (-60, 200), (0.5, 200), (5, 200), (6, 400)])
def test_a_proof_is_valid_for_a_minute(
    sandbox: Sandbox, http: httpx.Client, prover: Prover, seconds: float, status: int
) -> None:
    """And for a clock that is five seconds ahead."""
    proof = at_token(sandbox, prover, iat=prover.now + seconds)
    assert exchange(sandbox, http, code_for(sandbox), proof=proof).status_code == status


def test_a_proof_is_used_once(sandbox: Sandbox, http: httpx.Client, prover: Prover) -> None:
    """Also at another endpoint; it is counted."""
    token = bound(sandbox, http, prover, jti="one")["access_token"]
    again = exchange(sandbox, http, code_for(sandbox), proof=at_token(sandbox, prover, jti="one"))
    assert error_of(again) == (400, "invalid_dpop_proof")
    assert challenge_of(call(sandbox, http, prover, token, jti="one")) == (401, 'DPoP error="invalid_dpop_proof"')
    assert (sandbox.counts.proof_reuses, sandbox.counts.refused_proofs, sandbox.counts.proofs) == (2, 2, 1)


def test_a_proof_at_the_api_is_for_the_token(sandbox: Sandbox, http: httpx.Client, prover: Prover) -> None:
    """`ath` is required there, and is the hash of the token of the request."""
    token, other = (bound(sandbox, http, prover)["access_token"] for _ in range(2))
    url = f"{sandbox.origin}{API}"
    for proof in (prover.proof("GET", url), prover.proof("GET", url, access_token=other)):
        refused = http.get(API, headers={"Authorization": f"DPoP {token}", "DPoP": proof})
        assert challenge_of(refused) == (401, 'DPoP error="invalid_dpop_proof"')
    missing = http.get(API, headers={"Authorization": f"DPoP {token}"})
    assert challenge_of(missing) == (401, 'DPoP error="invalid_dpop_proof"')


# --- whose token -----------------------------------------------------------------------------------------------------


def test_a_bound_token_is_refused_as_bearer(sandbox: Sandbox, http: httpx.Client, prover: Prover) -> None:
    """RFC 9449 section 7.2: with and without a proof, and it is counted; the challenge names DPoP as well."""
    token = bound(sandbox, http, prover)["access_token"]
    proof = prover.proof("GET", f"{sandbox.origin}{API}", access_token=token)
    for headers in ({}, {"DPoP": proof}):
        refused = http.get(API, headers={"Authorization": f"Bearer {token}", **headers})
        assert challenge_of(refused) == (401, 'Bearer error="invalid_token"')
        assert ', DPoP algs="ES256 ' in refused.headers["www-authenticate"]
    assert sandbox.counts.bearer_downgrades == 2


def test_a_token_is_refused_with_another_key(
    sandbox: Sandbox, http: httpx.Client, prover: Prover, clock: Clock
) -> None:
    """A bound one with the proof of another key, and one that is not bound with any proof."""
    token = bound(sandbox, http, prover)["access_token"]
    assert challenge_of(call(sandbox, http, Prover(clock()), token)) == (401, 'DPoP error="invalid_token"')
    unbound = exchange(sandbox, http, code_for(sandbox)).json()["access_token"]
    assert challenge_of(call(sandbox, http, prover, unbound)) == (401, 'DPoP error="invalid_token"')


def test_an_expired_or_unknown_token_is_rejected_as_dpop(
    sandbox: Sandbox, http: httpx.Client, prover: Prover, clock: Clock
) -> None:
    """The challenge has the scheme of the request, and the algorithms."""
    token = bound(sandbox, http, prover)["access_token"]
    clock.advance(3600)
    prover.now = clock()
    for rejected in (token, "unknown"):
        response = call(sandbox, http, prover, rejected)
        assert challenge_of(response) == (401, 'DPoP error="invalid_token"')
        assert 'algs="ES256 ' in response.headers["www-authenticate"]


def test_a_request_without_a_token_gets_both_challenges(sandbox: Sandbox, http: httpx.Client) -> None:
    """As in the example of RFC 9449 section 7.2."""
    assert http.get(API).headers["www-authenticate"].startswith('Bearer, DPoP algs="ES256 ')


def test_a_confidential_client_may_renew_with_another_key(
    sandbox: Sandbox, http: httpx.Client, prover: Prover, clock: Clock
) -> None:
    """RFC 9449 section 5: its refresh token is bound to the client, and the new token to the new key."""
    other = Prover(clock())
    answer = bound(sandbox, http, prover)
    answer = refresh(sandbox, http, answer["refresh_token"], proof=at_token(sandbox, other)).json()
    assert call(sandbox, http, other, answer["access_token"]).status_code == 200
    assert call(sandbox, http, prover, answer["access_token"]).status_code == 401


@pytest.mark.parametrize("sandbox", ["public"], indirect=True)
def test_the_refresh_token_of_a_public_client_is_bound(
    sandbox: Sandbox, http: httpx.Client, prover: Prover, clock: Clock
) -> None:
    """With another key or without a proof it is refused, and stays valid for the right one."""
    answer = bound(sandbox, http, prover)
    for proof in (at_token(sandbox, Prover(clock())), None):
        assert error_of(refresh(sandbox, http, answer["refresh_token"], proof=proof)) == (400, "invalid_grant")
    for _ in range(2):
        response = refresh(sandbox, http, answer["refresh_token"], proof=at_token(sandbox, prover))
        assert response.json()["token_type"] == "DPoP"
        answer = response.json()
    assert sandbox.counts.reuses == 0


@with_extensions("dpop_required")
def test_a_server_can_demand_proofs(sandbox: Sandbox, http: httpx.Client, prover: Prover) -> None:
    """A token request without one is refused, and its code is not spent."""
    code = code_for(sandbox)
    assert error_of(exchange(sandbox, http, code)) == (400, "invalid_dpop_proof")
    assert exchange(sandbox, http, code, proof=at_token(sandbox, prover)).json()["token_type"] == "DPoP"


@with_extensions()
def test_a_server_without_dpop_ignores_proofs(sandbox: Sandbox, http: httpx.Client, prover: Prover) -> None:
    """It issues a Bearer token, which is what a client that wanted DPoP must notice."""
    answer = exchange(sandbox, http, code_for(sandbox), proof="no proof").json()
    assert answer["token_type"] == "Bearer"
    assert call(sandbox, http, prover, answer["access_token"]).status_code == 401
    assert "dpop" not in http.get("/.well-known/oauth-authorization-server").text
    assert "date" not in http.get(API).headers


# --- the key of a code -----------------------------------------------------------------------------------------------


@with_extensions("dpop", "par")
@pytest.mark.parametrize("way", ["url", "pushed", "proof"])
def test_a_code_is_bound_to_a_key(sandbox: Sandbox, http: httpx.Client, prover: Prover, clock: Clock, way: str) -> None:
    """By `dpop_jkt` in the URL or pushed, or by the proof of the PAR request: RFC 9449 section 10."""

    def code() -> str:
        if way == "url":
            return code_for(sandbox, dpop_jkt=prover.thumbprint)
        par = f"{sandbox.origin}/oauth/par"
        proof = prover.proof("POST", par) if way == "proof" else None
        pushed = push(sandbox, http, dpop_jkt=None if proof else prover.thumbprint, proof=proof)
        return members(sandbox.sign_in(pushed_url(sandbox, pushed.json()["request_uri"])))["code"]

    assert exchange(sandbox, http, code(), proof=at_token(sandbox, prover)).status_code == 200
    for proof in (at_token(sandbox, Prover(clock())), None):
        assert error_of(exchange(sandbox, http, code(), proof=proof)) == (400, "invalid_grant")


@with_extensions("dpop", "par")
def test_a_wrong_key_of_a_code_is_refused(sandbox: Sandbox, http: httpx.Client, prover: Prover, clock: Clock) -> None:
    """A thumbprint that none can be, one that is not that of the proof, and a wrong proof."""
    par = f"{sandbox.origin}/oauth/par"
    assert members(sandbox.sign_in(authorization_url(sandbox, dpop_jkt="short")))["error"] == "invalid_request"
    assert error_of(push(sandbox, http, dpop_jkt="short")) == (400, "invalid_request")
    other = Prover(clock()).thumbprint
    assert error_of(push(sandbox, http, dpop_jkt=other, proof=prover.proof("POST", par))) == (400, "invalid_request")
    assert error_of(push(sandbox, http, proof=prover.proof("GET", par))) == (400, "invalid_dpop_proof")
    both = push(sandbox, http, dpop_jkt=prover.thumbprint, proof=prover.proof("POST", par))
    assert both.status_code == 201


# --- nonces ----------------------------------------------------------------------------------------------------------


@with_extensions("dpop_nonce", "par")
def test_a_nonce_is_asked_for_at_every_endpoint(sandbox: Sandbox, http: httpx.Client, prover: Prover) -> None:
    """400 at the token and the PAR endpoint, 401 at the API; with the nonce it works, and nothing was spent."""
    code = code_for(sandbox)
    refused = exchange(sandbox, http, code, proof=at_token(sandbox, prover))
    assert error_of(refused) == (400, "use_dpop_nonce")
    nonce = refused.headers["dpop-nonce"]
    answer = exchange(sandbox, http, code, proof=at_token(sandbox, prover, nonce=nonce)).json()
    refused = push(sandbox, http, proof=prover.proof("POST", f"{sandbox.origin}/oauth/par"))
    assert error_of(refused) == (400, "use_dpop_nonce")
    assert refused.headers["dpop-nonce"] == nonce
    refused = call(sandbox, http, prover, answer["access_token"], nonce="another")
    assert challenge_of(refused) == (401, 'DPoP error="use_dpop_nonce"')
    assert refused.headers["dpop-nonce"] == nonce
    accepted = call(sandbox, http, prover, answer["access_token"], nonce=nonce)
    assert (accepted.status_code, "dpop-nonce" in accepted.headers) == (200, False)
    counts = sandbox.counts
    assert (counts.nonce_challenges, counts.proofs, counts.refused_proofs) == (3, 2, 0)


@with_extensions("dpop_nonce")
def test_a_nonce_that_does_not_change_stays_valid(
    sandbox: Sandbox, http: httpx.Client, prover: Prover, clock: Clock
) -> None:
    """For as long as the sandbox runs."""
    nonce = exchange(sandbox, http, "x", proof=at_token(sandbox, prover)).headers["dpop-nonce"]
    clock.advance(100_000)
    prover.now = clock()
    assert bound(sandbox, http, prover, nonce=nonce)["token_type"] == "DPoP"


@with_extensions("dpop_nonce_changes")
def test_a_nonce_changes_in_each_second_and_each_response_has_the_new_one(
    sandbox: Sandbox, http: httpx.Client, prover: Prover, clock: Clock
) -> None:
    """Who always takes the newest one is never asked for another; who does not is, after five seconds."""
    first = newest = exchange(sandbox, http, "x", proof=at_token(sandbox, prover)).headers["dpop-nonce"]
    token = bound(sandbox, http, prover, nonce=newest)["access_token"]
    sandbox.clear_record()
    seen = {first}
    for _ in range(10):
        clock.advance(4)
        prover.now = clock()
        response = call(sandbox, http, prover, token, nonce=newest)
        assert response.status_code == 200
        newest = response.headers["dpop-nonce"]
        seen.add(newest)
    assert (len(seen), sandbox.counts.nonce_challenges) == (11, 0)
    clock.advance(5)
    prover.now = clock()
    refused = call(sandbox, http, prover, token, nonce=newest)
    assert challenge_of(refused) == (401, 'DPoP error="use_dpop_nonce"')
    assert sandbox.counts.nonce_challenges == 1


@with_extensions("dpop_nonce")
def test_a_clock_that_is_wrong_gets_the_nonce_and_the_time_first(
    sandbox: Sandbox, http: httpx.Client, prover: Prover
) -> None:
    """So that a client can correct both with one more attempt."""
    prover.now -= 3600
    refused = exchange(sandbox, http, code_for(sandbox), proof=at_token(sandbox, prover))
    assert error_of(refused) == (400, "use_dpop_nonce")
    prover.now = parsedate_to_datetime(refused.headers["date"]).timestamp()
    assert bound(sandbox, http, prover, nonce=refused.headers["dpop-nonce"])["token_type"] == "DPoP"


def test_without_nonces_one_in_a_proof_is_ignored(sandbox: Sandbox, http: httpx.Client, prover: Prover) -> None:
    """RFC 9449 section 8: a server that provides none has nothing to compare it with."""
    assert bound(sandbox, http, prover, nonce="any")["token_type"] == "DPoP"


def test_the_public_client_is_registered_without_a_secret() -> None:
    """`client_secret=""`: it only names itself; the metadata has the method `none`."""
    with Sandbox(client_secret="") as sandbox, httpx.Client(base_url=sandbox.origin, timeout=PATIENCE) as http:
        announced = http.get("/.well-known/oauth-authorization-server").json()
        assert announced["token_endpoint_auth_methods_supported"] == ["none"]
        assert exchange(sandbox, http, code_for(sandbox)).status_code == 200
        assert "client_secret" not in asked(sandbox)
