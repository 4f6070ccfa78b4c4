"""Rows: the client of a protected resource, which is registered at a server that it has never seen."""

from __future__ import annotations

import contextlib
import itertools
from typing import Any

import httpx

from blnk_auth import ClientMetadata, HttpxAuth, ProtectedResource, SignInRequired
from blnk_auth._resource.client_identity import ClientIdentity, IdentitySettings
from blnk_auth._resource.learned import Learned
from blnk_auth._resource.registering import identify
from blnk_auth._transport.network import Network, transport_for

from .faults import ONE_OF_EACH, REGISTRATION, STORE, TOKEN_REQUEST
from .table import row
from .world import REDIRECT_URI, World


def _identify(world: World, wanted: IdentitySettings, other_than: ClientIdentity | None = None) -> ClientIdentity:
    """The client at the server of the world, over HTTP."""
    origin = world.server.origin
    facts = {
        "registration_endpoint": f"{origin}/register",
        "client_id_metadata_document_supported": False,
        "scopes_supported": (),
        "token_endpoint_auth_methods_supported": ("client_secret_post",),
        "grant_types_supported": (),
    }
    settings = {"name": "acme", "issuer": origin, "token_endpoint": f"{origin}/token", "api_origins": (origin,)}
    learned = Learned(f"{origin}/mcp", f"{origin}/mcp", origin, settings, (), None, facts, world.clock())
    found = identify(
        world.look_at(learned),
        world.look_at(wanted),
        send=transport_for("httpx", Network(world.policy)).send,
        store=world.store,
        clock=world.clock,
        monotonic=lambda: 0.0,
        lock_timeout=1.0,
        events=world.events,
        other_than=other_than,
    )
    return world.look_at(found)  # type: ignore[no-any-return]


@row("ClientMetadata ClientMetadata.document")
def a_client_that_describes_itself(world: World) -> object:
    """In its client ID metadata document, which is public."""
    world.look_at(world.token())
    metadata = ClientMetadata(client_name="Acme", redirect_uris=[REDIRECT_URI])
    return [world.look_at(metadata), metadata.document("https://app.example.com/client.json")]


@row("", failures=(*REGISTRATION, *STORE))
def registering_a_client(world: World) -> object:
    """Dynamically, with a name that may be shown; then again, since the server has forgotten it."""
    world.look_at(world.token())
    wanted = IdentitySettings(redirect_uri=REDIRECT_URI, metadata=ClientMetadata(client_name="Acme"))
    first = _identify(world, wanted)
    return [_identify(world, wanted), _identify(world, wanted, other_than=first)]


@row("", failures=STORE)
def a_client_that_was_registered_beforehand(world: World) -> object:
    """With its secret, and with one from a callable."""
    secrets = (world.client_secret, world.fetch_secret)
    return [_identify(world, IdentitySettings("id", secret, redirect_uri=REDIRECT_URI)) for secret in secrets]


# --- a resource, from its URL on ------------------------------------------------------------------------------------

_NUMBERS = itertools.count()


def _api(world: World, **settings: Any) -> ProtectedResource:
    """One that this process has not seen yet, with a client that is registered when it is needed."""
    given = {"store": world.store, "policy": world.policy, "clock": world.clock, "on_event": world.events.append}
    url = f"{world.server.origin}/mcp/{next(_NUMBERS)}"
    return world.look_at(ProtectedResource(url, **{**given, **settings}))  # type: ignore[no-any-return]


def _beforehand(world: World) -> ProtectedResource:
    return _api(world, client_id="client-of-the-canary", client_secret=world.client_secret)


@row(
    "ProtectedResource ProtectedResource.start_authorization ProtectedResource.finish_authorization "
    "ProtectedResource.for_subject ProtectedResource.subjects ProtectedResource.issuer ProtectedResource.url "
    "ProtectedResource.store ProtectedResource.close",
    failures=(*TOKEN_REQUEST, *REGISTRATION, *STORE),
)
def signing_in_to_a_resource(world: World) -> object:
    """By code; then a request, a renewal and a restart."""
    world.look_at(world.token())
    api = _api(world)
    with api:
        request = world.look_at(api.start_authorization("alice", scope="read"))
        world.secrets.add("state", request.state)
        source = world.look_at(api.finish_authorization(world.callback(request.url)))
        with httpx.Client(auth=HttpxAuth(source), trust_env=False) as http:
            http.get(api.url)
            world.clock.advance(4000)
            http.get(api.url)
    assert api.store is world.store
    world.look_at(api.issuer, api.url, *api.subjects(), api.close())
    return world.look_at(api.for_subject("alice")).token()


@row(
    "ProtectedResource.astart_authorization ProtectedResource.afinish_authorization ProtectedResource.asubjects "
    "ProtectedResource.aclose",
    failures=ONE_OF_EACH,
)
async def signing_in_to_a_resource_by_tasks(world: World) -> object:
    """The same, awaited."""
    world.look_at(world.token())
    async with _api(world) as api:
        request = world.look_at(await api.astart_authorization("alice"))
        world.secrets.add("state", request.state)
        world.look_at(await api.afinish_authorization(world.callback(request.url)))
        subjects = [each async for each in api.asubjects()]
    await api.aclose()
    return subjects


@row("ProtectedResource.for_subject", failures=(*REGISTRATION, *ONE_OF_EACH))
def a_request_that_needs_a_sign_in(world: World) -> object:
    """It is refused with where to send the user, and is answered if a callable of the application signs the user in."""
    world.look_at(world.token())
    api = _api(world)
    alice = HttpxAuth(api.for_subject("alice"))
    with httpx.Client(auth=alice, trust_env=False) as http, contextlib.suppress(SignInRequired):
        http.get(api.url)

    def ask(request: Any) -> str:
        world.secrets.add("state", request.state)
        return world.callback(request.url)

    with httpx.Client(auth=HttpxAuth(api.for_subject("bob", sign_in=ask)), trust_env=False) as http:
        return http.get(api.url).status_code


@row("ProtectedResource.for_itself", failures=TOKEN_REQUEST)
def a_resource_for_a_service(world: World) -> object:
    """With the secret of a client that was registered beforehand."""
    return world.look_at(_beforehand(world).for_itself(scope="read")).token()


@row("ProtectedResource.for_token_exchange ProtectedResource.for_assertion", failures=ONE_OF_EACH)
def a_resource_for_what_others_issued(world: World) -> object:
    """Token exchange and an assertion."""
    api = _beforehand(world)
    exchanged = api.for_token_exchange(
        subject_token=world.secrets.new("subject token"),
        subject_token_type="urn:ietf:params:oauth:token-type:access_token",
    )
    asserted = api.for_assertion(assertion=world.secrets.new("assertion"))
    world.look_at(exchanged, asserted, exchanged.renew())
    return asserted.renew()
