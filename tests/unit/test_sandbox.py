"""The sandbox over real HTTP: it must misbehave exactly as it is asked to, or the tests that use it prove nothing."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import logging
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import FrozenInstanceError
from typing import Any
from urllib.parse import urlencode, urlsplit

import httpx
import pytest
from support.by_hand import (
    VERIFIER,
    authorization_url,
    bearer,
    code_for,
    exchange,
    members,
    refresh,
)
from support.limits import PATIENCE

from blnk_auth import Provider
from blnk_auth.testing import Clock, Counts, Fault, Sandbox

pytestmark = pytest.mark.real

# --- authorization endpoint ---------------------------------------------------------------------------------------


def test_sign_in_sends_code_state_and_issuer_to_the_redirect_uri(sandbox: Sandbox) -> None:
    """An approved sign-in returns to the exact redirect URI with a code, the state as sent, and the issuer."""
    callback = sandbox.sign_in(authorization_url(sandbox), subject="bob")
    assert callback.startswith(f"{sandbox.redirect_uri}?")
    assert members(callback).keys() == {"code", "state", "iss"}
    assert members(callback)["state"] == "s t&te"
    assert members(callback)["iss"] == sandbox.origin


def test_denial_sends_access_denied_and_state(sandbox: Sandbox) -> None:
    """A user who denies sends the client access_denied with the state, and no code."""
    answer = members(sandbox.sign_in(authorization_url(sandbox), approve=False))
    assert answer["error"] == "access_denied"
    assert answer["state"] == "s t&te"
    assert "code" not in answer


@pytest.mark.parametrize(
    "changes",
    [
        {"client_id": "somebody-else"},
        {"client_id": None},
        {"redirect_uri": "http://127.0.0.1:8765/oauth/callback/"},
        {"redirect_uri": "https://evil.test/"},
        {"redirect_uri": None},
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_unknown_client_or_redirect_uri_is_never_redirected(
    sandbox: Sandbox, http: httpx.Client, method: str, changes: dict[str, str | None]
) -> None:
    """A request that cannot be trusted ends on a page, whether it opens the form or submits it."""
    form = {"decision": "approve", "subject": "alice"} if method == "POST" else None
    response = http.request(method, authorization_url(sandbox, **changes), data=form)
    assert response.status_code == 400
    assert "location" not in response.headers
    assert "Sign-in cannot continue" in response.text
    with pytest.raises(ValueError, match="authorization_url: the sandbox answered 400"):
        sandbox.sign_in(authorization_url(sandbox, **changes))


def test_repeated_parameter_is_refused(sandbox: Sandbox, http: httpx.Client) -> None:
    """A second redirect_uri does not slip past the check of the first."""
    assert http.get(f"{authorization_url(sandbox)}&redirect_uri=https://evil.test/").status_code == 400


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"code_challenge_method": "S512"}, "invalid_request"),
        ({"code_challenge": "short"}, "invalid_request"),
    ],
)
def test_other_mistakes_are_redirected_as_errors(sandbox: Sandbox, changes: dict[str, str], error: str) -> None:
    """What a known client gets wrong is reported to that client."""
    assert members(sandbox.sign_in(authorization_url(sandbox, **changes)))["error"] == error


def test_consent_page_is_accessible_and_self_contained(sandbox: Sandbox, http: httpx.Client) -> None:
    """The page has a language, a title, one heading and a labelled field, and its policy lets nothing else load."""
    page = http.get(authorization_url(sandbox))
    assert page.status_code == 200
    for part in ('<html lang="en">', "<title>", "<h1>", '<label for="subject">', 'name="decision" value="deny"'):
        assert page.text.count(part) == 1
    policy = page.headers["content-security-policy"]
    assert policy.startswith("default-src 'none';")
    assert "form-action 'self' http://127.0.0.1:8765;" in policy
    nonce = policy.partition("'nonce-")[2].partition("'")[0]
    assert f'<style nonce="{nonce}">' in page.text
    assert "<script" not in page.text


def test_consent_page_escapes_what_the_client_sent(sandbox: Sandbox, http: httpx.Client) -> None:
    """A scope with markup in it is shown, not run."""
    page = http.get(authorization_url(sandbox, scope="<script>alert(1)</script>"))
    assert "<script" not in page.text
    assert "&lt;script&gt;" in page.text


def test_form_without_subject_or_decision_ends_on_a_page(sandbox: Sandbox, http: httpx.Client) -> None:
    """No code is issued to nobody."""
    url = authorization_url(sandbox)
    assert http.post(url, data={"decision": "approve", "subject": " "}).status_code == 400
    assert http.post(url, data={"subject": "alice"}).status_code == 400


def test_sign_in_elsewhere_is_refused(sandbox: Sandbox) -> None:
    """The browser that a test uses opens only the sandbox's own pages."""
    with pytest.raises(ValueError, match="authorization_url must begin with"):
        sandbox.sign_in("https://as.acme.test/authorize")


# --- token endpoint -----------------------------------------------------------------------------------------------


def test_code_exchange_answers_a_token_pair(sandbox: Sandbox, http: httpx.Client) -> None:
    """A code and its verifier are worth a Bearer pair of the user who signed in, not to be cached."""
    code = members(sandbox.sign_in(authorization_url(sandbox, scope="data:read"), subject="bob"))["code"]
    response = exchange(sandbox, http, code)
    assert response.status_code == 200
    assert response.headers["cache-control"] == "no-store"
    answer = response.json()
    assert answer["access_token"].startswith("blnk_at_")
    assert answer["refresh_token"].startswith("blnk_rt_")
    assert (answer["token_type"], answer["expires_in"], answer["scope"]) == ("Bearer", 3600, "data:read")
    assert http.get("/data/x", headers=bearer(answer)).json()["subject"] == "bob"
    assert sandbox.counts.code_exchanges == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"code_verifier": "b" * 43},
        {"code_verifier": None},
        {"redirect_uri": "http://127.0.0.1:8765/oauth/callback/"},
        {"redirect_uri": None},
        {"code": "blnk_ac_unknown"},
    ],
)
def test_wrong_exchange_is_invalid_grant_and_spends_the_code(
    sandbox: Sandbox, http: httpx.Client, changes: dict[str, str | None]
) -> None:
    """A code with a wrong verifier or redirect URI buys nothing, then or later."""
    code = code_for(sandbox)
    response = exchange(sandbox, http, **{"code": code, **changes})
    assert (response.status_code, response.json()["error"]) == (400, "invalid_grant")
    if "code" not in changes:
        assert exchange(sandbox, http, code).status_code == 400


def test_plain_challenge_and_no_challenge(sandbox: Sandbox, http: httpx.Client) -> None:
    """Both methods of the metadata work, PKCE is optional, and a verifier out of nowhere is a refused downgrade."""
    plain = code_for(sandbox, code_challenge=VERIFIER, code_challenge_method="plain")
    assert exchange(sandbox, http, plain).status_code == 200
    without = {"code_challenge": None, "code_challenge_method": None}
    assert exchange(sandbox, http, code_for(sandbox, **without), code_verifier=None).status_code == 200
    assert exchange(sandbox, http, code_for(sandbox, **without)).json()["error"] == "invalid_grant"


def test_code_expires(sandbox: Sandbox, http: httpx.Client, clock: Clock) -> None:
    """A code is worth something for less than a minute."""
    in_time, too_late = code_for(sandbox), code_for(sandbox)
    clock.advance(30)
    assert exchange(sandbox, http, in_time).status_code == 200
    clock.advance(30)
    assert exchange(sandbox, http, too_late).json()["error"] == "invalid_grant"


def test_second_use_of_a_code_revokes_its_tokens(sandbox: Sandbox, http: httpx.Client) -> None:
    """A code that comes back is refused and takes the tokens it bought with it."""
    code = code_for(sandbox)
    answer = exchange(sandbox, http, code).json()
    assert exchange(sandbox, http, code).json()["error"] == "invalid_grant"
    assert http.get("/data/x", headers=bearer(answer)).status_code == 401
    assert refresh(sandbox, http, answer["refresh_token"]).json()["error"] == "invalid_grant"
    assert sandbox.counts.reuses == 0


def test_refresh_rotates(sandbox: Sandbox, http: httpx.Client) -> None:
    """Each refresh answers a new pair with the same scope and subject, several times in a row."""
    answer = sandbox.issue("bob", scope="data:read")
    seen = {answer["refresh_token"]}
    for _ in range(3):
        answer = refresh(sandbox, http, answer["refresh_token"]).json()
        assert answer["scope"] == "data:read"
        assert http.get("/data/x", headers=bearer(answer)).json()["subject"] == "bob"
        seen.add(answer["refresh_token"])
    assert len(seen) == 4
    assert sandbox.counts == Counts(token_requests=3, refreshes=3, api_requests=3)


def test_reuse_revokes_the_whole_family_and_no_other(sandbox: Sandbox, http: httpx.Client) -> None:
    """A spent refresh token kills its successors and their access tokens; another grant of the user stays valid."""
    other = sandbox.issue("alice")
    first = sandbox.issue("alice")
    second = refresh(sandbox, http, first["refresh_token"]).json()
    response = refresh(sandbox, http, first["refresh_token"])
    assert (response.status_code, response.json()["error"]) == (400, "invalid_grant")
    assert http.get("/data/x", headers=bearer(second)).status_code == 401
    assert refresh(sandbox, http, second["refresh_token"]).json()["error"] == "invalid_grant"
    assert http.get("/data/x", headers=bearer(other)).status_code == 200
    assert refresh(sandbox, http, other["refresh_token"]).status_code == 200
    counts = sandbox.counts
    assert (counts.reuses, counts.refused, counts.refreshes) == (1, 2, 2)


@pytest.mark.parametrize("credentials", [("sandbox-client", "wrong"), ("nobody", "sandbox-secret"), ("", "")])
@pytest.mark.parametrize("method", ["basic", "post"])
def test_bad_client_credentials_are_invalid_client(
    sandbox: Sandbox, http: httpx.Client, method: str, credentials: tuple[str, str]
) -> None:
    """A client that cannot prove itself gets 401 and a Basic challenge, and spends nothing."""
    answer = sandbox.issue()
    form = {"grant_type": "refresh_token", "refresh_token": answer["refresh_token"]}
    if method == "basic":
        response = http.post("/oauth/token", data=form, auth=credentials)
    else:
        client_id, client_secret = credentials
        response = http.post("/oauth/token", data={**form, "client_id": client_id, "client_secret": client_secret})
    assert (response.status_code, response.json()["error"]) == (401, "invalid_client")
    assert response.headers["www-authenticate"].startswith("Basic ")
    assert refresh(sandbox, http, answer["refresh_token"]).status_code == 200


def test_credentials_are_read_raw() -> None:
    """Basic holds id and secret as they are, as `curl -u` sends them; the form-encoded variant is refused."""
    secret = "p:ü %2B+/"
    with Sandbox(client_id="id+/", client_secret=secret) as sandbox, httpx.Client(base_url=sandbox.origin) as http:
        answer = sandbox.issue()
        assert refresh(sandbox, http, answer["refresh_token"]).status_code == 200
        encoded = base64.b64encode(b"id%2B%2F:p%3A%C3%BC+%252B%2B%2F").decode()
        form = {"grant_type": "refresh_token", "refresh_token": answer["refresh_token"]}
        response = http.post("/oauth/token", data=form, headers={"Authorization": f"Basic {encoded}"})
        assert response.json()["error"] == "invalid_client"
        in_body = {"grant_type": "refresh_token", "refresh_token": "?", "client_id": "id+/", "client_secret": secret}
        assert http.post("/oauth/token", data=in_body).json()["error"] == "invalid_grant"


@pytest.mark.parametrize("header", ["Basic", "Basic !!!", "Basic bm9jb2xvbg==", "Basic //8=", "Bearer blnk_at_x"])
def test_malformed_authorization_header_is_invalid_client(http: httpx.Client, header: str) -> None:
    """A header without Basic credentials is a failed authentication, not a crash."""
    form = {"grant_type": "refresh_token", "refresh_token": "x"}
    response = http.post("/oauth/token", data=form, headers={"Authorization": header})
    assert (response.status_code, response.json()["error"]) == (401, "invalid_client")


@pytest.mark.parametrize(
    ("form", "error"),
    [
        ("refresh_token=x", "invalid_request"),
        ("grant_type=client_credentials", "unsupported_grant_type"),
        ("grant_type=refresh_token", "invalid_request"),
        ("grant_type=refresh_token&refresh_token=unknown", "invalid_grant"),
        ("grant_type=authorization_code", "invalid_request"),
        ("grant_type=refresh_token&grant_type=refresh_token&refresh_token=x", "invalid_request"),
        ("grant_type=refresh_token&refresh_token=x&client_secret=sandbox-secret", "invalid_request"),
    ],
)
def test_wrong_token_requests_get_their_oauth_code(sandbox: Sandbox, http: httpx.Client, form: str, error: str) -> None:
    """Each mistake is answered with 400 and the code of RFC 6749 section 5.2, and is counted as refused."""
    media_type = {"Content-Type": "application/x-www-form-urlencoded"}
    auth = (sandbox.client_id, sandbox.client_secret)
    response = http.post("/oauth/token", content=form, headers=media_type, auth=auth)
    assert (response.status_code, response.json()["error"]) == (400, error)
    assert sandbox.counts.refused == 1


def test_token_endpoint_takes_only_a_form_by_post(sandbox: Sandbox, http: httpx.Client) -> None:
    """Another media type, a JSON body, or parameters in the URL are refused although all of them are right."""
    answer = sandbox.issue()
    members = {"grant_type": "refresh_token", "refresh_token": answer["refresh_token"]}
    auth = (sandbox.client_id, sandbox.client_secret)
    plain = {"Content-Type": "text/plain"}
    typed_wrongly = http.post("/oauth/token", content=urlencode(members), headers=plain, auth=auth)
    assert typed_wrongly.json()["error"] == "invalid_request"
    assert http.post("/oauth/token", json=members, auth=auth).json()["error"] == "invalid_request"
    assert http.get("/oauth/token", params=members, auth=auth).status_code == 405
    assert refresh(sandbox, http, answer["refresh_token"]).status_code == 200


@pytest.mark.parametrize(("lifetime", "expires_in"), [(60.0, 60), (0.5, 0.5), (0, 0)])
def test_expires_in_is_a_number(sandbox: Sandbox, lifetime: float, expires_in: float) -> None:
    """Whole seconds are sent as an integer, as Blnk does; fractions only where a test asked for them."""
    sandbox.lifetime = lifetime
    answer = sandbox.issue()
    assert json.dumps(answer["expires_in"]) == json.dumps(expires_in)


@pytest.mark.parametrize("path", ["oauth-authorization-server", "openid-configuration"])
def test_metadata_names_the_endpoints_that_exist(sandbox: Sandbox, http: httpx.Client, path: str) -> None:
    """The document has the issuer it was fetched from and, as at Blnk, no revocation and no registration."""
    metadata = http.get(f"/.well-known/{path}").json()
    assert metadata["issuer"] == sandbox.origin
    assert metadata["token_endpoint"] == f"{sandbox.origin}/oauth/token"
    assert metadata["code_challenge_methods_supported"] == ["S256", "plain"]
    assert not {"revocation_endpoint", "registration_endpoint", "jwks_uri"} & metadata.keys()


# --- API ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/data/ledgers", "/proxy/ledgers", "/nowhere", "/"])
def test_request_without_header_gets_blnks_sentence(http: httpx.Client, path: str) -> None:
    """Any path answers 401 with prose where OAuth has a code, as the real one does."""
    response = http.get(path)
    assert response.status_code == 401
    assert response.json() == {"error": "Authorization header is required"}


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/data/anything", 200),
        ("POST", "/data/ledgers", 201),
        ("GET", "/proxy/a/b c", 200),
        ("POST", "/proxy/reconciliation", 201),
        ("PUT", "/proxy/a", 200),
        ("POST", "/ledgers/filter", 201),
        ("GET", "/ledgers/filter", 404),
        ("GET", "/nowhere", 404),
    ],
)
def test_api_echoes_who_asked_for_what(
    sandbox: Sandbox, http: httpx.Client, method: str, path: str, status: int
) -> None:
    """With a valid token the known paths answer with the subject and the request as it arrived."""
    body = b"\x00 body"
    response = http.request(method, path, content=body, headers=bearer(sandbox.issue("bob")))
    assert response.status_code == status
    if status != 404:
        assert response.json() == {
            "subject": "bob",
            "method": method,
            "path": path,
            "body_length": 6,
            "body_sha256": hashlib.sha256(body).hexdigest(),
        }


def test_expired_token_is_rejected(sandbox: Sandbox, http: httpx.Client, clock: Clock) -> None:
    """A token is good until its lifetime is over by the given clock, and then gets an RFC 6750 challenge."""
    short, usual = sandbox.issue(lifetime=10), sandbox.issue()
    clock.advance(9.9)
    assert http.get("/data/x", headers=bearer(short)).status_code == 200
    clock.advance(0.1)
    response = http.get("/data/x", headers=bearer(short))
    assert response.status_code == 401
    assert response.headers["www-authenticate"] == 'Bearer error="invalid_token"'
    assert response.json() == {"error": "Invalid or expired token"}
    assert http.get("/data/x", headers=bearer(usual)).status_code == 200
    assert sandbox.counts.api_rejected == 1


@pytest.mark.parametrize("header", ["Bearer blnk_at_unknown", "Bearer", "Basic eDp5", ""])
def test_unknown_token_is_rejected(http: httpx.Client, header: str) -> None:
    """Any value of the header is a valid token or a 401 with a challenge."""
    response = http.get("/data/x", headers={"Authorization": header})
    assert (response.status_code, response.json()["error"]) == (401, "Invalid or expired token")


def test_scheme_must_be_bearer_in_any_case(sandbox: Sandbox, http: httpx.Client) -> None:
    """A valid token counts only as a Bearer token, however the word is written."""
    access_token = sandbox.issue()["access_token"]
    assert http.get("/data/x", headers={"Authorization": f"bEARER {access_token}"}).status_code == 200
    assert http.get("/data/x", headers={"Authorization": f"Token {access_token}"}).status_code == 401


def test_revoked_access_tokens_can_be_renewed(sandbox: Sandbox, http: httpx.Client) -> None:
    """Revoking one subject's access tokens leaves other people's and the refresh token alone."""
    alice, bob = sandbox.issue("alice"), sandbox.issue("bob")
    sandbox.revoke_access_tokens("alice")
    assert http.get("/data/x", headers=bearer(alice)).status_code == 401
    assert http.get("/data/x", headers=bearer(bob)).status_code == 200
    renewed = refresh(sandbox, http, alice["refresh_token"]).json()
    assert http.get("/data/x", headers=bearer(renewed)).status_code == 200
    sandbox.revoke_access_tokens()
    assert http.get("/data/x", headers=bearer(bob)).status_code == 401


def test_revoked_grant_is_dead(sandbox: Sandbox, http: httpx.Client) -> None:
    """Revoking a user's grant ends access and refresh tokens and codes under way, and counts no reuse."""
    alice, bob, code = sandbox.issue("alice"), sandbox.issue("bob"), code_for(sandbox)
    sandbox.revoke_grant("alice")
    assert http.get("/data/x", headers=bearer(alice)).status_code == 401
    assert refresh(sandbox, http, alice["refresh_token"]).json()["error"] == "invalid_grant"
    assert exchange(sandbox, http, code).json()["error"] == "invalid_grant"
    assert refresh(sandbox, http, bob["refresh_token"]).status_code == 200
    assert sandbox.counts.reuses == 0


def test_core_rejects_through_the_proxy_only(sandbox: Sandbox, http: httpx.Client) -> None:
    """Core's own 401 passes through /proxy unchanged and without a challenge; Cloud's own paths go on working."""
    headers = bearer(sandbox.issue())
    sandbox.personality.core_rejects = True
    response = http.get("/proxy/ledgers", headers=headers)
    assert response.status_code == 401
    assert response.json()["error_detail"]["code"] == "AUTH_INVALID_API_KEY"
    assert "www-authenticate" not in response.headers
    assert http.get("/data/x", headers=headers).status_code == 200
    sandbox.personality.core_rejects = False
    assert http.get("/proxy/ledgers", headers=headers).status_code == 200


def test_blnk_sdk_creates_and_lists_ledgers(sandbox: Sandbox) -> None:
    """The real Blnk SDK, pointed at the proxy, gets the ledgers it creates in the shape it expects."""
    import requests
    from blnk_sdk import Blnk, BlnkClientOptions, RequestsTransport, format_response  # type: ignore[import-untyped]
    from blnk_sdk.services import default_services_map  # type: ignore[import-untyped]

    session = requests.Session()
    session.headers.update(bearer(sandbox.issue()))
    options = BlnkClientOptions(base_url=f"{sandbox.origin}/proxy", instance_id="instance_1")
    with Blnk("", options, default_services_map(), format_response, RequestsTransport(session)) as blnk:
        created = blnk.ledgers.create({"name": "Savings"})
        assert (created.status, created.data["name"]) == (201, "Savings")
        assert created.data in blnk.ledgers.list().data
    assert {request.query for request in sandbox.requests} == {"instance_id=instance_1"}


@pytest.mark.parametrize("body", ["", "[]", "{}"])
def test_ledger_without_name_is_refused(sandbox: Sandbox, http: httpx.Client, body: str) -> None:
    """Any body that names no ledger is answered with 400."""
    assert http.post("/proxy/ledgers", content=body, headers=bearer(sandbox.issue())).status_code == 400


# --- faults -------------------------------------------------------------------------------------------------------


def test_fault_replaces_the_answer_and_spends_nothing(sandbox: Sandbox, http: httpx.Client) -> None:
    """Faults come in the order given, one per request; they do not touch the refresh token; then all is well."""
    answer = sandbox.issue()
    sandbox.fail(
        Fault(status=503, headers={"Retry-After": "7"}),
        Fault(body=b"<html>", headers={"Content-Type": "text/html"}),
        Fault(),
    )
    unavailable = refresh(sandbox, http, answer["refresh_token"])
    assert (unavailable.status_code, unavailable.headers["retry-after"], unavailable.content) == (503, "7", b"")
    page = refresh(sandbox, http, answer["refresh_token"])
    assert (page.status_code, page.headers["content-type"], page.content) == (200, "text/html", b"<html>")
    third = refresh(sandbox, http, answer["refresh_token"])
    assert third.status_code == 200
    assert refresh(sandbox, http, third.json()["refresh_token"]).status_code == 200
    assert sandbox.counts == Counts(token_requests=4, refreshes=2, refused=1)


@pytest.mark.parametrize("fault", [Fault(status=502, after_rotation=True), Fault(disconnect=True, after_rotation=True)])
def test_lost_answer_has_spent_the_refresh_token(sandbox: Sandbox, http: httpx.Client, fault: Fault) -> None:
    """With after_rotation the client sees the fault, but the old refresh token is spent."""
    answer = sandbox.issue()
    sandbox.fail(fault)
    try:
        assert refresh(sandbox, http, answer["refresh_token"]).status_code == 502
    except httpx.RemoteProtocolError:
        assert fault.disconnect
    assert sandbox.counts.refreshes == 1
    assert refresh(sandbox, http, answer["refresh_token"]).json()["error"] == "invalid_grant"
    assert sandbox.counts.reuses == 1


def test_disconnect_closes_only_that_connection(sandbox: Sandbox, http: httpx.Client) -> None:
    """The client sees its connection closed without an answer; another one stays open."""
    with httpx.Client(base_url=sandbox.origin) as bystander:
        bystander.get("/")
        sandbox.fail(Fault(disconnect=True))
        with pytest.raises(httpx.RemoteProtocolError, match="without sending a response"):
            refresh(sandbox, http, sandbox.issue()["refresh_token"])
        kept = bystander.get("/", extensions={"trace": _refuse_new_connection})
        assert kept.status_code == 401
    assert sandbox.counts.refused == 0


def _refuse_new_connection(event: str, info: dict[str, Any]) -> None:
    assert event != "connection.connect_tcp.started"


def test_hanging_request_ends_with_the_sandbox() -> None:
    """A hanging request holds up no other, gets no answer, and does not keep the sandbox from stopping."""
    with (
        ThreadPoolExecutor(1) as threads,
        Sandbox() as sandbox,
        httpx.Client(base_url=sandbox.origin, timeout=PATIENCE) as http,
    ):
        sandbox.fail(Fault(hang=True))
        hanging = threads.submit(refresh, sandbox, http, sandbox.issue()["refresh_token"])
        sandbox.wait_for_token_requests(1, PATIENCE)
        assert httpx.get(f"{sandbox.origin}/_sandbox/counts").json()["token_requests"] == 1
        assert not hanging.done()
        sandbox.__exit__(None, None, None)
        with pytest.raises(httpx.TransportError):
            hanging.result(timeout=PATIENCE)


def test_dripping_body_never_ends(sandbox: Sandbox) -> None:
    """Bytes arrive one at a time: first those of the body, then spaces."""
    sandbox.fail(Fault(body=b"{}", drip=0.001))
    received = b""
    with httpx.stream("POST", f"{sandbox.origin}/oauth/token") as response:
        for chunk in response.iter_raw():
            received += chunk
            if len(received) >= 20:
                break
    assert received.rstrip(b" ") == b"{}"


def test_rewrite_changes_the_successful_answer(sandbox: Sandbox, http: httpx.Client) -> None:
    """A rewritten answer is the client's only news of a rotation that did take place; a refusal is left alone."""
    answer = sandbox.issue()
    sandbox.fail(
        Fault(rewrite=lambda members: {**members, "expires_in": "soon"}),
        Fault(rewrite=lambda members: b"\xef\xbb\xbf" + json.dumps(members).encode()),
        Fault(rewrite=lambda members: {}),
    )
    odd = refresh(sandbox, http, answer["refresh_token"]).json()
    assert odd["expires_in"] == "soon"
    marked = refresh(sandbox, http, odd["refresh_token"])
    assert marked.content.startswith(b"\xef\xbb\xbf{")
    assert refresh(sandbox, http, "unknown").json()["error"] == "invalid_grant"


def test_headers_alone_are_added_to_the_genuine_answer(sandbox: Sandbox, http: httpx.Client) -> None:
    """A fault with nothing but headers decorates."""
    sandbox.fail(Fault(headers={"Set-Cookie": "a=b"}))
    response = refresh(sandbox, http, sandbox.issue()["refresh_token"])
    assert response.headers["set-cookie"] == "a=b"
    assert response.json()["token_type"] == "Bearer"


def test_crashing_rewrite_is_reported_in_the_answer(sandbox: Sandbox, http: httpx.Client) -> None:
    """A mistake in a test's own rewrite is reported where the test's author looks."""
    sandbox.fail(Fault(rewrite=lambda members: members["absent"]))
    response = refresh(sandbox, http, sandbox.issue()["refresh_token"])
    assert (response.status_code, response.text) == (500, "/oauth/token: KeyError('absent')")


def test_api_faults_are_separate(sandbox: Sandbox, http: httpx.Client) -> None:
    """Faults for the API wait for API requests, and a made-up 401 counts as rejected."""
    answer = sandbox.issue()
    sandbox.fail(Fault(status=401), Fault(status=302, headers={"Location": "http://other.test/"}), at="api")
    assert refresh(sandbox, http, answer["refresh_token"]).status_code == 200
    assert http.get("/data/x", headers=bearer(answer)).status_code == 401
    assert http.get("/data/x", headers=bearer(answer)).headers["location"] == "http://other.test/"
    assert http.get("/data/x", headers=bearer(answer)).status_code == 200
    assert sandbox.counts == Counts(token_requests=1, refreshes=1, api_requests=3, api_rejected=1)


@pytest.mark.parametrize("wrong", [{"status": 99}, {"delay": -1}, {"drip": 0}])
def test_impossible_fault_is_refused(wrong: dict[str, Any]) -> None:
    """A fault that cannot be sent is refused where it is written, by name."""
    with pytest.raises(ValueError, match=f"^{next(iter(wrong))} must be"):
        Fault(**wrong)


def test_latency_holds_back_the_answer_after_the_rotation(sandbox: Sandbox) -> None:
    """While a slow answer is under way its rotation is done, and other requests are answered."""
    sandbox.token_latency = 3600
    answer = sandbox.issue()
    with ThreadPoolExecutor(1) as threads, httpx.Client(base_url=sandbox.origin, timeout=PATIENCE) as slow:
        held_back = threads.submit(refresh, sandbox, slow, answer["refresh_token"])
        sandbox.wait_for_token_requests(1, PATIENCE)
        assert httpx.get(f"{sandbox.origin}/data/x", headers=bearer(answer)).status_code == 200
        assert sandbox.counts.refreshes == 1
        assert not held_back.done()
        sandbox.__exit__(None, None, None)
        with pytest.raises(httpx.TransportError):
            held_back.result(timeout=PATIENCE)


def test_requests_share_a_connection_and_start_no_thread(sandbox: Sandbox, http: httpx.Client) -> None:
    """Hundreds of requests, refused ones among them, use one connection and the one thread that there is."""
    answer = sandbox.issue()
    http.get("/data/x")
    threads = threading.active_count()
    for number in range(300):
        path, headers = ("/data/x", bearer(answer)) if number % 2 else ("/nowhere", {})
        http.get(path, headers=headers, extensions={"trace": _refuse_new_connection})
    assert threading.active_count() == threads
    assert sandbox.counts.api_requests == 301


# --- record, figures, controls ------------------------------------------------------------------------------------


def test_requests_are_recorded_without_showing_secrets(sandbox: Sandbox, http: httpx.Client) -> None:
    """What arrived can be read field by field, and printing it gives nothing away."""
    refresh(sandbox, http, "blnk_rt_secret")
    http.get("/data/x?instance_id=instance_1", headers={"Authorization": "Bearer blnk_at_secret", "X-Twice": "1"})
    token, api = sandbox.requests
    assert (token.method, token.path, token.body_length) == ("POST", "/oauth/token", len(token.body))
    assert token.form == {"grant_type": "refresh_token", "refresh_token": "blnk_rt_secret"}
    assert (api.query, api.headers["authorization"]) == ("instance_id=instance_1", "Bearer blnk_at_secret")
    assert "secret" not in repr(sandbox.requests)
    assert "instance_1" not in repr(api)
    assert "secret" not in repr(sandbox) + repr(vars(sandbox))
    sandbox.clear_record()
    assert sandbox.requests == ()
    assert sandbox.counts == Counts()


def test_large_bodies_are_measured_whole_and_kept_in_part(sandbox: Sandbox, http: httpx.Client) -> None:
    """An upload is hashed to its last byte; the record keeps 64 KiB of it."""
    body = bytes(range(256)) * 4096
    echoed = http.post("/data/x", content=body, headers=bearer(sandbox.issue())).json()
    assert (echoed["body_length"], echoed["body_sha256"]) == (len(body), hashlib.sha256(body).hexdigest())
    (recorded,) = sandbox.requests
    assert recorded.body == body[: 64 * 1024]
    assert recorded.body_length == len(body)


def test_counts_are_a_snapshot(sandbox: Sandbox, http: httpx.Client) -> None:
    """Figures taken once do not change; clear_record starts over."""
    before = sandbox.counts
    http.get("/data/x")
    assert (before.api_requests, sandbox.counts.api_requests, sandbox.counts.api_rejected) == (0, 1, 1)
    with pytest.raises(FrozenInstanceError):
        before.api_requests = 5  # type: ignore[misc]
    sandbox.clear_record()
    assert sandbox.counts == Counts()


def test_waiting_for_token_requests_gives_up(sandbox: Sandbox) -> None:
    """A request that never comes is an error with figures, not a hang."""
    with pytest.raises(TimeoutError, match="0 of 1 token requests arrived within 0.01 seconds"):
        sandbox.wait_for_token_requests(1, timeout=0.01)


def test_waiting_ends_when_the_request_arrives(sandbox: Sandbox, http: httpx.Client) -> None:
    """Each arrival wakes everyone who waits for it, long before any timeout."""

    def wait_for_each() -> None:
        for n in range(1, 101):
            sandbox.wait_for_token_requests(n, PATIENCE)

    with ThreadPoolExecutor(1) as threads:
        waiter = threads.submit(wait_for_each)
        for _ in range(100):
            http.post("/oauth/token")
        waiter.result(timeout=PATIENCE)


def test_controls_over_http(sandbox: Sandbox, http: httpx.Client) -> None:
    """Another process can read the figures, revoke access tokens, change the lifetime; the journal does not record
    it.
    """
    answer = sandbox.issue()
    http.get("/data/x", headers=bearer(answer))
    assert http.get("/_sandbox/counts").json()["api_requests"] == 1
    assert http.post("/_sandbox/revoke-access-tokens?subject=bob").status_code == 200
    assert http.get("/data/x", headers=bearer(answer)).status_code == 200
    assert http.post("/_sandbox/revoke-access-tokens").status_code == 200
    assert http.get("/data/x", headers=bearer(answer)).status_code == 401
    assert http.post("/_sandbox/lifetime?seconds=2.5").status_code == 200
    assert refresh(sandbox, http, answer["refresh_token"]).json()["expires_in"] == 2.5
    assert http.post("/_sandbox/clear-record").json() == http.get("/_sandbox/counts").json()
    assert sandbox.counts == Counts()
    assert not [request for request in sandbox.requests if request.path.startswith("/_sandbox")]


@pytest.mark.parametrize("seconds", ["", "soon", "-1", "nan", "inf"])
def test_wrong_lifetime_is_refused(sandbox: Sandbox, http: httpx.Client, seconds: str) -> None:
    """A lifetime that is no number of seconds is refused by name and changes nothing."""
    response = http.post("/_sandbox/lifetime", params={"seconds": seconds})
    assert response.status_code == 400
    assert response.json()["error"].startswith("seconds must be a number of seconds")
    assert sandbox.lifetime == 3600


def test_unknown_control_lists_the_known_ones(http: httpx.Client) -> None:
    """A mistyped control, or the wrong method, gets the list of what there is."""
    assert "POST /_sandbox/clear-record" in http.get("/_sandbox/clear-record").json()["error"]


def test_wrong_lifetimes_are_refused_in_python(sandbox: Sandbox) -> None:
    """All three ways to give a lifetime check it."""
    with pytest.raises(ValueError, match="lifetime must be"):
        Sandbox(lifetime=-1)
    with pytest.raises(ValueError, match="lifetime must be"):
        sandbox.lifetime = float("inf")
    with pytest.raises(ValueError, match="lifetime must be"):
        sandbox.issue(lifetime=float("nan"))


# --- the server itself --------------------------------------------------------------------------------------------


def test_sandbox_stops_with_connections_open() -> None:
    """Idle keep-alive connections are closed, the thread ends, and the port is free immediately."""
    with httpx.Client() as http:
        with Sandbox() as sandbox:
            origin = sandbox.origin
            assert http.get(f"{origin}/").status_code == 401
        assert not [thread for thread in threading.enumerate() if thread.name == "blnk-auth-sandbox"]
        with pytest.raises(httpx.ConnectError):
            http.get(f"{origin}/")
        with Sandbox(port=urlsplit(origin).port or 0) as again:
            assert again.origin == origin
            assert http.get(f"{origin}/").status_code == 401


def test_the_next_sandbox_of_a_port_is_discovered_again() -> None:
    """Metadata is kept for an hour, but not that of an earlier sandbox with other extensions."""
    with Sandbox() as sandbox:
        origin = sandbox.origin
        assert Provider.discover(origin).pushed_authorization_request_endpoint is None
    with Sandbox(port=urlsplit(origin).port or 0, extensions=["par"]):
        assert Provider.discover(origin).pushed_authorization_request_endpoint is not None


def test_answers_are_not_delayed_by_nagles_algorithm(http: httpx.Client) -> None:
    """A kept connection answers immediately; with Nagle's algorithm each would take 40 ms."""
    http.get("/")
    taken: list[float] = []
    for _ in range(100):
        began_at = time.perf_counter()
        http.get("/")
        taken.append(time.perf_counter() - began_at)
    # The quickest, which no other work on the machine has delayed.
    assert min(taken) < 0.03


def test_occupied_port_is_named() -> None:
    """A port in use is an error that names the parameter to change."""
    with socket.create_server(("127.0.0.1", 0)) as occupant:
        port = occupant.getsockname()[1]
        with pytest.raises(OSError, match=f"port={port} on 127.0.0.1 cannot be used"), Sandbox(port=port):
            pass


def test_sandbox_has_no_address_before_it_runs() -> None:
    """Asking too early, or entering twice, is an error that names what to do."""
    with pytest.raises(RuntimeError, match="as sandbox:"):
        _ = Sandbox().origin
    with Sandbox() as sandbox, pytest.raises(RuntimeError, match="make a new one"):
        sandbox.__enter__()


def test_sandbox_logs_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """Neither a request nor a stop with a request under way writes to the log."""
    with caplog.at_level(logging.DEBUG), ThreadPoolExecutor(1) as threads, Sandbox() as sandbox:
        sandbox.fail(Fault(delay=3600))
        threads.submit(_post_and_forget, sandbox.origin)
        sandbox.wait_for_token_requests(1, PATIENCE)
        sandbox.__exit__(None, None, None)
    assert not [record for record in caplog.records if record.name.startswith("uvicorn")]


def _post_and_forget(origin: str) -> None:
    with pytest.raises(httpx.TransportError):
        httpx.post(f"{origin}/oauth/token", timeout=PATIENCE)


def test_rotation_is_atomic_under_64_threads(sandbox: Sandbox) -> None:
    """Of 64 simultaneous refreshes with one token exactly one succeeds, and 63 reuses are counted."""
    answer = sandbox.issue()
    together = threading.Barrier(64)

    def attempt(_: int) -> int:
        with httpx.Client(base_url=sandbox.origin, timeout=PATIENCE) as http:
            together.wait(PATIENCE)
            return refresh(sandbox, http, answer["refresh_token"]).status_code

    with ThreadPoolExecutor(64) as threads:
        statuses = sorted(threads.map(attempt, range(64)))
    assert statuses == [200] + [400] * 63
    assert sandbox.counts == Counts(token_requests=64, refreshes=1, reuses=63, refused=63)


def test_a_thousand_connections_at_the_same_time(sandbox: Sandbox) -> None:
    """A thousand clients connect in the same instant, are all connected together, and all are answered."""
    _allow_open_files(2500)
    asyncio.run(_ask_together(sandbox, 1000))
    assert sandbox.counts == Counts(api_requests=1000)


async def _ask_together(sandbox: Sandbox, count: int) -> None:
    address = urlsplit(sandbox.origin)
    request = (
        f"GET /data/x HTTP/1.1\r\nHost: sandbox\r\nAuthorization: {bearer(sandbox.issue())['Authorization']}\r\n\r\n"
    )
    streams = await asyncio.gather(
        *(asyncio.open_connection(address.hostname, address.port) for _ in range(count)),
    )
    for _, writer in streams:
        writer.write(request.encode())
    statuses = await asyncio.gather(*(reader.readline() for reader, _ in streams))
    assert set(statuses) == {b"HTTP/1.1 200 OK\r\n"}
    for _, writer in streams:
        writer.close()
    await asyncio.gather(*(writer.wait_closed() for _, writer in streams))


def _allow_open_files(needed: int) -> None:
    """Both ends of a connection are in this process; many systems start with a limit of 1024 files."""
    if sys.platform == "win32":
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < needed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))


# --- the package --------------------------------------------------------------------------------------------------


def _python(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize("missing", ["starlette", "uvicorn", "jinja2"])
def test_missing_extra_is_named(missing: str) -> None:
    """Without one of its packages the sandbox names the extra, and the clock works all the same."""
    script = (
        f"import sys; sys.modules[{missing!r}] = None\n"
        "from blnk_auth.testing import Clock; Clock()\n"
        "try:\n    from blnk_auth.testing import Sandbox\n"
        "except ImportError as error:\n    print(error)\n"
    )
    assert "pip install 'blnk-auth[sandbox]'" in _python("-c", script).stdout


def test_importing_the_package_imports_no_server() -> None:
    """`import blnk_auth.testing` costs nothing."""
    script = "import sys, blnk_auth.testing; print({'starlette', 'uvicorn', 'jinja2', 'pytest'} & sys.modules.keys())"
    assert _python("-c", script).stdout == "set()\n"


def test_unknown_name_is_an_attribute_error() -> None:
    """A mistyped name is an ordinary ImportError, and dir() shows the right ones."""
    import blnk_auth.testing

    assert set(blnk_auth.testing.__all__) <= set(dir(blnk_auth.testing))
    with pytest.raises(AttributeError, match="no attribute 'Sandbx'"):
        _ = blnk_auth.testing.Sandbx


def test_fixtures_share_one_clock(tmp_path: Any) -> None:
    """A user's test that names `sandbox` and `clock` gets a running sandbox with that clock."""
    (tmp_path / "test_user.py").write_text(
        "import httpx\n"
        "def test_user(sandbox, clock):\n"
        "    token = sandbox.issue()['access_token']\n"
        "    headers = {'Authorization': f'Bearer {token}'}\n"
        "    assert httpx.get(f'{sandbox.origin}/data/x', headers=headers).status_code == 200\n"
        "    clock.advance(3601)\n"
        "    assert httpx.get(f'{sandbox.origin}/data/x', headers=headers).status_code == 401\n"
    )
    result = _python("-m", "pytest", "-q", "-p", "blnk_auth.testing.fixtures", f"--rootdir={tmp_path}", str(tmp_path))
    assert result.returncode == 0, result.stdout


def test_clock_moves_only_on_demand() -> None:
    """The clock starts at a round number and adds up every advance, from any thread."""
    clock = Clock()
    assert clock() == clock() == 1_800_000_000.0
    with ThreadPoolExecutor(16) as threads:
        list(threads.map(clock.advance, [0.5] * 1000))
    assert clock() == 1_800_000_500.0
    assert Clock(5.0)() == 5.0
