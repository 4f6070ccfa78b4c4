"""A resource that describes its sign-in badly, through every client: what the program gets, and what is never sent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import pytest
from support.clients import HTTPX, Kind, through_every_client
from support.documents import resource_document, server_document, serving
from support.errors import must_show
from support.protected_site import Users
from support.sites import Received, Reply, Site, endless

from blnk_auth import BlnkAuthError, ConfigurationError, ProtectedResource, ProtocolError, TemporarilyUnavailable

OWN = "/.well-known/oauth-protected-resource/mcp"
SERVER = "/.well-known/oauth-authorization-server"
METADATA_SERVICE = "https://169.254.169.254"
"""What gives credentials to a machine in a cloud."""


class Bad(NamedTuple):
    """What a site answers at one path, and the error that a request gets for it."""

    path: str
    answer: Reply | Mapping[str, Any]
    error: type[BlnkAuthError]
    member: str | None
    """What the error names; its `parameter`."""


def described(origin: str) -> dict[str, Bad]:
    """Each way to describe a sign-in badly, for a site at this origin."""

    def own(**changes: Any) -> dict[str, Any]:
        return resource_document(**{"resource": f"{origin}/mcp", "authorization_servers": [origin], **changes})

    def server(**changes: Any) -> dict[str, Any]:
        return {**server_document(origin), **changes}

    five = [f"{origin}/{number}" for number in range(5)]
    return {
        "usual": Bad(OWN, own(), BlnkAuthError, None),
        "5 MB": Bad(OWN, Reply(200, b" " * 5_000_000), ProtocolError, "resource_metadata"),
        "endless": Bad(OWN, Reply(200, endless()), ProtocolError, "resource_metadata"),
        "HTML": Bad(OWN, Reply(200, b"<html></html>"), ProtocolError, "resource_metadata"),
        "loop": Bad(OWN, Reply.redirect(OWN), ProtocolError, "resource_metadata"),
        "redirect": Bad(OWN, Reply.redirect("https://evil.test/"), ProtocolError, "resource_metadata"),
        "missing": Bad(OWN, Reply(404), ProtocolError, "resource_metadata"),
        "down": Bad(OWN, Reply(503), TemporarilyUnavailable, "resource_metadata"),
        "another resource": Bad(OWN, own(resource="https://evil.test/mcp"), ConfigurationError, "resource"),
        "no server": Bad(OWN, own(authorization_servers=[]), ProtocolError, "authorization_servers"),
        "five servers": Bad(OWN, own(authorization_servers=five), ProtocolError, "authorization_servers"),
        "a server in clear": Bad(
            OWN, own(authorization_servers=["http://as.test"]), ProtocolError, "authorization_servers"
        ),
        "a server of the cloud": Bad(OWN, own(authorization_servers=[METADATA_SERVICE]), ConfigurationError, None),
        "another issuer": Bad(SERVER, server(issuer="https://evil.test"), ConfigurationError, "issuer"),
        "no PKCE": Bad(
            SERVER,
            server(code_challenge_methods_supported=None),
            ProtocolError,
            "code_challenge_methods_supported",
        ),
        "script": Bad(
            SERVER, server(authorization_endpoint="javascript:alert(1)"), ProtocolError, "authorization_endpoint"
        ),
        "token in clear": Bad(SERVER, server(token_endpoint="http://as.test/t"), ProtocolError, "token_endpoint"),
        "register at the cloud": Bad(
            SERVER,
            server(registration_endpoint=f"{METADATA_SERVICE}/latest"),
            ConfigurationError,
            "registration_endpoint",
        ),
        "tokens of the cloud": Bad(
            SERVER, server(token_endpoint=f"{METADATA_SERVICE}/token"), ConfigurationError, "token_endpoint"
        ),
    }


CASES = [case for case in described("http://127.0.0.1") if case != "usual"]


class Described(Site):
    """A resource that rejects everything and names its document; at one path it answers badly."""

    def __init__(self) -> None:
        self.answers: dict[str, Reply | Mapping[str, Any]] = {}
        super().__init__(self._any)

    def _any(self, request: Received) -> Reply:
        if request.path != "/mcp":
            return serving(self.answers)(request)
        return Reply.rejected(f'Bearer resource_metadata="{self.origin}{OWN}"')


@pytest.fixture
def site() -> Iterator[Described]:
    with Described() as opened:
        opened.answers = {OWN: described(opened.origin)["usual"].answer, SERVER: server_document(opened.origin)}
        yield opened


@pytest.mark.parametrize("case", CASES)
@through_every_client
def test_a_bad_description_is_an_error_that_names_the_document_and_the_member(
    site: Described, kind: Kind, case: str
) -> None:
    """Typed, and also the client's own; the request itself is not sent, no user is asked, and nothing is registered."""
    bad, users = described(site.origin)[case], Users()
    site.answers[bad.path] = bad.answer
    source = ProtectedResource(f"{site.origin}/mcp").for_subject("me", sign_in=users)
    with kind.open(source) as http, pytest.raises(bad.error) as caught:
        http.post(f"{site.origin}/mcp", json={"n": 1})
    error = caught.value
    assert error.parameter == bad.member
    assert error.remedy
    must_show(error, METADATA_SERVICE if bad.member is None else f"{site.origin}{bad.path}")
    assert isinstance(error, kind.request_error)
    assert isinstance(error, kind.transport_error) == (bad.error is TemporarilyUnavailable)
    assert users.asked == 0
    assert {request.method for request in site.received} == {"GET"}
    assert all(request.authorization is None for request in site.received)


def test_a_description_that_could_not_be_read_is_not_asked_for_again_with_each_request(site: Described) -> None:
    """A program that sends many requests does not disturb a server that is down. The clock is fixed here."""
    site.answers[OWN] = Reply(503)
    source = ProtectedResource(f"{site.origin}/mcp", clock=lambda: 1_700_000_000.0).for_subject("me")
    asked = list[int]()
    with HTTPX.open(source) as http:
        for _ in range(3):
            with pytest.raises(TemporarilyUnavailable):
                http.get(f"{site.origin}/mcp")
            asked.append(len(site.received))
    assert asked[0] > 0
    assert asked == asked[:1] * 3
