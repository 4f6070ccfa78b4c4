"""blnk-python, the Blnk SDK, takes a `requests.Session`; an empty API key keeps it from setting a header of its own."""

from __future__ import annotations

import pytest
import requests
from support.api_clients import RENEWED, ClientWorld, Ending, either_way

from blnk_auth import RequestsAuth

blnk_sdk = pytest.importorskip("blnk_sdk")
services = pytest.importorskip("blnk_sdk.services")


@either_way
def test_the_sdk_creates_and_lists_ledgers(world: ClientWorld, ending: Ending) -> None:
    """A ledger is created with one token and another with the next, each once, and both are listed."""
    with requests.Session() as session:
        session.auth = RequestsAuth(world.signed_in())
        options = blnk_sdk.BlnkClientOptions(base_url=f"{world.sandbox.origin}/proxy", retry_count=0)
        transport = blnk_sdk.RequestsTransport(session)
        blnk = blnk_sdk.Blnk("", options, services.default_services_map(), blnk_sdk.format_response, transport)
        assert blnk.ledgers.create({"name": "first"}).status == 201
        world.end(ending)
        assert blnk.ledgers.create({"name": "second"}).status == 201
        listed = blnk.ledgers.list()
    assert [ledger["name"] for ledger in listed.data][-2:] == ["first", "second"]
    assert world.story == RENEWED[ending]
