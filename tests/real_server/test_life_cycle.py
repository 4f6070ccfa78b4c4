"""The whole life of a grant at npm's `oidc-provider`: an authorization server that nobody of this project wrote.

It rotates refresh tokens at each use, and ends the whole grant when a spent one comes back: `reuses == 0` is what
survival depends on. Its clock and ours are the same, and move only when a test moves them.
"""

from __future__ import annotations

import json
import re
import secrets
import sys
from concurrent.futures import Future
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import quote_plus

import pytest
from joserfc import jwt
from support.clients import HERD, HTTPX, KINDS, Answer, Http
from support.errors import raises
from support.limits import PATIENCE
from support.oidc_provider import sign_in
from support.oidc_provider_world import AWKWARD_SECRET, STEP, RealWorld
from support.processes import Child

from blnk_auth import ConfigurationError, OAuthClient, ProtocolError, Signer, SignInRequired, SQLiteStore, TokenSource

EXPIRIES = 10
PROCESSES = 8
CHILD = Path(__file__).parents[1] / "support" / "child_of_oidc_provider.py"


def through_everything(stack: ExitStack, source: TokenSource) -> list[Http]:
    """An open client of each package in each manner, all on one source."""
    return [stack.enter_context(kind.open(source)) for kind in KINDS]


def herd(clients: list[Http], url: str) -> list[Answer]:
    """Fifty parallel calls, threads and tasks of both kinds of event loop mixed."""
    calls: list[Future[Answer]] = [clients[n % len(clients)].start("GET", url) for n in range(HERD)]
    return [call.result(PATIENCE) for call in calls]


# --- getting the grant -----------------------------------------------------------------------------------------------


def test_the_server_is_found_by_discovery(world: RealWorld) -> None:
    """Discovery finds every endpoint and PKCE's support, and lets only the issuer's own origin have tokens."""
    provider = world.provider()
    issuer = world.server.issuer
    assert (provider.issuer, provider.pkce, provider.api_origins) == (issuer, True, (issuer,))
    assert provider.token_endpoint == f"{issuer}/token"
    assert provider.revocation_endpoint == f"{issuer}/token/revocation"
    assert provider.authorization_endpoint == f"{issuer}/auth"
    assert provider.sends_iss


def test_a_user_signs_in_and_the_api_knows_who_it_is(world: RealWorld) -> None:
    """After a sign-in with PKCE, `iss` and a real consent page, a call carries the token of that very user."""
    alice = world.sign_in(world.client())
    with HTTPX.open(alice) as http:
        answer = http.get(world.api)
    assert (answer.status, json.loads(answer.body)) == (200, {"sub": "alice"})
    assert world.renewals == (1, 0, 0)
    assert alice.state == "fresh"


def test_an_answer_without_the_promised_iss_is_refused(world: RealWorld) -> None:
    """The metadata promises `iss` (RFC 9207): the redirect without it ends nothing, and the whole one signs in."""
    client = world.client()
    start = client.start_authorization("alice", scope="openid")
    callback_url = sign_in(start.url, "alice")
    stripped = re.sub(r"&iss=[^&]*", "", callback_url)
    assert stripped != callback_url
    with raises(ProtocolError, parameter="callback_url", shows="iss"):
        client.finish_authorization(stripped)
    assert world.renewals == (0, 0, 0)
    assert client.finish_authorization(callback_url).state == "fresh"


def test_the_server_insists_on_pkce(world: RealWorld) -> None:
    """Without a code challenge the server ends the sign-in: the one above proves ours to be right."""
    client = world.client(provider=world.provider(pkce=False))
    start = client.start_authorization("alice", scope="openid")
    with raises(ConfigurationError, error="invalid_request"):
        client.finish_authorization(sign_in(start.url, "alice"))


def test_a_client_gets_a_token_for_itself(world: RealWorld) -> None:
    """The client credentials grant works, is renewed after its expiry, and yields no refresh token."""
    itself = world.client().for_itself()
    first = itself.token()
    world.expire()
    second = itself.token()
    assert first.refresh_token is second.refresh_token is None
    assert [world.is_active(each.access_token) for each in (first, second)] == [False, True]
    assert world.renewals == (2, 0, 0)


# --- renewing --------------------------------------------------------------------------------------------------------


def test_f68_f01_ten_expiries_under_fifty_callers(world: RealWorld) -> None:
    """Fifty threads and tasks in parallel, over ten expiries: one refresh for each, no reuse, no failed call."""
    alice = world.signed_in()
    seen: set[str | None] = set()
    with ExitStack() as stack:
        clients = through_everything(stack, alice)
        for expiry in range(1, EXPIRIES + 1):
            world.expire()
            answers = herd(clients, world.api)
            tokens = {answer.token for answer in answers}
            assert {answer.status for answer in answers} == {200}
            assert len(tokens) == 1
            assert world.renewals == (expiry, expiry, 0)
            seen |= tokens
    assert len(seen) == EXPIRIES
    assert world.server.counts.refusals == []


def test_f68_f40_eight_processes_share_one_store(world: RealWorld, tmp_path: Path) -> None:
    """Eight processes find the token in one SQLite file expired, time after time: one refresh each time, no reuse."""
    path = tmp_path / "tokens.db"
    world.store = SQLiteStore(path)
    world.signed_in()
    with ExitStack() as stack:
        children = [stack.enter_context(_child(world, path)) for _ in range(PROCESSES)]
        assert [child.says() for child in children] == ["ready"] * PROCESSES
        for expiry in range(1, EXPIRIES + 1):
            world.expire()
            for child in children:
                child.go_on()
            written = [child.says() for child in children]
            assert [each["status"] for each in written] == [200] * PROCESSES
            assert len({each["token"] for each in written}) == 1
            assert world.renewals == (expiry, expiry, 0)
    assert world.server.counts.refusals == []


def _child(world: RealWorld, path: Path) -> Child:
    settings = {
        "issuer": world.server.issuer,
        "api": world.api,
        "path": str(path),
        "now": world.clock(),
        "step": STEP,
        "provider": {},
        "client": {"client_id": "basic", "client_secret": AWKWARD_SECRET},
    }
    return Child(sys.executable, str(CHILD), json.dumps(settings))


def test_a_rejected_token_is_renewed_once_for_fifty_callers(world: RealWorld) -> None:
    """A token that the server ended before its time is renewed by one refresh, and every call is repeated with it."""
    alice = world.signed_in()
    with ExitStack() as stack:
        clients = through_everything(stack, alice)
        herd(clients, world.api)
        # Only the server's clock: we go on believing in the token.
        world.server.set_clock(world.clock() + STEP)
        answers = herd(clients, world.api)
    world.server.set_clock(world.clock())
    assert {answer.status for answer in answers} == {200}
    assert len({answer.token for answer in answers}) == 1
    assert world.renewals == (1, 1, 0)


def test_the_server_does_notice_a_reuse(world: RealWorld) -> None:
    """A spent refresh token sent by hand ends the whole grant: so the counter would have seen reuse above."""
    alice = world.signed_in()
    spent = alice.token().refresh_token
    world.expire()
    alice.token()
    answer = world.server.post(
        "/token", ("basic", quote_plus(AWKWARD_SECRET)), grant_type="refresh_token", refresh_token=str(spent)
    )
    assert answer.json()["error"] == "invalid_grant"
    assert world.server.counts.reuses == 1
    with pytest.raises(SignInRequired) as caught:
        alice.renew()
    assert (caught.value.reason, caught.value.subject) == ("refused", "alice")
    assert alice.state == "sign_in_required"


# --- the end ---------------------------------------------------------------------------------------------------------


def test_f64_revoking_ends_both_tokens(world: RealWorld) -> None:
    """`revoke()` sends the server both tokens; both are inactive afterwards, and nothing is kept here."""
    alice = world.signed_in()
    token = alice.token()
    assert token.refresh_token is not None
    both = (token.access_token, token.refresh_token)
    assert [world.is_active(each) for each in both] == [True, True]
    alice.revoke()
    assert [world.is_active(each) for each in both] == [False, False]
    assert world.server.counts.revocations == 2
    assert alice.state == "missing"
    assert world.store.load(alice.store_key) is None
    with pytest.raises(SignInRequired):
        alice.token()


def test_f64_revoking_twice_is_not_an_error(world: RealWorld) -> None:
    """A second `revoke()`, and one of a grant that has ended at the server already, end well."""
    alice = world.signed_in()
    token = alice.token()
    world.server.post("/token/revocation", ("basic", quote_plus(AWKWARD_SECRET)), token=token.access_token)
    alice.revoke()
    alice.revoke()
    assert alice.state == "missing"


# --- who the client is -----------------------------------------------------------------------------------------------


def test_f65_basic_is_form_encoded(world: RealWorld) -> None:
    """A secret with reserved characters is understood form-encoded, which is the default (RFC 6749 section 2.3.1)."""
    assert world.provider().basic_encoding == "rfc6749"
    world.client().for_itself().token()
    assert world.server.counts.refusals == []


def test_f65_raw_basic_is_refused_by_this_server(world: RealWorld) -> None:
    """Sent raw, the same secret is another one: an error about the configuration that spares every grant."""
    alice = world.signed_in()
    raw = world.client(provider=world.provider(basic_encoding="raw"))
    with raises(ConfigurationError, error="invalid_client"):
        raw.for_itself().token()
    assert alice.state == "fresh"


@pytest.mark.parametrize("audience", ["token_endpoint", "issuer"])
@pytest.mark.parametrize("algorithm", ["RS256", "PS256"])
def test_f66_private_key_jwt(world: RealWorld, audience: str, algorithm: str) -> None:
    """Both audiences prove the client at sign-in, renewal and revocation, each time with a new assertion."""
    provider = world.provider(assertion_audience=audience)
    client = world.client(
        "signing",
        provider,
        private_key=world.key.as_pem(private=True).decode(),
        key_id="2026-01",
        signing_algorithm=algorithm,
    )
    _lives_and_ends(world, client)


def test_f66_private_key_jwt_with_a_key_in_hardware(world: RealWorld) -> None:
    """A key that only signs, and is never seen, proves the client as well."""
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
    from cryptography.hazmat.primitives.hashes import SHA256

    private = world.key.private_key
    signer = Signer(lambda octets: private.sign(octets, PKCS1v15(), SHA256()), "RS256", "2026-01")
    _lives_and_ends(world, world.client("signing", client_auth="private_key_jwt", private_key=signer))


def test_an_assertion_that_was_signed_elsewhere(world: RealWorld) -> None:
    """The server verifies it as one of the client's own, and accepts each once (`client_assertion`)."""

    def signed_elsewhere() -> str:
        now = int(world.clock())
        claims = {"iss": "signing", "sub": "signing", "aud": world.server.issuer, "iat": now, "exp": now + 60}
        header = {"alg": "RS256", "kid": "2026-01"}
        return jwt.encode(header, {**claims, "jti": secrets.token_urlsafe()}, world.key)

    _lives_and_ends(world, world.client("signing", client_assertion=signed_elsewhere))


@pytest.mark.parametrize("client_id", ["certified", "self-signed"])
def test_mutual_tls(world: RealWorld, client_id: str) -> None:
    """A certificate proves the client at the endpoints of mtls_endpoint_aliases, and its tokens are bound to it."""
    ca_file = world.certificates.ca_file
    files = world.certificates.files(client_id)
    found = world.provider(cert=files, verify=ca_file, api_origins=(world.server.secure_origin,))
    assert found.token_endpoint == f"{world.server.secure_origin}/token"
    method = "tls_client_auth" if client_id == "certified" else "self_signed_tls_client_auth"
    client = world.client(client_id, found, cert=files, verify=ca_file, client_auth=method)
    alice = world.sign_in(client)
    world.expire()
    with HTTPX.open(alice, verify=world.certificates.context(client_id)) as http:
        assert http.get(f"{world.server.secure_origin}/me").status == 200
    with HTTPX.open(alice, verify=world.certificates.context("somebody")) as http:
        assert http.get(f"{world.server.secure_origin}/me").status == 401
    alice.revoke()
    assert world.server.counts.reuses == 0


def test_the_certificate_of_another_client_is_not_accepted(world: RealWorld, tmp_path: Path) -> None:
    """A client that comes with a certificate of another name is refused as wrongly configured."""
    other = world.certificates.authority.issue_cert("other.test")
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    other.cert_chain_pems[0].write_to_path(str(cert))
    other.private_key_pem.write_to_path(str(key))
    files, ca_file = (str(cert), str(key)), world.certificates.ca_file
    provider = world.provider(cert=files, verify=ca_file)
    client = world.client("certified", provider, cert=files, verify=ca_file, client_auth="tls_client_auth")
    with raises(ConfigurationError, error="invalid_client"):
        client.for_itself().token()


def _lives_and_ends(world: RealWorld, client: OAuthClient) -> None:
    alice = world.sign_in(client)
    for _ in range(2):
        world.expire()
        with HTTPX.open(alice) as http:
            assert http.get(world.api).status == 200
    refresh_token = alice.token().refresh_token
    alice.revoke()
    assert not world.is_active(str(refresh_token))
    assert world.renewals == (3, 2, 0)
    assert world.server.counts.refusals == []
