"""The metadata documents of a resource and of its authorization servers, as a script and as a loopback server.

Used by the tests of learning. A document is what a test writes at a URL; everything else is answered with 404.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from support.sites import Answering, Received, Reply

from blnk_auth import MemoryStore, TokenStore
from blnk_auth._protocol.http_messages import HttpResponse
from blnk_auth._protocol.resource_metadata import ResourceChallenge
from blnk_auth._resource.learned import Learned
from blnk_auth._resource.learning import learn
from blnk_auth._transport.addresses import AddressRule

RESOURCE = "https://api.test/mcp"
ISSUER = "https://as.test"

OWN_DOCUMENT = "https://api.test/.well-known/oauth-protected-resource/mcp"
ROOT_DOCUMENT = "https://api.test/.well-known/oauth-protected-resource"
SERVER_DOCUMENT = "https://as.test/.well-known/oauth-authorization-server"

NOW = 1_790_000_000.0

Answer = Reply | BaseException | Mapping[str, Any]


def resource_document(**changes: Any) -> dict[str, Any]:
    """What `RESOURCE` publishes; `changes` are members to replace, or with None to leave out."""
    return _changed({"resource": RESOURCE, "authorization_servers": [ISSUER]}, changes)


def server_document(issuer: str = ISSUER, **changes: Any) -> dict[str, Any]:
    """What an issuer publishes; `changes` are members to replace, or with None to leave out."""
    usual = {
        "issuer": issuer,
        "authorization_endpoint": f"{issuer.rstrip('/')}/authorize",
        "token_endpoint": f"{issuer.rstrip('/')}/token",
        "registration_endpoint": f"{issuer.rstrip('/')}/register",
        "code_challenge_methods_supported": ["S256"],
    }
    return _changed(usual, changes)


def _changed(usual: dict[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in {**usual, **changes}.items() if value is not None}


USUAL: Mapping[str, Answer] = {OWN_DOCUMENT: resource_document(), SERVER_DOCUMENT: server_document()}
"""What `RESOURCE` and its only issuer publish."""


class ScriptedFetch:
    """A fetch that opens no socket: it answers from `answers`, by URL, and lists what was `asked` for.

    A document is answered with 200, and an exception is raised. The resource itself answers with `probed`.
    """

    def __init__(self, answers: Mapping[str, Answer], *, probed: Reply | None = None, url: str = RESOURCE) -> None:
        self.answers = dict(answers)
        self.probed = probed or Reply(200)
        self.asked: list[str] = []
        self.addresses = AddressRule(url)

    def __call__(self, url: str) -> HttpResponse:
        self.asked.append(url)
        return _response(self.answers.get(url, Reply(404, b"not found")))

    def probe(self, url: str) -> HttpResponse:
        self.asked.append(f"GET {url}")
        return _response(self.probed)


def _response(answer: Answer) -> HttpResponse:
    if isinstance(answer, BaseException):
        raise answer
    reply = answer if isinstance(answer, Reply) else Reply(200, json.dumps(answer).encode())
    assert isinstance(reply.body, bytes)
    return HttpResponse(reply.status, {name.lower(): value for name, value in reply.headers.items()}, reply.body)


def learned_from(
    answers: Mapping[str, Answer],
    *,
    challenge: ResourceChallenge | None = None,
    probed: Reply | None = None,
    url: str = RESOURCE,
    store: TokenStore | None = None,
) -> Learned:
    """What is learned of the resource at `url`; the process may know it already, from the same store."""
    fetch = ScriptedFetch(answers, probed=probed, url=url)
    learned = learn(url, fetch=fetch, store=store or MemoryStore(), now=NOW, challenge=challenge)
    assert learned is not None
    return learned


def serving(answers: Mapping[str, Reply | Mapping[str, Any]]) -> Answering:
    """What a `Site` answers: by path; 404 at every other."""

    def answer(request: Received) -> Reply:
        found = answers.get(request.path, Reply(404, b"not found"))
        return found if isinstance(found, Reply) else Reply.json(found)

    return answer
