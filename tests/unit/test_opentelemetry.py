"""What `Telemetry` sends to a real SDK: a span for each renewal, linked to who waits, and few metrics."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
import trio
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode, Tracer
from support.errors import raises
from support.limits import PATIENCE
from support.scripted import ScriptedWorld
from support.token_endpoint import pair, refusal
from support.waiting import Events, Hold, out_of_threads, settle, wait_until

from blnk_auth import (
    BlnkAuthError,
    ConfigurationError,
    Event,
    RenewalPolicy,
    SignInRequired,
    StoreError,
    TemporarilyUnavailable,
    TokenSource,
)
from blnk_auth.opentelemetry import Telemetry

CALLERS, WITHOUT_A_SPAN = 50, 2


class Observed:
    """A scripted world whose events go to a `Telemetry` with an SDK of its own."""

    def __init__(self, exporter: SpanExporter | None = None, **settings: Any) -> None:
        self.finished = InMemorySpanExporter()
        # More links than Telemetry gives, so that it is not the SDK that leaves them out.
        traces = TracerProvider(span_limits=SpanLimits(max_links=1000))
        traces.add_span_processor(SimpleSpanProcessor(exporter or self.finished))
        self.reader = InMemoryMetricReader()
        self.telemetry = Telemetry(tracer_provider=traces, meter_provider=MeterProvider([self.reader]))
        self.world = ScriptedWorld(**{"on_event": self.telemetry, **settings})
        self.tracer: Tracer = TracerProvider().get_tracer("of an application")

    def spans(self) -> list[ReadableSpan]:
        """The finished spans, once everything is sent."""
        settle()
        assert self.telemetry.flush(PATIENCE)
        return list(self.finished.get_finished_spans())

    def points(self) -> dict[tuple[str, ...], Any]:
        """The data points: by the metric and the values of its attributes."""
        settle()
        assert self.telemetry._metrics.flush(PATIENCE)
        data = self.reader.get_metrics_data()
        return {
            (metric.name, *(str(value) for _, value in sorted((point.attributes or {}).items(), reverse=True))): point
            for resource in ([] if data is None else data.resource_metrics)
            for scope in resource.scope_metrics
            for metric in scope.metrics
            for point in metric.data.data_points
        }

    def count(self, metric: str, outcome: str) -> float:
        """The value of a counter, or how many values a histogram has."""
        point = self.points()["blnk_auth." + metric, "acme", outcome]
        return point.count if hasattr(point, "count") else point.value


def waits(source: TokenSource) -> int:
    """How many callers wait for the renewal that runs now."""
    current: Any = source._current
    flight = current.state.flights.under_way(source.store_key)
    return 0 if flight is None or flight._waiters is None else flight._waiters.count


def by_threads(observed: Observed, source: TokenSource) -> list[Any]:
    def call(has_span: bool) -> Any:
        if not has_span:
            return source.token().access_token, None
        with observed.tracer.start_as_current_span("request") as span:
            return source.token().access_token, span.get_span_context()

    with ThreadPoolExecutor(CALLERS + WITHOUT_A_SPAN) as threads:
        return list(threads.map(call, [True] * CALLERS + [False] * WITHOUT_A_SPAN))


async def _call(observed: Observed, source: TokenSource, found: list[Any], has_span: bool) -> None:
    if not has_span:
        found.append(((await source.atoken()).access_token, None))
        return
    with observed.tracer.start_as_current_span("request") as span:
        found.append(((await source.atoken()).access_token, span.get_span_context()))


def by_asyncio(observed: Observed, source: TokenSource) -> list[Any]:
    async def main() -> list[Any]:
        found: list[Any] = []
        async with asyncio.TaskGroup() as tasks:
            for number in range(CALLERS + WITHOUT_A_SPAN):
                tasks.create_task(_call(observed, source, found, number < CALLERS))
        return found

    return asyncio.run(main())


def by_trio(observed: Observed, source: TokenSource) -> list[Any]:
    async def main() -> list[Any]:
        found: list[Any] = []
        async with trio.open_nursery() as tasks:
            for number in range(CALLERS + WITHOUT_A_SPAN):
                tasks.start_soon(_call, observed, source, found, number < CALLERS)
        return found

    return trio.run(main)


@pytest.mark.parametrize("stampede", [by_threads, by_asyncio, by_trio])
def test_one_renewal_span_has_a_link_to_each_request_that_waited(
    stampede: Callable[[Observed, TokenSource], list[Any]],
) -> None:
    """Fifty requests with spans of their own and two without: one span, fifty links, fifty-two waiters."""
    observed = Observed()
    source = observed.world.signed_in()
    before = len(observed.spans())
    observed.world.clock.advance(4000)

    def answer(request: object) -> Any:
        wait_until(lambda: waits(source) == CALLERS + WITHOUT_A_SPAN, "fifty-two callers")
        return pair(1)

    observed.world.server.will(answer)
    found = stampede(observed, source)
    assert Counter(token for token, _ in found) == {"at1": CALLERS + WITHOUT_A_SPAN}
    (span,) = observed.spans()[before:]
    expected = {context.span_id for _, context in found if context is not None}
    assert len(expected) == CALLERS
    assert sorted(link.context.span_id for link in span.links) == sorted(expected)
    assert span.name == "renew token"
    assert dict(span.attributes or {}) == {
        "blnk_auth.provider": "acme",
        "blnk_auth.outcome": "renewed",
        "blnk_auth.attempts": 1,
        "blnk_auth.waiters": CALLERS + WITHOUT_A_SPAN,
    }
    assert span.parent is None or span.parent.span_id in expected
    assert (span.start_time or 0) < (span.end_time or 0)
    assert observed.count("waiters", "renewed") == CALLERS + WITHOUT_A_SPAN
    assert observed.count("renewal.duration", "renewed") == 1


def test_links_are_bounded() -> None:
    """As many as a span of OpenTelemetry can have, and requests without a span take no place among them."""
    observed = Observed()
    source = observed.world.signed_in()
    observed.world.clock.advance(4000)
    observed.world.server.will(lambda _: wait_until(lambda: waits(source) == 300, "300 callers") or pair(1))

    async def main() -> None:
        async with asyncio.TaskGroup() as tasks:
            for number in range(300):
                tasks.create_task(_call(observed, source, [], number >= 100))

    asyncio.run(main())
    span = observed.spans()[-1]
    assert len(span.links) == 128
    assert (span.attributes or {})["blnk_auth.waiters"] == 300


def test_a_renewal_in_the_background_is_a_child_of_the_request_that_began_it() -> None:
    """Nobody waits for it, so it has no link."""
    observed = Observed()
    source = observed.world.signed_in()
    observed.world.clock.advance(3600 - 250)
    observed.world.server.will(pair(1))
    with observed.tracer.start_as_current_span("request") as request:
        assert source.token().access_token == "at0"
    span = observed.spans()[-1]
    assert span.parent is not None
    assert span.parent.span_id == request.get_span_context().span_id
    assert (len(span.links), (span.attributes or {})["blnk_auth.waiters"]) == (0, 0)


LOST = httpx.ReadTimeout("lost")
ALIVE = RenewalPolicy(lost_answer_retries=1, lost_answer_delay=0)


@pytest.mark.parametrize(
    ("answers", "outcome", "error", "status", "others"),
    [
        ([pair(1)], "renewed", None, None, []),
        ([LOST, pair(1)], "renewed", None, None, ["renewal_failed"]),
        ([LOST, LOST], "renewal_failed", TemporarilyUnavailable, "TemporarilyUnavailable", ["renewal_failed"]),
        ([refusal("invalid_grant")], "sign_in_required", SignInRequired, "SignInRequired: refused", []),
    ],
)
def test_a_span_shows_how_the_renewal_ended(
    answers: list[Any], outcome: str, error: type[BlnkAuthError] | None, status: str | None, others: list[str]
) -> None:
    """One span for each renewal, however often the server was asked; other events are named in it."""
    observed = Observed(policy=ALIVE)
    source = observed.world.signed_in()
    observed.world.clock.advance(4000)
    observed.world.server.will(*answers)
    if error is None:
        source.token()
    else:
        with raises(error):
            source.token()
    sign_in, span = observed.spans()
    assert sign_in.name == "sign in"
    attributes = dict(span.attributes or {})
    assert attributes["blnk_auth.outcome"] == outcome
    assert attributes["blnk_auth.attempts"] == len(answers)
    assert attributes.get("error.type") == (None if error is None else error.__name__)
    assert span.status.status_code is (StatusCode.UNSET if error is None else StatusCode.ERROR)
    assert span.status.description == status
    assert [event.name for event in span.events] == others
    assert observed.count("renewal.duration", outcome) == 1
    assert observed.count("events", outcome) == 1 + others.count(outcome)


def test_a_pair_that_could_not_be_saved_is_a_result_of_its_own() -> None:
    """And the save that succeeds later has its own span."""
    observed = Observed()
    source = observed.world.signed_in()
    observed.world.clock.advance(4000)
    observed.world.store.interfere("save", StoreError("the disk is full"))
    observed.world.server.will(pair(1))
    assert source.token().access_token == "at1"
    span = observed.spans()[-1]
    assert (span.attributes or {})["blnk_auth.outcome"] == "save_failed"
    assert (span.attributes or {})["blnk_auth.attempts"] == 1
    assert (span.attributes or {})["error.type"] == "StoreError"
    assert observed.count("events", "save_failed") == 1


def test_nothing_that_is_sent_names_a_user_or_shows_a_secret() -> None:
    """No subject, no store key, no token, and no text of an error, which may quote the server."""
    observed = Observed(policy=ALIVE)
    source = observed.world.signed_in("alice-of-wonderland", access_token="at0-s3cret", refresh_token="rt0-s3cret")
    observed.world.clock.advance(4000)
    observed.world.server.will(refusal("invalid_grant", error_description="rt0-s3cret of alice-of-wonderland"))
    with raises(SignInRequired):
        source.token()
    observed.world.client.for_subject("alice-of-wonderland").forget()
    sent = " ".join(span.to_json() for span in observed.spans())
    data = observed.reader.get_metrics_data()
    assert data is not None
    sent += data.to_json()
    assert "sign_in_required" in sent
    for hidden in ("alice", "s3cret", source.store_key, "token/", "error_description"):
        assert hidden not in sent


def test_the_number_of_series_does_not_grow_with_the_users() -> None:
    """A thousand subjects have as many as one."""
    observed = Observed()
    operations = observed.world.client._state.operations

    def renew(subject: str) -> None:
        key = observed.world.client.for_subject(subject).store_key
        operations.emit([Event("renewed", key), Event("save_failed", key, "no space")], seconds=0.2)

    renew("alice")
    one = set(observed.points())
    for number in range(1000):
        renew(f"user-{number}")
        if not number % 100:
            assert observed.telemetry.flush(PATIENCE)
    assert set(observed.points()) == one
    assert observed.count("events", "renewed") == 1001
    assert one == {
        ("blnk_auth.renewal.duration", "acme", "renewed"),
        ("blnk_auth.events", "acme", "renewed"),
        ("blnk_auth.events", "acme", "save_failed"),
    }


class Blocked(SpanExporter):
    """Takes one span, and never comes back."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.release = threading.Event()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.reached.set()
        self.release.wait()
        return SpanExportResult.SUCCESS


def test_an_exporter_that_blocks_delays_nobody() -> None:
    """Fifty callers get their token, the next renewal happens, and metrics still arrive."""
    exporter = Blocked()
    observed = Observed(exporter)
    try:
        source = observed.world.signed_in()
        assert exporter.reached.wait(PATIENCE)
        for number in (1, 2):
            observed.world.clock.advance(4000)
            observed.world.server.will(pair(number))
            found = by_threads(observed, source)
            assert Counter(token for token, _ in found) == {f"at{number}": CALLERS + WITHOUT_A_SPAN}
        assert observed.count("renewal.duration", "renewed") == 2
        assert not observed.telemetry.flush(0)
    finally:
        exporter.release.set()


def test_what_a_blocked_exporter_does_not_take_is_dropped_and_counted() -> None:
    """The queue has room for a thousand operations; memory does not grow beyond them."""
    exporter = Blocked()
    observed = Observed(exporter)
    operations = observed.world.client._state.operations
    try:
        operations.emit([Event("renewed", "token/first")], seconds=0.1)
        assert exporter.reached.wait(PATIENCE)
        for number in range(1500):
            operations.emit([Event("renewed", "token/x")], seconds=0.1)
            if not number % 100:
                assert observed.telemetry._metrics.flush(PATIENCE)
        assert observed.telemetry.dropped == 500
        operations.emit([Event("token_withheld", "token/x")])
        assert observed.points()[("blnk_auth.telemetry.dropped",)].value >= 500
    finally:
        exporter.release.set()


def test_a_flush_waits_for_the_event_of_a_token_that_was_returned_already() -> None:
    """A caller is woken before the events are emitted, and may end its process then."""
    hold = Hold()
    observed = Observed(on_event=lambda event: observed.telemetry(hold(event) if event.name == "renewed" else event))
    source = observed.world.signed_in()
    observed.world.server.will(pair(1))
    with hold:
        assert source.renew().access_token == "at1"
        hold.wait_until_reached()
        assert not observed.telemetry.flush(0)
    assert observed.telemetry.flush(PATIENCE)
    assert [span.name for span in observed.finished.get_finished_spans()] == ["sign in", "renew token"]


def test_a_callback_of_the_application_gets_every_event_too(caplog: pytest.LogCaptureFixture) -> None:
    """Passed to `Telemetry`, or calling it; what it raises changes nothing of what is sent."""
    seen = Events()

    def mine(event: Event) -> None:
        seen(event)
        raise RuntimeError("mine is broken")

    finished, traces = InMemorySpanExporter(), TracerProvider()
    traces.add_span_processor(SimpleSpanProcessor(finished))
    telemetry = Telemetry(tracer_provider=traces, on_event=mine)
    for on_event in (telemetry, lambda event: (telemetry(event), seen(event))):
        world = ScriptedWorld(on_event=on_event)
        source = world.signed_in()
        world.clock.advance(4000)
        world.server.will(pair(1))
        source.token()
        settle()
        assert telemetry.flush(PATIENCE)
    assert seen.names.count("renewed") == 2
    assert [span.name for span in finished.get_finished_spans()] == ["sign in", "renew token"] * 2
    assert "mine is broken" in caplog.text


def test_an_sdk_that_raises_is_logged_and_no_more(caplog: pytest.LogCaptureFixture) -> None:
    """The next operation is sent as if nothing had happened."""

    class Broken(SpanExporter):
        def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
            raise AssertionError("never reached: the SDK catches it")

    observed = Observed(Broken())
    observed.telemetry._spans._deliver = lambda _: 1 / 0
    source = observed.world.signed_in()
    observed.world.clock.advance(4000)
    observed.world.server.will(pair(1))
    assert source.token().access_token == "at1"
    settle()
    assert observed.telemetry.flush(PATIENCE)
    assert caplog.text.count("OpenTelemetry raised") == 2


def test_a_callback_must_be_callable() -> None:
    """Checked when it is passed."""
    with raises(ConfigurationError, parameter="on_event"):
        Telemetry(on_event="print")  # type: ignore[arg-type]


@pytest.mark.real
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_forked_child_sends_its_own() -> None:
    """Although the thread of its parent, which is blocked while it forks, does not exist in the child."""
    exporter = Blocked()
    observed = Observed(exporter)
    operations = observed.world.client._state.operations
    operations.emit([Event("renewed", "token/x")], seconds=0.1)
    operations.emit([Event("renewed", "token/x")], seconds=0.1)
    assert exporter.reached.wait(PATIENCE)
    dropped = observed.telemetry._spans.dropped = 3
    operations.emit([Event("token_withheld", "token/x")])
    assert observed.points()[("blnk_auth.telemetry.dropped",)].value == dropped
    child = os.fork()
    if not child:
        sent: list[Any] = []
        observed.telemetry._spans._deliver = sent.append
        # What its parent has dropped is counted by its parent.
        is_counted = observed.telemetry.dropped == 0
        observed.telemetry._spans.dropped = 1
        operations.emit([Event("renewed", "token/x")], seconds=0.1)
        is_sent = observed.telemetry._spans.flush(PATIENCE)
        is_counted &= observed.points()[("blnk_auth.telemetry.dropped",)].value == dropped + 1
        os._exit(0 if is_sent and is_counted and len(sent) == 1 else 1)
    exporter.release.set()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


_PROGRAM = """
import atexit
import threading
ended = threading.Event()
atexit.register(ended.set)  # the first one runs last
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor, SpanExporter
import blnk_auth.opentelemetry
from blnk_auth import BlnkCloud, OAuthClient, Token
from blnk_auth.opentelemetry import Telemetry

class Blocked(SpanExporter):
    def export(self, spans):
        print("blocked", flush=True)
        threading.Event().wait()

class Slow(ConsoleSpanExporter):
    def export(self, spans):
        return None if ended.wait(0.5) else super().export(spans)

blnk_auth.opentelemetry._EXIT_SECONDS = {seconds}
taken = threading.Event()
telemetry = Telemetry(on_event=lambda event: taken.set())
traces = TracerProvider()
traces.add_span_processor(SimpleSpanProcessor({exporter}))
trace.set_tracer_provider(traces)
client = OAuthClient(BlnkCloud(), client_id="id", client_secret="s", on_event=telemetry)
client.for_subject("alice").adopt(Token("at"))
taken.wait()  # from CPython 3.12 on, an event that comes after the end of the main thread finds no thread
"""


def test_nobody_waits_where_no_thread_can_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    """As at the end of a program. What there is to send is sent as soon as a thread can be started again."""
    observed = Observed()
    source = observed.world.signed_in()
    with out_of_threads():
        observed.telemetry(Event("renewed", source.store_key, seconds=0.1))
        with monkeypatch.context() as patched:
            patched.setattr(observed.telemetry._spans._changed, "wait_for", pytest.fail)
            assert not observed.telemetry._spans.flush(PATIENCE)
    assert observed.telemetry.flush(PATIENCE)
    assert "renew token" in [span.name for span in observed.spans()]


@pytest.mark.real
@pytest.mark.parametrize(
    ("exporter", "seconds", "printed"), [("Slow()", PATIENCE, "sign in"), ("Blocked()", 1, "blocked")]
)
def test_a_program_ends(exporter: str, seconds: float, printed: str) -> None:
    """With everything sent, if the exporter takes it in time; and also if it never comes back."""
    code = _PROGRAM.replace("{exporter}", exporter).replace("{seconds}", str(seconds))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=PATIENCE, check=True)
    assert printed in done.stdout
    assert done.stderr == ""
