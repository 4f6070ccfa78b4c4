"""F12 to F29: what the authorization server answers, and what becomes of the grant, the call and the next call."""

from __future__ import annotations

import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import trustme
from support.acme_server import Acme
from support.clients import HERD, HTTPX, REQUESTS, Kind, through_every_client
from support.errors import raises
from support.limits import PATIENCE
from support.providers import acme_at
from support.proxies import Proxy
from support.sites import Received, Reply, Site
from support.stores.scripted import DelegatingStore
from support.worlds import LIFETIME, NO_RENEWAL, World

from blnk_auth import (
    BlnkAuthError,
    BlnkCloud,
    ConfigurationError,
    MemoryStore,
    OAuthClient,
    ProtocolError,
    RenewalPolicy,
    SignInRequired,
    SQLiteStore,
    TemporarilyUnavailable,
    Token,
    TokenSource,
)
from blnk_auth._renewal.stored_record import GrantRecord
from blnk_auth.stores._token_store import Version
from blnk_auth.testing import Clock, Fault, Sandbox, assert_renewed_once

ONE_ATTEMPT = RenewalPolicy(lost_answer_retries=0)
HASTY = RenewalPolicy(read_timeout=0.4, lost_answer_retries=0)
"""For a server that does not answer; elsewhere a busy machine could exceed that."""

NO_ANSWERS = {
    "503": Fault(status=503, headers={"Retry-After": "5"}),
    "502 with HTML": Fault(status=502, body=b"<html>bad gateway</html>"),
    "429": Fault(status=429),
    "disconnect": Fault(disconnect=True),
    "time-out": Fault(hang=True),
}


@pytest.mark.parametrize("fault", NO_ANSWERS.values(), ids=NO_ANSWERS)
@through_every_client
def test_f12_no_answer_leaves_the_grant_untouched(world: World, kind: Kind, fault: Fault) -> None:
    """A token endpoint that fails costs a typed, retryable error; the refresh token stays and works afterwards."""
    alice = world.expired(policy=HASTY if fault.hang else ONE_ATTEMPT)
    before = world.stored(alice)
    world.sandbox.fail(fault)
    with kind.open(alice) as http:
        with pytest.raises(TemporarilyUnavailable) as caught:
            http.get(world.url)
        assert isinstance(caught.value, kind.transport_error)
        retry_after = caught.value.retry_after
        assert retry_after is not None
        assert retry_after > 0
        assert world.stored(alice) == before
        assert alice.state == "expired"
        world.clock.advance(retry_after)
        assert http.get(world.url).status == 200
    assert world.renewals == (2, 1, 0)


@pytest.mark.parametrize("endpoint", ["refused connection", "unknown host"])
@through_every_client
def test_f12_an_unreachable_token_endpoint_leaves_the_grant_untouched(
    world: World, kind: Kind, endpoint: str, closed_port: int
) -> None:
    """A host that is unknown or refuses connections is a retryable error; the record stays as it was."""
    host = f"http://127.0.0.1:{closed_port}" if endpoint == "refused connection" else "https://blnk-auth.invalid"
    provider = acme_at(host, world.sandbox.origin)
    alice = world.signed_in(client=world.client(provider))
    world.expire()
    before = world.stored(alice)
    with kind.open(alice) as http, pytest.raises(TemporarilyUnavailable) as caught:
        http.get(world.url)
    assert isinstance(caught.value, kind.transport_error)
    assert world.stored(alice) == before


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port that refuses connections: bound, and nobody listens."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


@pytest.mark.parametrize("seconds_left", [300, 5], ids=["advisory", "mandatory"])
@pytest.mark.parametrize("fault", NO_ANSWERS.values(), ids=NO_ANSWERS)
@through_every_client
def test_f12_a_token_that_is_still_valid_is_used_meanwhile(
    world: World, kind: Kind, fault: Fault, seconds_left: int
) -> None:
    """While renewals fail, requests go out with the token that still works, and nobody sees an error."""
    alice = world.signed_in(policy=HASTY if fault.hang else ONE_ATTEMPT)
    world.clock.advance(LIFETIME - seconds_left)
    world.sandbox.fail(fault)
    with kind.open(alice) as http:
        for _ in range(3):
            assert http.get(world.url).status == 200
        world.events.wait_for("renewal_failed")
        assert http.get(world.url).status == 200
    assert world.sandbox.counts.api_rejected == 0
    assert world.renewals == (1, 0, 0)
    assert world.stored(alice).token.refresh_token is not None


@through_every_client
def test_f13_invalid_grant_asks_for_a_sign_in_and_is_not_repeated(world: World, kind: Kind) -> None:
    """The server's verdict ends the grant once: the next calls spend no request on it, and the record is kept."""
    alice = world.expired()
    world.sandbox.revoke_grant("alice")
    with kind.open(alice) as http:
        for _ in range(3):
            with pytest.raises(SignInRequired) as caught:
                http.get(world.url)
            assert isinstance(caught.value, kind.request_error)
            assert not isinstance(caught.value, kind.transport_error)
            assert (caught.value.subject, caught.value.reason) == ("alice", "refused")
        assert world.renewals == (1, 0, 0)
        assert alice.state == "sign_in_required"
        assert world.stored(alice).token.refresh_token is not None
        alice.adopt(Token.from_response(world.sandbox.issue("alice"), now=world.clock()))
        assert http.get(world.url).status == 200


@through_every_client
def test_f13_an_ended_grant_is_known_to_other_processes(world: World, kind: Kind) -> None:
    """A client that shares the store learns from the record that the grant has ended, and asks nobody."""
    alice = world.expired()
    world.sandbox.revoke_grant("alice")
    with pytest.raises(SignInRequired):
        alice.token()
    with (
        kind.open(world.client().for_subject("alice")) as http,
        raises(SignInRequired, reason="refused", subject="alice"),
    ):
        http.get(world.url)
    assert world.renewals == (1, 0, 0)


@through_every_client
def test_f14_the_pair_of_another_process_is_adopted_after_invalid_grant(world: World, kind: Kind) -> None:
    """If another process that ignores the lock has renewed, `invalid_grant` leads to its pair, not to an error."""
    others = Token.from_response(world.sandbox.issue("alice"), now=world.clock() + LIFETIME + 1)

    def answer(_: Received) -> Reply:
        record = world.store.load(alice.store_key)
        assert record is not None
        world.store.save(alice.store_key, GrantRecord(others).to_data(), expected=record.version)
        return Reply.json({"error": "invalid_grant"}, 400)

    with Site(answer) as token_site:
        provider = acme_at(token_site.origin, world.sandbox.origin)
        alice = world.signed_in(client=world.client(provider))
        others = Token.from_response(world.sandbox.issue(lifetime=3 * LIFETIME), now=world.clock())
        world.expire()
        with kind.open(alice) as http:
            call = http.get(world.url)
    assert (call.status, call.token) == (200, others.access_token)
    assert len(token_site.received) == 1
    assert alice.state == "fresh"


@through_every_client
def test_f15_an_answer_without_a_refresh_token_keeps_the_old_one(world: World, kind: Kind) -> None:
    """Answers without `refresh_token` and `scope`, twice in a row, mean that both are unchanged."""
    with Acme() as acme:
        acme.answers.extend([{"scope": None}, {"scope": None, "refresh_token": ""}])
        alice = acme_source(world, acme, refresh_token="acme-refresh-token-0", scope="read write")
        with kind.open(alice) as http:
            for _ in range(3):
                world.expire()
                assert http.get(f"{acme.origin}/api").status == 200
    assert [request.form["refresh_token"] for request in acme.token_requests] == ["acme-refresh-token-0"] * 3
    assert world.stored(alice).token.refresh_token == "acme-refresh-token-0"
    assert world.stored(alice).token.scope == "read write"


def acme_source(world: World, acme: Acme, *, client: OAuthClient | None = None, **members: Any) -> TokenSource:
    """Somebody signed in at Acme, with these members in the token answer."""
    client = client or world.client(acme.provider())
    alice = client.for_subject("alice")
    alice.adopt(Token.from_response(acme.issue(**members), now=world.clock()))
    return alice


LIFETIMES: dict[str, tuple[Any, float | None]] = {
    "text": ("3600", 3600.0),
    "text with a fraction": ("3600.5", 3600.5),
    "fraction": (3600.5, 3600.5),
    "milliseconds": (3_600_000, 3_600_000.0),
    "null": (None, None),
    "missing": (..., None),
    "a word": ("soon", None),
    "a list": ([3600], None),
    "true": (True, None),
    "huge": (10**400, None),
}


@pytest.mark.parametrize(("expires_in", "lifetime"), LIFETIMES.values(), ids=LIFETIMES)
@through_every_client
def test_f16_an_odd_lifetime_loses_no_rotated_pair(
    world: World, kind: Kind, expires_in: Any, lifetime: float | None
) -> None:
    """With any `expires_in` the call succeeds, the rotated pair is stored, and the next renewal works."""
    alice = world.expired()
    world.sandbox.fail(Fault(rewrite=partial(with_member, "expires_in", expires_in)))
    with kind.open(alice) as http:
        assert http.get(world.url).status == 200
        expires_at = world.stored(alice).token.expires_at
        assert expires_at == (None if lifetime is None else pytest.approx(world.clock() + lifetime))
        assert alice.state == "fresh"
        world.sandbox.revoke_access_tokens()
        assert http.get(world.url).status == 200
    assert world.renewals == (2, 2, 0)
    if lifetime is None:
        assert "expires_in" in world.events.wait_for("odd_answer").detail


def with_member(name: str, value: Any, answer: dict[str, Any]) -> dict[str, Any]:
    """The answer with a member changed; `...` removes it."""
    changed = {**answer, name: value}
    if value is ...:
        del changed[name]
    return changed


@pytest.mark.parametrize("expires_in", [0, -1, "0", "-3600"])
@through_every_client
def test_f16_a_lifetime_of_nothing_means_expired_now(world: World, kind: Kind, expires_in: Any) -> None:
    """A token that is born expired is stored with its refresh token, is an error once, and is renewed afterwards."""
    alice = world.expired()
    old = world.stored(alice).token
    world.sandbox.fail(Fault(rewrite=partial(with_member, "expires_in", expires_in)))
    with kind.open(alice) as http:
        with raises(ProtocolError, shows="expires_in"):
            http.get(world.url)
        assert world.stored(alice).token.expires_at == world.clock()
        assert world.stored(alice).token.refresh_token != old.refresh_token
        world.clock.advance(60)
        assert http.get(world.url).status == 200
    assert world.renewals == (2, 2, 0)


@through_every_client
def test_f16_an_unknown_lifetime_is_renewed_in_the_background(world: World, kind: Kind) -> None:
    """A token of unknown lifetime is renewed after the default one, and nobody waits for that."""
    with Acme() as acme:
        alice = acme_source(world, acme, refresh_token="acme-refresh-token-0", expires_in=None)
        with kind.open(alice) as http:
            assert http.get(f"{acme.origin}/api").status == 200
            assert acme.token_requests == []
            world.clock.advance(RenewalPolicy().default_lifetime + 1)
            assert http.get(f"{acme.origin}/api").status == 200
            world.events.wait_for("renewed")
            assert http.get(f"{acme.origin}/api").token == world.stored(alice).token.access_token
    assert len(acme.token_requests) == 1


@through_every_client
def test_f17_a_request_proceeds_without_any_lifetime_after_a_renewal(world: World, kind: Kind) -> None:
    """An answer without `expires_in` to the renewal of an expired token is used, not taken for expired."""
    with Acme() as acme:
        acme.answers.append({"expires_in": None})
        alice = acme_source(world, acme, refresh_token="acme-refresh-token-0")
        world.expire()
        with kind.open(alice) as http:
            for _ in range(3):
                assert http.get(f"{acme.origin}/api").status == 200
    assert len(acme.token_requests) == 1


def nested(depth: int) -> Any:
    value: Any = "x"
    for _ in range(depth):
        value = [value]
    return value


def with_text(answer: dict[str, Any], text: str) -> bytes:
    """The answer with a member whose JSON text is given."""
    return json.dumps({"consent": "?", **answer}).replace('"?"', text, 1).encode()


def form_encoded(answer: dict[str, Any]) -> bytes:
    return "&".join(f"{name}={quote(str(value))}" for name, value in answer.items()).encode()


USABLE: dict[str, Callable[[dict[str, Any]], dict[str, Any] | bytes]] = {
    "token_type null": partial(with_member, "token_type", None),
    "token_type missing": partial(with_member, "token_type", ...),
    "token_type bearer": partial(with_member, "token_type", "bearer"),
    "token_type BEARER": partial(with_member, "token_type", "BEARER"),
    "token_type number": partial(with_member, "token_type", 7),
    "scope list": partial(with_member, "scope", ["data:read", "data:write"]),
    "scope number": partial(with_member, "scope", 7),
    "refresh_expires_in a word": partial(with_member, "refresh_expires_in", "later"),
    "unknown members": partial(with_member, "consent", {"id": [1, None, "two"]}),
    "a member nested too deeply to be stored": partial(with_member, "consent", nested(950)),
    "a member nested too deeply to be read": lambda answer: with_text(answer, "[" * 100_000 + "]" * 100_000),
    "a member too large to be kept": partial(with_member, "consent", "x" * 500_000),
    "a member that is no text": partial(with_member, "consent", "\ud800"),
    "a member in Latin-1": lambda answer: with_text(answer, '"Zoë"').decode().encode("latin-1"),
    "form-encoded": form_encoded,
    "byte order mark": lambda answer: b"\xef\xbb\xbf" + json.dumps(answer).encode(),
}


@pytest.mark.parametrize("rewrite", USABLE.values(), ids=USABLE)
@through_every_client
def test_f18_an_odd_answer_with_a_pair_is_used(world: World, kind: Kind, rewrite: Any) -> None:
    """An answer that holds a pair is used, however odd the rest of it is; the rotation is not lost."""
    alice = world.expired()
    world.sandbox.fail(Fault(rewrite=rewrite))
    with kind.open(alice) as http:
        assert http.get(world.url).status == 200
        world.expire()
        assert http.get(world.url).status == 200
    assert world.renewals == (2, 2, 0)


@through_every_client
def test_a_token_of_another_type_is_kept_and_not_sent(world: World, kind: Kind) -> None:
    """RFC 6749 section 7.1. The rotated pair is saved, and the grant lives."""
    alice = world.expired()
    old = world.stored(alice).token
    world.sandbox.fail(Fault(rewrite=partial(with_member, "token_type", "mac")))
    with kind.open(alice) as http:
        with raises(ConfigurationError, parameter="token_scheme") as caught:
            http.get(world.url)
        assert isinstance(caught.value, kind.request_error)
        stored = world.stored(alice)
        assert (stored.token.token_type, stored.ended) == ("mac", None)
        assert stored.token.refresh_token != old.refresh_token
        world.clock.advance(60)
        assert http.get(world.url).status == 200
    assert world.renewals == (2, 2, 0)


@through_every_client
def test_a_refresh_token_that_comes_alone_is_kept(world: World, kind: Kind) -> None:
    """The one before it is spent: without it the grant would be lost."""
    alice = world.expired()
    world.sandbox.fail(Fault(rewrite=partial(with_member, "access_token", ...)))
    with kind.open(alice) as http:
        with raises(ProtocolError, status_code=200, shows="access_token"):
            http.get(world.url)
        world.clock.advance(60)
        assert http.get(world.url).status == 200
    assert world.renewals == (2, 2, 0)


@through_every_client
def test_a_200_that_is_a_refusal_is_judged_by_the_provider(world: World, kind: Kind) -> None:
    """TikTok, Withings, Lark: `code` and `message` instead of `error`."""
    with Acme() as acme:
        acme.answers.append(Reply.json({"code": 40105, "message": "refresh token is invalid", "data": {}}))
        provider = acme.provider(
            judge_refusal=lambda refusal: "sign_in" if (refusal.document or {}).get("code") == 40105 else None,
            read_answer=lambda document, _: document.get("data", document),
        )
        alice = world.client(provider=provider).for_subject("alice")
        alice.adopt(Token("at0", refresh_token="rt0", expires_at=world.clock() - 1))
        with kind.open(alice) as http, pytest.raises(SignInRequired) as caught:
            http.get(f"{acme.origin}/api")
    assert (caught.value.reason, caught.value.error) == ("refused", None)


SECRET = "s3cr3t-value-that-must-not-appear-anywhere"

UNUSABLE: dict[str, tuple[Reply, type[BlnkAuthError]]] = {
    "200 with an error": (Reply.json({"error": "invalid_client", "access_token": SECRET}), ConfigurationError),
    "200 with an unknown error": (Reply.json({"error": SECRET, "access_token": SECRET}), ProtocolError),
    "200 HTML": (Reply(200, f"<html>{SECRET}</html>".encode()), ProtocolError),
    "200 empty": (Reply(200, b""), ProtocolError),
    "204": (Reply(204), ProtocolError),
    "array": (Reply.json([{"access_token": SECRET}]), ProtocolError),
    "text": (Reply.json(SECRET), ProtocolError),
    "token null": (Reply.json({"access_token": None, "id_token": SECRET}), ProtocolError),
    "token object": (Reply.json({"access_token": {"value": SECRET}}), ProtocolError),
    "nested": (Reply.json({"data": {"access_token": SECRET}}), ProtocolError),
    "no UTF-8": (Reply(200, b"\xff\xfe" + SECRET.encode("utf-16")), ProtocolError),
    "unsendable token": (Reply.json({"access_token": f"{SECRET}\r\nX: y", "expires_in": 9}), ProtocolError),
    "400 prose": (Reply.json({"error": "Sorry", "error_description": SECRET}, 400), ProtocolError),
    "400 empty": (Reply(400, b""), ProtocolError),
    "403 empty": (Reply(403, b""), ConfigurationError),
    "invalid_scope": (Reply.json({"error": "invalid_scope"}, 400), ConfigurationError),
    "invalid_request": (Reply.json({"error": "invalid_request"}, 400), ConfigurationError),
    "unauthorized_client": (Reply.json({"error": "unauthorized_client"}, 400), ConfigurationError),
    "404": (Reply(404, b"not here"), ConfigurationError),
    "over 1 MiB": (Reply(200, b'{"access_token":"' + b"a" * 1_100_000 + b'"}'), ProtocolError),
}


@pytest.mark.parametrize(("reply", "expected"), UNUSABLE.values(), ids=UNUSABLE)
@through_every_client
def test_f18_an_answer_without_a_pair_is_a_typed_error(
    world: World, kind: Kind, reply: Reply, expected: type[BlnkAuthError]
) -> None:
    """An answer that holds no usable pair raises the error that names what to do, and shows no secret."""
    with Acme() as acme:
        acme.answers.append(reply)
        alice = acme_source(world, acme, refresh_token="acme-refresh-token-0")
        world.expire()
        with kind.open(alice) as http, pytest.raises(expected) as caught:
            http.get(f"{acme.origin}/api")
        assert isinstance(caught.value, kind.request_error)
        assert not isinstance(caught.value, kind.transport_error)
        assert SECRET not in f"{caught.value} {caught.value!r} {caught.value.fields()}"
        assert "acme-refresh-token-0" not in f"{caught.value} {caught.value!r} {caught.value.fields()}"
        assert world.stored(alice).ended is None
        assert len(acme.token_requests) == 1
        world.clock.advance(60)
        with kind.open(alice) as http:
            assert http.get(f"{acme.origin}/api").status == 200
    assert [request.form["refresh_token"] for request in acme.token_requests] == ["acme-refresh-token-0"] * 2


@through_every_client
def test_f19_retry_after_is_obeyed_by_a_hundred_calls(world: World, kind: Kind) -> None:
    """A 429 with Retry-After: 7 during a hundred calls leaves one request in 7 seconds; each error carries them."""
    alice = world.expired()
    world.sandbox.fail(Fault(status=429, headers={"Retry-After": "7"}, delay=0.1))
    with kind.open(alice) as http:
        errors = [*http.results(world.url), *http.results(world.url)]
        assert len(errors) == 2 * HERD
        assert {type(error).__name__ for error in errors} == {"TemporarilyUnavailable"}
        assert {error.retry_after for error in errors if isinstance(error, TemporarilyUnavailable)} == {7.0}
        world.clock.advance(6.9)
        with pytest.raises(TemporarilyUnavailable) as caught:
            http.get(world.url)
        assert caught.value.retry_after == pytest.approx(0.1)
        assert world.renewals == (1, 0, 0)
        world.clock.advance(0.2)
        assert http.get(world.url).status == 200
    assert world.renewals == (2, 1, 0)


@through_every_client
def test_f20_a_server_that_issues_expired_tokens_causes_one_error_and_no_loop(world: World, kind: Kind) -> None:
    """When every issued token has expired at birth, calls fail with one clear error and ask once per cool-down."""
    alice = world.expired()
    world.sandbox.lifetime = 0
    with kind.open(alice) as http:
        for _ in range(10):
            with raises(ProtocolError, shows="expires_in"):
                http.get(world.url)
        assert_renewed_once(world.sandbox)
        world.clock.advance(60)
        with raises(ProtocolError, shows="expires_in"):
            http.get(world.url)
    assert world.renewals == (2, 2, 0)
    assert world.sandbox.counts.api_requests == 0


@through_every_client
def test_f21_a_lifetime_within_the_early_window_is_not_renewed_on_each_call(world: World, kind: Kind) -> None:
    """Tokens of 60 s with an early window of 60 s cost at most two renewals a minute, however many calls there are."""
    world.sandbox.lifetime = 60
    alice = world.signed_in(policy=RenewalPolicy(advisory_leeway=60, mandatory_leeway=60))
    calls = 150
    with kind.open(alice) as http:
        for _ in range(calls):
            world.clock.advance(60 / calls)
            assert http.get(world.url).status == 200
    assert world.sandbox.counts.api_rejected == 0
    assert 1 <= world.sandbox.counts.refreshes <= 2
    assert world.sandbox.counts.reuses == 0


@pytest.mark.parametrize("ahead", [-600.0, 600.0], ids=["ten minutes slow", "ten minutes fast"])
@through_every_client
def test_f22_a_wrong_local_clock_changes_nothing(kind: Kind, ahead: float) -> None:
    """A lifetime counts from when we received it, so a clock that is wrong by ten minutes does not matter."""
    servers, ours = Clock(), Clock()
    ours.advance(ahead)
    with Sandbox(clock=servers) as sandbox:
        world = World(sandbox, ours)
        alice = world.signed_in()
        with kind.open(alice) as http:
            for passed in (0, LIFETIME / 2, LIFETIME):
                servers.advance(passed)
                ours.advance(passed)
                assert http.get(world.url).status == 200
        assert_renewed_once(world.sandbox)
        assert sandbox.counts.api_rejected == 0


@through_every_client
def test_f22_a_clock_set_back_is_resolved_by_the_rejection(kind: Kind) -> None:
    """When our clock is set back an hour, the expired token is rejected once, renewed and the call repeated."""
    servers, ours = Clock(), Clock()
    with Sandbox(clock=servers) as sandbox:
        world = World(sandbox, ours)
        with kind.open(world.signed_in()) as http:
            servers.advance(LIFETIME + 1)
            ours.advance(-LIFETIME)
            assert http.get(world.url).status == 200
            assert http.get(world.url).status == 200
        assert_renewed_once(world.sandbox)
        assert sandbox.counts.api_rejected == 1


@through_every_client
def test_f22_a_machine_that_slept_renews_first(world: World, kind: Kind) -> None:
    """After a night's sleep the first call renews before it is sent: the API rejects nothing."""
    with kind.open(world.signed_in()) as http:
        assert http.get(world.url).status == 200
        world.clock.advance(8 * 3600)
        assert http.get(world.url).status == 200
    assert_renewed_once(world.sandbox)
    assert world.sandbox.counts.api_rejected == 0


@through_every_client
def test_f23_a_token_that_expired_while_we_were_down_is_renewed_first(world: World, kind: Kind, tmp_path: Path) -> None:
    """After a restart two hours later, the stored token is renewed before the first request: no 401 is seen."""
    with SQLiteStore(tmp_path / "tokens.db") as before:
        world.signed_in(store=before)
    world.clock.advance(7200)
    with (
        SQLiteStore(tmp_path / "tokens.db") as store,
        kind.open(world.client(store=store).for_subject("alice")) as http,
    ):
        assert http.get(world.url).status == 200
    assert_renewed_once(world.sandbox)
    assert world.sandbox.counts.api_rejected == 0


class CountingStore(DelegatingStore):
    """Counts what is saved."""

    saves = 0

    def save(self, key: str, data: dict[str, Any], *, expected: Version | None) -> Version:
        self.saves += 1
        return super().save(key, data, expected=expected)


@through_every_client
def test_f24_a_clients_own_token_is_requested_again_and_saved_once(world: World, kind: Kind) -> None:
    """A client_credentials token without a refresh token is replaced by a new grant, once for all, and saved once.

    Plain functions serve as callbacks in async code too.
    """
    store, asked = CountingStore(), threading.Semaphore(0)

    def secret() -> str:
        asked.release()
        return "acme-secret"

    with Acme() as acme:
        client = world.client(acme.provider(), store=store, client_secret=secret)
        with kind.open(client.for_itself(scope="admin")) as http:
            for expiry in (1, 2):
                assert {answer.status for answer in http.herd(f"{acme.origin}/api", 10)} == {200}
                assert len(acme.token_requests) == expiry
                assert store.saves == expiry
                assert asked.acquire(timeout=PATIENCE)
                world.events.wait_for("renewed", expiry)
                world.expire()
    assert {request.form["grant_type"] for request in acme.token_requests} == {"client_credentials"}
    assert {request.basic for request in acme.token_requests} == {("sandbox-client", "acme-secret")}


@through_every_client
def test_f25_the_expiry_of_a_refresh_token_is_an_event_and_costs_no_request_later(world: World, kind: Kind) -> None:
    """Near the expiry of a refresh token an event warns; after it a sign-in is asked for without a token request."""
    with Acme() as acme:
        alice = acme_source(world, acme, refresh_token="acme-refresh-token-0", refresh_expires_in=3 * 3600)
        with kind.open(alice) as http:
            world.expire()
            assert http.get(f"{acme.origin}/api").status == 200
            assert "sign in again" in world.events.wait_for("refresh_token_expiring").detail
            world.clock.advance(3 * 3600)
            for _ in range(2):
                with pytest.raises(SignInRequired) as caught:
                    http.get(f"{acme.origin}/api")
                assert caught.value.reason == "expired"
    assert len(acme.token_requests) == 1


@pytest.mark.parametrize("fault", [Fault(hang=True), Fault(drip=0.05)], ids=["silent", "dripping"])
@through_every_client
def test_f26_a_stalled_token_endpoint_is_given_up_in_time(world: World, kind: Kind, fault: Fault) -> None:
    """A silent token endpoint, or one that sends a byte at a time for ever, is left at the deadline, with all
    callers.
    """
    # The request after it must be answered within the same deadline, also on a busy machine.
    alice = world.expired(policy=RenewalPolicy(read_timeout=PATIENCE, request_deadline=2.0))
    world.sandbox.fail(fault)
    with kind.open(alice) as http:
        began_at = time.monotonic()
        errors = http.results(world.url, 10)
        assert time.monotonic() - began_at < PATIENCE / 2
        assert {type(error).__name__ for error in errors} == {"TemporarilyUnavailable"}
        world.clock.advance(60)
        assert http.get(world.url).status == 200
    assert world.renewals == (2, 1, 0)


@through_every_client
def test_f27_a_token_endpoint_that_answers_401_is_not_asked_again(world: World, kind: Kind) -> None:
    """A 401 of the token endpoint is a configuration error from one request; it does not pass through the auth flow."""
    alice = world.expired(client_secret="wrong")
    with (
        kind.open(alice) as http,
        raises(
            ConfigurationError,
            error="invalid_client",
            error_description="Client authentication failed",
            status_code=401,
        ) as caught,
    ):
        http.get(world.url)
    assert (caught.value.status_code, caught.value.error) == (401, "invalid_client")
    assert isinstance(caught.value, kind.request_error)
    assert not isinstance(caught.value, kind.transport_error)
    assert world.renewals == (1, 0, 0)
    assert world.sandbox.counts.api_requests == 0
    assert world.stored(alice).ended is None


AWKWARD_SECRETS = ("plus+slash/colon:percent%space ", "%41%2B", "ключ-鍵-ü", "a&b=c;d?e#f", "~-_.")


@pytest.mark.parametrize("secret", AWKWARD_SECRETS)
@pytest.mark.parametrize("method", ["form-encoded", "raw", "post"])
@through_every_client
def test_f28_awkward_secrets_arrive_as_they_are(world: World, kind: Kind, method: str, secret: str) -> None:
    """An id and a secret of any characters survive Basic, form-encoded (the default) and raw, and the body."""
    settings: dict[str, dict[str, Any]] = {
        "form-encoded": {},
        "raw": {"basic_encoding": "raw"},
        "post": {"client_auth": "client_secret_post"},
    }
    client_id = "id with space+ü" if method != "raw" else "id with space+"
    with Acme() as acme:
        provider = acme.provider(**settings[method])
        client = world.client(provider, client_id=client_id, client_secret=secret)
        with kind.open(client.for_itself()) as http:
            assert http.get(f"{acme.origin}/api").status == 200
    [request] = acme.token_requests
    if method == "post":
        assert request.authorization is None
        assert (request.form["client_id"], request.form["client_secret"]) == (client_id, secret)
        return
    assert request.basic is not None
    assert {"client_id", "client_secret"}.isdisjoint(request.form)
    if method == "raw":
        assert request.basic == (client_id, secret)
    else:
        # RFC 6749 section 2.3.1: application/x-www-form-urlencoded, in which a space is a plus sign.
        from urllib.parse import unquote_plus

        assert tuple(map(unquote_plus, request.basic)) == (client_id, secret)
        assert all(part.isascii() and " " not in part for part in request.basic)


class Authority:
    """A CA of our own, a server certificate and a client certificate."""

    def __init__(self, directory: Path) -> None:
        ca = trustme.CA()
        self.ca_file = str(directory / "ca.pem")
        ca.cert_pem.write_to_path(self.ca_file)
        self.server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        ca.issue_cert("127.0.0.1").configure_cert(self.server)
        self.server.load_verify_locations(self.ca_file)
        self.server.verify_mode = ssl.CERT_REQUIRED
        ours = ca.issue_cert("client@acme.test")
        self.client_cert = (str(directory / "client.pem"), str(directory / "client.key"))
        ours.cert_chain_pems[0].write_to_path(self.client_cert[0])
        ours.private_key_pem.write_to_path(self.client_cert[1])


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Made once: keys are expensive."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def tls_acme(authority: Authority) -> Iterator[Acme]:
    """An authorization server that only lets clients in that show a certificate."""
    with Acme(tls=authority.server) as acme:
        yield acme


@through_every_client
def test_f29_certificates_and_proxy_are_for_the_authorization_server_only(
    world: World, kind: Kind, authority: Authority, tls_acme: Acme
) -> None:
    """Every token call uses the client's cert, verify and proxy; API calls do not."""
    with Proxy() as proxy, Acme() as api:
        provider = tls_acme.provider(api_origins=(api.origin,))
        client = world.client(
            provider, verify=authority.ca_file, cert=authority.client_cert, proxy=proxy.url, store=MemoryStore()
        )
        api.valid = tls_acme.valid
        before = len(tls_acme.token_requests)
        with kind.open(client.for_itself()) as http:
            for _ in range(2):
                assert http.get(f"{api.origin}/api").status == 200
                world.expire()
    # The second call uses the connection of the first.
    assert proxy.requests == [f"CONNECT 127.0.0.1:{tls_acme.site.port}"]
    assert len(tls_acme.token_requests) == before + 2
    assert len(api.api_requests) == 2


@pytest.mark.parametrize("missing", ["verify", "cert"])
@through_every_client
def test_f29_without_the_certificates_nothing_is_delivered(
    world: World, kind: Kind, authority: Authority, tls_acme: Acme, missing: str
) -> None:
    """A server that is not trusted, or does not trust us, gets no secret, and the error is typed."""
    settings = {"verify": authority.ca_file, "cert": authority.client_cert}
    del settings[missing]
    before = len(tls_acme.token_requests)
    client = world.client(tls_acme.provider(), **settings)
    expected = ConfigurationError if missing == "verify" else TemporarilyUnavailable
    with kind.open(client.for_itself()) as http, pytest.raises(expected) as caught:
        http.get(f"{tls_acme.origin}/api")
    assert isinstance(caught.value, kind.request_error)
    assert len(tls_acme.token_requests) == before


@pytest.mark.parametrize("package", ["requests", "httpx", "httpx2"])
@pytest.mark.parametrize("kind", [REQUESTS, HTTPX], ids=str)
def test_f29_a_client_of_the_users_own_serves_the_token_endpoint(world: World, kind: Kind, package: str) -> None:
    """`token_http` carries the token calls, whichever package it is of, without its auth, and no API call."""
    other = Kind(package, "sync")  # type: ignore[arg-type]
    with Acme() as acme, other.open(world.signed_in()) as own:
        own.native.headers["X-Token-Client"] = "own"
        client = world.client(acme.provider(), token_http=own.native)
        with kind.open(client.for_itself()) as http:
            assert http.get(f"{acme.origin}/api").status == 200
    assert [request.headers.get("x-token-client") for request in acme.token_requests] == ["own"]
    assert acme.token_requests[0].basic is not None
    assert [request.headers.get("x-token-client") for request in acme.api_requests] == [None]
    assert world.renewals == NO_RENEWAL


def test_f29_blnk_cloud_takes_them_too(world: World, authority: Authority) -> None:
    """A certificate that cannot be loaded is a configuration error that names the parameter."""
    with raises(ConfigurationError, parameter="cert"):
        world.expired(provider=BlnkCloud(base_url=world.sandbox.origin), cert=authority.ca_file)
