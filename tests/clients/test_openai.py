"""The openai SDK takes an `httpx2.Client`. It sets an Authorization header of its own unless a call omits it."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx2
import pytest
from support.api_clients import RENEWED, ClientWorld, Ending, either_way
from support.sites import Received, Site

from blnk_auth import Auth, SignInRequired, TokenSource

openai = pytest.importorskip("openai")

ASKED: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}


def answer(request: Received) -> dict[str, Any]:
    assert json.loads(request.body)["messages"] == ASKED["messages"]
    message = {"role": "assistant", "content": "hello yourself"}
    choice = {"index": 0, "finish_reason": "stop", "message": message}
    return {"id": "c1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}


def settings(site: Site) -> dict[str, Any]:
    # No retries: what is resolved here is resolved by the auth class.
    return {"base_url": f"{site.origin}/v1", "api_key": "of the SDK", "max_retries": 0}


OURS = {"extra_headers": {"Authorization": openai.omit}}
"""Keeps the SDK's own header out of the way; as a default header of the client the SDK refuses it."""


@either_way
def test_a_completion_is_answered(world: ClientWorld, ending: Ending) -> None:
    """A completion after the token's end is answered like the one before it."""
    with world.api(answer) as site, httpx2.Client(auth=auth(world, site)) as http:
        client = openai.OpenAI(http_client=http, **settings(site))
        for _ in range(2):
            assert client.chat.completions.create(**ASKED, **OURS).choices[0].message.content == "hello yourself"
            if not world.story.refreshes:
                world.end(ending)
    assert world.story == RENEWED[ending]


@either_way
def test_a_completion_is_answered_on_an_event_loop(world: ClientWorld, ending: Ending) -> None:
    """The same through AsyncOpenAI."""

    async def main(site: Site) -> None:
        async with httpx2.AsyncClient(auth=auth(world, site)) as http:
            client = openai.AsyncOpenAI(http_client=http, **settings(site))
            for _ in range(2):
                answered = await client.chat.completions.create(**ASKED, **OURS)
                assert answered.choices[0].message.content == "hello yourself"
                if not world.story.refreshes:
                    world.end(ending)

    with world.api(answer) as site:
        asyncio.run(main(site))
    assert world.story == RENEWED[ending]


def test_a_function_may_be_the_key(world: ClientWorld) -> None:
    """The SDK asks it before each call, so an expired token is renewed; a rejection of one that was revoked early is
    not resolved.
    """
    with world.api(answer) as site:
        alice = world.alice_for(site.origin)
        given = {**settings(site), "api_key": lambda: alice.token().access_token}
        with openai.OpenAI(**given) as client:
            world.expire()
            assert client.chat.completions.create(**ASKED).choices[0].message.content == "hello yourself"
            world.end("rejected")
            with pytest.raises(openai.AuthenticationError):
                client.chat.completions.create(**ASKED)
    assert world.renewals == (1, 1, 0)


def test_the_header_of_the_sdk_is_never_replaced(world: ClientWorld) -> None:
    """Without that, the SDK's key travels: a header that somebody set stays, and no token is asked for in vain."""
    with world.api(answer) as site, httpx2.Client(auth=auth(world, site)) as http:
        world.expire()
        with pytest.raises(openai.AuthenticationError):
            openai.OpenAI(http_client=http, **settings(site)).chat.completions.create(**ASKED)
        assert site.authorizations == ["Bearer of the SDK"]
    assert world.renewals == (0, 0, 0)
    assert "header Authorization of its own" in world.events.wait_for("token_withheld").detail


def test_a_user_who_must_sign_in_again_is_the_cause(world: ClientWorld) -> None:
    """The SDK's own error, which has ours as its cause."""
    nobody = world.client().for_subject("nobody")
    with httpx2.Client(auth=Auth(nobody)) as http:
        client = openai.OpenAI(
            base_url=f"{world.sandbox.origin}/v1", api_key="of the SDK", max_retries=0, http_client=http
        )
        with pytest.raises(openai.APIConnectionError) as failure:
            client.chat.completions.create(**ASKED, **OURS)
    assert isinstance(failure.value.__cause__, SignInRequired)


def auth(world: ClientWorld, site: Site) -> Auth:
    alice: TokenSource = world.alice_for(site.origin)
    return Auth(alice)
