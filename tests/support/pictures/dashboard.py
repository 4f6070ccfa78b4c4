"""Draws the dashboard for Grafana from what a real run emits: its panels, their queries, and the metrics of the run.

Used by `python -m support.pictures` and by the test of the dashboard. Neither Grafana nor Prometheus runs: the samples
are read from the SDK once a minute of a clock that the run moves, and the queries are evaluated here, those forms that
the dashboard has and no others.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from html import escape
from typing import NamedTuple

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from support.limits import PATIENCE
from support.prose import ROOT
from support.stores.scripted import ScriptedStore
from support.waiting import settle

from blnk_auth import BlnkAuthError, BlnkCloud, OAuthClient, RenewalPolicy, StoreError, Token
from blnk_auth.opentelemetry import Telemetry
from blnk_auth.testing import Clock, Sandbox
from blnk_auth.testing.sandbox import Fault

FILE = ROOT / "docs" / "how-to" / "grafana-dashboard.json"
MINUTES, SUBJECTS, CALLS = 120, 20, 4
WINDOW = 5
"""Minutes of `rate` and `increase`."""

Labels = tuple[tuple[str, str], ...]
Samples = dict[tuple[str, Labels], float]
"""The value of each series, as Prometheus names it, at one time."""


class Panel(NamedTuple):
    """What is drawn of a panel."""

    title: str
    unit: str
    queries: list[tuple[str, str]]
    """The expression, and the form of its legend."""


def panels() -> list[Panel]:
    """The panels of the dashboard."""
    return [
        Panel(
            each["title"],
            each["fieldConfig"]["defaults"]["unit"],
            [(target["expr"], target["legendFormat"]) for target in each["targets"]],
        )
        for each in json.loads(FILE.read_text("utf-8"))["panels"]
    ]


# --- the run ---------------------------------------------------------------------------------------------------------


def samples_of(reader: InMemoryMetricReader) -> Samples:
    """What Prometheus would have read, named as the specification requires: the unit and `_total` are appended.

    https://opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics/
    """
    data, found = reader.get_metrics_data(), {}
    metrics = [m for r in (data.resource_metrics if data else []) for s in r.scope_metrics for m in s.metrics]
    for metric in metrics:
        name = metric.name.replace(".", "_") + {"s": "_seconds"}.get(metric.unit or "", "")
        for point in metric.data.data_points:
            labels = tuple(sorted((key.replace(".", "_"), str(v)) for key, v in (point.attributes or {}).items()))
            if not hasattr(point, "bucket_counts"):
                found[f"{name}_total", labels] = point.value
                continue
            found[f"{name}_count", labels], found[f"{name}_sum", labels] = point.count, point.sum
            total = 0
            for bound, count in zip((*point.explicit_bounds, "+Inf"), point.bucket_counts, strict=True):
                total += count
                found[f"{name}_bucket", (*labels, ("le", str(bound)))] = total
    return found


def run() -> list[Samples]:
    """Two hours of twenty users at a sandbox, with an outage, a slow server, a full disk, and grants that end."""
    clock, store, reader = Clock(), ScriptedStore(), InMemoryMetricReader()
    telemetry = Telemetry(tracer_provider=TracerProvider(), meter_provider=MeterProvider([reader]))
    subjects = [f"user-{number}" for number in range(SUBJECTS)]
    with Sandbox(clock=clock, lifetime=900) as sandbox, ThreadPoolExecutor(16) as threads:
        client = OAuthClient(
            BlnkCloud(base_url=sandbox.origin),
            client_id=sandbox.client_id,
            client_secret=sandbox.client_secret,
            store=store,
            clock=clock,
            on_event=telemetry,
            policy=RenewalPolicy(lost_answer_retries=0),
        )
        for subject in subjects:
            client.for_subject(subject).adopt(Token.from_response(sandbox.issue(subject), now=clock()))
        happens: dict[int, Callable[[], object]] = {
            30: lambda: sandbox.fail(*[Fault(status=503)] * 14),
            55: lambda: sandbox.fail(*[Fault(delay=0.4)] * 8),
            75: lambda: [sandbox.revoke_grant(subject) for subject in subjects[:3]],
            95: lambda: store.interfere("save", *[StoreError("the disk is full")] * 6),
        }

        def call(subject: str) -> None:
            try:
                client.for_subject(subject).token()
            except BlnkAuthError:
                return

        found: list[Samples] = []
        for minute in range(MINUTES):
            happens.get(minute, lambda: None)()
            # Not all at the same minute: users come when they want to.
            present = [subject for number, subject in enumerate(subjects) if (minute + number) % 3]
            list(threads.map(call, present * CALLS))
            settle()
            assert telemetry.flush(PATIENCE)
            found.append(samples_of(reader))
            clock.advance(60)
    return found


# --- the queries -----------------------------------------------------------------------------------------------------

_RANGE = r"(rate|increase)\((\w+)(?:\{(.*?)\})?\[\S+?\]\)"
_SUM = re.compile(rf"(?:(60) \* )?sum(?: by \((\w+)\) )?\({_RANGE}\)")
_RATIO = re.compile(r"(sum .*\)) / (sum .*\))")
_QUANTILE = re.compile(rf"histogram_quantile\(([\d.]+), sum by \(le\) \({_RANGE}\)\)")


def value_at(expression: str, run: list[Samples], minute: int) -> dict[str, float]:
    """What a query gives at a minute: a value for each value of the label that it is grouped by."""
    if ratio := _RATIO.fullmatch(expression):
        part, whole = (value_at(each, run, minute) for each in ratio.groups())
        return {label: part.get(label, 0.0) / total for label, total in whole.items() if total}
    if quantile := _QUANTILE.fullmatch(expression):
        buckets = _summed(("le", *quantile.groups()[1:]), run, minute)
        return _quantile(float(quantile[1]), {float(le): count for le, count in buckets.items()})
    found = _SUM.fullmatch(expression)
    assert found is not None, f"add this form of a query: {expression}"
    return {label: value * int(found[1] or 1) for label, value in _summed(found.groups()[1:], run, minute).items()}


def _summed(query: Sequence[str | None], run: list[Samples], minute: int) -> dict[str, float]:
    """`sum by (by) (kind(metric{selector}[WINDOW minutes]))`, for these four parts of a query."""
    by, kind, metric, selector = query
    wanted = re.findall(r'(\w+)=~?"([^"]*)"', (selector or "").replace("$provider", ".*"))
    before = run[minute - WINDOW] if minute >= WINDOW else {}
    sums: dict[str, float] = {}
    for (name, labels), value in run[minute].items():
        has = dict(labels)
        if name == metric and all(re.fullmatch(pattern, has.get(label, "")) for label, pattern in wanted):
            risen = (value - before.get((name, labels), 0)) / (60 * WINDOW if kind == "rate" else 1)
            group = "" if by is None else has.get(by, "")
            sums[group] = sums.get(group, 0) + risen
    return sums


def _quantile(share: float, buckets: dict[float, float]) -> dict[str, float]:
    """As Prometheus estimates it: evenly within a bucket."""
    total, below, count_below = buckets.get(float("inf"), 0), 0.0, 0.0
    for bound, count in sorted(buckets.items()):
        if total and count >= share * total:
            inside = (share * total - count_below) / (count - count_below)
            return {"": below if bound == float("inf") else below + (bound - below) * inside}
        below, count_below = bound, count
    return {}


# --- the picture -----------------------------------------------------------------------------------------------------

_COLOURS = ("#73bf69", "#f2cc0c", "#5794f2", "#ff780a", "#f2495c", "#b877d9")
_WIDTH, _HEIGHT, _LEFT, _TOP, _RIGHT, _BOTTOM = 400, 228, 44, 36, 12, 60


def picture(run: list[Samples]) -> str:
    """The SVG."""
    places = ((_WIDTH * (number % 2), _HEIGHT * (number // 2)) for number in range(100))
    drawn = [_drawn(panel, _lines_of(panel, run), *place) for panel, place in zip(panels(), places, strict=False)]
    height = _HEIGHT * ((len(drawn) + 1) // 2)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 800 {height}" role="img" '
        'aria-label="The dashboard, drawn from two hours of a sandbox">\n'
        "<style>text{font:11px system-ui,sans-serif;fill:#9fa7b3}"
        ".title{font:600 13px system-ui,sans-serif;fill:#d8d9da}"
        "path{fill:none;stroke-width:1.6}.grid{stroke:#2c3235;stroke-width:1}</style>\n"
        f'<rect width="800" height="{height}" rx="8" fill="#111217"/>\n' + "\n".join(drawn) + "\n</svg>\n"
    )


def _lines_of(panel: Panel, run: list[Samples]) -> dict[str, dict[int, float]]:
    """The lines that are not always zero, by their legends: a value at each minute that has one."""
    lines: dict[str, dict[int, float]] = {}
    for expression, legend in panel.queries:
        for minute in range(1, len(run)):
            for label, value in value_at(expression, run, minute).items():
                lines.setdefault(label if legend.startswith("{{") else legend, {})[minute] = value
    return {name: values for name, values in lines.items() if any(values.values())}


def _drawn(panel: Panel, lines: dict[str, dict[int, float]], x: int, y: int) -> str:
    most = max((value for values in lines.values() for value in values.values()), default=0.0) or 1.0
    wide, high = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM
    parts = [
        f'<g transform="translate({x} {y})">',
        f'<rect x="4" y="4" width="{_WIDTH - 8}" height="{_HEIGHT - 8}" rx="4" fill="#181b1f"/>',
        f'<text class="title" x="14" y="24">{escape(panel.title)}</text>',
    ]
    for step in (0.0, 0.5, 1.0):
        level = _TOP + high * (1 - step)
        parts.append(f'<path class="grid" d="M{_LEFT} {level:.0f}H{_WIDTH - _RIGHT}"/>')
        parts.append(f'<text x="{_LEFT - 5}" y="{level + 4:.0f}" text-anchor="end">{_short(step * most, panel)}</text>')
    for minute in range(0, MINUTES, 30):
        across = _LEFT + wide * minute / MINUTES
        parts.append(f'<text x="{across:.0f}" y="{_TOP + high + 14}" text-anchor="middle">{minute} min</text>')
    legend_at, row = float(_LEFT), _HEIGHT - 34
    for colour, (name, values) in zip(_COLOURS, sorted(lines.items()), strict=False):
        points = "L".join(
            f"{_LEFT + wide * minute / MINUTES:.0f} {_TOP + high * (1 - value / most):.1f}"
            for minute, value in values.items()
        )
        parts.append(f'<path stroke="{colour}" d="M{points}"/>')
        needed = 24 + 6.2 * len(name)
        if legend_at + needed > _WIDTH:
            legend_at, row = float(_LEFT), row + 16
        parts.append(f'<rect x="{legend_at:.0f}" y="{row}" width="9" height="3" fill="{colour}"/>')
        parts.append(f'<text x="{legend_at + 13:.0f}" y="{row + 6}">{escape(name)}</text>')
        legend_at += needed
    if not lines:
        parts.append(f'<text x="{_LEFT + wide / 2:.0f}" y="{_TOP + high / 2:.0f}" text-anchor="middle">none</text>')
    return "".join((*parts, "</g>"))


def _short(value: float, panel: Panel) -> str:
    if panel.unit == "percentunit":
        return f"{100 * value:.0f} %"
    return f"{value:.2g}" + (" s" if panel.unit == "s" else "")
