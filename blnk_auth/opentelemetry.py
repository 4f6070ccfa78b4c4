"""`Telemetry`: what happens to tokens as spans and metrics of OpenTelemetry.

Used by applications as `on_event` of a client, importable alone. It needs `opentelemetry-api` (the extra `otel`); which
SDK and exporters receive the data is the application's business. What this file promises:

* An exporter that is slow, or blocks for ever, delays no request, no renewal and no other callback: everything is
  handed to threads of its own, and what they cannot take in time is dropped and counted.
* The attributes are the provider and the result. No subject, no store key, no text of an error and no secret.
* A request that finds a valid token costs nothing more.

It never raises into the client, and never keeps the program from exiting for longer than a moment.
"""

from __future__ import annotations

import atexit
import logging
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from . import __version__
from ._renewal.operations import EndedOperation, ended_operation
from ._renewal.single_flight import watch_waiters
from ._renewal.worker import wait_for_workers
from .errors import ConfigurationError, SignInRequired, constructor_clears_locals, kind_of
from .errors._extras import import_failure
from .events import Event, EventName, OnEvent
from .stores._forks import reset_in_child

try:
    from opentelemetry import metrics, trace
    from opentelemetry.context import Context
except ImportError as _error:
    raise import_failure("Telemetry", "opentelemetry", "otel", _error) from _error

__all__ = ["Telemetry"]

_logger: logging.Logger = logging.getLogger("blnk_auth")

_RESULTS: tuple[EventName, ...] = ("renewed", "adopted", "renewal_failed", "sign_in_required")
_WHERE_NO_OTHER: tuple[EventName, ...] = ("save_failed", "saved")

_OF_AN_ATTEMPT: tuple[EventName, ...] = ("renewed", "renewal_failed", "sign_in_required")

_SCOPE = "blnk_auth"
_PROVIDER, _RESULT = f"{_SCOPE}.provider", f"{_SCOPE}.outcome"

_BOUNDARIES = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Seconds. Those that an SDK takes otherwise are made for milliseconds."""

_MOST_QUEUED = 1000
"""Operations that wait for an exporter. Each has the contexts of up to 128 spans."""

_MOST_NAMED = 32
"""Events that are named in one span."""

_EXIT_SECONDS = 1.0
"""How long a program that ends waits for each kind of data."""


class _Operation(NamedTuple):
    """What is kept of one operation. `ended_at` is in nanoseconds of UTC, as OpenTelemetry has them."""

    events: tuple[Event, ...]
    ended_at: int
    began_in: trace.SpanContext | None
    waited: int
    waited_in: tuple[trace.SpanContext, ...]

    @property
    def result(self) -> Event | None:
        """How the renewal or the sign-in ended; None if it was something else."""
        timed = [event for event in self.events if event.seconds is not None]
        for names in ((*_RESULTS, "signed_in"), _WHERE_NO_OTHER):
            found = [event for event in timed if event.name in names]
            if found:
                return found[-1]
        return None


@constructor_clears_locals
class Telemetry:
    """Sends what happens to tokens to OpenTelemetry: `OAuthClient(..., on_event=Telemetry())`.

    Spans: `renew token` and `sign in`, from the beginning of the operation to its end. A span is a child of the span in
    which the operation was begun, and has a link to the span of each request that waited for it, up to 128. A request
    without a span has no link. The attributes are `blnk_auth.provider`, `blnk_auth.outcome` (the name of an `Event`),
    `blnk_auth.attempts` and `blnk_auth.waiters`; after a failure also `error.type`.

    Metrics: the histogram `blnk_auth.renewal.duration` in seconds, and the counters `blnk_auth.events`,
    `blnk_auth.waiters` and `blnk_auth.telemetry.dropped`. All but the last have `blnk_auth.provider` and
    `blnk_auth.outcome`, and nothing else, so that their number does not grow with the users.

    May be shared by any number of clients, threads, event loops and tasks, and be used in a forked child. A callback
    of the application can call it, for some events only. From CPython 3.12 on, no thread can be started when the main
    thread has ended, so what happens to tokens after that may not be sent: a short program ends with `flush()`. The
    names follow the
    [conventions of OpenTelemetry](https://opentelemetry.io/docs/specs/semconv/general/naming/).

    Args:
        tracer_provider: Where spans go. None: the global one, also if it is set later.
        meter_provider: Where metrics go. None: the global one, also if it is set later.
        on_event: Called for each event too, on the same thread as without this object. None: nothing else is called.

    Raises:
        ConfigurationError: `on_event` cannot be called.
    """

    def __init__(
        self,
        *,
        tracer_provider: trace.TracerProvider | None = None,
        meter_provider: metrics.MeterProvider | None = None,
        on_event: OnEvent | None = None,
    ) -> None:
        if on_event is not None and not callable(on_event):
            raise ConfigurationError(
                f"on_event must be a callable, not {kind_of(on_event)}",
                parameter="on_event",
                remedy="pass a function of one event",
            )
        self._on_event = on_event
        self._spans = _Handover(_Spans(trace.get_tracer(_SCOPE, __version__, tracer_provider)).record)
        self._metrics = _Handover(_Metrics(metrics.get_meter(_SCOPE, __version__, meter_provider), self).record)
        self._is_flushed_at_exit = False
        watch_waiters(_current_span)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} dropped={self.dropped}>"

    def __call__(self, event: Event) -> None:
        """Take an event, as `on_event` of a client. It never blocks: other threads send it.

        Args:
            event: What happened. The first event of an operation stands for all of them.
        """
        ended = ended_operation() or EndedOperation((event,))
        if not any(each is self for each in ended.taken_by):
            ended.taken_by.append(self)
            waiters = ended.waiters
            operation = _Operation(
                ended.events,
                time.time_ns(),
                _current_span(),
                0 if waiters is None else waiters.count,
                () if waiters is None else tuple(waiters.seen),
            )
            self._flush_at_exit()
            self._metrics.put(operation)
            self._spans.put(operation)
        if self._on_event is not None:
            self._on_event(event)

    @property
    def dropped(self) -> int:
        """How many operations were dropped, since an exporter had not taken a thousand before them."""
        return self._spans.dropped + self._metrics.dropped

    def flush(self, timeout: float = 5.0) -> bool:
        """Wait until the SDK has everything, as before a process ends that calls no exit handlers.

        That includes renewals and sign-ins that are under way: a request gets its token before the event is emitted.

        Args:
            timeout: The longest wait for these, for spans, and for metrics, in seconds each.

        Returns:
            Whether it has. If not, the rest is still sent.
        """
        has_ended = wait_for_workers(timeout)
        spans, measured = self._spans.flush(timeout), self._metrics.flush(timeout)
        return has_ended and spans and measured

    def _flush_at_exit(self) -> None:
        # Exit handlers run in the reverse order. By the first event the SDK has registered its own, which stops it.
        if not self._is_flushed_at_exit:
            self._is_flushed_at_exit = True
            atexit.register(_flush, weakref.ref(self))


def _flush(telemetry: Callable[[], Telemetry | None]) -> None:
    found = telemetry()
    if found is not None:
        found.flush(_EXIT_SECONDS)


def _current_span() -> trace.SpanContext | None:
    """The context of the caller's span; None if there is none."""
    context = trace.get_current_span().get_span_context()
    return context if context.is_valid else None


class _Handover:
    """Operations on their way to a function that may block, on a thread that no exit waits for.

    The thread ends when nothing is left. May be used from any thread.
    """

    def __init__(self, deliver: Callable[[_Operation], object]) -> None:
        self._deliver = deliver
        self.reset_after_fork()
        reset_in_child(self)

    def reset_after_fork(self) -> None:
        """Called in the child of a fork: the thread does not exist there, and the parent sends what it had."""
        self.dropped: int = 0
        self._changed = threading.Condition()
        self._queue: deque[_Operation] = deque()
        self._is_sending = False

    def put(self, operation: _Operation) -> None:
        """Send it soon, or drop it if too many wait."""
        with self._changed:
            if len(self._queue) >= _MOST_QUEUED:
                self.dropped += 1
                return
            self._queue.append(operation)
        self._begin()

    def flush(self, timeout: float) -> bool:
        """Wait until everything is sent; return whether it is."""
        self._begin()
        with self._changed:
            if self._queue and not self._is_sending:
                # No thread can be started.
                return False
            return self._changed.wait_for(lambda: not self._queue and not self._is_sending, timeout)

    def _begin(self) -> None:
        with self._changed:
            if self._is_sending or not self._queue:
                return
            self._is_sending = True
        try:
            threading.Thread(target=self._send, name="blnk-auth telemetry", daemon=True).start()
        except RuntimeError:
            # No more threads. The next operation tries again.
            with self._changed:
                self._is_sending = False

    def _send(self) -> None:
        while True:
            with self._changed:
                if not self._queue:
                    self._is_sending = False
                    self._changed.notify_all()
                    return
                operation = self._queue.popleft()
            try:
                self._deliver(operation)
            except Exception:
                _logger.exception("OpenTelemetry raised")


class _Spans:
    """One span for each renewal and sign-in."""

    def __init__(self, tracer: trace.Tracer) -> None:
        self._tracer = tracer

    def record(self, operation: _Operation) -> None:
        result = operation.result
        if result is None or result.seconds is None:
            return
        attributes: dict[str, str | int] = {
            **_attributes(result, result.name),
            "blnk_auth.waiters": operation.waited,
        }
        if result.name != "signed_in":
            tries = [event for event in operation.events if event.name in _OF_AN_ATTEMPT]
            # No event of these where a pair of another process was taken, or where the new pair could not be saved.
            attributes["blnk_auth.attempts"] = len(tries) or int(result.name == "save_failed")
        span = self._tracer.start_span(
            "sign in" if result.name == "signed_in" else "renew token",
            _context_of(operation.began_in),
            attributes=attributes,
            links=[trace.Link(each) for each in operation.waited_in],
            start_time=operation.ended_at - round(result.seconds * 1e9),
        )
        others = [event for event in operation.events if event is not result]
        for event in others[:_MOST_NAMED]:
            named = {} if event.error is None else {"error.type": type(event.error).__name__}
            span.add_event(event.name, named, operation.ended_at)
        if result.error is not None:
            span.set_attribute("error.type", type(result.error).__name__)
            span.set_status(trace.Status(trace.StatusCode.ERROR, _kind(result.error)))
        span.end(operation.ended_at)


class _Metrics:
    """How renewals ended, how long they took, how many requests waited, and all events."""

    def __init__(self, meter: metrics.Meter, telemetry: Telemetry) -> None:
        # Weak: the telemetry has this object.
        self._telemetry = weakref.ref(telemetry)
        self.reset_after_fork()
        reset_in_child(self)
        self._seconds = meter.create_histogram(
            "blnk_auth.renewal.duration",
            "s",
            "How long renewals of tokens took, with the wait for the store's lock.",
            explicit_bucket_boundaries_advisory=_BOUNDARIES,
        )
        self._events = meter.create_counter("blnk_auth.events", "{event}", "What happened to tokens.")
        self._waiters = meter.create_counter("blnk_auth.waiters", "{request}", "Requests that waited for a renewal.")
        self._dropped = meter.create_counter(
            "blnk_auth.telemetry.dropped", "{operation}", "Operations that no exporter took in time."
        )

    def reset_after_fork(self) -> None:
        """Called in the child of a fork: what was dropped before is counted by the parent."""
        self._reported = 0

    def record(self, operation: _Operation) -> None:
        for event in operation.events:
            self._events.add(1, _attributes(event, event.name))
        result = operation.result
        if result is not None and result.seconds is not None and result.name != "signed_in":
            attributes = _attributes(result, result.name)
            self._seconds.record(result.seconds, attributes)
            if operation.waited:
                self._waiters.add(operation.waited, attributes)
        telemetry = self._telemetry()
        dropped = 0 if telemetry is None else telemetry.dropped
        if dropped > self._reported:
            self._dropped.add(dropped - self._reported)
            self._reported = dropped


def _context_of(span: trace.SpanContext | None) -> Context:
    return Context() if span is None else trace.set_span_in_context(trace.NonRecordingSpan(span), Context())


def _attributes(event: Event, result: str) -> dict[str, str]:
    return {_PROVIDER: event.provider or "", _RESULT: result}


def _kind(error: Exception) -> str:
    """The class of an error, and the reason that it gives, which is one of a few words."""
    kind = type(error).__name__
    return f"{kind}: {error.reason}" if isinstance(error, SignInRequired) else kind
