"""A client of the Model Context Protocol, as the conformance suite runs it: `client.py PACKAGE URL`.

PACKAGE is the HTTP package: httpx, httpx2, requests or aiohttp. It lists the tools of the server and calls one, and all
that it knows of the server is its URL: everything about signing in is the work of `auth=`. It prints "called the tool",
or the class of the error that stopped it, and then exits with 1. The store is in memory. It is run by its path and
imports nothing of the tests, so that it sees `blnk_auth` as any program does.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Callable, Generator, Mapping
from typing import Any, NamedTuple

from blnk_auth import (
    AiohttpAuth,
    Auth,
    AuthorizationRequest,
    BlnkAuthError,
    ClientMetadata,
    OAuthClient,
    ProtectedResource,
    Provider,
    TokenSource,
)

CLIENT_ID_METADATA_DOCUMENT = "https://conformance-test.local/client-metadata.json"
"""The document that the suite wants to see as the client id."""

ID_JAG = "urn:ietf:params:oauth:token-type:id-jag"
ID_TOKEN = "urn:ietf:params:oauth:token-type:id_token"

SHARED: dict[str, Any] = {}
"""What `crossing.py` adds to the arguments of every resource: the store that several processes share."""

TIMEOUT = 50.0
"""Seconds for one request of the protocol, with all the sign-ins that it causes."""


# --- who signs in, and how ------------------------------------------------------------------------------------------


def sign_in(authorization: AuthorizationRequest) -> str:
    """Open the URL as a browser would; the suite's server redirects to the client without asking anyone."""
    import httpx

    return httpx.get(authorization.url, timeout=TIMEOUT, trust_env=False).headers["location"]


def a_user(url: str, **settings: Any) -> TokenSource:
    """Someone who signs in when a request needs it."""
    return resource(url, **settings).for_subject("me", sign_in=sign_in)


def resource(url: str, **settings: Any) -> ProtectedResource:
    """What the URL names."""
    return ProtectedResource(url, **SHARED, **settings)


def enterprise(url: str, context: Mapping[str, Any]) -> TokenSource:
    """The employer's identity provider exchanges the user's ID token for an assertion to this resource's server."""
    at_employer = OAuthClient(
        Provider(name="idp", token_endpoint=context["idp_token_endpoint"], api_origins=(context["idp_issuer"],)),
        client_id=context["idp_client_id"],
        client_auth="none",
    )
    api = resource(url, client_id=context["client_id"], client_secret=context["client_secret"])

    def assertion() -> str:
        # By then it is known which authorization server the assertion is for.
        at_server = at_employer.for_token_exchange(
            subject_token=context["idp_id_token"],
            subject_token_type=ID_TOKEN,
            requested_token_type=ID_JAG,
            audience=api.issuer,
            resource=url,
        )
        return at_server.token().access_token

    return api.for_assertion(assertion=assertion)


def source_for(url: str, scenario: str, context: Mapping[str, Any]) -> TokenSource:
    """What each scenario gives the client beside the URL: credentials that were registered beforehand, or a wish."""
    match scenario.removeprefix("auth/"):
        case "pre-registration":
            return a_user(url, client_id=context["client_id"], client_secret=context["client_secret"])
        case "basic-cimd":
            return a_user(url, client_id=CLIENT_ID_METADATA_DOCUMENT)
        case "dpop" | "dpop-nonce":
            return a_user(url, client_metadata=ClientMetadata(client_name="conformance"), dpop=True)
        case "client-credentials-basic":
            return resource(url, client_id=context["client_id"], client_secret=context["client_secret"]).for_itself()
        case "client-credentials-jwt":
            key = context["private_key_pem"]
            return resource(url, client_id=context["client_id"], private_key=key).for_itself()
        case "wif-jwt-bearer":
            return resource(url, client_id=context["client_id"]).for_assertion(assertion=context["valid_jwt"])
        case "enterprise-managed-authorization" | "cross-app-access-complete-flow":
            return enterprise(url, context)
        case _:
            return a_user(url, client_metadata=ClientMetadata(client_name="conformance"))


# --- the protocol ---------------------------------------------------------------------------------------------------


class Reply(NamedTuple):
    """An HTTP response: its status, its media type and its text."""

    status: int
    media_type: str
    text: str


Conversation = Generator[dict[str, Any], Reply, None]


def conversation(version: str) -> Conversation:
    """The messages of a client that calls one tool; each is sent as a POST, and its reply is sent in here."""
    if version < "2026":
        yield from asked("initialize", initialization(version))
        reply = yield {"jsonrpc": "2.0", "method": "notifications/initialized"}
        assert reply.status == 202, reply
        meta: dict[str, Any] = {}
    else:
        of_the_client = {"protocolVersion": version, "clientCapabilities": {}, "clientInfo": CLIENT}
        meta = {"_meta": {f"io.modelcontextprotocol/{name}": value for name, value in of_the_client.items()}}
    tools = yield from asked("tools/list", meta)
    assert [tool["name"] for tool in tools["tools"]] == ["test-tool"], tools
    called = yield from asked("tools/call", {"name": "test-tool", "arguments": {}, **meta})
    assert called["content"] == [{"type": "text", "text": "test"}], called


CLIENT = {"name": "blnk-auth", "version": "1"}


def initialization(version: str) -> dict[str, Any]:
    return {"protocolVersion": version, "capabilities": {}, "clientInfo": CLIENT}


def asked(method: str, params: Mapping[str, Any]) -> Generator[dict[str, Any], Reply, dict[str, Any]]:
    """The result of one request."""
    reply = yield {"jsonrpc": "2.0", "id": method, "method": method, "params": params}
    assert reply.status == 200, reply
    text = reply.text
    if reply.media_type == "text/event-stream":
        [text] = [line.removeprefix("data:") for line in text.splitlines() if line.startswith("data:")]
    return json.loads(text)["result"]


def headers(version: str) -> dict[str, str]:
    """Of every request of this revision of the protocol."""
    accept = "application/json, text/event-stream"
    return {"accept": accept, "content-type": "application/json", "mcp-protocol-version": version}


def media_type(value: str | None) -> str:
    return (value or "").partition(";")[0]


# --- each HTTP package ----------------------------------------------------------------------------------------------


def through_httpx(url: str, source: TokenSource, version: str) -> None:
    import httpx

    with httpx.Client(auth=Auth(source), timeout=TIMEOUT, trust_env=False) as http:

        def post(message: dict[str, Any]) -> Reply:
            response = http.post(url, json=message, headers=headers(version))
            return Reply(response.status_code, media_type(response.headers.get("content-type")), response.text)

        talk(conversation(version), post)


def through_requests(url: str, source: TokenSource, version: str) -> None:
    import requests

    with requests.Session() as http:
        http.auth, http.trust_env = Auth(source), False

        def post(message: dict[str, Any]) -> Reply:
            response = http.post(url, json=message, headers=headers(version), timeout=TIMEOUT)
            return Reply(response.status_code, media_type(response.headers.get("content-type")), response.text)

        talk(conversation(version), post)


def talk(messages: Conversation, post: Callable[[dict[str, Any]], Reply]) -> None:
    """Send each message, until the last one is answered."""
    message = next(messages)
    while True:
        try:
            message = messages.send(post(message))
        except StopIteration:
            return


def through_httpx2(url: str, source: TokenSource, version: str) -> None:
    import httpx2

    async def main() -> None:
        async with httpx2.AsyncClient(auth=Auth(source), timeout=TIMEOUT, trust_env=False) as http:
            messages = conversation(version)
            message = next(messages)
            while message:
                response = await http.post(url, json=message, headers=headers(version))
                kind = media_type(response.headers.get("content-type"))
                message = sent(messages, Reply(response.status_code, kind, response.text))

    asyncio.run(main())


def through_aiohttp(url: str, source: TokenSource, version: str) -> None:
    import aiohttp

    async def main() -> None:
        limit = aiohttp.ClientTimeout(TIMEOUT)
        async with aiohttp.ClientSession(middlewares=(AiohttpAuth(source),), timeout=limit) as http:
            messages = conversation(version)
            message = next(messages)
            while message:
                async with http.post(url, json=message, headers=headers(version)) as response:
                    reply = Reply(response.status, response.content_type, await response.text())
                message = sent(messages, reply)

    asyncio.run(main())


def sent(messages: Conversation, reply: Reply) -> dict[str, Any]:
    """The next message; empty after the last one."""
    try:
        return messages.send(reply)
    except StopIteration:
        return {}


THROUGH = {
    "httpx": through_httpx,
    "httpx2": through_httpx2,
    "requests": through_requests,
    "aiohttp": through_aiohttp,
}


def main(package: str, url: str) -> int:
    scenario = os.environ["MCP_CONFORMANCE_SCENARIO"]
    context = json.loads(os.environ.get("MCP_CONFORMANCE_CONTEXT", "{}"))
    version = os.environ.get("MCP_CONFORMANCE_PROTOCOL_VERSION", "2025-11-25")
    try:
        THROUGH[package](url, source_for(url, scenario, context), version)
    except BlnkAuthError as error:
        [of_ours] = [each.__name__ for each in type(error).__mro__ if each.__module__ == "blnk_auth.errors"][:1]
        print(f"{of_ours}: {error}")  # noqa: T201 - this is how it speaks
        return 1
    print("called the tool")  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
