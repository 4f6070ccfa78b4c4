"""A process keeps what was learned of a resource for an hour, and others find it in the store."""

from __future__ import annotations

import os
from typing import Any

import pytest
from support.documents import (
    ISSUER,
    NOW,
    OWN_DOCUMENT,
    RESOURCE,
    SERVER_DOCUMENT,
    USUAL,
    ScriptedFetch,
    learned_from,
    resource_document,
    server_document,
)
from support.errors import raises
from support.processes import in_forked_child
from support.stores.scripted import ScriptedStore

from blnk_auth import MemoryStore, StoreError, TemporarilyUnavailable
from blnk_auth._protocol import discovery
from blnk_auth._protocol.resource_metadata import ResourceChallenge
from blnk_auth._renewal.store_keys import resource_key
from blnk_auth._resource import learning
from blnk_auth._resource.known import KnownResources
from blnk_auth._resource.learning import learn

LIFETIME = 3600.0
"""How long what was learned is used without asking again, in seconds."""


def test_what_was_learned_is_used_while_no_document_can_be_read() -> None:
    """The token endpoint may work all the same. Not if a token was rejected: then it must be asked again."""
    store = MemoryStore()
    learned = learned_from(USUAL, store=store)
    down = ScriptedFetch({OWN_DOCUMENT: TemporarilyUnavailable("down")})
    assert learn(RESOURCE, fetch=down, store=store, now=NOW + 2 * LIFETIME) == learned
    with raises(TemporarilyUnavailable):
        learn(RESOURCE, fetch=down, store=store, now=NOW + 2 * LIFETIME, again=True)


def test_documents_that_are_missing_for_a_while_end_no_sign_in() -> None:
    """While a server is replaced."""
    store = MemoryStore()
    learned = learned_from(USUAL, store=store)
    assert learn(RESOURCE, fetch=ScriptedFetch({}), store=store, now=NOW + 2 * LIFETIME) == learned


def test_what_was_learned_is_kept_for_an_hour() -> None:
    """In this process and, for others, in the store; with its age."""
    store = MemoryStore()
    learned_from(USUAL, store=store)
    record = store.load(resource_key(RESOURCE))
    assert record is not None
    assert (record.data["learned_at"], record.data["due_at"]) == (NOW, None)

    def asks(now: float) -> bool:
        fetch = ScriptedFetch(USUAL)
        learn(RESOURCE, fetch=fetch, store=store, now=now)
        return fetch.asked != []

    assert not asks(NOW + LIFETIME - 1)
    assert asks(NOW + LIFETIME)
    assert asks(NOW - 1), "the clock was set back"


def test_another_process_uses_what_is_in_the_store(monkeypatch: pytest.MonkeyPatch) -> None:
    """And asks again an hour after the documents were read, not an hour after it read the store."""
    store = MemoryStore()
    learned = learned_from(USUAL, store=store)
    monkeypatch.setattr(learning, "_known", KnownResources())
    fetch = ScriptedFetch(USUAL)
    assert learn(RESOURCE, fetch=fetch, store=store, now=NOW + LIFETIME - 1) == learned
    assert fetch.asked == []
    learn(RESOURCE, fetch=fetch, store=store, now=NOW + LIFETIME + 1)
    assert fetch.asked != []


def test_a_record_that_somebody_has_changed_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is read as carefully as a document of a server."""
    store = MemoryStore()
    learned_from(USUAL, store=store)
    record = store.load(resource_key(RESOURCE))
    assert record is not None
    record.data["settings"]["token_endpoint"] = "http://evil.test/token"
    store.save(resource_key(RESOURCE), record.data, expected=record.version)
    monkeypatch.setattr(learning, "_known", KnownResources())
    fetch = ScriptedFetch(USUAL)
    learned = learn(RESOURCE, fetch=fetch, store=store, now=NOW + 1)
    assert learned is not None
    assert fetch.asked != []
    assert learned.provider().token_endpoint == "https://as.test/token"


def test_a_record_of_another_resource_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody has copied it."""
    store = MemoryStore()
    learned_from(USUAL, store=store)
    record = store.load(resource_key(RESOURCE))
    assert record is not None
    other = "https://api.test/mcp/other"
    store.save(resource_key(other), record.data, expected=None)
    monkeypatch.setattr(learning, "_known", KnownResources())
    assert learn(other, fetch=ScriptedFetch({}), store=store, now=NOW + 1) is None


def test_that_a_url_is_not_protected_is_kept_until_a_challenge_shows_otherwise() -> None:
    """Otherwise each request without a token would cost three more."""
    store, fetch = MemoryStore(), ScriptedFetch({})
    assert learn(RESOURCE, fetch=fetch, store=store, now=NOW) is None
    asked = len(fetch.asked)
    assert learn(RESOURCE, fetch=fetch, store=store, now=NOW + 1) is None
    assert len(fetch.asked) == asked
    assert learned_from(USUAL, store=store, challenge=ResourceChallenge(None, None)).issuer == ISSUER


def test_a_challenge_that_names_another_document_is_followed() -> None:
    """One that names the same document costs no request; its scope counts from now on."""
    store = MemoryStore()
    learned_from(USUAL, store=store)
    fetch = ScriptedFetch(USUAL)
    same = learn(RESOURCE, fetch=fetch, store=store, now=NOW + 1, challenge=ResourceChallenge(OWN_DOCUMENT, "write"))
    assert same is not None
    assert (fetch.asked, same.challenge_scope) == ([], "write")
    at = "https://api.test/moved"
    moved = learned_from({**USUAL, at: resource_document()}, store=store, challenge=ResourceChallenge(at, None))
    assert moved.document == at


def test_at_most_256_resources_are_kept_in_a_process() -> None:
    """Those that were learned longest ago are read from the store again."""
    store = ScriptedStore()
    server = {SERVER_DOCUMENT: server_document()}
    for number in range(257):
        origin = f"https://api{number}.test"
        document = resource_document(resource=origin)
        at = f"{origin}/.well-known/oauth-protected-resource"
        learned_from({at: document, **server}, url=origin, store=store)
    store.trace.clear()
    learn("https://api1.test", fetch=ScriptedFetch({}), store=store, now=NOW)
    assert store.trace == []
    learn("https://api0.test", fetch=ScriptedFetch({}), store=store, now=NOW)
    assert store.trace != []


def test_a_store_that_fails_is_reported_only_when_it_is_read() -> None:
    """What could not be saved is learned again later."""
    store = MemoryStore()

    class Failing(MemoryStore):
        def save(self, key: str, data: dict[str, Any], *, expected: str | None) -> str:
            raise StoreError("the disk is full")

    assert learned_from(USUAL, store=Failing()).issuer == ISSUER
    store.load = _unreadable  # type: ignore[method-assign]
    with raises(StoreError):
        learned_from(USUAL, store=store)


def _unreadable(_key: str) -> Any:
    raise StoreError("the disk is gone")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
@pytest.mark.real
@pytest.mark.parametrize("kept", [learning._known, discovery._kept])
def test_a_forked_child_does_not_wait_for_a_thread_of_its_parent(kept: KnownResources | discovery.Documents) -> None:
    """That thread had the lock when the process forked, and does not exist in the child."""

    def work() -> None:
        assert kept._lock.acquire(blocking=False)

    with kept._lock:
        in_forked_child(work)
