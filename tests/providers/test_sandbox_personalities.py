"""The sandbox's bLink and Flinks refuse what the real ones would, or the tests built on them would prove nothing."""

from __future__ import annotations

import itertools
import ssl
from typing import Any

import httpx
import pytest
from support.certificates import Certificates
from support.providers import USER_AGENT
from support.worlds import World, a_world

from blnk_auth.testing import Fault, Sandbox
from blnk_auth.testing.sandbox import _blink as blink_sandbox
from blnk_auth.testing.sandbox._blink import BASE_PATH, DEFAULT_TARGET, problem

TOKEN = f"{BASE_PATH}/oauth/token"
REVOKE = f"{BASE_PATH}/oauth/revoke"
IDS = itertools.count(1)


def five_headers(**changes: str | None) -> dict[str, str]:
    headers = {
        "X-Correlation-ID": f"id-{next(IDS)}",
        "User-Agent": USER_AGENT,
        "X-CorAPI-Target-ID": DEFAULT_TARGET,
        "X-PSU-IP-Address": "AUTO",
        "X-PSU-User-Agent": "AUTO",
        **{name.replace("_", "-"): value for name, value in changes.items()},
    }
    return {name: value for name, value in headers.items() if value is not None}


def refresh(world: World, headers: dict[str, str] | None = None, **form: str | None) -> httpx.Response:
    """A refresh as bLink wants it; None leaves a parameter out."""
    usual: dict[str, str | None] = {
        "grant_type": "refresh_token",
        "refresh_token": world.sandbox.issue("alice")["refresh_token"],
        "client_id": world.sandbox.client_id,
        "username": "alice",
        **form,
    }
    sent = {name: value for name, value in usual.items() if value is not None}
    return httpx.post(world.sandbox.origin + TOKEN, data=sent, headers=headers or five_headers())


def test_blink_answers_as_documented(blink: World) -> None:
    """Members, media type, and the headers of platform and bank."""
    headers = five_headers()
    response = refresh(blink, headers)
    assert response.status_code == 200
    assert set(response.json()) == {"access_token", "token_type", "expires_in", "refresh_token", "scope"}
    assert response.json()["token_type"] == "bearer"
    assert response.headers["content-type"] == "application/json;charset=utf-8"
    assert response.headers["x-correlation-id"] == headers["X-Correlation-ID"]
    assert response.headers["x-corapi-source"] == "PROVIDER"
    assert "no-store" in response.headers["cache-control"]


@pytest.mark.parametrize("name", list(five_headers()))
def test_blink_demands_each_of_the_five_headers(blink: World, name: str) -> None:
    """Whichever is missing, the payload is invalid; httpx adds a User-Agent of its own, so that one is emptied."""
    headers = {**five_headers(), name: ""}
    response = refresh(blink, headers)
    assert (response.status_code, response.json()["type"]) == (400, "/problems/INVALID_PAYLOAD")
    assert response.headers["content-type"] == "application/problem+json"
    assert name.lower() in response.json()["detail"]


@pytest.mark.parametrize("value", ["x" * 65, "twice"])
def test_blink_takes_a_correlation_id_once(blink: World, value: str) -> None:
    """And no longer than 64 characters."""
    first = refresh(blink, five_headers(X_Correlation_ID=value)).status_code
    second = refresh(blink, five_headers(X_Correlation_ID=value)).status_code
    assert (first, second) == ((400, 400) if len(value) > 64 else (200, 400))


@pytest.mark.parametrize(
    ("form", "status", "said"),
    [
        ({"client_id": None}, 400, "client_id"),
        ({"username": None}, 400, "username"),
        ({"username": "u" * 65}, 400, "username"),
        ({"client_secret": "s3cret"}, 400, "Secret is not supported"),
        ({"client_assertion": "a.b.c"}, 400, "Secret is not supported"),
        ({"client_id": "another"}, 401, "another client's"),
        ({"username": "bob"}, 400, "another user's"),
        ({"refresh_token": "unknown"}, 400, "unknown"),
        ({"grant_type": "client_credentials"}, 400, "unsupported_grant_type"),
        ({"grant_type": None}, 400, "grant_type"),
    ],
)
def test_blink_refuses_a_wrong_form(blink: World, form: dict[str, Any], status: int, said: str) -> None:
    """With a reason."""
    response = refresh(blink, **form)
    assert (response.status_code, said in response.text) == (status, True)


def test_blink_refuses_basic_json_and_get(blink: World) -> None:
    """No second way to authenticate, no other encoding, no other method."""
    url = blink.sandbox.origin + TOKEN
    form = {"grant_type": "refresh_token", "client_id": "sandbox-client", "username": "alice"}
    assert httpx.post(url, data=form, headers=five_headers(), auth=("id", "s")).status_code == 400
    assert httpx.post(url, json=form, headers=five_headers()).status_code == 415
    assert httpx.get(url, headers=five_headers()).status_code == 405


def test_blink_revokes_each_token_by_itself(blink: World) -> None:
    """The other one stays valid; an unknown token is not an error."""
    issued = blink.sandbox.issue("alice")
    form = {"client_id": blink.sandbox.client_id, "token": issued["refresh_token"]}
    url = blink.sandbox.origin + REVOKE
    assert httpx.post(url, data=form, headers=five_headers()).status_code == 200
    assert refresh(blink, refresh_token=issued["refresh_token"]).json()["error"] == "invalid_grant"
    bearer = {"Authorization": f"Bearer {issued['access_token']}"}
    assert httpx.get(blink.url_of(), headers={**five_headers(), **bearer}).status_code == 200
    assert httpx.post(url, data={**form, "token": "unknown"}, headers=five_headers()).status_code == 200
    assert httpx.post(url, data={"client_id": blink.sandbox.client_id}, headers=five_headers()).status_code == 400


def test_blink_distinguishes_expired_from_invalid(blink: World) -> None:
    """At the API, in single quotes, by the bank."""
    issued = blink.sandbox.issue("alice")
    bearer = {"Authorization": f"Bearer {issued['access_token']}"}
    blink.expire()
    expired = httpx.get(blink.url_of(), headers={**five_headers(), **bearer})
    unknown = httpx.get(blink.url_of(), headers={**five_headers(), "Authorization": "Bearer unknown"})
    bare = httpx.get(blink.url_of(), headers=five_headers())
    assert [each.json()["type"].rsplit("/")[-1] for each in (expired, unknown, bare)] == [
        "EXPIRED_TOKEN",
        "INVALID_TOKEN",
        "INVALID_TOKEN",
    ]
    assert {each.headers["www-authenticate"] for each in (expired, unknown)} == {"Bearer error='invalid_token'"}
    assert {each.headers["x-corapi-source"] for each in (expired, unknown)} == {"PROVIDER"}


def test_blinks_health_check_echoes_the_headers(blink: World) -> None:
    """A good smoke test."""
    bearer = {"Authorization": f"Bearer {blink.sandbox.issue('alice')['access_token']}"}
    sent = {**five_headers(), **bearer}
    echoed = httpx.get(f"{blink.sandbox.origin}/ais/v6/healthcheck", headers=sent).json()["headers"]
    assert {name.lower(): value for name, value in sent.items()}.items() <= echoed.items()


def test_blinks_codes_live_thirty_seconds(blink: World) -> None:
    """As mandated."""
    assert blink_sandbox.CODE_LIFETIME == 30
    client = blink.client()
    start = client.start_authorization("alice")
    callback_url = blink.sandbox.sign_in(start.url, subject="alice")
    blink.clock.advance(29.9)
    assert client.finish_authorization(callback_url).state == "fresh"


def test_blink_asks_for_the_clients_own_certificate(secure_blink: World, certificates: Certificates) -> None:
    """401 by the platform, at token endpoint and API, for another's or none; the right one passes."""
    world = secure_blink
    bare = ssl.create_default_context(cafile=certificates.ca_file)
    for tls, status in (
        (bare, 401),
        (certificates.context("CIDX99999"), 401),
        (certificates.context("CIDX12345"), 200),
    ):
        issued = world.sandbox.issue("alice")
        with httpx.Client(verify=tls, base_url=world.sandbox.origin) as http:
            form = {
                "grant_type": "refresh_token",
                "refresh_token": issued["refresh_token"],
                "client_id": world.sandbox.client_id,
                "username": "alice",
            }
            token = http.post(TOKEN, data=form, headers=five_headers())
            bearer = {"Authorization": f"Bearer {world.sandbox.issue('alice')['access_token']}"}
            api = http.get("/ais/v6/accounts", headers={**five_headers(), **bearer})
        assert (token.status_code, api.status_code) == (status, status)
        assert {token.headers["x-corapi-source"], api.headers["x-corapi-source"]} == {
            "PLATFORM" if status == 401 else "PROVIDER"
        }


@pytest.mark.parametrize("source", ["PLATFORM", "PROVIDER"])
@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("INVALID_PAYLOAD", 400),
        ("MALFORMED_PAYLOAD", 400),
        ("EXPIRED_TOKEN", 401),
        ("INVALID_TOKEN", 401),
        ("INSUFFICIENT_PRIVILEGES", 403),
        ("WRONG_METHOD", 405),
        ("TECHNICAL_ERROR", 500),
        ("RESOURCE_TOO_LARGE", 500),
        ("NOT_IMPLEMENTED", 501),
    ],
)
def test_each_problem_on_demand(name: str, status: int, source: Any) -> None:
    """With the status of the table and who answered."""
    fault = problem(name, source=source)
    assert (fault.status, fault.headers["x-corapi-source"]) == (status, source)
    assert f"/problems/{name}".encode() in fault.body


# --- Flinks ---------------------------------------------------------------------------------------------------------


def ask_flinks(world: World, **members: str | None) -> httpx.Response:
    usual: dict[str, str | None] = {
        "grant_type": "refresh_token",
        "refresh_token": world.sandbox.issue("alice")["refresh_token"],
        "client_id": world.sandbox.client_id,
        "client_secret": world.sandbox.client_secret,
        **members,
    }
    sent = {name: value for name, value in usual.items() if value is not None}
    return httpx.post(f"{world.sandbox.origin}/api/v1/token", json=sent)


def test_flinks_answers_as_documented(flinks: World) -> None:
    """No refresh token for a refresh, a JWT with its expiry, and the ids that support asks for."""
    response = ask_flinks(flinks)
    assert response.status_code == 200
    assert set(response.json()) == {"access_token", "token_type", "expires_in", "scope"}
    assert response.json()["access_token"].count(".") == 2
    assert {"ob-correlation-id", "ob-trace-id"} <= set(response.headers)


@pytest.mark.parametrize(
    ("members", "error"),
    [
        ({"client_secret": "wrong"}, "invalid_client"),
        ({"client_id": None}, "invalid_client"),
        ({"scope": "ACCOUNT_BASIC"}, "invalid_request"),
        ({"grant_type": "client_credentials"}, "invalid_scope"),
        ({"grant_type": "client_credentials", "scope": "ACCOUNT_BASIC"}, "invalid_scope"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({"refresh_token": "unknown"}, "invalid_grant"),
    ],
)
def test_flinks_refuses_everything_with_400(flinks: World, members: dict[str, Any], error: str) -> None:
    """Also bad credentials."""
    response = ask_flinks(flinks, **members)
    assert (response.status_code, response.json()["error"]) == (400, error)


def test_flinks_refuses_a_form_and_two_authentications(flinks: World) -> None:
    """JSON only; Basic instead of the body, not beside it."""
    url = f"{flinks.sandbox.origin}/api/v1/token"
    secret = {"client_id": flinks.sandbox.client_id, "client_secret": flinks.sandbox.client_secret}
    grant = {"grant_type": "client_credentials", "scope": "client:admin"}
    assert httpx.post(url, data={**grant, **secret}).json()["error"] == "invalid_request"
    assert httpx.post(url, json={**grant, **secret}, auth=tuple(secret.values())).json()["error"] == "invalid_request"
    assert httpx.post(url, json=grant, auth=tuple(secret.values())).status_code == 200


def test_flinks_takes_each_kind_of_token_where_it_belongs(flinks: World) -> None:
    """A user's at the data endpoints, the client's own at the partner endpoints."""
    of_a_user = flinks.signed_in().token().access_token
    itself = flinks.client().for_itself(scope="client:admin").token().access_token

    def status(path: str, token: str) -> int:
        return httpx.get(flinks.url_of(path), headers={"Authorization": f"Bearer {token}"}).status_code

    assert [status("/api/fdx/5/accounts", of_a_user), status("/api/fdx/5/accounts", itself)] == [200, 401]
    assert [status("/api/v1/recipients", of_a_user), status("/api/v1/recipients", itself)] == [400, 200]


# --- all ------------------------------------------------------------------------------------------------------------


def test_an_unknown_personality_is_named() -> None:
    """With those that there are."""
    with pytest.raises(ValueError, match="personality.*blnk_cloud.*blink.*flinks.*mcp"):
        Sandbox("plaid")


def test_revocations_can_fail_on_demand() -> None:
    """Like the other requests."""
    with a_world("flinks") as world:
        world.sandbox.fail(Fault(status=503), at="revocation")
        assert httpx.delete(f"{world.sandbox.origin}/api/v1/revoke").status_code == 503
        assert world.sandbox.counts.revocations == 0
