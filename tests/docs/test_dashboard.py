"""The dashboard for Grafana asks for what `Telemetry` emits, and its picture shows its panels."""

from __future__ import annotations

import json
import re
from typing import get_args

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from support.limits import PATIENCE
from support.pictures import PICTURES, dashboard
from support.scripted import ScriptedWorld
from support.token_endpoint import pair
from support.waiting import settle

from blnk_auth.events import EventName
from blnk_auth.opentelemetry import Telemetry

EXPRESSIONS = [expression for panel in dashboard.panels() for expression, _ in panel.queries]


def emitted() -> dashboard.Samples:
    """The series of one renewal, and of what a blocked exporter does not take."""
    reader = InMemoryMetricReader()
    telemetry = Telemetry(meter_provider=MeterProvider([reader]))
    telemetry._spans.dropped += 1
    world = ScriptedWorld(on_event=telemetry)
    source = world.signed_in()
    world.clock.advance(4000)
    world.server.will(pair(1))
    source.token()
    settle()
    assert telemetry.flush(PATIENCE)
    return dashboard.samples_of(reader)


def test_each_query_names_series_and_labels_that_are_emitted() -> None:
    """After the translation of names to those of Prometheus; and no metric is left out."""
    series = emitted()
    asked = set(re.findall(r"blnk_auth_\w+(?=[{\[])", " ".join(EXPRESSIONS)))
    names = {name for name, _ in series}
    assert asked - names == set()
    assert names - asked == {"blnk_auth_renewal_duration_seconds_sum"}
    labels = {label for _, pairs in series for label, _ in pairs}
    assert set(re.findall(r"(\w+)=", " ".join(EXPRESSIONS))) | {"le"} == labels
    ((metric, label),) = re.findall(r"label_values\((\w+), (\w+)\)", dashboard.FILE.read_text("utf-8"))
    assert metric in names
    assert label in labels


def test_each_result_in_a_query_is_an_event() -> None:
    """One that was misspelt would never show."""
    named = {each for found in re.findall(r'outcome=~?"([^"]+)"', " ".join(EXPRESSIONS)) for each in found.split("|")}
    assert len(named) > 5
    assert named - set(get_args(EventName)) == set()


def test_the_picture_shows_the_panels() -> None:
    """If they have changed: make pictures."""
    drawn = re.findall(r'class="title"[^>]*>([^<]+)<', (PICTURES / "dashboard.svg").read_text("utf-8"))
    assert drawn == [panel.title for panel in dashboard.panels()]
    assert len(drawn) == 6


def test_each_panel_has_a_description_and_the_data_source_of_the_reader() -> None:
    """Who sees a line rise finds there what it means; none names a data source of the author."""
    panels = json.loads(dashboard.FILE.read_text("utf-8"))["panels"]
    assert [each["title"] for each in panels if len(each["description"].split()) < 5] == []
    assert {each["datasource"]["uid"] for each in panels} == {"${datasource}"}
