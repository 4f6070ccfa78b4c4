"""The sandbox's bLink with Consent 3.0, permissions and modules, by bare httpx: it is the oracle of others."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from support.by_hand import VERIFIER, asked, bearer, members

from blnk_auth.testing import Clock, Sandbox
from blnk_auth.testing.sandbox import blink

pytestmark = pytest.mark.real

BANK = blink.DEFAULT_TARGET
PSU = {"X-PSU-IP-Address": "AUTO", "X-PSU-User-Agent": "AUTO"}
V6 = "/ais/v6/accounts"


@pytest.fixture
def sandbox(clock: Clock, request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    with Sandbox("blink", clock=clock, lifetime=86_400, extensions=getattr(request, "param", ["consent_3"])) as running:
        yield running


consent_2 = pytest.mark.parametrize("sandbox", [()], indirect=True)


def headers(**changes: str | None) -> dict[str, str]:
    """Those of one call; one that is None is left out."""
    usual = {
        "X-Correlation-ID": str(uuid.uuid4()),
        "X-CorAPI-Target-ID": BANK,
        "User-Agent": "Acme/1.0",
        **PSU,
        **changes,
    }
    return {name: value for name, value in usual.items() if value is not None}


def push(sandbox: Sandbox, http: httpx.Client, target: str = BANK, **changes: str | None) -> httpx.Response:
    form = asked(sandbox, **changes)
    return http.post("/consent/v2/oauth/par", data=form, headers=headers(**{"X-CorAPI-Target-ID": target}))


def authorize(sandbox: Sandbox, query: dict[str, str], bank: str = BANK) -> str:
    return f"{sandbox.origin}{blink.authorize_path(bank)}?{urlencode(query)}"


def token(sandbox: Sandbox, http: httpx.Client, **form: str) -> httpx.Response:
    sent = {"client_id": sandbox.client_id, **form}
    return http.post("/consent/v2/oauth/token", data=sent, headers=headers())


def signed_in(sandbox: Sandbox, http: httpx.Client, **parameters: str) -> dict[str, Any]:
    pushed = push(sandbox, http, **parameters).json()
    query = {"client_id": sandbox.client_id, "request_uri": pushed["request_uri"]}
    code = members(sandbox.sign_in(authorize(sandbox, query)))["code"]
    form = {"code": code, "redirect_uri": sandbox.redirect_uri, "code_verifier": VERIFIER}
    answer: dict[str, Any] = token(sandbox, http, grant_type="authorization_code", **form).json()
    return answer


def problem(response: httpx.Response) -> tuple[int, str, str]:
    return response.status_code, response.json()["type"].rpartition("/")[2], response.headers["x-corapi-source"]


# --- Consent 3.0 -----------------------------------------------------------------------------------------------------


def test_a_sign_in_is_pushed_through_blink(sandbox: Sandbox, http: httpx.Client) -> None:
    """The bank responds with 201; the tokens have a `grant_id`, which each refresh repeats; there is no username."""
    pushed = push(sandbox, http)
    assert (pushed.status_code, pushed.headers["x-corapi-source"]) == (201, "PROVIDER")
    answer = signed_in(sandbox, http)
    assert answer["token_type"] == "bearer"
    renewed = token(sandbox, http, grant_type="refresh_token", refresh_token=answer["refresh_token"]).json()
    assert renewed["grant_id"] == answer["grant_id"]
    assert http.get(V6, headers=headers(**bearer(renewed))).status_code == 200


def test_a_sign_in_that_was_not_pushed_is_refused(sandbox: Sandbox) -> None:
    """PAR is mandatory in 3.0."""
    assert members(sandbox.sign_in(authorize(sandbox, asked(sandbox))))["error"] == "invalid_request"


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"code_challenge": None}, "invalid_request"),
        ({"grant_management_action": "create", "grant_id": "x"}, "invalid_request"),
        ({"grant_management_action": "merge"}, "invalid_request"),
        ({"grant_management_action": "replace", "grant_id": "unknown"}, "invalid_grant_id"),
    ],
)
def test_a_wrong_request_is_refused_by_the_bank(
    sandbox: Sandbox, http: httpx.Client, changes: dict[str, str | None], error: str
) -> None:
    """PKCE is mandatory; `merge` and `replace` need a `grant_id`, and `create` must not have one."""
    refused = push(sandbox, http, **changes)
    assert (refused.status_code, refused.json()["error"]) == (400, error)
    assert refused.headers["x-corapi-source"] == "PROVIDER"


def test_a_grant_is_merged_at_its_bank(sandbox: Sandbox, http: httpx.Client) -> None:
    """It keeps its id; at another bank it is not known."""
    first = signed_in(sandbox, http, scope="urn:blink:xs2a:ais")
    wanted = {"grant_management_action": "merge", "grant_id": first["grant_id"]}
    second = signed_in(sandbox, http, scope="urn:blink:xs2a:pss", **wanted)
    assert (second["grant_id"], second["scope"]) == (first["grant_id"], "urn:blink:xs2a:ais urn:blink:xs2a:pss")
    pushed = push(sandbox, http, "IIDX11111", **wanted).json()
    query = {"client_id": sandbox.client_id, "request_uri": pushed["request_uri"]}
    assert members(sandbox.sign_in(authorize(sandbox, query, "IIDX11111")))["error"] == "invalid_grant_id"


def test_a_request_uri_is_for_the_bank_that_it_was_pushed_to(sandbox: Sandbox, http: httpx.Client) -> None:
    """At another bank it ends on a page."""
    query = {"client_id": sandbox.client_id, "request_uri": push(sandbox, http).json()["request_uri"]}
    assert http.get(authorize(sandbox, query, "IIDX11111")).status_code == 400
    assert http.get(authorize(sandbox, query)).status_code == 200


@consent_2
def test_consent_2_has_no_par_endpoint(sandbox: Sandbox, http: httpx.Client) -> None:
    """And the old way works."""
    assert problem(push(sandbox, http)) == (404, "NOT_IMPLEMENTED", "PLATFORM")
    assert "code" in members(sandbox.sign_in(authorize(sandbox, asked(sandbox))))


# --- permissions -----------------------------------------------------------------------------------------------------


def create(http: httpx.Client, user_id: str = "alice", target: str = BANK) -> httpx.Response:
    return http.post(f"/consent/v2/permissions/{target}/{user_id}", headers=headers())


@consent_2
def test_a_permission_is_enough_for_the_api(sandbox: Sandbox, http: httpx.Client) -> None:
    """With the five headers and no token; a new one of the same user revokes the former."""
    first = create(http).json()["permissionId"]
    other = create(http, "bob").json()["permissionId"]
    assert http.get(V6, headers=headers(**{"Permission-ID": first})).status_code == 200
    second = create(http).json()["permissionId"]
    refused = http.get(V6, headers=headers(**{"Permission-ID": first}))
    assert problem(refused) == (403, "INSUFFICIENT_PRIVILEGES", "PLATFORM")
    for valid in (second, other):
        assert http.get(V6, headers=headers(**{"Permission-ID": valid})).status_code == 200
    elsewhere = headers(**{"Permission-ID": second, "X-CorAPI-Target-ID": "IIDX11111"})
    assert http.get(V6, headers=elsewhere).status_code == 403
    assert problem(create(http, "alice@acme"))[:2] == (400, "INVALID_PAYLOAD")


def test_a_permission_is_exchanged_once(sandbox: Sandbox, http: httpx.Client, clock: Clock) -> None:
    """For tokens of the same user; it ends with the first call that has the new token, or a minute later."""
    form = {"grant_type": blink.PERMISSION_GRANT_TYPE}
    for used in (True, False):
        permission = create(http).json()["permissionId"]
        tokens = token(sandbox, http, **form, permission_id=permission).json()
        assert tokens.keys() >= {"access_token", "refresh_token", "grant_id"}
        again = token(sandbox, http, **form, permission_id=permission)
        assert (again.status_code, again.json()["error"]) == (400, "invalid_grant")
        assert http.get(V6, headers=headers(**{"Permission-ID": permission})).status_code == 200
        if used:
            assert http.get(V6, headers=headers(**bearer(tokens))).status_code == 200
        else:
            clock.advance(60)
        assert http.get(V6, headers=headers(**{"Permission-ID": permission})).status_code == 403


# --- which headers each module requires ------------------------------------------------------------------------------


@consent_2
@pytest.mark.parametrize("missing", PSU)
@pytest.mark.parametrize(
    ("call", "status"),
    [
        ("GET /ais/v3/accounts", 400),
        ("GET /ais/v4/accounts", 400),
        ("POST /pss/v4/payments", 400),
        ("POST /openwealth/v2/orders", 400),
        ("GET /ais/v5/accounts", 200),
        ("GET /ais/v6/accounts", 200),
        ("GET /ais/v6/healthcheck", 200),
    ],
)
def test_the_published_modules_require_both_psu_headers(
    sandbox: Sandbox, http: httpx.Client, call: str, status: int, missing: str
) -> None:
    """AIS 3 and 4, PSS 4 and OpenWealth; with both, each module works."""
    method, path = call.split()
    access = bearer(sandbox.issue())
    without = http.request(method, path, headers=headers(**access, **{missing: None}))
    assert without.status_code == status
    if status == 400:
        assert problem(without) == (400, "INVALID_PAYLOAD", "PLATFORM")
        assert missing.lower() in without.json()["detail"]
    assert http.request(method, path, headers=headers(**access)).status_code == (201 if method == "POST" else 200)


@consent_2
@pytest.mark.parametrize("missing", PSU)
def test_a_permission_needs_both_everywhere(sandbox: Sandbox, http: httpx.Client, missing: str) -> None:
    """Also where a token would not."""
    permission = create(http).json()["permissionId"]
    refused = http.get(V6, headers=headers(**{"Permission-ID": permission, missing: None}))
    assert problem(refused) == (400, "INVALID_PAYLOAD", "PLATFORM")
