"""To emit an event does no harm, with any listener."""

from __future__ import annotations

import logging
import re

import pytest
from support.canary.leaks import leaks
from support.scripted import ScriptedWorld
from support.token_endpoint import pair
from support.waiting import settle

from blnk_auth import Event, StoreError
from blnk_auth.events import emit


def test_an_event_is_logged_and_emitted(caplog: pytest.LogCaptureFixture) -> None:
    """The logger is `blnk_auth`, the level DEBUG."""
    caplog.set_level(logging.DEBUG, "blnk_auth")
    emitted: list[Event] = []
    event = Event("renewed", "token/x", "<Token ...>")
    emit(emitted.append, event)
    emit(None, event)
    assert emitted == [event]
    assert [record.getMessage() for record in caplog.records] == ["renewed token/x <Token ...>"] * 2


def test_a_withheld_token_is_a_warning_once_for_each_reason(caplog: pytest.LogCaptureFixture) -> None:
    """The log has each source and each reason once, without any listener; a listener gets every event."""
    emitted: list[Event] = []
    events = [Event("token_withheld", key, f"{where} in test_events") for key in "ab" for where in ("here", "there")]
    for event in events * 3:
        emit(emitted.append, event)
    assert emitted == events * 3
    assert [(record.levelno, record.getMessage()) for record in caplog.records] == [
        (logging.WARNING, f"token_withheld {event.store_key} {event.detail}") for event in events
    ]


def test_the_memory_of_warnings_is_bounded(caplog: pytest.LogCaptureFixture) -> None:
    """A server that calls ever more hosts does not grow with them: what was warned of long ago may be again."""
    first = Event("token_withheld", "bounded", "first")
    for event in (first, *(Event("token_withheld", "bounded", f"{number}") for number in range(5000)), first):
        emit(None, event)
    assert [record.getMessage() for record in caplog.records].count("token_withheld bounded first") == 2


def test_a_listener_that_raises_is_logged_and_no_more(caplog: pytest.LogCaptureFixture) -> None:
    """Its failure is its own."""

    def listener(event: Event) -> None:
        raise RuntimeError("listener is broken")

    emit(listener, Event("renewed", "token/x"))
    assert "on_event raised for renewed" in caplog.text
    assert "listener is broken" in caplog.text


def test_f10_a_listener_may_use_the_source_of_its_event() -> None:
    """F10: it is called outside every lock, after the flight; it asks for the token and gets the new one."""
    seen: list[str] = []

    def listener(event: Event) -> None:
        if event.name == "renewed":
            seen.append(world.client.for_subject("alice").token().access_token)

    world = ScriptedWorld(on_event=listener)
    source = world.signed_in()
    world.clock.advance(4000)
    world.server.will(pair(1))
    assert source.token().access_token == "at1"
    world.emitted()
    assert seen == ["at1"]


def test_events_show_no_secret() -> None:
    """Nothing in the repr of any event of a renewal, a failed save and a sign-in (promise 8)."""
    world = ScriptedWorld()
    source = world.signed_in(access_token="at0-of-alice", refresh_token="rt0-of-alice")
    world.clock.advance(4000)
    world.store.interfere("save", OSError("rt1-of-alice"))
    world.server.will(pair(1, access_token="at1-of-alice", refresh_token="rt1-of-alice", scope=7))
    source.token()
    assert world.emitted() == ["odd_answer", "save_failed"]
    assert isinstance(world.events[1].error, StoreError)
    assert leaks(map(repr, world.events), ["at0-of-alice", "rt0-of-alice", "at1-of-alice", "rt1-of-alice"]) == []


def test_the_names_are_documented() -> None:
    """Every name that the package emits is in the docstring of `Event`."""
    import inspect
    from pathlib import Path

    import blnk_auth

    package = Path(inspect.getfile(blnk_auth)).parent
    emitted = {
        name
        for file in package.rglob("*.py")
        for name in re.findall(r"(?:Event|note_failure)\(\s*\"([a-z_]+)\"", file.read_text("utf-8"))
    }
    documented = set(re.findall(r"`([a-z_]+)`", Event.__doc__ or ""))
    assert {"renewed", "save_failed", "sign_in_required"} <= emitted <= documented


def test_an_event_names_subject_and_provider_and_how_long_it_took() -> None:
    """Metrics need no parsing of keys: an operation's events have its duration, and one of a request has none."""
    world = ScriptedWorld()
    source = world.signed_in("alice/at=home")
    world.server.will(pair(1))
    source.renew()
    settle()
    assert source.headers("https://elsewhere.test/x") == {}
    renewed, withheld = world.events
    assert (renewed.name, withheld.name) == ("renewed", "token_withheld")
    for event in (renewed, withheld):
        assert (event.subject, event.provider) == ("alice/at=home", "acme")
    assert renewed.seconds is not None
    assert 0 <= renewed.seconds < 60
    assert withheld.seconds is None


def test_an_event_of_the_clients_own_token_has_no_subject() -> None:
    """`for_itself` is nobody's grant."""
    world = ScriptedWorld()
    world.server.will(pair(1))
    world.client.for_itself().token()
    settle()
    assert [(event.subject, event.provider) for event in world.events] == [(None, "acme")]
