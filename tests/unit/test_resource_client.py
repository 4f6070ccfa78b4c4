"""The client of a protected resource at the server that it names: its store keys, scopes and credentials."""

from __future__ import annotations

from threading import Event, Lock, Thread
from typing import Any, cast

import pytest
from support.errors import raises
from support.limits import PATIENCE

from blnk_auth import ConfigurationError, MemoryStore, ProtectedResource
from blnk_auth._renewal.store_keys import parse_token_key, token_key
from blnk_auth._resource import resource_state
from blnk_auth._resource.client_identity import ClientIdentity
from blnk_auth._resource.learned import Learned
from blnk_auth._resource.registered_client import RegisteredClient, state_at_server
from blnk_auth._resource.wanted_token import OfItself, OfSubject

RESOURCE = "https://api.acme.test/mcp"


class NoticedLock:
    """A lock that reports when somebody has to wait for it."""

    def __init__(self, noticed: Event) -> None:
        self._lock, self._noticed = Lock(), noticed

    def __enter__(self) -> None:
        if not self._lock.acquire(blocking=False):
            self._noticed.set()
            self._lock.acquire()

    def __exit__(self, *failure: object) -> None:
        self._lock.release()


def learned(issuer: str = "https://as.acme.test", *, methods: tuple[str, ...] = (), **changes: Any) -> Learned:
    settings = {
        "name": "as.acme.test",
        "issuer": issuer,
        "token_endpoint": "https://as.acme.test/token",
        "authorization_endpoint": "https://as.acme.test/authorize",
        "api_origins": ("https://api.acme.test",),
        "client_auth_supported": methods,
    }
    server: Any = {
        "scopes_supported": ("read", "offline_access"),
        "token_endpoint_auth_methods_supported": methods,
        "grant_types_supported": (),
        "registration_endpoint": None,
        "client_id_metadata_document_supported": False,
    }
    return Learned(RESOURCE, RESOURCE, issuer, settings, ("read", "write"), None, server, 0.0, **changes)


def client(described: Learned, how: Any = "beforehand", secret: str | None = None, **given: Any) -> RegisteredClient:
    settings = ProtectedResource(RESOURCE, store=MemoryStore(), client_id="id", **given)._state.settings
    identity = ClientIdentity("id", secret, None, None, described.issuer, how)
    return RegisteredClient(described, identity, state_at_server(described, identity, settings))


def test_two_issuers_of_one_host_share_no_key() -> None:
    """Not even if the client has the same id at both, and their token endpoint is the same."""
    issuers = "https://as.acme.test/a", "https://as.acme.test/b"
    keys = {client(learned(issuer)).state.registration.tokens for issuer in issuers}
    assert keys == {
        "token/as.acme.test%2Fa/https%3A%2F%2Fas.acme.test/id/",
        "token/as.acme.test%2Fb/https%3A%2F%2Fas.acme.test/id/",
    }


def test_two_threads_that_meet_a_client_together_share_its_state(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise each would renew the client's grants by itself, and spend a refresh token that the other has spent."""
    state, found, noticed = ProtectedResource(RESOURCE, client_id="id")._state, list[RegisteredClient](), Event()
    state._making = cast("Lock", NoticedLock(noticed))

    def meet() -> None:
        found.append(state._client_of(learned(), None, None, []))
        noticed.set()

    other = Thread(target=meet)

    def while_another_makes_one(*about: Any) -> Any:
        if other.ident is None:
            other.start()
            assert noticed.wait(PATIENCE)
        return state_at_server(*about)

    monkeypatch.setattr(resource_state, "state_at_server", while_another_makes_one)
    meet()
    other.join(PATIENCE)
    first, second = found
    assert first.state is second.state


def test_a_grant_is_stored_with_its_resource() -> None:
    """The key of a grant names the resource that its tokens are for, and is read back."""
    registered = client(learned())
    grant = OfSubject("me").grant(registered)
    key = token_key(registered.state.registration, grant)
    assert key.endswith("/id/subject/me;resource=https%3A%2F%2Fapi.acme.test%2Fmcp")
    assert parse_token_key(key) == (registered.state.registration, grant)


@pytest.mark.parametrize(
    ("wanted", "of_resource", "scope"),
    [(None, None, "read write"), (None, "all", "all"), ("one", "all", "one")],
)
def test_the_scope_of_a_token_without_a_user(wanted: str | None, of_resource: str | None, scope: str) -> None:
    """What was asked for, else that of the resource object, else what the API lists, without `offline_access`."""
    registered = client(learned())._replace(scope=of_resource)
    assert OfItself(wanted).grant(registered).scope == scope
    assert registered.wanted_scope() == f"{of_resource or 'read write'} offline_access"


@pytest.mark.parametrize(
    ("methods", "secret", "method"),
    [
        ((), None, "none"),
        ((), "s", "client_secret_basic"),
        (("client_secret_post", "none"), None, "none"),
        (("client_secret_post", "none"), "s", "client_secret_post"),
    ],
)
def test_how_a_client_authenticates(methods: tuple[str, ...], secret: str | None, method: str) -> None:
    """By the best method that both sides support. Without a secret, at a server that lists nothing: as a public one."""
    registered = client(learned(methods=methods), client_secret=secret)
    assert registered.state.credentials.method == method


def test_each_registration_has_the_secret_that_it_is_of() -> None:
    """A client that was registered dynamically authenticates with the secret that it got there, and no other."""
    registered = client(learned(), "dynamic_registration", "registered", client_secret="passed")
    assert registered.state.credentials.client_secret == "registered"


@pytest.mark.parametrize(
    ("given", "parameter"),
    [
        ({"client_id": 5}, "client_id"),
        ({"client_id": ""}, "client_id"),
        ({"client_secret": "s"}, "client_id"),
        ({"client_id": "id", "client_auth": "client_secret_post"}, "client_secret"),
        ({"client_auth": "basic"}, "client_auth"),
        ({"client_auth": "tls_client_auth"}, "cert"),
        ({"private_key": 5}, "private_key"),
        ({"client_id": "id", "client_assertion": 5}, "client_assertion"),
        ({"client_metadata": {}}, "client_metadata"),
        ({"redirect_uri": "http://app.example.com/callback"}, "redirect_uri"),
        ({"scope": 5}, "scope"),
        ({"store": 5}, "store"),
        ({"policy": 5}, "policy"),
        ({"dpop": 5}, "dpop"),
        ({"clock": 5}, "clock"),
        ({"on_event": 5}, "on_event"),
    ],
    ids=repr,
)
def test_an_argument_that_cannot_work_is_refused_before_anything_is_asked(given: Any, parameter: str) -> None:
    """The error names it."""
    with raises(ConfigurationError, parameter=parameter):
        ProtectedResource(RESOURCE, **given)


@pytest.mark.parametrize(
    "given",
    [{}, {"client_id": "id"}, {"client_id": "id", "client_secret": "s"}, {"client_auth": "client_secret_post"}],
    ids=repr,
)
def test_what_a_client_may_be(given: Any) -> None:
    """Registered beforehand with a secret or as a public one; or registered later, by a method that it prefers."""
    assert ProtectedResource(RESOURCE, **given).issuer is None


@pytest.mark.parametrize(
    "url", [None, 5, "api.example.com", "http://api.example.com", "https://h/x#y", "https://a:b@h"]
)
def test_what_cannot_be_the_url_of_a_resource(url: Any) -> None:
    """It is refused when the object is made, by the rules of RFC 9728 section 1.2."""
    with raises(ConfigurationError, parameter="url"):
        ProtectedResource(url)


def test_what_is_not_a_callback_is_refused_before_anything_is_asked() -> None:
    """No request is sent for it: the host of this resource does not exist."""
    with raises(ConfigurationError, parameter="callback_url"):
        ProtectedResource(RESOURCE).finish_authorization("https://app.example.com/callback")


def test_all_clients_of_a_resource_share_the_kept_connections() -> None:
    """So closing the resource closes those of a client that is made later too; each obeys its own address rule."""
    settings = ProtectedResource(RESOURCE)._state.settings
    identity = ClientIdentity("id", None, None, None, "https://as.acme.test", "beforehand")
    states = [state_at_server(learned(reach=reach), identity, settings) for reach in ("public", "private")]
    assert {state.network.kept for state in states} == {settings.template.network.kept}
    assert [state.network.addresses and state.network.addresses.reach for state in states] == ["public", "private"]
