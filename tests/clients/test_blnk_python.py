"""blnk-python, the Blnk SDK, takes a `requests.Session`; an empty API key keeps it from setting a header of its own."""

from __future__ import annotations

from typing import Any

import pytest
import requests
from support.api_clients import RENEWED, ClientWorld, Ending, either_way

from blnk_auth import Auth

blnk_sdk = pytest.importorskip("blnk_sdk")
services = pytest.importorskip("blnk_sdk.services")


def sdk(world: ClientWorld, session: requests.Session, **options: int) -> Any:
    """The SDK on that session, for the ledgers of the sandbox."""
    settings = blnk_sdk.BlnkClientOptions(base_url=f"{world.sandbox.origin}/proxy", **options)
    transport = blnk_sdk.RequestsTransport(session)
    return blnk_sdk.Blnk("", settings, services.default_services_map(), blnk_sdk.format_response, transport)


@either_way
def test_the_sdk_creates_and_lists_ledgers(world: ClientWorld, ending: Ending) -> None:
    """A ledger is created with one token and another with the next, each once, and both are listed."""
    with requests.Session() as session:
        session.auth = Auth(world.signed_in())
        blnk = sdk(world, session, retry_count=0)
        assert blnk.ledgers.create({"name": "first"}).status == 201
        world.end(ending)
        assert blnk.ledgers.create({"name": "second"}).status == 201
        listed = blnk.ledgers.list()
    assert [ledger["name"] for ledger in listed.data][-2:] == ["first", "second"]
    assert world.story == RENEWED[ending]


def test_the_sdk_shows_an_error_as_a_response(world: ClientWorld) -> None:
    """The SDK raises nothing for a failed request: the error of a user who has not signed in is in `message`."""
    with requests.Session() as session:
        session.auth = Auth(world.client().for_subject("nobody"))
        listed = sdk(world, session).ledgers.list()
    assert (listed.status, listed.data) == (500, None)
    assert "start_authorization" in listed.message
