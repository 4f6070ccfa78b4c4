"""Who the client is at an issuer: registered beforehand, by a client ID metadata document, or registered now."""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from support.canary.leaks import leaks
from support.errors import raises

from blnk_auth import (
    ConfigurationError,
    EncryptedStore,
    MemoryStore,
    ProtectedResource,
    ProtocolError,
    StoreError,
    TemporarilyUnavailable,
)
from blnk_auth._protocol.client_metadata import ClientMetadata
from blnk_auth._protocol.http_messages import HttpRequest, HttpResponse, NoResponse
from blnk_auth._resource.client_identity import ClientIdentity, IdentitySettings
from blnk_auth._resource.learned import Learned
from blnk_auth._resource.registered_client import state_at_server
from blnk_auth._resource.registering import identify
from blnk_auth.events import Event

ISSUER = "https://as.example.com"
REGISTER = f"{ISSUER}/register"
URL = "https://api.example.com/mcp"
LOOPBACK = "http://127.0.0.1/callback"
DOCUMENT = "https://app.example.com/client.json"
SECRET = "the-secret-of-a-registered-client"


def learned(issuer: str = ISSUER, *, scopes: Sequence[str] = (), url: str = URL, **server: Any) -> Learned:
    """What a resource describes whose server registers clients, and lists nothing else."""
    facts = {
        "registration_endpoint": f"{issuer}/register",
        "client_id_metadata_document_supported": False,
        "scopes_supported": (),
        "token_endpoint_auth_methods_supported": (),
        "grant_types_supported": (),
        **server,
    }
    settings = {"name": "as.example.com", "issuer": issuer, "token_endpoint": f"{issuer}/token"}
    return Learned(url, url, issuer, settings, tuple(scopes), None, facts, 0.0)


class Server:
    """A registration endpoint: registers what it is asked to, unless it is scripted to answer otherwise."""

    def __init__(self, *answers: HttpResponse | Exception | Callable[[dict[str, Any]], HttpResponse]) -> None:
        self.answers = list(answers)
        self.requests: list[HttpRequest] = []

    @property
    def asked(self) -> list[dict[str, Any]]:
        return [json.loads(request.body) for request in self.requests]

    def send(self, request: HttpRequest) -> HttpResponse:
        self.requests.append(request)
        asked = self.asked[-1]
        scripted = self.answers.pop(0) if self.answers else self.register
        if isinstance(scripted, Exception):
            raise scripted
        return scripted(asked) if callable(scripted) else scripted

    def register(self, asked: dict[str, Any], **members: Any) -> HttpResponse:
        secret = {} if asked["token_endpoint_auth_method"] == "none" else {"client_secret": SECRET}
        return answer({"client_id": f"client-{len(self.requests)}", **secret, **asked, **members}, 201)


def answer(document: Any, status: int = 201, **headers: str) -> HttpResponse:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return HttpResponse(status, {"content-type": "application/json", **headers}, body)


def refusal(code: str, description: str | None = None, status: int = 400) -> HttpResponse:
    return answer({"error": code, "error_description": description}, status)


class Client:
    """A process that wants to be known."""

    def __init__(self, server: Server, store: Any = None, **wanted: Any) -> None:
        self.server = server
        self.store = MemoryStore() if store is None else store
        self.wanted = IdentitySettings(**{"redirect_uri": LOOPBACK, **wanted})
        self.events: list[Event] = []
        self.now = 1_000_000.0

    def identify(self, at: Learned | None = None, other_than: ClientIdentity | None = None) -> ClientIdentity:
        return identify(
            at or learned(),
            self.wanted,
            send=self.server.send,
            store=self.store,
            clock=lambda: self.now,
            monotonic=lambda: 0.0,
            lock_timeout=1.0,
            events=self.events,
            other_than=other_than,
        )


# --- registered beforehand --------------------------------------------------------------------------------------------


def test_a_client_that_was_registered_beforehand_is_not_registered() -> None:
    """Its id, its secret and its method are used as they were passed."""
    client = Client(Server(), client_id="id", client_secret=SECRET, client_auth="client_secret_post")
    expected = ClientIdentity("id", SECRET, "client_secret_post", None, ISSUER, "beforehand")
    assert (client.identify(), client.server.requests) == (expected, [])


def test_a_client_that_was_registered_beforehand_belongs_to_its_first_issuer() -> None:
    """Another process finds the same issuer in the store; another issuer is an error, never a registration."""
    first = Client(Server(), client_id="id", client_secret=SECRET)
    first.identify()
    second = Client(Server(), first.store, client_id="id", client_secret=SECRET)
    with raises(ConfigurationError, parameter="client_id", shows=(ISSUER, "https://other.example.com")):
        second.identify(learned("https://other.example.com"))
    assert second.server.requests == []
    assert second.identify().issuer == ISSUER


def test_the_same_id_may_be_registered_for_another_resource_at_another_issuer() -> None:
    """Two resources may have two servers, at which an application chose the same id."""
    client = Client(Server(), client_id="id")
    client.identify()
    other = learned("https://other.example.com", url="https://other.example.com/mcp")
    assert client.identify(other).issuer == "https://other.example.com"


def test_two_processes_that_first_use_a_client_at_two_issuers_do_not_both_succeed() -> None:
    """The one that is second to save reads the store again."""
    store, raced = MemoryStore(), False

    def load(key: str) -> Any:
        nonlocal raced
        found = MemoryStore.load(store, key)
        if not raced:
            raced = True
            Client(Server(), store, client_id="id").identify()
        return found

    store.load = load  # type: ignore[method-assign]
    with raises(ConfigurationError, parameter="client_id"):
        Client(Server(), store, client_id="id").identify(learned("https://other.example.com"))


def test_a_server_that_does_not_know_a_client_that_was_registered_beforehand_registers_no_other() -> None:
    """The user must correct the id or the credentials: the error is that of the server."""
    client = Client(Server(), client_id="id", client_secret=SECRET)
    found = client.identify()
    assert (client.identify(other_than=found), client.server.requests) == (found, [])


def test_a_damaged_record_of_the_issuer_is_not_treated_as_missing() -> None:
    """The client would be bound to another issuer."""
    client = Client(Server(), client_id="id")
    client.identify()
    (key,) = client.store.keys()
    client.store.save(key, {"issuer": None}, expected=client.store.load(key).version)
    with raises(StoreError, key=key):
        client.identify()


# --- client ID metadata documents -------------------------------------------------------------------------------------


def test_a_client_id_metadata_document_is_used_where_the_server_supports_these() -> None:
    """At any issuer, as a public client, without a registration and without a record."""
    client = Client(Server(), client_id=DOCUMENT)
    for issuer in (ISSUER, "https://other.example.com"):
        found = client.identify(learned(issuer, client_id_metadata_document_supported=True))
        expected = ClientIdentity(DOCUMENT, None, "none", None, issuer, "client_id_metadata_document")
        assert (found, list(client.store.keys())) == (expected, [])
    assert client.server.requests == []


def test_a_client_with_a_document_and_a_key_authenticates_with_it() -> None:
    """The server finds the public key through the document."""
    client = Client(Server(), client_id=DOCUMENT, has_key=True)
    assert client.identify(learned(client_id_metadata_document_supported=True)).client_auth == "private_key_jwt"


def test_a_client_with_a_document_is_registered_where_the_server_does_not_support_these() -> None:
    """The order of the MCP specification: a document, else dynamic registration."""
    client = Client(Server(), client_id=DOCUMENT)
    assert client.identify().how == "dynamic_registration"


def test_a_url_with_a_secret_is_the_id_of_a_client_that_was_registered_beforehand() -> None:
    """No client with a document has a shared secret."""
    client = Client(Server(), client_id=DOCUMENT, client_secret=SECRET)
    assert client.identify(learned(client_id_metadata_document_supported=True)).how == "beforehand"


@pytest.mark.parametrize(
    "url",
    [
        "https://app.example.com",
        "https://app.example.com/",
        "https://app.example.com/a/../client.json",
        "https://app.example.com/%2E/client.json",
        "https://app.example.com/client.json#part",
        "https://user:pass@app.example.com/client.json",
        "https:///client.json",
        "https://[/client.json",
    ],
)
def test_a_url_that_cannot_be_that_of_a_document_is_refused_when_the_client_is_made(url: str) -> None:
    """It is https with a path, and has no fragment, no user and no dot segments."""
    with raises(ConfigurationError, parameter="client_id"):
        IdentitySettings(client_id=url)


# --- dynamic registration ---------------------------------------------------------------------------------------------


def test_a_client_is_registered_once() -> None:
    """What is asked for, what comes of it, and that the next process finds it in the store."""
    first = Client(Server(), metadata=ClientMetadata(client_name="Acme"))
    server = learned(token_endpoint_auth_methods_supported=("client_secret_basic",))
    found = first.identify(server)
    assert [(request.method, request.url) for request in first.server.requests] == [("POST", REGISTER)]
    assert first.server.asked == [
        {
            "client_name": "Acme",
            "redirect_uris": [LOOPBACK, *(LOOPBACK.replace("/callback", f":{port}/callback") for port in found.ports)],
            "grant_types": ["authorization_code", "refresh_token"],
            "response_types": ["code"],
            "token_endpoint_auth_method": "client_secret_basic",
            "application_type": "native",
        }
    ]
    how = "dynamic_registration"
    expected = ClientIdentity("client-1", SECRET, "client_secret_basic", None, ISSUER, how, first.now, found.ports)
    assert found == expected
    second = Client(Server(), first.store, metadata=ClientMetadata(client_name="Acme"))
    assert (second.identify(server), second.server.requests) == (found, [])
    assert [(event.name, event.detail) for event in first.events] == [("client_registered", f"client-1 at {ISSUER}")]
    assert second.events == []


def test_each_issuer_and_each_application_has_its_own_client() -> None:
    """Another issuer, another name, other redirect URIs: another client. A change of the logo is not one."""
    store, server = MemoryStore(), Server()
    named = [
        Client(server, store).identify(),
        Client(server, store).identify(learned("https://other.example.com")),
        Client(server, store, metadata=ClientMetadata(client_name="Acme")).identify(),
        Client(server, store, redirect_uri="https://app.example.com/callback").identify(),
        Client(server, store, metadata=ClientMetadata(logo_uri="https://app.example.com/logo.png")).identify(),
    ]
    assert [found.client_id for found in named] == ["client-1", "client-2", "client-3", "client-4", "client-1"]


@pytest.mark.parametrize(
    ("redirect_uris", "expected"),
    [
        (["http://127.0.0.1/callback"], "native"),
        (["https://app.example.com/callback"], "web"),
        (["com.example.app:/callback"], "native"),
        (["https://localhost/callback"], "native"),
        (["https://app.example.com/callback", "http://[::1]/callback"], "native"),
    ],
)
def test_the_application_type_is_that_of_the_redirect_uris(redirect_uris: list[str], expected: str) -> None:
    """Without one, a server that follows OpenID Connect takes the client for a web application."""
    metadata = ClientMetadata(redirect_uris=redirect_uris)
    client = Client(Server(), redirect_uri=redirect_uris[0], metadata=metadata)
    client.identify()
    assert [(asked["application_type"], asked["redirect_uris"]) for asked in client.server.asked] == [
        (expected, redirect_uris)
    ]


@pytest.mark.parametrize("code", ["invalid_redirect_uri", "invalid_client_metadata"])
def test_a_refused_application_type_is_tried_once_with_the_other(code: str) -> None:
    """Servers disagree about the type of a client with a loopback redirect URI."""
    client = Client(Server(refusal(code, "application_type does not fit")))
    assert client.identify().client_id == "client-2"
    assert [asked["application_type"] for asked in client.server.asked] == ["native", "web"]


def test_a_second_refusal_raises_the_first_one() -> None:
    """It is about the type that fits; the client is not registered, and nothing is stored."""
    client = Client(Server(refusal("invalid_redirect_uri", "not on our list"), refusal("invalid_client_metadata")))
    fields = {"parameter": "redirect_uri", "error": "invalid_redirect_uri", "status_code": 400}
    with raises(ConfigurationError, shows=REGISTER, **fields):
        client.identify()
    assert (len(client.server.requests), list(client.store.keys()), client.events) == (2, [], [])


def test_a_refused_scope_is_left_out_if_the_user_did_not_ask_for_it() -> None:
    """The resource lists scopes that its server does not let every client ask for."""
    client = Client(Server(refusal("invalid_client_metadata", "Requested scopes are not valid: admin")))
    client.identify(learned(scopes=["read", "admin"]))
    assert [asked.get("scope") for asked in client.server.asked] == ["read admin", None]
    assert {asked["application_type"] for asked in client.server.asked} == {"native"}


def test_the_client_may_ask_later_for_every_scope_that_the_resource_lists() -> None:
    """A server refuses a scope that a client was not registered for, when the resource asks for more."""
    client = Client(Server(), scope="write")
    client.identify(learned(scopes=["read", "write"], scopes_supported=("offline_access",)))
    assert [asked["scope"] for asked in client.server.asked] == ["write offline_access read"]


def test_the_users_own_scope_is_asked_for_as_it_is() -> None:
    """`ClientMetadata(scope=...)` has precedence."""
    client = Client(Server(), metadata=ClientMetadata(scope=["read"]))
    client.identify(learned(scopes=["read", "write"]))
    assert [asked["scope"] for asked in client.server.asked] == ["read"]


@pytest.mark.parametrize(
    ("supported", "settings", "expected"),
    [
        ((), {}, "client_secret_basic"),
        (("client_secret_post", "none"), {}, "none"),
        (("client_secret_post",), {}, "client_secret_post"),
        (("client_secret_post", "client_secret_basic"), {}, "client_secret_post"),
        (("client_secret_basic", "client_secret_post"), {}, "client_secret_basic"),
        (("client_secret_jwt", "private_key_jwt"), {}, "client_secret_jwt"),
        (
            ("private_key_jwt", "none"),
            {"has_key": True, "metadata": ClientMetadata(jwks_uri=DOCUMENT)},
            "private_key_jwt",
        ),
        # Without a URL the server cannot find the key.
        (("private_key_jwt", "none"), {"has_key": True}, "none"),
        (("tls_client_auth", "none"), {"has_certificate": True}, "tls_client_auth"),
        (
            ("none", "client_secret_post"),
            {"metadata": ClientMetadata(grant_types=["client_credentials"])},
            "client_secret_post",
        ),
        (("none",), {"client_auth": "client_secret_post"}, "client_secret_post"),
    ],
)
def test_the_method_is_the_best_that_both_have(supported: tuple[str, ...], settings: Any, expected: str) -> None:
    """By what the server lists; a server that lists none means Basic (RFC 8414 section 2)."""
    client = Client(Server(), **settings)
    client.identify(learned(token_endpoint_auth_methods_supported=supported))
    assert [asked["token_endpoint_auth_method"] for asked in client.server.asked] == [expected]


@pytest.mark.parametrize(
    ("asked", "members", "expected"),
    [
        ("none", {}, ("none", None)),
        ("none", {"client_secret": SECRET}, ("none", SECRET)),
        (
            "none",
            {"client_secret": SECRET, "token_endpoint_auth_method": "client_secret_post"},
            ("client_secret_post", SECRET),
        ),
        ("client_secret_basic", {"client_secret": SECRET}, ("client_secret_basic", SECRET)),
        ("client_secret_basic", {"token_endpoint_auth_method": "client_secret_basic"}, ("none", None)),
        ("client_secret_basic", {"client_secret": "", "token_endpoint_auth_method": ""}, ("none", None)),
        ("client_secret_basic", {"client_secret": None, "token_endpoint_auth_method": None}, ("none", None)),
    ],
)
def test_what_the_server_registered_counts(
    asked: Any, members: dict[str, Any], expected: tuple[str, str | None]
) -> None:
    """RFC 7591 section 3.2.1: it may replace what was asked for. Many leave out the method, or have no secret."""
    client = Client(Server(answer({"client_id": "id", **members})), client_auth=asked)
    found = client.identify()
    assert (found.client_auth, found.client_secret) == expected


def test_a_client_without_users_has_no_redirect_uri() -> None:
    """One that asks for tokens of its own only."""
    client = Client(Server(), redirect_uri=None, metadata=ClientMetadata(grant_types=["client_credentials"]))
    client.identify()
    assert not {"redirect_uris", "response_types"} & set(client.server.asked[0])


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "localhost"])
def test_a_loopback_redirect_uri_is_registered_with_fixed_ports_too(host: str) -> None:
    """Servers that compare redirect URIs exactly accept the port of no sign-in otherwise."""
    client = Client(Server(), redirect_uri=f"http://{host}/callback?a=b")
    ports = client.identify().ports
    assert (len(set(ports)), all(1024 < port < 32_768 for port in ports)) == (3, True)
    expected = ["", *(f":{port}" for port in ports)]
    assert client.server.asked[0]["redirect_uris"] == [f"http://{host}{port}/callback?a=b" for port in expected]
    assert Client(Server(), client.store, redirect_uri=f"http://{host}/callback?a=b").identify().ports == ports


@pytest.mark.parametrize(
    ("redirect_uri", "listed", "expected"),
    [
        ("http://127.0.0.1:8765/callback", (), ()),
        ("https://app.example.com/callback", (), ()),
        ("com.example.app:/callback", (), ()),
        (LOOPBACK, ("http://127.0.0.1:8765/callback", "http://127.0.0.1:8766/other", LOOPBACK), (8765,)),
    ],
)
def test_what_the_user_lists_is_registered_as_it_is(redirect_uri: str, listed: Any, expected: tuple[int, ...]) -> None:
    """No port is added to a redirect URI that has one, or to a list of the user's own."""
    client = Client(Server(), redirect_uri=redirect_uri, metadata=ClientMetadata(redirect_uris=listed))
    assert client.identify().ports == expected
    assert client.server.asked[0]["redirect_uris"] == (list(listed) or [redirect_uri])


def test_a_document_with_fixed_ports_is_used_with_these() -> None:
    """`client_metadata` repeats what the document lists."""
    metadata = ClientMetadata(redirect_uris=["http://127.0.0.1:8765/callback"])
    client = Client(Server(), client_id=DOCUMENT, metadata=metadata)
    assert client.identify(learned(client_id_metadata_document_supported=True)).ports == (8765,)


# --- the end of a registration ----------------------------------------------------------------------------------------


def with_end(seconds: float) -> Callable[[dict[str, Any]], HttpResponse]:
    end = 1_000_000.0 + seconds
    return lambda asked: answer({"client_id": "id-1", "client_secret": SECRET, "client_secret_expires_at": int(end)})


def test_a_client_is_registered_again_before_its_secret_expires() -> None:
    """Five minutes before, so that a sign-in with it can be finished."""
    client = Client(Server(with_end(86400.0)), client_auth="client_secret_basic")
    assert client.identify().expires_at == client.now + 86400.0
    client.now += 86400.0 - 301.0
    assert client.identify().client_id == "id-1"
    client.now += 2.0
    assert client.identify().client_id == "client-2"
    assert len(client.server.requests) == 2


def test_a_secret_with_a_short_life_is_used() -> None:
    """Until nine tenths of it have passed."""
    client = Client(Server(with_end(100.0)), client_auth="client_secret_basic")
    client.identify()
    client.now += 89.0
    assert client.identify().client_id == "id-1"
    client.now += 2.0
    assert client.identify().client_id == "client-2"


@pytest.mark.parametrize("end", [0, None, -1, "never", 999_999, 1e400])
def test_a_missing_or_wrong_end_is_not_believed(end: object) -> None:
    """0 means never. If a secret has expired when it arrives, a clock is wrong, and asking again does not help."""
    document = {"client_id": "id", "client_secret": SECRET, "client_secret_expires_at": end}
    client = Client(Server(answer(document)), client_auth="client_secret_basic")
    assert client.identify().expires_at is None
    client.now += 1e9
    assert client.identify().client_id == "id"


def test_a_client_that_the_server_has_forgotten_is_registered_again() -> None:
    """Once: the process that comes second, with the same forgotten client, finds the new one."""
    first = Client(Server())
    forgotten = first.identify()
    second = Client(first.server, first.store)
    assert first.identify(other_than=forgotten).client_id == "client-2"
    assert second.identify(other_than=forgotten).client_id == "client-2"
    assert second.identify().client_id == "client-2"
    assert len(first.server.requests) == 2


def test_a_server_that_forgets_every_client_is_not_asked_without_end() -> None:
    """Three registrations in an hour; then an error, and after an hour there may be another one."""
    client = Client(Server())
    found = client.identify()
    for _ in range(2):
        client.now += 60.0
        found = client.identify(other_than=found)
    with raises(ConfigurationError, parameter="client_id", shows=REGISTER):
        client.identify(other_than=found)
    assert len(client.server.requests) == 3
    client.now += 3600.0
    assert client.identify(other_than=found).client_id == "client-4"


# --- refusals and odd responses ---------------------------------------------------------------------------------------


def test_without_any_way_the_error_names_all_three() -> None:
    """No id, and a server that registers nobody."""
    ways = ("pass its client_id", "client ID metadata document", "dynamic registration")
    with raises(ConfigurationError, parameter="client_id", shows=(ISSUER, *ways)):
        Client(Server()).identify(learned(registration_endpoint=None))


def test_a_document_that_no_server_supports_is_named() -> None:
    """The id was passed, and the error explains why it is not used."""
    with raises(ConfigurationError, parameter="client_id", shows=DOCUMENT):
        Client(Server(), client_id=DOCUMENT).identify(learned(registration_endpoint=None))


@pytest.mark.parametrize(
    ("response", "error", "parameter"),
    [
        (refusal("invalid_redirect_uri"), ConfigurationError, "redirect_uri"),
        (refusal("invalid_client_metadata", "logo_uri is not ours"), ConfigurationError, "client_metadata"),
        (refusal("unapproved_software_statement"), ConfigurationError, "client_id"),
        (refusal("invalid_token", status=401), ConfigurationError, "client_id"),
        (refusal("access_denied", status=403), ConfigurationError, "client_id"),
        (answer({}, 404), ConfigurationError, "client_id"),
        (answer({}, 307, location="https://elsewhere.example.com/"), ConfigurationError, "client_id"),
        (answer(b"<html>", 200), ProtocolError, "client_id"),
        (answer([], 201), ProtocolError, "client_id"),
        (answer({}, 201), ProtocolError, "client_id"),
        (answer({"client_id": 7}, 201), ProtocolError, "client_id"),
        (answer({"client_id": "a\nb"}, 201), ProtocolError, "client_id"),
        (answer({"client_id": "a" * 5000}, 201), ProtocolError, "client_id"),
        (answer({"client_id": "a", "client_secret": 7}, 201), ProtocolError, "client_secret"),
        (
            answer({"client_id": "a", "token_endpoint_auth_method": "tls_client_auth"}, 201),
            ProtocolError,
            "token_endpoint_auth_method",
        ),
        (answer({"client_id": "a", "redirect_uris": ["https://b.example.com/"]}), ConfigurationError, "redirect_uri"),
        (answer({}, 503, **{"retry-after": "7"}), TemporarilyUnavailable, None),
        (answer({}, 429), TemporarilyUnavailable, None),
        (NoResponse("connection refused", sent=False), TemporarilyUnavailable, None),
    ],
)
def test_a_refusal_is_a_typed_error_that_names_the_endpoint(response: Any, error: Any, parameter: str | None) -> None:
    """And the argument or the member that is wrong. Nothing is stored."""
    client = Client(Server(response, response))
    with raises(error, parameter=parameter, shows=REGISTER):
        client.identify()
    assert list(client.store.keys()) == []


def test_the_member_that_the_server_complains_of_is_named() -> None:
    """In the remedy, so that the user finds it in `client_metadata`."""
    refused = refusal("invalid_client_metadata", "the logo_uri is not on the host of the client")
    with raises(ConfigurationError, shows="its logo_uri in client_metadata"):
        Client(Server(refused, refused), metadata=ClientMetadata(logo_uri="https://a.example.com/l.png")).identify()


@pytest.mark.parametrize("listed", ["http://127.0.0.1:8080/callback", "http://127.0.0.1/callback"])
def test_a_loopback_redirect_uri_is_the_same_on_every_port(listed: str) -> None:
    """RFC 8252 section 7.3: a server accepts any port."""
    client = Client(Server(answer({"client_id": "a", "redirect_uris": [listed]})))
    assert client.identify().client_id == "a"


def test_a_lost_response_means_that_a_client_may_have_been_registered() -> None:
    """The next attempt registers another one."""
    client = Client(Server(NoResponse("connection reset", sent=True)))
    with raises(TemporarilyUnavailable) as raised:
        client.identify()
    assert raised.value.outcome_unknown
    assert client.identify().client_id == "client-2"


# --- the store --------------------------------------------------------------------------------------------------------


def test_a_process_that_waited_for_the_lock_uses_the_client_of_the_one_that_had_it() -> None:
    """The record is read again under the lock."""
    store, server = MemoryStore(), Server()

    @contextlib.contextmanager
    def lock(key: str, *, timeout: float) -> Iterator[None]:
        del store.lock  # type: ignore[attr-defined]
        Client(server, store).identify()
        with store.lock(key, timeout=timeout):
            yield

    store.lock = lock  # type: ignore[method-assign]
    client = Client(server, store)
    assert client.identify().client_id == "client-1"
    assert (len(server.requests), client.events) == (1, [])


def test_a_process_that_lost_the_lock_uses_the_client_of_the_one_that_got_it() -> None:
    """A lease that ran out while the server answered: the client that was stored first counts, for both."""
    store = MemoryStore()

    def late(asked: dict[str, Any]) -> HttpResponse:
        with mine.unlocked():
            Client(Server(), store).identify()
        return answer({**asked, "client_id": "late", "client_secret": SECRET})

    mine = _LeasedStore(store)
    client = Client(Server(late), mine)
    assert client.identify().client_id == "client-1"
    assert client.identify().client_id == "client-1"
    assert client.events == []


class _LeasedStore:
    """A store whose lock can be lost."""

    def __init__(self, inner: MemoryStore) -> None:
        self._inner = inner
        self._stack = contextlib.ExitStack()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    @contextlib.contextmanager
    def lock(self, key: str, *, timeout: float) -> Iterator[None]:
        self._stack.enter_context(self._inner.lock(key, timeout=timeout))
        yield
        self._stack.close()

    @contextlib.contextmanager
    def unlocked(self) -> Iterator[None]:
        self._stack.close()
        yield


def test_the_secret_is_sealed_by_an_encrypted_store() -> None:
    """What the inner store has of a registered client shows neither its id nor its secret."""
    inner = MemoryStore()
    client = Client(Server(), EncryptedStore(inner, keys=[EncryptedStore.new_key()]), client_auth="client_secret_post")
    assert client.identify().client_secret == SECRET
    assert client.identify().client_secret == SECRET
    (key,) = inner.keys()
    stored = inner.load(key)
    assert stored is not None
    assert leaks([key, repr(stored.data)], [SECRET, "client-1"]) == []


def test_the_ports_of_a_client_are_those_that_its_sign_ins_listen_on() -> None:
    """Beside what else the state of a client at a server has."""
    at = learned()
    at = dataclasses.replace(at, settings={**at.settings, "api_origins": ("https://api.example.com",)})
    identity = Client(Server()).identify(at)
    state = state_at_server(at, identity, ProtectedResource(URL)._state.settings)
    assert state.sign_ins.loopback_ports == identity.ports


def test_a_client_that_cannot_be_stored_is_not_used() -> None:
    """Its grants would be lost with the process. The error is that of the store."""
    client = Client(Server())

    def save(*_: Any, **__: Any) -> str:
        raise OSError(28, "full")

    client.store.save = save
    with raises(StoreError):
        client.identify()


def test_a_damaged_record_of_a_client_is_not_treated_as_missing() -> None:
    """The users of that client would have to sign in again, because of a defect that may pass."""
    client = Client(Server())
    client.identify()
    (key,) = client.store.keys()
    for damage in (
        {"schema": 2},
        {"client_id": 7},
        {"client_auth": "magic"},
        {"registered_at": None},
        {"expires_at": "x"},
    ):
        record = client.store.load(key)
        client.store.save(key, {**record.data, **damage}, expected=record.version)
        with raises(StoreError, key=key):
            client.identify()
        client.store.save(key, record.data, expected=client.store.load(key).version)
    assert len(client.server.requests) == 1


def test_nothing_shows_the_secret() -> None:
    """Not the identity, not an error that quotes it, and no local variable of the package."""
    quoting = answer({"error": "invalid_client_metadata", "error_description": SECRET, "client_secret": SECRET}, 400)
    client = Client(Server(quoting, quoting))
    with raises(ConfigurationError) as raised:
        client.identify()
    found = Client(Server(), client_auth="client_secret_post").identify()
    assert found.client_secret == SECRET
    assert leaks([raised.value, repr(found), repr(client.wanted), repr(client.events)], [SECRET]) == []
