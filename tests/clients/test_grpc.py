"""grpcio asks a plugin for the metadata of each call; an interceptor sees what the API answers."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest
import trustme
from support.api_clients import ClientWorld, Ending, either_way
from support.grpc_server import Rates, serving_rates
from support.how_to import run_program
from support.limits import PATIENCE
from support.worlds import NO_RENEWAL, ONE_RENEWAL

from blnk_auth import SignInRequired, TokenSource

grpc = pytest.importorskip("grpc")

PAGE = "grpc"
GET = "/acme.Rates/Get"


@pytest.fixture
def rates(world: ClientWorld, ca: trustme.CA) -> Iterator[Rates]:
    """An API for everyone with a valid token of the sandbox."""
    with serving_rates(ca, world.accepts) as rates:
        yield rates


@pytest.fixture
def alice(world: ClientWorld, rates: Rates) -> TokenSource:
    """A user whose token may be sent to the API."""
    return world.alice_for(f"https://{rates.target}")


def page(alice: TokenSource, rates: Rates) -> dict[str, Any]:
    """What the first two programs of the page make; each has called the API once."""
    names = run_program(PAGE, "class TokenOf", alice=alice, target=rates.target)
    return run_program(PAGE, "class RenewsRejected(", **names)


def intercepted(secure: Any, names: dict[str, Any]) -> Any:
    """The method `Get` of a channel with the interceptor of the page."""
    return grpc.intercept_channel(secure, names["RenewsRejected"](names["alice"])).unary_unary(GET)


@either_way
def test_a_call_is_answered(world: ClientWorld, rates: Rates, alice: TokenSource, ending: Ending) -> None:
    """A call after the token's end is answered like the one before it, on the same channel."""
    names = page(alice, rates)
    with grpc.secure_channel(rates.target, names["credentials"]) as secure:
        get = intercepted(secure, names)
        assert get(b"EUR", timeout=PATIENCE) == b"EUR 1.08"
        world.end(ending)
        assert get(b"EUR", timeout=PATIENCE) == b"EUR 1.08"
    assert world.renewals == ONE_RENEWAL
    assert world.rejections == (ending == "rejected")


@either_way
def test_a_call_is_answered_on_an_event_loop(
    world: ClientWorld, rates: Rates, alice: TokenSource, ending: Ending, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same through grpc.aio."""
    names = page(alice, rates)
    world.end(ending)
    run_program(PAGE, "class RenewsRejectedAsync", **names)
    assert capsys.readouterr().out == "b'EUR 1.08'\n" * 3
    assert world.renewals == ONE_RENEWAL
    assert world.rejections == (ending == "rejected")


@either_way
def test_many_calls_cost_one_renewal(world: ClientWorld, rates: Rates, alice: TokenSource, ending: Ending) -> None:
    """Twenty threads on one channel, whose token has ended."""
    names = page(alice, rates)
    with grpc.secure_channel(rates.target, names["credentials"]) as secure, ThreadPoolExecutor(20) as threads:
        get = intercepted(secure, names)
        world.end(ending)
        answers = list(threads.map(lambda _: get(b"EUR", timeout=PATIENCE), range(20)))
    assert answers == [b"EUR 1.08"] * 20
    assert world.renewals == ONE_RENEWAL


@pytest.mark.parametrize("prefix", ["", "dns:///"])
def test_the_plugin_alone_renews_what_has_expired(
    world: ClientWorld, rates: Rates, alice: TokenSource, prefix: str
) -> None:
    """And not what is rejected: the caller gets UNAUTHENTICATED."""
    names = page(alice, rates)
    with grpc.secure_channel(prefix + rates.target, names["credentials"]) as channel:
        world.expire()
        assert channel.unary_unary(GET)(b"EUR", timeout=PATIENCE) == b"EUR 1.08"
        assert world.renewals == ONE_RENEWAL
        world.end("rejected")
        with pytest.raises(grpc.RpcError) as failure:
            channel.unary_unary(GET)(b"EUR", timeout=PATIENCE)
    assert failure.value.code() is grpc.StatusCode.UNAUTHENTICATED
    assert world.renewals == ONE_RENEWAL


def test_a_stream_outlives_its_token(world: ClientWorld, rates: Rates, alice: TokenSource) -> None:
    """Nothing is renewed for a stream that is open, also if its token has expired."""
    names = page(alice, rates)
    with grpc.secure_channel(rates.target, names["credentials"]) as channel:
        stream = channel.unary_stream("/acme.Rates/Watch")(b"xxx", timeout=PATIENCE)
        assert next(stream) == b"1.08"
        world.expire()
        assert list(stream) == [b"1.08"] * 2
    assert world.renewals == NO_RENEWAL


def test_a_token_that_is_rejected_again_reaches_the_caller(world: ClientWorld, ca: trustme.CA) -> None:
    """One renewal, two calls, and UNAUTHENTICATED."""
    accepted = [True, True, False, False]
    with serving_rates(ca, lambda _: accepted.pop(0)) as rates:
        names = page(world.alice_for(f"https://{rates.target}"), rates)
        with grpc.secure_channel(rates.target, names["credentials"]) as secure, pytest.raises(grpc.RpcError) as failure:
            intercepted(secure, names)(b"EUR", timeout=PATIENCE)
    assert failure.value.code() is grpc.StatusCode.UNAUTHENTICATED
    assert accepted == []
    assert world.renewals == ONE_RENEWAL


def test_a_token_that_another_caller_has_renewed_is_taken(world: ClientWorld, rates: Rates, alice: TokenSource) -> None:
    """While the call was under way, another caller has replaced the rejected token: no second renewal."""
    names = page(alice, rates)
    answers = [grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.OK]

    def continuation(details: object, request: bytes) -> SimpleNamespace:
        if len(answers) == 2:
            alice.renew()
        code = answers.pop(0)
        return SimpleNamespace(code=lambda: code)

    call = names["RenewsRejected"](alice).intercept_unary_unary(continuation, None, b"EUR")
    assert call.code() is grpc.StatusCode.OK
    assert world.renewals == ONE_RENEWAL


def test_an_origin_that_is_not_listed_gets_no_token(world: ClientWorld, rates: Rates, alice: TokenSource) -> None:
    """The call is sent without it, and an event names the origin."""
    names = page(alice, rates)
    bob = world.signed_in("bob")
    plugin = grpc.metadata_call_credentials(names["TokenOf"](bob))
    credentials = grpc.composite_channel_credentials(grpc.ssl_channel_credentials(), plugin)
    with grpc.secure_channel(rates.target, credentials) as channel, pytest.raises(grpc.RpcError):
        channel.unary_unary(GET)(b"EUR", timeout=PATIENCE)
    assert rates.authorizations[-1] is None
    assert f"https://{rates.target}" in world.events.wait_for("token_withheld").detail


def test_without_a_token_the_caller_gets_the_error(world: ClientWorld, rates: Rates, alice: TokenSource) -> None:
    """SignInRequired through the interceptor; without it UNAVAILABLE, with the error in its details."""
    names = page(alice, rates)
    with grpc.secure_channel(rates.target, names["credentials"]) as secure:
        alice.forget()
        with pytest.raises(SignInRequired):
            intercepted(secure, names)(b"EUR", timeout=PATIENCE)
        with pytest.raises(grpc.RpcError) as failure:
            secure.unary_unary(GET)(b"EUR", timeout=PATIENCE)
    assert failure.value.code() is grpc.StatusCode.UNAVAILABLE
    assert "authoriz" in failure.value.details()


def test_without_tls_only_metadata_by_hand_is_sent(world: ClientWorld) -> None:
    """Call credentials are refused by gRPC itself; headers for an address of this machine that is listed are sent."""
    with serving_rates(None, world.accepts) as rates:
        url = f"http://{rates.target}"
        alice = world.alice_for(url)
        metadata = [(name.lower(), value) for name, value in alice.headers(url, "POST").items()]
        by_plugin = grpc.access_token_call_credentials(alice.token().access_token)
        with grpc.insecure_channel(rates.target) as channel:
            get = channel.unary_unary(GET)
            assert get(b"EUR", timeout=PATIENCE, metadata=metadata) == b"EUR 1.08"
            with pytest.raises(grpc.RpcError, match="security level"):
                get(b"EUR", timeout=PATIENCE, credentials=by_plugin)
    assert len(rates.authorizations) == 1
