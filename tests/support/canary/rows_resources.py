"""Rows: the client of a protected resource, which is registered at a server that it has never seen."""

from __future__ import annotations

from blnk_auth._protocol.client_metadata import ClientMetadata
from blnk_auth._resource.client_identity import ClientIdentity, IdentitySettings
from blnk_auth._resource.learned import Learned
from blnk_auth._resource.registering import identify
from blnk_auth._transport.network import Network, transport_for

from .faults import REGISTRATION, STORE
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
