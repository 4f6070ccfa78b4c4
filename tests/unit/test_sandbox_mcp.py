"""The sandbox's MCP personality, by bare httpx: metadata, clients that make themselves known, `resource`, scopes."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Mapping
from typing import Any, cast
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx
import pytest

from blnk_auth.testing import Clock, Sandbox
from blnk_auth.testing.sandbox import mcp

pytestmark = pytest.mark.real

CALLBACK = "http://127.0.0.1:9000/callback"
VERIFIER = "v" * 43
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
DOCUMENT = "https://client.example/metadata.json"
NATIVE = {"redirect_uris": [CALLBACK], "application_type": "native", "token_endpoint_auth_method": "none"}


@pytest.fixture
def sandbox(clock: Clock) -> Iterator[Sandbox]:
    with Sandbox("mcp", clock=clock) as running:
        yield running


@pytest.fixture
def personality(sandbox: Sandbox) -> mcp.MCP:
    return cast("mcp.MCP", sandbox.personality)


def asking(sandbox: Sandbox, client_id: str, **changed: str | None) -> str:
    """An authorization URL; None leaves a parameter out."""
    members = {
        "response_type": "code",
        "client_id": client_id,
        "redirect_uri": CALLBACK,
        "state": "s",
        "code_challenge": CHALLENGE,
        "code_challenge_method": "S256",
        "resource": f"{sandbox.origin}/mcp",
        **changed,
    }
    return f"{sandbox.origin}/authorize?{urlencode({k: v for k, v in members.items() if v is not None})}"


def allowed(sandbox: Sandbox, client_id: str, **changed: str | None) -> dict[str, str]:
    """What the browser brings back."""
    return dict(parse_qsl(urlsplit(sandbox.sign_in(asking(sandbox, client_id, **changed))).query))


def token_form(sandbox: Sandbox, client_id: str, **form: str) -> dict[str, str]:
    return {"client_id": client_id, "resource": f"{sandbox.origin}/mcp", **form}


def exchanged(sandbox: Sandbox, http: httpx.Client, client_id: str, **changed: str | None) -> dict[str, Any]:
    """The token response of a client without a secret."""
    code = allowed(sandbox, client_id, **changed)["code"]
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK, "code_verifier": VERIFIER}
    return http.post("/token", data=token_form(sandbox, client_id, **form)).raise_for_status().json()


def registered(http: httpx.Client, **changed: Any) -> dict[str, Any]:
    response = http.post("/register", json={**NATIVE, **changed})
    assert response.status_code == 201, response.text
    return response.json()


def refused(http: httpx.Client, **changed: Any) -> str:
    response = http.post("/register", json={**NATIVE, **changed})
    assert response.status_code == 400, response.text
    return response.json()["error"]


def call(http: httpx.Client, tokens: Mapping[str, Any] | None, tool: str, **arguments: str) -> httpx.Response:
    headers = {} if tokens is None else {"authorization": f"Bearer {tokens['access_token']}"}
    params = {"name": tool, "arguments": arguments}
    return http.post(
        "/mcp", json={"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}, headers=headers
    )


def test_the_challenge_leads_to_the_metadata_of_both(sandbox: Sandbox, http: httpx.Client) -> None:
    """From the 401 to the resource's document, and from there to that of its authorization server."""
    response = call(http, None, "list_ledgers")
    document = f"{sandbox.origin}/.well-known/oauth-protected-resource/mcp"
    assert response.status_code == 401
    assert response.headers["www-authenticate"] == f'Bearer scope="ledgers:read", resource_metadata="{document}"'
    resource = http.get(document).json()
    assert resource["resource"] == f"{sandbox.origin}/mcp"
    assert resource["authorization_servers"] == [sandbox.origin]
    server = http.get("/.well-known/oauth-authorization-server").json()
    assert server["issuer"] == sandbox.origin
    assert server["registration_endpoint"] == f"{sandbox.origin}/register"
    assert server["code_challenge_methods_supported"] == ["S256"]
    assert server["client_id_metadata_document_supported"] is True
    for elsewhere in ("/.well-known/oauth-protected-resource", "/.well-known/openid-configuration"):
        assert http.get(elsewhere).status_code == 404


def test_a_client_registers_signs_a_user_in_and_calls_a_tool(sandbox: Sandbox, http: httpx.Client) -> None:
    """With `iss` in the callback; the API without MCP takes the token too."""
    client = registered(http, client_name="Acme", scope="ledgers:read ledgers:write")
    assert client["client_name"] == "Acme"
    assert "client_secret" not in client
    assert allowed(sandbox, client["client_id"])["iss"] == sandbox.origin
    tokens = exchanged(sandbox, http, client["client_id"])
    assert call(http, tokens, "list_ledgers").json()["result"]["isError"] is False
    assert http.get("/mcp/ledgers", headers={"authorization": f"Bearer {tokens['access_token']}"}).json()["data"]
    assert (sandbox.counts.registrations, sandbox.counts.code_exchanges) == (1, 1)


def test_a_tool_needs_another_scope(sandbox: Sandbox, http: httpx.Client) -> None:
    """403 `insufficient_scope` with the scope that is missing; a token that has it is accepted."""
    client_id = registered(http)["client_id"]
    reading = exchanged(sandbox, http, client_id)
    response = call(http, reading, "create_ledger", name="x")
    assert response.status_code == 403
    assert 'error="insufficient_scope", scope="ledgers:write"' in response.headers["www-authenticate"]
    writing = exchanged(sandbox, http, client_id, scope="ledgers:read ledgers:write")
    assert call(http, writing, "create_ledger", name="x").status_code == 200
    assert sandbox.counts.step_ups == 1


def test_a_refresh_token_is_for_one_use(sandbox: Sandbox, http: httpx.Client) -> None:
    """The second use of one ends the grant, and is counted."""
    client_id = registered(http)["client_id"]
    first = exchanged(sandbox, http, client_id)["refresh_token"]
    form = token_form(sandbox, client_id, grant_type="refresh_token", refresh_token=first)
    renewed = http.post("/token", data=form).json()
    assert renewed["refresh_token"] != first
    assert http.post("/token", data=form).json()["error"] == "invalid_grant"
    assert call(http, renewed, "list_ledgers").status_code == 401
    assert (sandbox.counts.refreshes, sandbox.counts.reuses) == (1, 1)


@pytest.mark.parametrize("resource", [None, "https://other.example/mcp"])
def test_every_request_names_the_resource(
    sandbox: Sandbox, http: httpx.Client, personality: mcp.MCP, resource: str | None
) -> None:
    """`invalid_target` otherwise (RFC 8707); a sandbox can be set to do without, but takes no other."""
    client_id = registered(http)["client_id"]
    sent_back = allowed(sandbox, client_id, resource=resource)
    assert sent_back["error"] == "invalid_target"
    form = {"grant_type": "refresh_token", "refresh_token": "x", "client_id": client_id}
    named = {} if resource is None else {"resource": resource}
    assert http.post("/token", data={**form, **named}).json()["error"] == "invalid_target"
    personality.requires_resource = False
    wanted = "invalid_grant" if resource is None else "invalid_target"
    assert http.post("/token", data={**form, **named}).json()["error"] == wanted


@pytest.mark.parametrize("changed", [{"code_challenge": None}, {"code_challenge_method": "plain"}])
def test_pkce_with_s256_is_required(sandbox: Sandbox, http: httpx.Client, changed: dict[str, str | None]) -> None:
    """As the specification of the protocol demands."""
    client_id = registered(http)["client_id"]
    assert allowed(sandbox, client_id, **changed)["error"] == "invalid_request"


def test_a_document_identifies_a_client(sandbox: Sandbox, http: httpx.Client, personality: mcp.MCP) -> None:
    """Without registering. A document that a test has put there decides which redirect URIs it has."""
    assert exchanged(sandbox, http, DOCUMENT)["access_token"]
    assert sandbox.counts.registrations == 0
    personality.clients.documents[DOCUMENT] = {"client_id": DOCUMENT, "redirect_uris": ["http://127.0.0.1/other"]}
    with pytest.raises(ValueError, match="answered 400"):
        sandbox.sign_in(asking(sandbox, DOCUMENT))
    other = "https://client.example/other.json"
    personality.clients.documents[other] = {"client_id": DOCUMENT, "redirect_uris": [CALLBACK]}
    with pytest.raises(ValueError, match="answered 400"):
        sandbox.sign_in(asking(sandbox, other))


@pytest.mark.parametrize("client_id", ["https://client.example", "http://client.example/x", "https://c.example/x#y"])
def test_not_every_url_is_a_document(sandbox: Sandbox, client_id: str) -> None:
    """It is https, has a path, and has no fragment."""
    with pytest.raises(ValueError, match="answered 400"):
        sandbox.sign_in(asking(sandbox, client_id))


def test_a_server_may_lack_both_ways(sandbox: Sandbox, http: httpx.Client, personality: mcp.MCP) -> None:
    """Then its metadata lists neither, and only the registered client is known."""
    personality.clients.may_register = personality.clients.takes_documents = False
    server = http.get("/.well-known/oauth-authorization-server").json()
    assert "registration_endpoint" not in server
    assert server["client_id_metadata_document_supported"] is False
    assert http.post("/register", json=NATIVE).status_code == 404
    with pytest.raises(ValueError, match="answered 400"):
        sandbox.sign_in(asking(sandbox, DOCUMENT))
    assert "code" in allowed(sandbox, sandbox.client_id, redirect_uri=sandbox.redirect_uri)


def test_a_wrong_registration_is_refused(http: httpx.Client) -> None:
    """With the errors of RFC 7591 section 3.2.2."""
    for uris in ([], ["http://client.example/callback"], "x", [1], [CALLBACK] * 21):
        assert refused(http, redirect_uris=uris) == "invalid_redirect_uri"
    assert refused(http, application_type="web") == "invalid_redirect_uri"
    assert refused(http, redirect_uris=["https://client.example/callback"]) == "invalid_redirect_uri"
    for wrong in ({"application_type": "tv"}, {"grant_types": ["implicit"]}, {"token_endpoint_auth_method": "x"}):
        assert refused(http, **wrong) == "invalid_client_metadata"


def test_a_registration_can_be_forgotten_and_its_secret_can_expire(
    sandbox: Sandbox, http: httpx.Client, personality: mcp.MCP, clock: Clock
) -> None:
    """Both are `invalid_client` at the token endpoint; the registered client stays."""
    personality.clients.secret_lifetime = 60
    client = registered(http, token_endpoint_auth_method="client_secret_basic")
    assert client["client_secret_expires_at"] == clock() + 60
    auth = (client["client_id"], client["client_secret"])
    assert ("client secret", client["client_secret"]) in sandbox.secrets
    form = {"grant_type": "client_credentials", "resource": f"{sandbox.origin}/mcp"}
    assert http.post("/token", data=form, auth=auth).json()["scope"] == "ledgers:read"
    clock.advance(60)
    assert http.post("/token", data=form, auth=auth).json()["error"] == "invalid_client"
    personality.clients.secret_lifetime = float("inf")
    client = registered(http, token_endpoint_auth_method="client_secret_post")
    assert client["client_secret_expires_at"] == 0
    personality.clients.forget()
    auth = (client["client_id"], client["client_secret"])
    assert http.post("/token", data=form, auth=auth).json()["error"] == "invalid_client"
    assert http.post("/token", data=form, auth=(sandbox.client_id, sandbox.client_secret)).status_code == 200


def test_a_public_client_gets_no_token_for_itself(sandbox: Sandbox, http: httpx.Client) -> None:
    """RFC 6749 section 4.4: only confidential clients may."""
    client_id = registered(http)["client_id"]
    form = token_form(sandbox, client_id, grant_type="client_credentials")
    assert http.post("/token", data=form).json()["error"] == "unsupported_grant_type"


def test_revoking_ends_the_grant_of_the_client(sandbox: Sandbox, http: httpx.Client) -> None:
    """RFC 7009: with any of its tokens; another client's is left as it is."""
    client_id, other = registered(http)["client_id"], registered(http)["client_id"]
    tokens = exchanged(sandbox, http, client_id)
    http.post("/revoke", data={"client_id": other, "token": tokens["refresh_token"]}).raise_for_status()
    assert call(http, tokens, "list_ledgers").status_code == 200
    http.post("/revoke", data={"client_id": client_id, "token": tokens["refresh_token"]}).raise_for_status()
    assert call(http, tokens, "list_ledgers").status_code == 401


def test_registration_and_metadata_fail_on_demand(sandbox: Sandbox, http: httpx.Client) -> None:
    """By the names of the errors, and with what a hostile server sends."""
    sandbox.fail("invalid_redirect_uri", "huge_metadata", "html_metadata")
    assert refused(http) == "invalid_redirect_uri"
    assert len(http.get("/.well-known/oauth-authorization-server").content) == 5_000_000
    assert http.get("/.well-known/oauth-protected-resource/mcp").text.startswith("<!doctype")
    assert registered(http)["client_id"]


@pytest.mark.parametrize("path", ["/register", "/token", "/revoke"])
def test_other_methods_are_refused(http: httpx.Client, path: str) -> None:
    """405, with those that are allowed."""
    response = http.get(path)
    assert (response.status_code, response.headers["allow"]) == (405, "POST")


def test_what_is_not_there_is_not_found(sandbox: Sandbox, http: httpx.Client) -> None:
    """At any other path, and for an unknown kind of record."""
    headers = {"authorization": f"Bearer {sandbox.issue()['access_token']}"}
    assert http.get("/mcp/unknown", headers=headers).status_code == 404
    assert http.get("/other", headers=headers).status_code == 404
    assert http.post("/mcp/ledgers", json={"name": "x"}, headers=headers).status_code == 403
    writing = {"authorization": f"Bearer {sandbox.issue(scope='ledgers:write')['access_token']}"}
    assert http.post("/mcp/ledgers", json={"name": "x"}, headers=writing).json()["name"] == "x"
