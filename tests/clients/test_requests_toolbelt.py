"""requests-toolbelt streams a multipart upload from an encoder, which can be read only once."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
import requests
from support.api_clients import RENEWED, ClientWorld, Ending, Story, either_way

from blnk_auth import RequestsAuth

toolbelt = pytest.importorskip("requests_toolbelt")

FILE = b"0123456789abcdef" * 65536


def encoder() -> Any:
    return toolbelt.MultipartEncoder({"file": ("rates.csv", FILE, "text/csv")}, boundary="a-boundary")


WHOLE = hashlib.sha256(encoder().to_string()).hexdigest()


def upload(session: requests.Session, world: ClientWorld, body: Any) -> requests.Response:
    url = f"{world.sandbox.origin}/files/filter"
    return session.post(url, data=body, headers={"Content-Type": encoder().content_type})


@either_way
def test_an_upload_in_memory_arrives_whole(world: ClientWorld, ending: Ending) -> None:
    """An encoded form as bytes arrives whole after expiry and after revocation of the token."""
    with requests.Session() as session:
        session.auth = RequestsAuth(world.signed_in())
        world.end(ending)
        answer = upload(session, world, encoder().to_string())
    assert (answer.status_code, answer.json()["body_sha256"]) == (201, WHOLE)
    assert world.story == RENEWED[ending]


def test_a_streamed_upload_has_the_renewed_token(world: ClientWorld) -> None:
    """A streamed form is sent once, after the renewal of a token that has run out."""
    with requests.Session() as session:
        session.auth = RequestsAuth(world.signed_in())
        world.expire()
        answer = upload(session, world, encoder())
    assert (answer.status_code, answer.json()["body_sha256"]) == (201, WHOLE)
    assert world.story == RENEWED["expired"]


def test_a_rejected_streamed_upload_is_never_sent_again_empty(world: ClientWorld) -> None:
    """A spent encoder cannot be repeated: the caller sees the 401, and the next upload has a new token."""
    with requests.Session() as session:
        session.auth = RequestsAuth(world.signed_in())
        world.end("rejected")
        rejected = upload(session, world, encoder())
        answer = upload(session, world, encoder())
    assert rejected.status_code == 401
    assert (answer.status_code, answer.json()["body_sha256"]) == (201, WHOLE)
    assert world.story == Story(token_requests=1, refreshes=1, reuses=0, rejections=1)
