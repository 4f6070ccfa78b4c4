"""How much memory a source takes that an application keeps and has used: there may be very many of them."""

from __future__ import annotations

import contextlib
import gc
import json
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any

import pytest
from support.waiting import settle

from blnk_auth import OAuthClient, Provider, Record, Token, TokenSource
from blnk_auth.stores import Version

MANY = 1000
"""So many that what is kept once, such as the stack of a thread, adds little to each."""
LIMIT = 1000
"""Bytes in all: the access token and the refresh token, of a hundred characters each, are nearly a third of it."""


def token_of(key: str) -> Token:
    now = time.time()
    return Token(
        f"access-{key[-20:]}".rjust(100, "x"),
        "Bearer",
        now + 3600.125,
        f"refresh-{key[-20:]}".rjust(100, "x"),
        scope="data:read",
        issued_at=now,
    )


class TextStore:
    """Has a token for everybody, as JSON text of its own for each, and keeps nothing of what is saved."""

    def load(self, key: str) -> Record | None:
        return Record(json.loads(json.dumps({"schema": 1, "token": token_of(key).to_dict()})), self._version(key))

    def save(self, key: str, data: dict[str, Any], *, expected: Version | None) -> Version:
        return self._version(key)

    def delete(self, key: str) -> None:
        raise NotImplementedError

    def lock(self, key: str, *, timeout: float) -> AbstractContextManager[None]:
        return contextlib.nullcontext()

    def keys(self, prefix: str = "") -> Iterator[str]:
        return iter(())

    def _version(self, key: str) -> str:
        return key[-8:].rjust(16, "0")


class EmptyStore(TextStore):
    """The same, and has nothing yet."""

    def load(self, key: str) -> Record | None:
        return None


def loaded(client: OAuthClient, subject: str) -> TokenSource:
    source = client.for_subject(subject)
    source.token()
    return source


def adopted(client: OAuthClient, subject: str) -> TokenSource:
    source = client.for_subject(subject)
    source.adopt(token_of(subject))
    source.token()
    return source


@pytest.mark.parametrize(("used", "store"), [(loaded, TextStore()), (adopted, EmptyStore())])
def test_a_source_that_is_kept_and_was_used_takes_little_memory(used: Any, store: TextStore) -> None:
    """All that it keeps alive counts: its token, the subject, the store's version, and its place in the client."""
    provider = Provider(
        name="acme", token_endpoint="https://as.acme.test/token", api_origins=("https://api.acme.test",)
    )
    client = OAuthClient(provider, client_id="id", client_secret="secret", store=store)
    used(client, "the-first-one-imports-what-all-need")
    settle()
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        kept = [used(client, f"customer-{number:07}") for number in range(MANY)]
        settle()
        gc.collect()
        each = (tracemalloc.get_traced_memory()[0] - before) / len(kept)
    finally:
        tracemalloc.stop()
    assert each <= LIMIT
