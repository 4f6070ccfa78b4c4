"""The sandbox's step-up (RFC 9470, RFC 6750), and its faults for extensions, by bare httpx."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from support.by_hand import authorization_url, bearer, code_for, exchange, members, push, refresh
from support.proofs_by_hand import Prover

from blnk_auth.testing import Clock, Sandbox
from blnk_auth.testing.sandbox import Extension

pytestmark = pytest.mark.real

LEDGERS = "/proxy/ledgers"
ALL: tuple[Extension, ...] = ("step_up", "dpop", "par", "grant_management")


@pytest.fixture
def sandbox(clock: Clock) -> Iterator[Sandbox]:
    with Sandbox(clock=clock, extensions=ALL) as running:
        yield running


def token(sandbox: Sandbox, http: httpx.Client, **parameters: str) -> dict[str, str]:
    return bearer(exchange(sandbox, http, code_for(sandbox, **parameters)).json())


def test_a_change_needs_a_stronger_and_recent_sign_in(sandbox: Sandbox, http: httpx.Client, clock: Clock) -> None:
    """401 with `acr_values` and `max_age`, until the user signs in so; reading needs neither."""
    usual = token(sandbox, http)
    assert http.get("/data/ledgers", headers=usual).status_code == 200
    refused = http.post(LEDGERS, json={"name": "x"}, headers=usual)
    challenge = refused.headers["www-authenticate"]
    assert refused.status_code == 401
    assert challenge.startswith('Bearer error="insufficient_user_authentication", error_description="')
    assert challenge.endswith('", acr_values="mfa", max_age="300"')
    strong = token(sandbox, http, acr_values="unknown mfa", max_age="300")
    assert http.post(LEDGERS, json={"name": "x"}, headers=strong).status_code == 201
    clock.advance(300)
    assert http.post(LEDGERS, json={"name": "x"}, headers=strong).status_code == 401
    assert http.get("/data/ledgers", headers=strong).status_code == 200
    assert sandbox.counts.step_ups == 2


def test_a_renewal_makes_no_sign_in_newer_or_stronger(sandbox: Sandbox, http: httpx.Client, clock: Clock) -> None:
    """Who renews instead of signing in gets the same answer again."""
    answer = exchange(sandbox, http, code_for(sandbox)).json()
    renewed = refresh(sandbox, http, answer["refresh_token"]).json()
    assert http.post(LEDGERS, json={"name": "x"}, headers=bearer(renewed)).status_code == 401
    answer = exchange(sandbox, http, code_for(sandbox, acr_values="mfa")).json()
    clock.advance(300)
    renewed = refresh(sandbox, http, answer["refresh_token"]).json()
    assert http.post(LEDGERS, json={"name": "x"}, headers=bearer(renewed)).status_code == 401


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("GET", "/data/ledgers", "data:read"),
        ("POST", "/ledgers/filter", None),
        ("GET", "/proxy/ledgers", "proxy:read"),
        ("POST", "/proxy/ledgers", "proxy:write"),
    ],
)
def test_each_request_needs_its_scope(
    sandbox: Sandbox, http: httpx.Client, method: str, path: str, scope: str | None
) -> None:
    """403 with the scope; the scope `*` is enough for everything."""
    response = http.request(method, path, json={"name": "x"}, headers=token(sandbox, http, scope="other"))
    if scope is None:
        assert response.status_code == 201
        return
    assert response.status_code == 403
    assert response.headers["www-authenticate"].startswith('Bearer error="insufficient_scope", ')
    assert response.headers["www-authenticate"].endswith(f', scope="{scope}"')
    for enough in (scope, "*"):
        allowed = token(sandbox, http, scope=f"other {enough}", acr_values="mfa")
        assert http.request(method, path, json={"name": "x"}, headers=allowed).status_code in {200, 201}


def test_a_merged_grant_has_the_newest_sign_in(sandbox: Sandbox, http: httpx.Client) -> None:
    """A step-up by `merge` adds the scope, and the stronger sign-in counts for the whole grant."""
    first = exchange(sandbox, http, code_for(sandbox, scope="data:read")).json()
    wanted = {"grant_management_action": "merge", "grant_id": first["grant_id"], "acr_values": "mfa"}
    second = exchange(sandbox, http, code_for(sandbox, scope="proxy:write", **wanted)).json()
    assert second["scope"] == "data:read proxy:write"
    assert http.post(LEDGERS, json={"name": "x"}, headers=bearer(second)).status_code == 201


def test_a_bound_token_is_challenged_as_dpop(sandbox: Sandbox, http: httpx.Client, clock: Clock) -> None:
    """The scheme of the challenge is that of the request."""
    prover, url = Prover(clock()), f"{sandbox.origin}{LEDGERS}"
    proof = prover.proof("POST", f"{sandbox.origin}/oauth/token")
    access_token = exchange(sandbox, http, code_for(sandbox), proof=proof).json()["access_token"]
    headers = {
        "Authorization": f"DPoP {access_token}",
        "DPoP": prover.proof("POST", url, access_token=access_token),
    }
    refused = http.post(url, json={"name": "x"}, headers=headers)
    assert refused.headers["www-authenticate"].startswith('DPoP error="insufficient_user_authentication"')


@pytest.mark.parametrize("max_age", ["", "-1", "soon", "1.5"])
def test_a_wrong_max_age_is_refused(sandbox: Sandbox, max_age: str) -> None:
    """It is a number of seconds."""
    assert members(sandbox.sign_in(authorization_url(sandbox, max_age=max_age)))["error"] == "invalid_request"


def test_the_metadata_lists_the_ways_to_sign_in(sandbox: Sandbox, http: httpx.Client) -> None:
    """`acr_values_supported`."""
    announced = http.get("/.well-known/oauth-authorization-server").json()
    assert announced["acr_values_supported"] == ["pwd", "mfa"]


# --- faults by name --------------------------------------------------------------------------------------------------


def test_step_up_is_a_fault_of_every_provider() -> None:
    """One response on demand, for every grant; the next request succeeds."""
    for personality, path in (("blnk_cloud", "/data/x"), ("flinks", "/api/fdx/5/accounts")):
        with Sandbox(personality) as sandbox, httpx.Client(base_url=sandbox.origin) as http:  # type: ignore[arg-type]
            headers = bearer(sandbox.issue())
            sandbox.fail("insufficient_user_authentication", "insufficient_scope")
            first, second = (http.get(path, headers=headers) for _ in range(2))
            assert first.status_code == 401
            assert first.headers["www-authenticate"].endswith('acr_values="mfa", max_age="300"')
            assert second.status_code == 403
            assert second.headers["www-authenticate"].endswith('error="insufficient_scope", scope="more"')
            assert http.get(path, headers=headers).status_code == 200


@pytest.mark.parametrize("extensions", [("dpop",), ("dpop_nonce",)])
def test_a_nonce_can_be_asked_for_once(clock: Clock, extensions: tuple[Extension, ...]) -> None:
    """At the token endpoint, the PAR endpoint and the API; a proof with that nonce is accepted afterwards."""
    with Sandbox(clock=clock, extensions=extensions) as sandbox, httpx.Client(base_url=sandbox.origin) as http:
        sandbox.fail("use_dpop_nonce")
        sandbox.fail("use_dpop_nonce", at="api")
        prover = Prover(clock())
        refused = exchange(sandbox, http, "any")
        assert (refused.status_code, refused.json()["error"]) == (400, "use_dpop_nonce")
        rejected = http.get("/data/x")
        assert rejected.headers["www-authenticate"].startswith('DPoP error="use_dpop_nonce"')
        nonce = refused.headers["dpop-nonce"]
        assert rejected.headers["dpop-nonce"] == nonce
        proof = prover.proof("POST", f"{sandbox.origin}/oauth/token", nonce=nonce)
        assert exchange(sandbox, http, code_for(sandbox), proof=proof).json()["token_type"] == "DPoP"


def test_errors_of_extensions_by_name(sandbox: Sandbox, http: httpx.Client, clock: Clock) -> None:
    """Where the documents define them; and a response that names the wrong token type."""
    for name in ("invalid_authorization_details", "invalid_grant_id"):
        sandbox.fail(name)
        refused = push(sandbox, http)
        assert (refused.status_code, refused.json()["error"]) == (400, name)
    sandbox.fail("invalid_dpop_proof", at="par")
    assert push(sandbox, http).json()["error"] == "invalid_dpop_proof"
    sandbox.fail("answers_bearer")
    proof = Prover(clock()).proof("POST", f"{sandbox.origin}/oauth/token")
    assert exchange(sandbox, http, code_for(sandbox), proof=proof).json()["token_type"] == "Bearer"


def test_another_process_chooses_where_a_fault_is(sandbox: Sandbox, http: httpx.Client) -> None:
    """`at` of the control over HTTP; a wrong one gets a list."""
    assert http.post("/_sandbox/fail?name=use_dpop_nonce&at=api").status_code == 200
    assert http.get("/data/x").headers["dpop-nonce"] == "nonce-of-a-fault"
    wrong = http.post("/_sandbox/fail?name=use_dpop_nonce&at=nowhere")
    known = "at must be one of token, api, revocation, par, registration, metadata"
    assert (wrong.status_code, wrong.json()["error"]) == (400, known)
