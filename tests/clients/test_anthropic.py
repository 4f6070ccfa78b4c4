"""The anthropic SDK takes an `httpx2.Client`; without a key it wants to hear that its headers are omitted."""

from __future__ import annotations

import json
from typing import Any

import httpx2
import pytest
from support.api_clients import RENEWED, ClientWorld, Ending, either_way
from support.sites import Received

from blnk_auth import Auth, SignInRequired

anthropic = pytest.importorskip("anthropic")

ASKED: dict[str, Any] = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hello"}]}


def answer(request: Received) -> dict[str, Any]:
    assert json.loads(request.body)["messages"] == ASKED["messages"]
    content = [{"type": "text", "text": "hello yourself"}]
    usage = {"input_tokens": 1, "output_tokens": 1}
    message = {"id": "m1", "type": "message", "role": "assistant", "model": "m", "content": content, "usage": usage}
    return {**message, "stop_reason": "end_turn", "stop_sequence": None}


OMITTED = {"Authorization": anthropic.Omit(), "X-Api-Key": anthropic.Omit()}


@either_way
def test_a_message_is_answered(world: ClientWorld, ending: Ending) -> None:
    """A message after the token's end is answered like the one before it, and no API key travels."""
    with world.api(answer) as site, httpx2.Client(auth=Auth(world.alice_for(site.origin))) as http:
        client = anthropic.Anthropic(
            base_url=site.origin, api_key="", max_retries=0, http_client=http, default_headers=OMITTED
        )
        for _ in range(2):
            assert client.messages.create(**ASKED).content[0].text == "hello yourself"
            if not world.story.refreshes:
                world.end(ending)
        assert not [request for request in site.received if "x-api-key" in request.headers]
    assert world.story == RENEWED[ending]


def test_a_user_who_must_sign_in_again_is_the_cause(world: ClientWorld) -> None:
    """The SDK's own error, which has ours as its cause."""
    nobody = world.client().for_subject("nobody")
    with httpx2.Client(auth=Auth(nobody)) as http:
        client = anthropic.Anthropic(
            base_url=world.sandbox.origin, api_key="", max_retries=0, http_client=http, default_headers=OMITTED
        )
        with pytest.raises(anthropic.APIConnectionError) as failure:
            client.messages.create(**ASKED)
    assert isinstance(failure.value.__cause__, SignInRequired)
