"""The pictures of docs/explanation/ are current, true, and loaded from nowhere else."""

from __future__ import annotations

import re
import threading
from collections.abc import Sequence
from html import unescape
from typing import Any

import httpx
import pytest
from support.diagrams import FOLDER, PICTURES, REJECTION, SIGN_IN, STAMPEDE
from support.limits import PATIENCE
from support.prose import ROOT
from support.scripted import ScriptedWorld
from support.sequences import CHARACTER, WIDTH, Step
from support.stores.scripted import DelegatingStore, ScriptedStore
from support.token_endpoint import pair
from support.waiting import settle

from blnk_auth import HttpxAuth

PAGES = {path.relative_to(ROOT).as_posix(): path.read_text("utf-8") for path in ROOT.glob("docs/**/*.md")}


def calls(steps: Sequence[Step], of: str = "") -> list[str]:
    """What a picture shows of the calls to the store, the server and the API, of one process or of all."""
    return [step.call for step in steps if step.call and (not of or step.source == of)]


class ListedStore(DelegatingStore):
    """A store of one process, in front of the one that several share: writes down what this process calls."""

    def __init__(self, inner: ScriptedStore) -> None:
        super().__init__(inner)
        self.trace: list[str] = []
        self.waits_for_lock = threading.Event()

    def load(self, key: str) -> Any:
        self.trace.append("load")
        return super().load(key)

    def save(self, *args: Any, **named: Any) -> Any:
        self.trace.append("save")
        return super().save(*args, **named)

    def lock(self, key: str, *, timeout: float) -> Any:
        self.trace.append("lock")
        self.waits_for_lock.set()
        return _Locked(super().lock(key, timeout=timeout), self.trace)


class _Locked:
    def __init__(self, lock: Any, trace: list[str]) -> None:
        self._lock, self._trace = lock, trace

    def __enter__(self) -> None:
        self._lock.__enter__()

    def __exit__(self, *error: object) -> None:
        self._trace.append("unlock")
        self._lock.__exit__(*error)


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_is_current(name: str) -> None:
    """If it has changed as it should: make snapshots."""
    assert PICTURES[name]() == (FOLDER / name).read_text("utf-8")


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_has_its_page_and_fits_it(name: str) -> None:
    """With words for people who do not see it, and letters that can be read on a telephone of 390 pixels."""
    drawn = (FOLDER / name).read_text("utf-8")
    assert any(re.search(rf"!\[[^\]]{{20,}}\]\({re.escape(name)}\)", page) for page in PAGES.values())
    assert "aria-label=" in drawn
    smallest = min(int(size) for size in re.findall(r"text\{font:(\d+)px", drawn))
    assert smallest * (390 - 40) / WIDTH > 9
    for x, anchor, line in re.findall(r'<text[^>]* x="(\d+)"[^>]*text-anchor="(\w+)">([^<]*)<', drawn):
        width = len(unescape(line)) * CHARACTER
        left = float(x) - (width / 2 if anchor == "middle" else 0)
        assert left >= 0, line
        assert left + width <= WIDTH, line


def test_no_page_needs_a_script_from_another_host() -> None:
    """The site's theme draws a mermaid block with a script of a public host, so no page has one."""
    assert [name for name, page in PAGES.items() if "```mermaid" in page] == []
    assert 'name = "mermaid"' not in (ROOT / "zensical.toml").read_text("utf-8")


def test_the_picture_of_a_stampede_is_true() -> None:
    """Fifty callers of one process, and another process that comes while the first one waits for the server."""
    first = ScriptedWorld()
    shared = first.store
    one, two = ListedStore(shared), ListedStore(shared)
    process_a = ScriptedWorld(store=one, clock=first.clock)
    process_b = ScriptedWorld(store=two, clock=first.clock)
    source = process_a.client.for_subject("alice")
    source.adopt(process_a.token(1))
    settle()
    other = process_b.client.for_subject("alice")
    other.token()
    first.clock.advance(4000)
    one.trace.clear()
    two.trace.clear()
    two.waits_for_lock.clear()
    late = threading.Thread(target=other.token)

    def answer(_request: object) -> Any:
        one.trace.append("ask")
        late.start()
        assert two.waits_for_lock.wait(PATIENCE)
        return pair(2)

    process_a.server.will(answer)
    callers = [threading.Thread(target=source.token) for _ in range(50)]
    for thread in callers:
        thread.start()
    for thread in (*callers, late):
        thread.join(PATIENCE)
    assert (source.token().access_token, other.token().access_token) == ("at2", "at2")
    assert one.trace == calls(STAMPEDE, "process A")
    assert two.trace == calls(STAMPEDE, "process B")
    assert process_b.server.requests == []


def test_the_picture_of_a_rejection_is_true() -> None:
    """One 401, one renewal, and the request once more."""
    world = ScriptedWorld()
    source = world.signed_in()
    trace = world.server.trace = world.store.trace
    responses = [httpx.Response(401, headers={"WWW-Authenticate": 'Bearer error="invalid_token"'}), httpx.Response(200)]

    def api(_request: httpx.Request) -> httpx.Response:
        trace.append("api")
        return responses.pop(0)

    world.server.will(pair(1))
    with httpx.Client(transport=httpx.MockTransport(api), auth=HttpxAuth(source)) as http:
        assert http.get("https://api.acme.test/accounts").status_code == 200
    assert trace == calls(REJECTION)


def test_the_picture_of_a_sign_in_is_true() -> None:
    """The verifier is stored before the user is sent away; then the claim, the code and the save follow."""
    world = ScriptedWorld()
    trace = world.server.trace = world.store.trace
    start = world.client.start_authorization("alice")
    settle()
    before, trace[:] = trace[:1], []
    world.server.will(pair(1))
    world.client.finish_authorization(f"https://app.test/callback?code=c&state={start.state}")
    settle()
    assert before + trace == calls(SIGN_IN)
