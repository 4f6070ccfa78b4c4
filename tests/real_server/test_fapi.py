"""Open finance at npm's `oidc-provider` in its FAPI 2.0 profile: PAR, PKCE, and tokens that only their client can use.

The profile refuses a sign-in that was not pushed, a client that proves itself with a secret, an assertion for another
audience than the issuer, and a token that is bound to nothing. One client proves each request with DPoP, the other with
its certificate. The server asks for a nonce with each proof, and its nonces step every 60 seconds of the shared clock.
"""

from __future__ import annotations

import json
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from support.clients import HERD, HTTPX, KINDS, Answer, Http
from support.errors import raises
from support.limits import PATIENCE
from support.oidc_provider import sign_in
from support.oidc_provider_world import STEP, RealWorld
from support.processes import Child

from blnk_auth import ConfigurationError, OAuthClient, SQLiteStore, TokenSource

EXPIRIES = 10
PROCESSES = 8
CHILD = Path(__file__).parents[1] / "support" / "child_of_oidc_provider.py"
RESOURCE = "https://accounts.test/"
DETAILS = [{"type": "account_information", "actions": ["list_accounts"]}]


@dataclass(frozen=True)
class Fapi:
    """One way to bind tokens to a client, as a test uses it."""

    how: str
    world: RealWorld

    @property
    def uses_certificate(self) -> bool:
        return self.how == "fapi-mtls"

    @property
    def api(self) -> str:
        origin = self.world.server.secure_origin if self.uses_certificate else self.world.server.issuer
        return f"{origin}/me"

    def settings(self) -> dict[str, Any]:
        """What the client is made with: the whole difference between the two ways."""
        if self.uses_certificate:
            files = self.world.certificates.files(self.how)
            return {"client_auth": "tls_client_auth", "cert": files, "verify": self.world.certificates.ca_file}
        return {"private_key": self.private_key, "signing_algorithm": "PS256", "dpop": True}

    @property
    def private_key(self) -> str:
        return self.world.key.as_pem(private=True).decode()

    def client(self, **settings: Any) -> OAuthClient:
        provider = self.world.provider(
            requires_pushed_authorization_requests=True,
            assertion_audience="issuer",
            api_origins=(self.world.server.issuer, self.world.server.secure_origin),
        )
        return self.world.client(self.how, provider, **{**self.settings(), **settings})

    def signed_in(self) -> TokenSource:
        """The source of a user who consented to what was pushed; all counters at 0 afterwards."""
        client = self.client()
        start = client.start_authorization("alice", scope="openid")
        source = client.finish_authorization(sign_in(start.url, "alice"))
        self.world.server.reset_counts()
        return source

    def open(self, kind: Any, source: TokenSource) -> Http:
        verify = self.world.certificates.context(self.how) if self.uses_certificate else None
        http: Http = kind.open(source, verify=verify)
        return http

    def through_everything(self, stack: ExitStack, source: TokenSource) -> list[Http]:
        return [stack.enter_context(self.open(kind, source)) for kind in KINDS]


@pytest.fixture(params=["fapi-dpop", "fapi-mtls"])
def fapi(request: pytest.FixtureRequest, world: RealWorld) -> Fapi:
    return Fapi(request.param, world)


def herd(clients: list[Http], url: str) -> list[Answer]:
    """Fifty parallel calls, threads and tasks of both kinds of event loop mixed."""
    calls = [clients[n % len(clients)].start("GET", url) for n in range(HERD)]
    return [call.result(PATIENCE) for call in calls]


def test_a_user_signs_in_by_a_pushed_request(fapi: Fapi) -> None:
    """The browser gets a request_uri and no parameter of the request; the token that follows is bound."""
    client = fapi.client()
    start = client.start_authorization("alice", scope="openid")
    assert set(parse_qs(urlsplit(start.url).query)) == {"client_id", "request_uri"}
    alice = client.finish_authorization(sign_in(start.url, "alice"))
    assert fapi.world.server.counts.pushed == 1
    with fapi.open(HTTPX, alice) as http:
        answer = http.get(fapi.api)
    assert (answer.status, json.loads(answer.body)) == (200, {"sub": "alice"})
    assert alice.token().token_type == ("Bearer" if fapi.uses_certificate else "DPoP")


def test_the_server_insists_on_a_pushed_request(fapi: Fapi) -> None:
    """The server refuses a sign-in that was not pushed, and the error names the setting of the provider."""
    client = fapi.world.client(fapi.how, fapi.world.provider(assertion_audience="issuer"), **fapi.settings())
    start = client.start_authorization("alice", scope="openid")
    with raises(ConfigurationError, parameter="pushed_authorization_request_endpoint"):
        client.finish_authorization(sign_in(start.url, "alice"))


def test_a_token_is_of_no_use_to_anybody_else(fapi: Fapi) -> None:
    """The server refuses the token without the proof, or the certificate, that it is bound to."""
    alice = fapi.signed_in()
    token = alice.token().access_token
    other = fapi.world.certificates.context("somebody")
    scheme = "Bearer" if fapi.uses_certificate else "DPoP"
    with httpx.Client(verify=other, trust_env=False) as http:
        for each in ("Bearer", scheme):
            assert http.get(fapi.api, headers={"Authorization": f"{each} {token}"}).status_code in (400, 401)


def test_f68_f01_ten_expiries_under_fifty_callers(fapi: Fapi) -> None:
    """Fifty threads and tasks in parallel, over ten expiries: one refresh for each, no reuse, no failed call."""
    alice = fapi.signed_in()
    world, seen = fapi.world, set[str]()
    with ExitStack() as stack:
        clients = fapi.through_everything(stack, alice)
        for expiry in range(1, EXPIRIES + 1):
            world.expire()
            answers = herd(clients, fapi.api)
            tokens = {str(answer.token) for answer in answers}
            assert {answer.status for answer in answers} == {200}
            assert len(tokens) == 1
            assert (world.server.counts.refreshes, world.server.counts.reuses) == (expiry, 0)
            seen |= tokens
    assert len(seen) == EXPIRIES
    assert world.server.counts.refusals == []


def test_f68_f40_eight_processes_share_one_store(fapi: Fapi, tmp_path: Path) -> None:
    """Eight processes find the token in one SQLite file expired, time after time: one refresh each time, no reuse."""
    path, world = tmp_path / "tokens.db", fapi.world
    world.store = SQLiteStore(path)
    fapi.signed_in()
    with ExitStack() as stack:
        children = [stack.enter_context(_child(fapi, path)) for _ in range(PROCESSES)]
        assert [child.says() for child in children] == ["ready"] * PROCESSES
        for expiry in range(1, EXPIRIES + 1):
            world.expire()
            for child in children:
                child.go_on()
            written = [child.says() for child in children]
            assert [each["status"] for each in written] == [200] * PROCESSES
            assert len({each["token"] for each in written}) == 1
            assert (world.server.counts.refreshes, world.server.counts.reuses) == (expiry, 0)
    assert world.server.counts.refusals == []


def _child(fapi: Fapi, path: Path) -> Child:
    settings = {
        "issuer": fapi.world.server.issuer,
        "api": fapi.api,
        "path": str(path),
        "now": fapi.world.clock(),
        "step": STEP,
        "provider": {
            "requires_pushed_authorization_requests": True,
            "assertion_audience": "issuer",
            "api_origins": [fapi.world.server.issuer, fapi.world.server.secure_origin],
        },
        "client": {"client_id": fapi.how, **fapi.settings()},
    }
    return Child(sys.executable, str(CHILD), json.dumps(settings))


@pytest.mark.parametrize("fapi", ["fapi-dpop"], indirect=True)
def test_nonces_cost_one_more_request_each_time_they_have_aged(fapi: Fapi) -> None:
    """The server accepts a nonce for three minutes, so calls within that time need no second request."""
    alice = fapi.signed_in()
    world = fapi.world
    with fapi.open(HTTPX, alice) as http:
        for _ in range(5):
            assert http.get(fapi.api).status == 200
    assert world.server.counts.nonce_demands <= 1
    for _ in range(EXPIRIES):
        world.expire()
        with fapi.open(HTTPX, alice) as http:
            assert http.get(fapi.api).status == 200
    # Each answer brought the nonce of its step, which the next step still accepts.
    assert world.server.counts.nonce_demands <= 1


@pytest.mark.parametrize("fapi", ["fapi-dpop"], indirect=True)
def test_an_old_nonce_is_replaced_within_the_same_call(fapi: Fapi) -> None:
    """After an hour without a request the server refuses our nonce once, at each endpoint, and every call succeeds."""
    alice = fapi.signed_in()
    world = fapi.world
    with fapi.open(HTTPX, alice) as http:
        assert http.get(fapi.api).status == 200
        world.server.reset_counts()
        world.clock.advance(3600)
        world.server.set_clock(world.clock())
        assert http.get(fapi.api).status == 200
    counts = world.server.counts
    assert (counts.refreshes, counts.reuses, counts.refusals) == (1, 0, [])
    assert 1 <= counts.nonce_demands <= 2


def test_what_the_user_granted_survives_a_renewal(fapi: Fapi) -> None:
    """`authorization_details` (RFC 9396) come back with the token, and are there after it was renewed."""
    client = fapi.client()
    start = client.start_authorization(
        "alice", scope="openid accounts", resource=RESOURCE, authorization_details=DETAILS
    )
    alice = client.finish_authorization(sign_in(start.url, "alice"))
    granted = alice.token().extra.get("authorization_details")
    fapi.world.expire()
    assert alice.token().extra.get("authorization_details") == granted
    assert granted == DETAILS
