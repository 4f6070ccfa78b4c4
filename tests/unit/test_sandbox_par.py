"""The sandbox's PAR endpoint, authorization details and grant management, by bare httpx: it is the oracle of others."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from support.by_hand import (
    asked,
    authorization_url,
    bearer,
    code_for,
    exchange,
    members,
    push,
    pushed_url,
    refresh,
)

from blnk_auth.testing import Clock, Sandbox
from blnk_auth.testing.sandbox import Extension

pytestmark = pytest.mark.real

ACCOUNTS = {
    "type": "account_information",
    "actions": ["read_balances"],
    "accounts": [{"iban": "CH5604835012345678009"}],
}
PAYMENT = {
    "type": "payment_initiation",
    "instructedAmount": {"currency": "CHF", "amount": "123.50"},
    "creditorName": "Merchant",
    "creditorAccount": {"iban": "CH9300762011623852957"},
}

ALL: tuple[Extension, ...] = ("par", "rar", "grant_management")


@pytest.fixture
def sandbox(clock: Clock, request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    with Sandbox(clock=clock, extensions=getattr(request, "param", ALL)) as running:
        yield running


def details(*each: Any) -> str:
    return json.dumps(list(each))


def error_of(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, response.json()["error"]


# --- pushed authorization requests -----------------------------------------------------------------------------------


def test_a_pushed_request_signs_a_user_in(sandbox: Sandbox, http: httpx.Client) -> None:
    """The server responds with 201, a `request_uri` and its lifetime; the user comes back with state and code."""
    response = push(sandbox, http, scope="data:read")
    assert (response.status_code, response.headers["cache-control"]) == (201, "no-cache, no-store")
    assert response.json().keys() == {"request_uri", "expires_in"}
    assert response.json()["request_uri"].startswith("urn:ietf:params:oauth:request_uri:")
    assert response.json()["expires_in"] == 60
    callback = members(sandbox.sign_in(pushed_url(sandbox, response.json()["request_uri"])))
    assert callback["state"] == "s t&te"
    assert exchange(sandbox, http, callback["code"]).json()["scope"] == "data:read"
    assert sandbox.counts.pushed_requests == 1


def test_what_the_url_has_beside_the_request_uri_is_ignored(sandbox: Sandbox, http: httpx.Client) -> None:
    """Somebody who changes the URL in the browser changes nothing."""
    request_uri = push(sandbox, http, scope="data:read").json()["request_uri"]
    url = pushed_url(sandbox, request_uri, scope="proxy:write", redirect_uri="https://evil.test/", state="other")
    callback = members(sandbox.sign_in(url))
    assert callback["state"] == "s t&te"
    assert exchange(sandbox, http, callback["code"]).json()["scope"] == "data:read"


@pytest.mark.parametrize("approve", [True, False])
def test_a_request_uri_is_used_once(sandbox: Sandbox, http: httpx.Client, approve: bool) -> None:
    """The page may be loaded again until the user has decided; afterwards nothing comes of it, and it is counted."""
    url = pushed_url(sandbox, push(sandbox, http).json()["request_uri"])
    assert http.get(url).status_code == 200
    sandbox.sign_in(url, approve=approve)
    assert sandbox.counts.request_uri_reuses == 0
    response = http.post(url, data={"decision": "approve", "subject": "alice"})
    assert (response.status_code, "location" in response.headers) == (400, False)
    assert sandbox.counts.request_uri_reuses == 1


def test_a_request_uri_expires(sandbox: Sandbox, http: httpx.Client, clock: Clock) -> None:
    """After the seconds that the response named, and not before."""
    in_time, too_late = (pushed_url(sandbox, push(sandbox, http).json()["request_uri"]) for _ in range(2))
    clock.advance(59)
    assert "code" in members(sandbox.sign_in(in_time))
    clock.advance(1)
    assert http.get(too_late).status_code == 400
    with pytest.raises(ValueError, match="authorization_url: the sandbox answered 400"):
        sandbox.sign_in(too_late)


@pytest.mark.parametrize("changes", [{"client_id": "another"}, {"request_uri": "urn:ietf:params:oauth:request_uri:x"}])
def test_a_request_uri_is_for_the_client_that_pushed(
    sandbox: Sandbox, http: httpx.Client, changes: dict[str, str]
) -> None:
    """Another client's, or an invented one, ends on a page."""
    query = {"client_id": sandbox.client_id, "request_uri": push(sandbox, http).json()["request_uri"], **changes}
    response = http.get("/oauth/authorize", params=query)
    assert (response.status_code, "location" in response.headers) == (400, False)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"request_uri": "urn:ietf:params:oauth:request_uri:x"}, (400, "invalid_request")),
        ({"client_id": None}, (400, "invalid_request")),
        ({"client_id": "another"}, (400, "invalid_request")),
        ({"redirect_uri": "https://evil.test/"}, (400, "invalid_request")),
        ({"redirect_uri": None}, (400, "invalid_request")),
        ({"response_type": "token"}, (400, "unsupported_response_type")),
        ({"code_challenge": "short"}, (400, "invalid_request")),
        ({"code_challenge": "!" * 43}, (400, "invalid_request")),
        ({"code_challenge_method": "S512"}, (400, "invalid_request")),
        ({"authorization_details": "["}, (400, "invalid_authorization_details")),
        ({"grant_management_action": "merge"}, (400, "invalid_request")),
        ({"grant_management_action": "merge", "grant_id": "unknown"}, (400, "invalid_grant_id")),
    ],
)
def test_a_wrong_request_is_refused_when_it_is_pushed(
    sandbox: Sandbox, http: httpx.Client, changes: dict[str, str | None], expected: tuple[int, str]
) -> None:
    """As the authorization endpoint would refuse it, but before a user sees it (RFC 9126 section 2.3)."""
    assert error_of(push(sandbox, http, **changes)) == expected
    assert sandbox.counts.pushed_requests == 0


@pytest.mark.parametrize("client_id", [None, "another"])
def test_a_client_pushes_for_itself(sandbox: Sandbox, http: httpx.Client, client_id: str | None) -> None:
    """RFC 9126 section 2.1: `client_id` is required, also where the client authenticates by Basic."""
    refused = push(sandbox, http, client_id=client_id)
    assert refused.json()["error_description"] == "client_id is missing, or is not the client that authenticated"


def test_a_client_authenticates_where_it_pushes_as_at_the_token_endpoint(sandbox: Sandbox, http: httpx.Client) -> None:
    """By Basic or in the body; otherwise it is refused with a challenge. Its secret is not part of the request."""
    form = asked(sandbox)
    in_body = {**form, "client_secret": sandbox.client_secret}
    assert http.post("/oauth/par", data=in_body).status_code == 201
    for refused in (
        http.post("/oauth/par", data=form),
        http.post("/oauth/par", data=form, auth=(sandbox.client_id, "wrong")),
    ):
        assert error_of(refused) == (401, "invalid_client")
        assert refused.headers["www-authenticate"].startswith("Basic ")
    assert error_of(http.post("/oauth/par", data=in_body, auth=("a", "b"))) == (400, "invalid_request")
    assert error_of(http.post("/oauth/par", json=form, auth=(sandbox.client_id, sandbox.client_secret)))[0] == 400
    assert http.get("/oauth/par").status_code == 405


@pytest.mark.parametrize("sandbox", [("par_required",)], indirect=True)
def test_a_server_that_demands_pushed_requests_refuses_others(sandbox: Sandbox, http: httpx.Client) -> None:
    """The client gets the error, since it is a registered one; the metadata announces it."""
    answer = members(sandbox.sign_in(authorization_url(sandbox)))
    assert (answer["error"], answer["state"]) == ("invalid_request", "s t&te")
    assert "code" in members(sandbox.sign_in(pushed_url(sandbox, push(sandbox, http).json()["request_uri"])))
    announced = http.get("/.well-known/oauth-authorization-server").json()
    assert announced["require_pushed_authorization_requests"] is True
    assert announced["pushed_authorization_request_endpoint"] == f"{sandbox.origin}/oauth/par"


def test_requests_can_be_pushed_and_need_not_be(sandbox: Sandbox, http: httpx.Client) -> None:
    """Without "par_required", the old way works too."""
    assert http.get("/.well-known/oauth-authorization-server").json()["require_pushed_authorization_requests"] is False
    assert exchange(sandbox, http, code_for(sandbox)).status_code == 200


def test_a_fault_at_the_par_endpoint(sandbox: Sandbox, http: httpx.Client) -> None:
    """The next pushed request fails, and token requests do not."""
    sandbox.fail("unavailable", at="par")
    assert exchange(sandbox, http, code_for(sandbox)).status_code == 200
    assert push(sandbox, http).status_code == 503
    assert push(sandbox, http).status_code == 201


@pytest.mark.parametrize("sandbox", [()], indirect=True)
def test_without_extensions_nothing_of_it_is_there(sandbox: Sandbox, http: httpx.Client) -> None:
    """A sandbox then plays Blnk Cloud and nothing else: unknown parameters are ignored, unknown paths are the API."""
    assert push(sandbox, http).status_code == 401
    announced = http.get("/.well-known/oauth-authorization-server").text
    assert "pushed" not in announced
    assert "grant_management" not in announced
    code = code_for(sandbox, authorization_details="[", grant_id="x")
    answer = exchange(sandbox, http, code).json()
    assert answer.keys() == {"access_token", "token_type", "expires_in", "scope", "refresh_token"}
    assert "error" in members(sandbox.sign_in(authorization_url(sandbox, response_type="token", request_uri="x")))


# --- authorization details -------------------------------------------------------------------------------------------


def test_granted_details_are_in_the_response_and_in_each_refresh(sandbox: Sandbox, http: httpx.Client) -> None:
    """RFC 9396 section 7; asked for in the URL, or pushed."""
    wanted = details(ACCOUNTS, PAYMENT)
    request_uri = push(sandbox, http, authorization_details=wanted).json()["request_uri"]
    for url in (pushed_url(sandbox, request_uri), authorization_url(sandbox, authorization_details=wanted)):
        answer = exchange(sandbox, http, members(sandbox.sign_in(url))["code"]).json()
        assert answer["authorization_details"] == [ACCOUNTS, PAYMENT]
        for _ in range(2):
            answer = refresh(sandbox, http, answer["refresh_token"]).json()
            assert answer["authorization_details"] == [ACCOUNTS, PAYMENT]


def test_what_is_granted_may_be_more_precise_than_what_was_asked(sandbox: Sandbox, http: httpx.Client) -> None:
    """RFC 9396 section 7.1: where the request leaves the accounts open, the user chooses them."""
    code = code_for(sandbox, authorization_details=details({"type": "account_information"}))
    [granted] = exchange(sandbox, http, code).json()["authorization_details"]
    assert granted["type"] == "account_information"
    assert len(granted["accounts"]) == 3
    assert all(account["iban"].startswith("CH") for account in granted["accounts"])


@pytest.mark.parametrize(
    "wrong",
    [
        "no JSON",
        "[" * 100_000,
        "{}",
        "[]",
        '"text"',
        '["text"]',
        details({"actions": ["read"]}),
        details({"type": ""}),
        details({"type": 1}),
        details({"type": "unknown"}),
        details({"type": "account_information", "further": 1}),
        details({"type": "account_information", "actions": "read"}),
        details({"type": "account_information", "locations": [1]}),
        details({"type": "account_information", "accounts": ["CH56"]}),
        details({"type": "payment_initiation"}),
        details({**PAYMENT, "instructedAmount": "123.50"}),
        details(ACCOUNTS, {"type": "unknown"}),
    ],
)
def test_wrong_details_are_refused(sandbox: Sandbox, http: httpx.Client, wrong: str) -> None:
    """RFC 9396 section 5: an unknown type or field, a wrong value, and a missing field."""
    assert error_of(push(sandbox, http, authorization_details=wrong)) == (400, "invalid_authorization_details")
    if len(wrong) < 1000:
        answer = members(sandbox.sign_in(authorization_url(sandbox, authorization_details=wrong)))
        assert answer["error"] == "invalid_authorization_details"


def test_a_refresh_may_ask_for_some_of_the_granted_details(sandbox: Sandbox, http: httpx.Client) -> None:
    """RFC 9396 section 6.1; for more than was granted it is refused, and the refresh token is not spent."""
    answer = exchange(sandbox, http, code_for(sandbox, authorization_details=details(ACCOUNTS, PAYMENT))).json()
    less = refresh(sandbox, http, answer["refresh_token"], authorization_details=details(PAYMENT)).json()
    assert less["authorization_details"] == [PAYMENT]
    more = refresh(
        sandbox, http, less["refresh_token"], authorization_details=details({**ACCOUNTS, "actions": ["pay"]})
    )
    assert error_of(more) == (400, "invalid_authorization_details")
    assert refresh(sandbox, http, less["refresh_token"]).json()["authorization_details"] == [ACCOUNTS, PAYMENT]


def test_an_exchange_may_ask_for_some_of_the_granted_details(sandbox: Sandbox, http: httpx.Client) -> None:
    """RFC 9396 section 6; the refresh token is for all of them."""
    code = code_for(sandbox, authorization_details=details(ACCOUNTS, PAYMENT))
    answer = exchange(sandbox, http, code, authorization_details=details(ACCOUNTS)).json()
    assert answer["authorization_details"] == [ACCOUNTS]
    assert refresh(sandbox, http, answer["refresh_token"]).json()["authorization_details"] == [ACCOUNTS, PAYMENT]
    more = exchange(sandbox, http, code_for(sandbox), authorization_details=details(ACCOUNTS))
    assert error_of(more) == (400, "invalid_authorization_details")


def test_the_metadata_lists_the_types(sandbox: Sandbox, http: httpx.Client) -> None:
    """RFC 9396 section 10."""
    announced = http.get("/.well-known/oauth-authorization-server").json()
    assert announced["authorization_details_types_supported"] == ["account_information", "payment_initiation"]


# --- grant management ------------------------------------------------------------------------------------------------


def signed_in(sandbox: Sandbox, http: httpx.Client, subject: str = "alice", **parameters: str) -> dict[str, Any]:
    callback = members(sandbox.sign_in(authorization_url(sandbox, **parameters), subject=subject))
    answer: dict[str, Any] = exchange(sandbox, http, callback["code"]).json()
    return answer


def test_every_grant_has_an_id_which_a_refresh_repeats(sandbox: Sandbox, http: httpx.Client) -> None:
    """It is not made of the user's name, and another sign-in gets another."""
    first, second = (signed_in(sandbox, http, grant_management_action="create") for _ in range(2))
    assert first["grant_id"] != second["grant_id"]
    assert "alice" not in first["grant_id"]
    assert refresh(sandbox, http, first["refresh_token"]).json()["grant_id"] == first["grant_id"]
    assert "grant_id" in signed_in(sandbox, http)
    assert "grant_id" in sandbox.issue()


@pytest.mark.parametrize(
    ("action", "scope", "granted"),
    [
        ("merge", "data:read proxy:write", [ACCOUNTS, PAYMENT]),
        ("replace", "proxy:write", [PAYMENT]),
    ],
)
def test_a_grant_is_merged_or_replaced(
    sandbox: Sandbox, http: httpx.Client, action: str, scope: str, granted: list[Any]
) -> None:
    """The grant keeps its id; only the exchange changes it, so a sign-in that was given up changes nothing."""
    first = signed_in(sandbox, http, scope="data:read", authorization_details=details(ACCOUNTS))
    wanted = {
        "scope": "proxy:write",
        "authorization_details": details(PAYMENT),
        "grant_management_action": action,
        "grant_id": first["grant_id"],
    }
    code_for(sandbox, **wanted)
    first = refresh(sandbox, http, first["refresh_token"]).json()
    assert (first["scope"], first["authorization_details"]) == ("data:read", [ACCOUNTS])
    answer = signed_in(sandbox, http, **wanted)
    assert answer["grant_id"] == first["grant_id"]
    assert (answer["scope"], answer["authorization_details"]) == (scope, granted)
    assert refresh(sandbox, http, answer["refresh_token"]).json()["scope"] == scope


@pytest.mark.parametrize(
    ("parameters", "error"),
    [
        ({"grant_management_action": "update", "grant_id": "{}"}, "invalid_request"),
        ({"grant_management_action": "create", "grant_id": "{}"}, "invalid_request"),
        ({"grant_id": "{}"}, "invalid_request"),
        ({"grant_management_action": "merge"}, "invalid_request"),
        ({"grant_management_action": "replace", "grant_id": ""}, "invalid_request"),
        ({"grant_management_action": "replace", "grant_id": "unknown"}, "invalid_grant_id"),
    ],
)
def test_the_rules_of_create_merge_and_replace(
    sandbox: Sandbox, http: httpx.Client, parameters: dict[str, str], error: str
) -> None:
    """Grant Management for OAuth 2.0, sections 5.2 and 5.3."""
    grant_id = signed_in(sandbox, http)["grant_id"]
    sent = {name: value.format(grant_id) for name, value in parameters.items()}
    assert members(sandbox.sign_in(authorization_url(sandbox, **sent)))["error"] == error
    assert error_of(push(sandbox, http, **sent)) == (400, error)


def test_a_grant_is_one_users_and_ends(sandbox: Sandbox, http: httpx.Client) -> None:
    """Another user cannot add to it, and nobody can once it has ended."""
    wanted = {"grant_management_action": "merge", "grant_id": signed_in(sandbox, http)["grant_id"]}
    answer = members(sandbox.sign_in(authorization_url(sandbox, **wanted), subject="bob"))
    assert answer["error"] == "invalid_grant_id"
    sandbox.revoke_grant("alice")
    assert error_of(push(sandbox, http, **wanted)) == (400, "invalid_grant_id")


def own_token(sandbox: Sandbox, http: httpx.Client, scope: str) -> dict[str, str]:
    credentials = (sandbox.client_id, sandbox.client_secret)
    form = {"grant_type": "client_credentials", "scope": scope}
    return bearer(http.post("/oauth/token", data=form, auth=credentials).json())


def test_a_client_queries_and_revokes_a_grant(sandbox: Sandbox, http: httpx.Client) -> None:
    """Section 6: with a token of its own for this, at an address that the metadata names."""
    answer = signed_in(sandbox, http, scope="data:read", authorization_details=details(PAYMENT))
    announced = http.get("/.well-known/oauth-authorization-server").json()
    assert announced["grant_management_actions_supported"] == ["create", "merge", "replace", "query", "revoke"]
    address = f"{announced['grant_management_endpoint']}/{answer['grant_id']}"
    query, revoke = (own_token(sandbox, http, f"grant_management_{name}") for name in ("query", "revoke"))
    status = http.get(address, headers=query)
    assert status.json() == {"scopes": [{"scope": "data:read"}], "claims": [], "authorization_details": [PAYMENT]}
    assert http.delete(address, headers=query).status_code == 403
    assert http.get(address, headers=bearer(answer)).status_code == 403
    assert http.get(address).status_code == 401
    assert http.get(f"{address}x", headers=query).status_code == 404
    assert http.put(address, headers=query).status_code == 405
    assert http.delete(address, headers=revoke).status_code == 204
    assert http.get(address, headers=query).status_code == 404
    assert error_of(refresh(sandbox, http, answer["refresh_token"])) == (400, "invalid_grant")
    assert http.get("/data/ledgers", headers=bearer(answer)).status_code == 401


# --- switching on ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("personality", "extensions", "problem"),
    [
        ("blnk_cloud", ("pra",), "'pra' is not an extension of 'blnk_cloud'; known are: par, par_required"),
        ("blnk_cloud", "par", "must be a list of names, such as .'par',."),
        ("flinks", ("par",), "'par' is not an extension of 'flinks'; it has none"),
    ],
)
def test_a_wrong_extension_is_refused(personality: Any, extensions: Any, problem: str) -> None:
    """The error lists those that there are."""
    with pytest.raises(ValueError, match=f"^extensions {problem}"):
        Sandbox(personality, extensions=extensions)
