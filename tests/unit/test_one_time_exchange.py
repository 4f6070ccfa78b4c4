"""Exchanging what may be used once for a user's tokens: sent once, kept like a sign-in. No sockets."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
import trio
from support.canary.leaks import everything_in, leaks
from support.errors import raises
from support.limits import PATIENCE
from support.providers import acme
from support.scripted import ScriptedWorld
from support.token_endpoint import answer, pair, refusal
from support.waiting import settle

from blnk_auth import (
    BlnkAuthError,
    Call,
    ConfigurationError,
    ProtocolError,
    SignInRequired,
    StoreError,
    TemporarilyUnavailable,
    TokenSource,
)

GRANT_TYPE = "urn:acme:permission"
PERMISSION = "3f2b9f0e-0000-4000-8000-00000000a11c"
PARAMETERS = {"permission_id": PERMISSION, "note": ""}

LOST = httpx.ReadTimeout("lost")
NOT_SENT = httpx.ConnectError("refused")


@pytest.fixture
def world() -> ScriptedWorld:
    return ScriptedWorld(acme())


def exchange(world: ScriptedWorld, subject: str = "alice", **changes: Any) -> TokenSource:
    given = {"grant_type": GRANT_TYPE, "parameters": PARAMETERS, **changes}
    return world.client.authorize_by_exchange(subject, **given)


# --- what is sent, and what is kept -----------------------------------------------------------------------------------


def test_it_is_sent_as_the_caller_described_it_and_kept_like_a_sign_in(world: ScriptedWorld) -> None:
    """With the client's authentication; the source is that of the subject, and renews as usual."""
    world.server.will(pair(1, grant_id="g1"), pair(2))
    source = exchange(world)
    assert world.server.forms == [{"grant_type": GRANT_TYPE, "permission_id": PERMISSION}]
    assert world.server.requests[0].headers["authorization"].startswith("Basic ")
    assert source is world.client.for_subject("alice")
    assert world.stored(source).token.extra == {"grant_id": "g1"}
    assert (source.token().access_token, source.state) == ("at1", "fresh")
    assert source.renew().access_token == "at2"
    assert world.emitted() == ["signed_in", "renewed"]


def test_the_provider_adds_its_own_parameters_and_headers() -> None:
    """As to each token request: for the subject, and for its target."""
    calls: list[Call] = []

    def headers(call: Call) -> dict[str, str]:
        calls.append(call)
        return {"X-Bank": call.target or ""}

    world = ScriptedWorld(acme(token_headers=headers, target=lambda subject: f"bank-of-{subject}"))
    world.server.will(pair(1))
    source = exchange(world)
    assert calls == [Call("exchange", "alice", target="bank-of-alice")]
    assert world.server.requests[0].headers["x-bank"] == "bank-of-alice"
    assert source.store_key.endswith("/bank-of-alice")


@pytest.mark.parametrize("run", [asyncio.run, trio.run], ids=["asyncio", "trio"])
def test_it_has_a_twin_for_tasks(world: ScriptedWorld, run: Any) -> None:
    """The request is sent on a worker thread, so that the event loop keeps running."""
    threads: list[threading.Thread] = []

    def respond(_request: object) -> Any:
        threads.append(threading.current_thread())
        return pair(1)

    world.server.will(respond)

    async def main() -> TokenSource:
        return await world.client.aauthorize_by_exchange("alice", grant_type=GRANT_TYPE, parameters=PARAMETERS)

    assert run(main) if run is trio.run else run(main())
    assert threads
    assert threading.current_thread() not in threads


def test_the_tokens_are_bound_to_a_key_where_the_client_has_one() -> None:
    """DPoP, RFC 9449: a server that asks for a nonce has issued nothing, so it gets the same once more."""
    world = ScriptedWorld(acme(), dpop=True)
    world.server.will(answer({"error": "use_dpop_nonce"}, 400, dpop_nonce="n1"), pair(1, token_type="DPoP"))
    source = exchange(world)
    first, second = world.server.requests
    assert first.headers["dpop"] != second.headers["dpop"]
    assert [form["permission_id"] for form in world.server.forms] == [PERMISSION] * 2
    assert world.stored(source).dpop is not None


def test_the_new_tokens_replace_those_that_were_stored(world: ScriptedWorld) -> None:
    """Like a new sign-in."""
    source = world.signed_in()
    world.server.will(pair(1))
    assert exchange(world) is source
    assert source.token().access_token == "at1"


# --- once -------------------------------------------------------------------------------------------------------------


def test_what_was_exchanged_is_not_sent_again(world: ScriptedWorld) -> None:
    """Neither by this process nor by another with the same store, in any order of the parameters."""
    world.server.will(pair(1))
    exchange(world)
    other = world.another_process()
    for each in (world, other):
        with raises(SignInRequired, reason="restart") as caught:
            exchange(each, parameters=dict(reversed(PARAMETERS.items())))
        assert caught.value.subject == "alice"
    assert (len(world.server.requests), len(other.server.requests)) == (1, 0)


def test_of_many_callers_one_sends_it(world: ScriptedWorld) -> None:
    """The others get an error, while the one is under way and afterwards."""
    world.server.will(pair(1))

    def call(_number: int) -> str:
        try:
            return exchange(world).token().access_token
        except SignInRequired as error:
            return error.reason

    with ThreadPoolExecutor(20) as pool:
        results = sorted(pool.map(call, range(20)))
    assert results == ["at1", *["restart"] * 19]


def test_cancelling_the_caller_does_not_cancel_the_exchange(world: ScriptedWorld) -> None:
    """The tokens are stored, since what was exchanged is spent."""
    arrived, may_answer = threading.Event(), threading.Event()

    def respond(_request: object) -> Any:
        arrived.set()
        may_answer.wait(PATIENCE)
        return pair(1)

    world.server.will(respond)

    async def main() -> None:
        task = asyncio.create_task(
            world.client.aauthorize_by_exchange("alice", grant_type=GRANT_TYPE, parameters=PARAMETERS)
        )
        await asyncio.to_thread(arrived.wait, PATIENCE)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        assert task.cancelled()
        may_answer.set()

    asyncio.run(main())
    settle()
    assert world.client.for_subject("alice").token().access_token == "at1"


@pytest.mark.parametrize(
    ("answers", "kind"),
    [
        ((LOST,), TemporarilyUnavailable),
        ((answer({}, 502),), TemporarilyUnavailable),
        ((answer({}, 500),), TemporarilyUnavailable),
        ((answer(["no object"]),), ProtocolError),
        ((answer({"token_type": "Bearer"}),), ProtocolError),
        ((refusal("invalid_grant"),), SignInRequired),
        ((pair(1, token_type="mac"),), ConfigurationError),
    ],
    ids=["lost", "502", "500", "no object", "no token", "refused", "unusable"],
)
def test_what_may_be_spent_is_never_sent_again(
    world: ScriptedWorld, answers: tuple[Any, ...], kind: type[BlnkAuthError]
) -> None:
    """With any response, or none, the server may have acted. The remedy is another sign-in."""
    world.server.will(*answers)
    with pytest.raises(kind):
        exchange(world)
    with raises(SignInRequired, reason="restart", shows="start_authorization()"):
        exchange(world)
    assert len(world.server.requests) == 1


@pytest.mark.parametrize(
    ("refused", "kind"),
    [
        (NOT_SENT, TemporarilyUnavailable),
        (answer({}, 429), TemporarilyUnavailable),
        (answer({}, 503), TemporarilyUnavailable),
        (refusal("invalid_client", 401), ConfigurationError),
        (refusal("unsupported_grant_type"), ConfigurationError),
        (refusal("invalid_request"), ConfigurationError),
    ],
    ids=["not sent", "429", "503", "client refused", "grant type unknown", "parameter missing"],
)
def test_what_is_certainly_unspent_can_be_sent_again(
    world: ScriptedWorld, refused: Any, kind: type[BlnkAuthError]
) -> None:
    """The server was not reached, or answered that it issued nothing."""
    world.server.will(refused, pair(1))
    with pytest.raises(kind):
        exchange(world)
    assert exchange(world).token().access_token == "at1"


def test_what_was_not_sent_is_not_marked(world: ScriptedWorld) -> None:
    """A callable of the provider that fails has spent nothing."""
    answers: list[Any] = [KeyError("no database"), {}]

    def parameters(_call: Call) -> dict[str, str]:
        made = answers.pop(0)
        if isinstance(made, Exception):
            raise made
        return made

    world = ScriptedWorld(acme(token_parameters=parameters))
    world.server.will(pair(1))
    with raises(TemporarilyUnavailable, parameter="token_parameters"):
        exchange(world)
    assert exchange(world).token().access_token == "at1"


def test_nothing_is_sent_if_it_cannot_be_marked(world: ScriptedWorld) -> None:
    """A store that fails: another process could send the same."""
    world.store.interfere("save", OSError("disk full"))
    with pytest.raises(StoreError):
        exchange(world)
    assert world.server.requests == []


def test_a_mark_that_cannot_be_removed_stays(world: ScriptedWorld) -> None:
    """Then the error does not claim that the same may be sent again."""
    world.server.will(NOT_SENT)
    world.store.interfere("delete", OSError("read-only"))
    with raises(TemporarilyUnavailable, shows="start_authorization()"):
        exchange(world)
    with raises(SignInRequired, reason="restart"):
        exchange(world)


def test_tokens_that_cannot_be_saved_are_used(world: ScriptedWorld) -> None:
    """The exchanged value is spent: the pair stays in memory, and is saved later."""
    world.server.will(pair(1))
    world.store.interfere("save", None, OSError("disk full"))
    assert exchange(world).token().access_token == "at1"
    assert "save_failed" in world.emitted()


@pytest.mark.parametrize(("before", "deleted"), [(0.0, 0), (1.0, 1)], ids=["made after that", "made before that"])
def test_the_marks_are_deleted_by_prune(world: ScriptedWorld, before: float, deleted: int) -> None:
    """They are tiny, and nobody else removes them."""
    world.server.will(pair(1))
    exchange(world)
    assert world.client.prune(world.clock() + before) == deleted
    assert len(list(world.store.keys("exchange/"))) == 1 - deleted


# --- secrets and bad input --------------------------------------------------------------------------------------------


def test_what_is_exchanged_is_neither_stored_nor_shown(world: ScriptedWorld) -> None:
    """Only its hash is in the store; an error that quotes the server leaves it out."""
    world.server.will(refusal("invalid_grant", error_description=f"permission {PERMISSION} has ended"))
    with pytest.raises(SignInRequired) as caught:
        exchange(world)
    assert leaks([everything_in(caught.value), repr(world.store.texts), repr(world.events)], [PERMISSION]) == []


@pytest.mark.parametrize(
    ("parameter", "changes"),
    [
        ("subject", {"subject": ""}),
        ("subject", {"subject": None}),
        *(("grant_type", {"grant_type": value}) for value in ("", " ", None, 7)),
        *(("grant_type", {"grant_type": value}) for value in ("authorization_code", "refresh_token")),
        *(("grant_type", {"grant_type": value}) for value in ("client_credentials",)),
        *(("parameters", {"parameters": value}) for value in (None, {}, {"permission_id": ""}, {"n": 7}, "text")),
        *(("parameters", {"parameters": {**PARAMETERS, name: "x"}}) for name in ("grant_type", "client_secret")),
    ],
    ids=repr,
)
def test_bad_input_is_named_and_nothing_is_sent(world: ScriptedWorld, parameter: str, changes: dict[str, Any]) -> None:
    """Before the store or the server is asked."""
    with raises(ConfigurationError, parameter=parameter):
        exchange(world, **changes)
    assert (world.server.requests, world.store.trace) == ([], [])
