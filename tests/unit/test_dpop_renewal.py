"""Grants that are bound to a DPoP key (RFC 9449): getting, keeping and renewing them. joserfc verifies every proof."""

from __future__ import annotations

import base64
import dataclasses
import json
import pickle
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from joserfc import jwk, jwt
from support.errors import raises
from support.providers import acme
from support.scripted import ScriptedWorld
from support.stores.scripted import ScriptedStore
from support.token_endpoint import Answer, answer, pair, refusal

from blnk_auth import (
    BlnkAuthError,
    ConfigurationError,
    EncryptedStore,
    OAuthClient,
    RenewalPolicy,
    Signer,
    SignInRequired,
    SQLiteStore,
    StoreError,
    TemporarilyUnavailable,
    Token,
    TokenSource,
)
from blnk_auth._protocol.http_messages import HttpRequest, HttpResponse, NoResponse
from blnk_auth._renewal.cached_token import CachedToken
from blnk_auth._renewal.credential import credential_of
from blnk_auth._sign_in.pending_sign_ins import PendingSignIn
from blnk_auth.testing import Clock

TOKEN_ENDPOINT = acme().token_endpoint
TWICE = RenewalPolicy(lost_answer_retries=1)


def own_key() -> dict[str, Any]:
    made: Any = jwk.generate_key("EC", "P-256", private=True)
    return {**made.as_dict(private=True)}


def proof_of(request: HttpRequest) -> tuple[str, dict[str, Any]]:
    """The thumbprint of the key of a request's proof, and its claims, as joserfc reads them."""
    sent = request.headers["dpop"]
    header = json.loads(base64.urlsafe_b64decode(sent.partition(".")[0] + "=="))
    key: Any = jwk.import_key(header["jwk"])
    claims = jwt.decode(sent, key, algorithms=["ES256"]).claims
    assert header["typ"] == "dpop+jwt"
    assert (claims["htm"], claims["htu"]) == ("POST", TOKEN_ENDPOINT)
    return key.thumbprint(), claims


def bound(number: int, **members: Any) -> HttpResponse:
    return pair(number, token_type="DPoP", **members)


def wants_nonce(nonce: str, status: int = 400) -> HttpResponse:
    return answer({"error": "use_dpop_nonce"}, status, dpop_nonce=nonce)


def data_of(world: ScriptedWorld, source: TokenSource) -> dict[str, Any]:
    record = world.store.load(source.store_key)
    assert record is not None
    return record.data


def stored_thumbprint(world: ScriptedWorld, source: TokenSource) -> str:
    data = data_of(world, source)
    assert data["schema"] == 2
    key: Any = jwk.import_key(data["dpop"]["jwk"])
    return str(key.thumbprint())


def cached(source: TokenSource) -> CachedToken:
    found = credential_of(source).fresh()
    assert found is not None
    return found


def signed_in(world: ScriptedWorld, *answers: Answer) -> TokenSource:
    start = world.client.start_authorization("alice")
    world.server.will(*(answers or (bound(0),)))
    return world.client.finish_authorization(f"https://app.test/callback?code=c0de-1234&state={start.state}")


@pytest.fixture
def world() -> ScriptedWorld:
    return ScriptedWorld(dpop=True)


# --- one key from the sign-in on -------------------------------------------------------------------------------------


def test_one_key_is_made_for_the_sign_in_and_kept_by_each_renewal(world: ScriptedWorld) -> None:
    """Its thumbprint is in the URL, its proof with the code, and the record has it from the first save on."""
    start = world.client.start_authorization("alice")
    (jkt,) = parse_qs(urlsplit(start.url).query)["dpop_jkt"]
    world.server.will(bound(0), bound(1), bound(2))
    source = world.client.finish_authorization(f"https://app.test/callback?code=c0de-1234&state={start.state}")
    for _ in range(2):
        assert stored_thumbprint(world, source) == jkt
        assert source.renew().token_type == "DPoP"
    proofs = [proof_of(request) for request in world.server.requests]
    assert {thumbprint for thumbprint, _ in proofs} == {jkt}
    assert len({claims["jti"] for _, claims in proofs}) == 3
    assert "ath" not in proofs[0][1]
    assert cached(source).header == "DPoP at2"
    assert stored_thumbprint(world, source) == jkt


def test_each_grant_has_a_key_of_its_own(world: ScriptedWorld) -> None:
    """So two users' requests cannot be linked by it, and one key that leaks is one grant."""
    keys = set()
    for subject in ("alice", "bob"):
        start = world.client.start_authorization(subject)
        world.server.will(bound(0))
        source = world.client.finish_authorization(f"https://app.test/callback?code=c0de-1234&state={start.state}")
        keys.add(stored_thumbprint(world, source))
    assert len(keys) == 2


def test_another_process_uses_the_key_of_the_record(world: ScriptedWorld) -> None:
    """The key is found in the store, with the token."""
    thumbprint = stored_thumbprint(world, signed_in(world))
    other = ScriptedWorld(store=world.store, clock=world.clock, dpop=True)
    other.server.will(bound(1))
    assert other.client.for_subject("alice").renew().access_token == "at1"
    assert proof_of(other.server.requests[0])[0] == thumbprint


def test_a_new_sign_in_brings_its_own_key(world: ScriptedWorld) -> None:
    """The key of the new sign-in wins together with its pair, and the old key is deleted."""
    source = signed_in(world)
    before = stored_thumbprint(world, source)
    signed_in(world, bound(5))
    assert stored_thumbprint(world, source) != before
    assert cached(source).token.access_token == "at5"


def test_a_pair_that_could_not_be_saved_keeps_its_key(world: ScriptedWorld) -> None:
    """It is saved later, with the key, and not bound to another one."""
    source = signed_in(world)
    thumbprint = stored_thumbprint(world, source)
    world.store.interfere("save", StoreError("full"))
    world.server.will(bound(1))
    assert source.renew().access_token == "at1"
    world.server.will(bound(2))
    source.renew()
    assert stored_thumbprint(world, source) == thumbprint
    assert {proof_of(request)[0] for request in world.server.requests} == {thumbprint}


def test_an_ended_grant_keeps_its_key(world: ScriptedWorld) -> None:
    """The mark changes nothing else; the last access token is still used with a proof."""
    source = signed_in(world)
    thumbprint = stored_thumbprint(world, source)
    world.server.will(refusal("invalid_grant"))
    with raises(SignInRequired):
        source.renew()
    assert stored_thumbprint(world, source) == thumbprint
    assert world.stored(source).ended == "refused"
    still = credential_of(source).ready(None)
    assert isinstance(still, CachedToken)
    assert (still.header, still.ended) == ("DPoP at0", "refused")


def test_a_write_that_the_store_has_lost_is_repeated_with_its_key(world: ScriptedWorld) -> None:
    """A store that fails over has the record from before the grant was bound; the key must not be lost with it."""
    source = world.signed_in()
    before = data_of(world, source)
    world.server.will(bound(1))
    source.renew()
    thumbprint, newest = stored_thumbprint(world, source), world.store.load(source.store_key)
    assert newest is not None
    world.store.save(source.store_key, before, expected=newest.version)
    world.server.will(bound(2))
    source.renew()
    assert world.server.forms[-1]["refresh_token"] == "rt1"
    assert stored_thumbprint(world, source) == thumbprint == proof_of(world.server.requests[-1])[0]


def test_the_clients_own_token_has_a_key_in_its_record(world: ScriptedWorld) -> None:
    """Each further token is asked for with the same key."""
    source = world.client.for_itself()
    world.server.will(bound(0, refresh_token=None), bound(1, refresh_token=None))
    source.token()
    source.renew()
    thumbprint = stored_thumbprint(world, source)
    assert {proof_of(request)[0] for request in world.server.requests} == {thumbprint}


def test_a_device_sign_in_has_one_key_for_all_polls() -> None:
    """The key is made with the device code, and moves into the record."""
    world = ScriptedWorld(acme(device_authorization_endpoint="https://as.acme.test/device"), dpop=True)
    device = {"device_code": "d3v1ce-c0de", "user_code": "AB", "verification_uri": "https://as.acme.test/d"}
    world.server.will(
        answer({**device, "expires_in": 600, "interval": 1}),
        wants_nonce("n1"),
        refusal("authorization_pending"),
        bound(0),
    )
    source = world.client.authorize_device("alice", on_prompt=lambda _shown: None, wait=lambda _seconds: None)
    first, *polls = world.server.requests
    assert "dpop" not in first.headers
    assert {proof_of(poll)[0] for poll in polls} == {stored_thumbprint(world, source)}
    assert [proof_of(poll)[1].get("nonce") for poll in polls] == [None, "n1", "n1"]


# --- nonces, clocks and lost responses -------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [400, 401])
def test_a_nonce_costs_one_more_request_once(status: int) -> None:
    """Fresh assertion and fresh proof; afterwards the newest nonce of any response is used."""
    key = own_key()
    world = ScriptedWorld(dpop=True, client_auth="private_key_jwt", private_key=key, client_secret=None)
    source = signed_in(world, wants_nonce("n1", status), answer({**json.loads(bound(0).body)}, dpop_nonce="n2"))
    world.server.will(bound(1))
    source.renew()
    first, second, third = world.server.requests
    assert [proof_of(each)[1].get("nonce") for each in (first, second, third)] == [None, "n1", "n2"]
    assertions = [form["client_assertion"] for form in world.server.forms]
    assert len(set(assertions)) == 3
    assert world.server.forms[0]["code"] == world.server.forms[1]["code"]


def test_a_nonce_that_is_asked_for_without_end_ends(world: ScriptedWorld) -> None:
    """Two requests, then `TemporarilyUnavailable`, and the stored grant as it was."""
    source = signed_in(world)
    before = world.store.texts[source.store_key]
    world.server.will(wants_nonce("n1"), wants_nonce("n2"))
    with raises(TemporarilyUnavailable, error="use_dpop_nonce", outcome_unknown=False):
        source.renew()
    assert len(world.server.requests) == 3
    assert world.store.texts[source.store_key] == before


@pytest.mark.parametrize("nonce", [None, "not a nonce", 'a"b'])
def test_without_a_usable_nonce_nothing_is_repeated(world: ScriptedWorld, nonce: str | None) -> None:
    """The same request would be refused again."""
    source = signed_in(world)
    world.server.will(answer({"error": "use_dpop_nonce"}, 400, **({} if nonce is None else {"dpop_nonce": nonce})))
    with raises(ConfigurationError, error="use_dpop_nonce", parameter="dpop"):
        source.renew()
    assert len(world.server.requests) == 2


def test_a_wrong_clock_costs_one_more_request_once(world: ScriptedWorld) -> None:
    """The server's `Date` corrects `iat`, also in later requests."""
    source = signed_in(world)
    ahead = Clock(world.clock() + 7200)
    date = {"date": email_date(ahead())}
    world.server.will(answer({"error": "invalid_dpop_proof"}, 400, **date), bound(1), bound(2))
    source.renew()
    source.renew()
    issued = [proof_of(request)[1]["iat"] - world.clock() for request in world.server.requests]
    assert [round(each / 3600) for each in issued] == [0, 0, 2, 2]
    world.server.will(answer({"error": "invalid_dpop_proof"}, 400, **date))
    with raises(ConfigurationError, error="invalid_dpop_proof", parameter="dpop"):
        source.renew()


def email_date(moment: float) -> str:
    from email.utils import formatdate

    return formatdate(moment, usegmt=True)


def test_a_lost_response_and_a_nonce_stay_bounded() -> None:
    """Each of the two attempts is sent once more for its nonce: four requests with one key, and then an end."""
    world = ScriptedWorld(dpop=True, policy=TWICE)
    source = signed_in(world)
    lost = NoResponse("the connection was lost", sent=True)
    world.server.will(wants_nonce("n1"), lost, wants_nonce("n2"), lost)
    with raises(TemporarilyUnavailable) as caught:
        source.renew()
    assert caught.value.outcome_unknown
    nonces = [proof_of(request)[1].get("nonce") for request in world.server.requests]
    assert nonces == [None, None, "n1", "n1", "n2"]
    assert {proof_of(request)[0] for request in world.server.requests} == {stored_thumbprint(world, source)}


def test_a_lost_response_is_asked_for_again_with_a_fresh_proof() -> None:
    """A server with a grace period issues the lost pair again, to the same key."""
    world = ScriptedWorld(dpop=True, policy=TWICE)
    source = signed_in(world)
    world.server.will(NoResponse("the connection was lost", sent=True), bound(1))
    assert source.renew().access_token == "at1"
    _, first, second = world.server.requests
    assert proof_of(first)[1]["jti"] != proof_of(second)[1]["jti"]
    assert proof_of(first)[0] == proof_of(second)[0]


# --- Bearer answers, and grants without a key ------------------------------------------------------------------------


def test_a_bearer_answer_is_refused_and_its_refresh_token_kept(world: ScriptedWorld) -> None:
    """The rotated refresh token replaces the spent one; the bound access token stays in use until it expires."""
    source = signed_in(world)
    thumbprint = stored_thumbprint(world, source)
    world.server.will(pair(1))
    with raises(ConfigurationError, parameter="dpop", shows="Bearer"):
        source.renew()
    kept = world.stored(source).token
    assert (kept.refresh_token, kept.access_token, kept.token_type) == ("rt1", "at0", "DPoP")
    world.server.will(bound(2))
    world.clock.advance(100)
    assert source.renew().access_token == "at2"
    assert world.server.forms[-1]["refresh_token"] == "rt1"
    assert stored_thumbprint(world, source) == thumbprint


def test_a_bearer_answer_to_a_code_keeps_the_refresh_token_and_the_key(world: ScriptedWorld) -> None:
    """A public client's refresh token is bound even then (RFC 9449 section 5), so the key is kept with it."""
    with raises(ConfigurationError, parameter="dpop", shows="Bearer"):
        signed_in(world, pair(0))
    source = world.client.for_subject("alice")
    assert source.state == "expired"
    world.server.will(bound(1))
    assert source.token().access_token == "at1"
    assert world.server.forms[-1]["refresh_token"] == "rt0"
    assert len({proof_of(request)[0] for request in world.server.requests}) == 1


def test_a_bearer_answer_without_a_refresh_token_changes_nothing(world: ScriptedWorld) -> None:
    """There is nothing to keep."""
    source = world.client.for_itself()
    world.server.will(pair(0, refresh_token=None))
    with raises(ConfigurationError, parameter="dpop", shows="Bearer"):
        source.token()
    assert source.store_key not in world.store.texts


def test_a_stored_grant_without_a_key_is_bound_by_its_next_renewal(world: ScriptedWorld) -> None:
    """Until then its token is sent as the Bearer token that it is."""
    source = world.signed_in()
    assert data_of(world, source)["schema"] == 1
    assert source.token().access_token == "at0"
    assert cached(source).header == "Bearer at0"
    assert credential_of(source).rules.proof is not None
    assert credential_of(source).rules.proof.prove(cached(source), "GET", "https://api.acme.test/") == {}  # type: ignore[union-attr]
    world.server.will(bound(1))
    source.renew()
    assert cached(source).header == "DPoP at1"
    assert proof_of(world.server.requests[0])[0] == stored_thumbprint(world, source)


def test_the_key_is_stored_before_the_server_sees_it(world: ScriptedWorld) -> None:
    """If the response is lost, the next attempt, of any process, has the key that the refresh token may be bound to."""
    source = world.signed_in()
    seen: list[str] = []

    def loses(request: HttpRequest) -> HttpResponse:
        seen.append(stored_thumbprint(world, source))
        raise NoResponse("the connection was lost", sent=True)

    world.server.will(loses)
    with raises(TemporarilyUnavailable):
        source.renew()
    other = ScriptedWorld(store=world.store, clock=world.clock, dpop=True)
    other.server.will(bound(1))
    other.client.for_subject("alice").renew()
    assert [proof_of(other.server.requests[0])[0]] == seen == [proof_of(world.server.requests[0])[0]]
    assert stored_thumbprint(world, source) == seen[0]


def test_two_processes_that_bind_a_grant_use_one_key(world: ScriptedWorld) -> None:
    """Where the lock does not exclude, the compare-and-set decides: the second takes over the first one's key."""
    source = world.signed_in()
    other = ScriptedWorld(store=world.store, clock=world.clock, dpop=True)
    other_source = other.client.for_subject("alice")
    save, entered = world.store.save, []

    def save_after_the_other(key: str, data: dict[str, Any], **expected: Any) -> Any:
        if not entered:
            entered.append(True)
            # The other process binds the grant between this one's read and write; its request then fails.
            other.server.will(refusal("temporarily_unavailable", 503))
            with pytest.raises(BlnkAuthError):
                other_source.renew()
        return save(key, data, **expected)

    world.store.save = save_after_the_other  # type: ignore[method-assign]
    world.store.lock = UnlockedStore().lock  # type: ignore[method-assign]
    world.server.will(bound(1))
    source.renew()
    assert proof_of(world.server.requests[0])[0] == proof_of(other.server.requests[0])[0]
    assert stored_thumbprint(world, source) == proof_of(world.server.requests[0])[0]


class UnlockedStore(ScriptedStore):
    """Its lock excludes nobody."""

    def lock(self, key: str, *, timeout: float) -> Any:
        import contextlib

        return contextlib.nullcontext()


def test_a_grant_that_cannot_be_renewed_is_not_bound(world: ScriptedWorld) -> None:
    """Nothing is asked, so nothing is written: an older version can still read the record."""
    source = world.signed_in(refresh_token=None)
    before = world.store.texts[source.store_key]
    world.clock.advance(4000)
    with raises(SignInRequired):
        source.token()
    assert world.store.texts[source.store_key] == before


def test_if_the_key_cannot_be_stored_first_it_is_stored_with_the_pair(world: ScriptedWorld) -> None:
    """A store that fails for a moment does not stop the renewal."""
    source = world.signed_in()
    world.store.interfere("save", StoreError("full"), StoreError("full"))
    world.server.will(bound(1))
    assert source.renew().access_token == "at1"
    assert world.emitted().count("save_failed") == 2
    world.server.will(bound(2))
    source.renew()
    assert {proof_of(request)[0] for request in world.server.requests} == {stored_thumbprint(world, source)}


@pytest.mark.parametrize("error", ["use_dpop_nonce", "invalid_dpop_proof"])
def test_a_server_that_demands_proofs_is_named_where_the_client_sends_none(error: str) -> None:
    """The remedy is the client's setting; nothing is repeated, and the grant stays."""
    world = ScriptedWorld()
    source = world.signed_in()
    world.server.will(answer({"error": error}, 400, dpop_nonce="n1"))
    with raises(ConfigurationError, error=error, shows="dpop=True"):
        source.renew()
    assert world.stored(source).token.refresh_token == "rt0"


# --- clients that do not have the key --------------------------------------------------------------------------------


def test_a_client_without_dpop_never_uses_a_bound_grant(world: ScriptedWorld) -> None:
    """A typed error, nothing sent, nothing stored changed: neither the valid token nor the refresh token is used."""
    source = signed_in(world)
    before = dict(world.store.texts)
    other = ScriptedWorld(store=world.store, clock=world.clock)
    alice = other.client.for_subject("alice")
    uses: list[Callable[[], object]] = [alice.token, alice.renew, lambda: alice.state]
    for use in uses:
        with raises(ConfigurationError, parameter="dpop"):
            use()
    other.clock.advance(4000)
    with raises(ConfigurationError, parameter="dpop"):
        alice.token()
    assert other.server.requests == []
    assert world.store.texts == before
    alice.forget()
    assert source.store_key not in world.store.texts


def test_a_client_without_dpop_does_not_finish_a_bound_sign_in(world: ScriptedWorld) -> None:
    """The code is not spent: a client that has the key can still finish it."""
    start = world.client.start_authorization("alice")
    callback = f"https://app.test/callback?code=c0de-1234&state={start.state}"
    other = ScriptedWorld(store=world.store, clock=world.clock)
    with raises(ConfigurationError, parameter="dpop"):
        other.client.finish_authorization(callback)
    assert other.server.requests == []
    world.server.will(bound(0))
    assert world.client.finish_authorization(callback).token().access_token == "at0"


def test_a_new_sign_in_without_dpop_replaces_a_bound_grant(world: ScriptedWorld) -> None:
    """The user has given another grant: its record has the first schema again."""
    signed_in(world)
    other = ScriptedWorld(store=world.store, clock=world.clock)
    source = signed_in(other, pair(3))
    assert data_of(world, source)["schema"] == 1
    assert cached(source).header == "Bearer at3"


def test_a_token_that_is_bound_without_a_proof_is_not_used() -> None:
    """A server that binds tokens by itself is a mistake in the settings, and is named."""
    world = ScriptedWorld()
    source = world.signed_in()
    world.server.will(bound(1))
    with raises(ConfigurationError, parameter="dpop"):
        source.renew()
    assert world.stored(source).token.refresh_token == "rt1"


# --- keys of the application's own -----------------------------------------------------------------------------------


def own_thumbprint(key: dict[str, Any]) -> str:
    made: Any = jwk.import_key(key)
    return str(made.thumbprint())


def test_an_own_key_is_never_stored() -> None:
    """Record and pending sign-in name it by its thumbprint."""
    key = own_key()
    world = ScriptedWorld(dpop=key)
    source = signed_in(world)
    assert data_of(world, source)["dpop"] == {"jkt": own_thumbprint(key)}
    world.client.start_authorization("bob")
    assert key["d"] not in str(world.store.texts)
    world.server.will(bound(1))
    source.renew()
    assert {proof_of(request)[0] for request in world.server.requests} == {own_thumbprint(key)}


def test_a_grant_that_is_bound_to_another_own_key_is_refused() -> None:
    """The error names the thumbprint; nothing is sent or changed. The same holds for `dpop=True`."""
    world = ScriptedWorld(dpop=(key := own_key()))
    signed_in(world)
    before = dict(world.store.texts)
    for setting in (own_key(), True):
        other = ScriptedWorld(store=world.store, clock=world.clock, dpop=setting)
        with raises(ConfigurationError, parameter="dpop", shows=own_thumbprint(key)):
            other.client.for_subject("alice").token()
        assert other.server.requests == []
    assert world.store.texts == before


def test_a_generated_key_stays_when_the_client_gets_an_own_key(world: ScriptedWorld) -> None:
    """A renewal never replaces a key; only the next sign-in is bound to the new one."""
    source = signed_in(world)
    thumbprint = stored_thumbprint(world, source)
    other = ScriptedWorld(store=world.store, clock=world.clock, dpop=own_key())
    other.server.will(bound(1))
    other.client.for_subject("alice").renew()
    assert stored_thumbprint(world, source) == thumbprint == proof_of(other.server.requests[0])[0]


def test_a_callable_is_called_once() -> None:
    """Tokens stay bound to a key, so it is asked for when it is first needed, and kept."""
    key, calls = own_key(), []

    def fetch() -> dict[str, Any]:
        calls.append(True)
        return key

    world = ScriptedWorld(dpop=fetch)
    assert calls == []
    source = signed_in(world)
    world.server.will(bound(1))
    source.renew()
    assert len(calls) == 1


def test_a_callable_that_fails_changes_nothing() -> None:
    """It may succeed later; the sign-in can then still be finished."""
    fails = [True]
    key = own_key()

    def fetch() -> dict[str, Any]:
        if fails[0]:
            raise OSError("vault-t0ken")
        return key

    world = ScriptedWorld(dpop=fetch)
    with raises(TemporarilyUnavailable, parameter="dpop"):
        world.client.start_authorization("alice")
    fails[0] = False
    source = signed_in(world)
    other = ScriptedWorld(store=world.store, clock=world.clock, dpop=fetch)
    fails[0] = True
    with raises(TemporarilyUnavailable, parameter="dpop"):
        other.client.for_subject("alice").token()
    assert world.stored(source).token.access_token == "at0"


def test_a_signer_that_fails_spends_nothing() -> None:
    """No request is sent without its proof."""
    made: Any = jwk.generate_key("EC", "P-256", private=True)
    fails = [False]

    def sign(message: bytes) -> bytes:
        if fails[0]:
            raise OSError("hsm-p1n")
        from joserfc.jws import JWSRegistry

        return JWSRegistry.algorithms["ES256"].sign(message, made)

    world = ScriptedWorld(dpop=Signer(sign, "ES256", public_jwk=made.as_dict(private=False)))
    source = signed_in(world)
    fails[0] = True
    with raises(TemporarilyUnavailable, parameter="dpop"):
        source.renew()
    assert len(world.server.requests) == 1
    fails[0] = False
    world.server.will(bound(1))
    world.clock.advance(100)
    assert source.renew().access_token == "at1"


@pytest.mark.parametrize("setting", [False, "", 7, b"PEM", {"kty": "oct", "k": "c2VjcmV0"}, ["key"]])
def test_a_wrong_setting_is_refused_when_the_client_is_made(setting: Any) -> None:
    """By its name."""
    with raises(ConfigurationError, parameter="dpop"):
        ScriptedWorld(dpop=setting)


def test_a_server_that_accepts_no_algorithm_that_is_generated_is_refused() -> None:
    """Its metadata lists what it accepts, so nothing has to be sent to find out."""
    with raises(ConfigurationError, parameter="dpop"):
        ScriptedWorld(acme(dpop_algorithms=("XS256",)), dpop=True)
    with raises(ConfigurationError, parameter="dpop"):
        ScriptedWorld(acme(dpop_algorithms=("PS256",)), dpop=own_key())


# --- tokens obtained elsewhere ---------------------------------------------------------------------------------------


def test_a_bound_token_is_adopted_only_with_its_key() -> None:
    """With the application's own key. A key for each grant is made here, so the token of another client has none."""
    token = Token("at7", token_type="DPoP", refresh_token="rt7", expires_at=Clock()() + 3600)
    for setting in (None, True):
        world = ScriptedWorld(dpop=setting)
        with raises(ConfigurationError, parameter="token"):
            world.client.for_subject("alice").adopt(token)
        assert world.store.texts == {}
    world = ScriptedWorld(dpop=(key := own_key()))
    source = world.client.for_subject("alice")
    source.adopt(token)
    assert cached(source).header == "DPoP at7"
    assert data_of(world, source)["dpop"] == {"jkt": own_thumbprint(key)}


# --- revocation ------------------------------------------------------------------------------------------------------


def test_a_bound_grant_is_revoked(world: ScriptedWorld) -> None:
    """RFC 7009 revokes both tokens; no proof is needed, since the client authenticates."""
    provider = acme(revocation_endpoint="https://as.acme.test/revoke")
    other = ScriptedWorld(provider, dpop=True)
    source = signed_in(other)
    other.server.will(HttpResponse(200, {}, b""), HttpResponse(200, {}, b""))
    source.revoke()
    assert source.store_key not in other.store.texts
    assert world.server.requests == []


def test_a_connection_is_never_ended_with_a_bound_token_as_bearer() -> None:
    """Where an access token ends the grant, a bound one is presented as to the API: with its scheme and a proof."""
    provider = acme(revocation_endpoint="https://as.acme.test/connection", revocation="connection")
    world = ScriptedWorld(provider, dpop=True)
    source = signed_in(world)
    world.server.will(HttpResponse(204, {}, b""))
    source.revoke()
    request = world.server.requests[-1]
    assert request.headers["authorization"] == "DPoP at0"
    header = json.loads(base64.urlsafe_b64decode(request.headers["dpop"].partition(".")[0] + "=="))
    claims = jwt.decode(request.headers["dpop"], jwk.import_key(header["jwk"]), algorithms=["ES256"]).claims
    assert (claims["htm"], claims["htu"]) == ("DELETE", "https://as.acme.test/connection")
    assert "ath" in claims


# --- stored data and pickles -----------------------------------------------------------------------------------------


def test_records_without_a_key_stay_what_they_were() -> None:
    """Byte for byte, in the order that every earlier version has written."""
    world = ScriptedWorld()
    source = world.signed_in()
    record = dataclasses.replace(world.stored(source), ended="refused", ended_at=5.0, was_saved_late=True, replaces="x")
    assert list(record.to_data()) == [
        *("schema", "token", "ended", "sign_in", "ended_at", "renewals", "saved_late", "replaces"),
    ]
    assert record.to_data()["schema"] == 1
    pending = PendingSignIn("alice", "https://app.test/callback", 1.0, "verifier", "target")
    assert list(pending.to_data()) == ["subject", "redirect_uri", "expires_at", "code_verifier", "target"]


def test_an_earlier_version_refuses_a_bound_record(world: ScriptedWorld) -> None:
    """Its check of the schema: anything above 1 is an error that asks for an upgrade, and the record stays."""
    source = signed_in(world)
    data = data_of(world, source)

    def check_of_0_1_0(data: dict[str, Any]) -> None:
        schema = data.get("schema")
        if isinstance(schema, int) and schema > 1:
            raise StoreError(f"was written by a newer blnk_auth (schema {schema}, this one reads 1)")

    with raises(StoreError, shows="newer blnk_auth"):
        check_of_0_1_0(data)


def test_an_encrypted_store_seals_the_key(tmp_path: Any) -> None:
    """Neither the record nor the pending sign-in has it in the clear, in any encoding."""
    file = tmp_path / "tokens.db"
    inner = SQLiteStore(file)
    store = EncryptedStore(inner, keys=[EncryptedStore.new_key()])
    world = ScriptedWorld(store=store, dpop=True)
    start = world.client.start_authorization("alice")
    (pending,) = (store.load(key) for key in store.keys("authorization/"))
    assert pending is not None
    secrets = [pending.data["dpop"]["jwk"]["d"]]
    on_disk = b"".join(each.read_bytes() for each in tmp_path.iterdir() if each.is_file())
    world.server.will(bound(0))
    source = world.client.finish_authorization(f"https://app.test/callback?code=c0de-1234&state={start.state}")
    record = store.load(source.store_key)
    assert record is not None
    assert record.data["dpop"]["jwk"]["d"] == secrets[0]
    on_disk += b"".join(each.read_bytes() for each in tmp_path.iterdir() if each.is_file())
    number = base64.urlsafe_b64decode(secrets[0] + "=")
    for form in (secrets[0].encode(), number, number.hex().encode(), base64.b64encode(number)[:40]):
        assert form not in on_disk
    assert b"dpop" not in on_disk


def test_no_repr_and_no_pickle_has_the_key(world: ScriptedWorld) -> None:
    """Neither a generated key nor the application's own; a pickle asks for the latter again."""
    source = signed_in(world)
    record, key = world.stored(source), own_key()
    secret = data_of(world, source)["dpop"]["jwk"]["d"]
    assert secret not in repr(record) + repr(cached(source)) + repr(credential_of(source))
    owner = OAuthClient(acme(), client_id="id", client_secret=secret_of_a_test, dpop=key)
    assert key["d"] not in repr(owner._state.proofs) + repr(vars(owner._state.proofs))


def secret_of_a_test() -> str:
    return "client-s3cret"


def test_a_pickled_client_binds_its_tokens_too(tmp_path: Any) -> None:
    """`True` is in the pickle; a key given as text or as a JWK is not, and is named when it is needed."""
    key = own_key()
    settings: dict[str, Any] = {
        "client_id": "id",
        "client_secret": secret_of_a_test,
        "redirect_uri": "https://app.test/callback",
        "store": SQLiteStore(tmp_path / "tokens.db"),
    }
    pickled = pickle.dumps(OAuthClient(acme(), **settings, dpop=True))
    again = pickle.loads(pickled)
    assert "dpop_jkt" in again.start_authorization("alice").url
    pickled = pickle.dumps(OAuthClient(acme(), **settings, dpop=key))
    assert key["d"].encode() not in pickled
    with raises(ConfigurationError, parameter="dpop"):
        pickle.loads(pickled).start_authorization("alice")
    assert "dpop_jkt" not in pickle.loads(pickle.dumps(OAuthClient(acme(), **settings))).start_authorization("b").url
