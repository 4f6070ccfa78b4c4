"""Rows: what is sent to OpenTelemetry, through a real SDK."""

from __future__ import annotations

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from support.limits import PATIENCE
from support.waiting import settle

from blnk_auth.opentelemetry import Telemetry

from .faults import ONE_OF_EACH
from .table import row
from .world import World


@row("Telemetry Telemetry.flush Telemetry.dropped", failures=ONE_OF_EACH)
def sending_telemetry(world: World) -> object:
    """A renewal, whose spans and metrics are searched as they would be exported."""
    finished, traces, reader = InMemorySpanExporter(), TracerProvider(), InMemoryMetricReader()
    traces.add_span_processor(SimpleSpanProcessor(finished))
    telemetry = Telemetry(tracer_provider=traces, meter_provider=MeterProvider([reader]), on_event=world.events.append)
    source = world.expired(world.client(on_event=telemetry))
    try:
        return source.token()
    finally:
        settle()
        assert telemetry.flush(PATIENCE)
        assert not telemetry.dropped
        world.look_at(telemetry, *(span.to_json() for span in finished.get_finished_spans()))
        world.look_at(str(reader.get_metrics_data()))
