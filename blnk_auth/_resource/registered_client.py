"""The client of a protected resource: what was learned of the resource, and who the client is at its server.

Made by `ResourceState`; used by the tokens and the sign-ins of the resource. What this file promises:

* Its state is an ordinary `ClientState`, so everything that `_renewal` promises holds for its tokens.
* Its tokens are stored under keys that contain the whole issuer: two issuers of one host never share one.
* It connects to no address that the resource's own host would not excuse (`AddressRule`).

It never asks a server by itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from .._renewal.client_settings import checked_state
from .._renewal.client_state import ClientState
from .._transport.addresses import AddressRule
from ..provider import Provider
from .client_identity import ClientIdentity
from .learned import Learned
from .resource_settings import ResourceSettings


class RegisteredClient(NamedTuple):
    """A client at the authorization server of a resource. Immutable; may be shared between threads and tasks.

    Attributes:
        learned: What was learned of the resource.
        identity: Who the client is at that server.
        state: What its tokens share.
        scope: The scope that the user of this library specified. None: the resource decides.
    """

    learned: Learned
    identity: ClientIdentity
    state: ClientState
    scope: str | None = None

    @property
    def resource(self) -> str:
        """What every authorization, token and refresh request names as `resource` (RFC 8707)."""
        return self.learned.resource

    def wanted_scope(self, before: Iterable[str] = ()) -> str | None:
        """The scope that a sign-in asks for, with those that were asked for before; see `Learned.wanted_scope`."""
        return self.learned.wanted_scope(self.scope, before)

    def service_scope(self, explicit: str | None) -> str | None:
        """The scope that a token without a user asks for. `explicit`: as the user of this library specified it."""
        explicit = explicit or self.scope
        if explicit is not None:
            return explicit
        # `offline_access` asks for a refresh token, which such a grant does not get (RFC 6749 section 4.4.3).
        words = (self.learned.wanted_scope(None) or "").split()
        return " ".join(word for word in words if word != "offline_access") or None


def state_at_server(learned: Learned, identity: ClientIdentity, settings: ResourceSettings) -> ClientState:
    """The state of this client at this server.

    Args:
        learned: What was learned of the resource.
        identity: Who the client is there.
        settings: What the user of the library has passed. All clients of a resource share its network, and with it the
            kept connections.

    Raises:
        ConfigurationError: The client cannot authenticate there.
    """
    # draft-ietf-oauth-rfc7523bis section 4: the issuer is the only audience of a client's assertion. A token endpoint
    # that a hostile resource names could otherwise replay it at another server.
    audience = {"assertion_audience": "issuer"}
    described: dict[str, Any] = {**learned.settings, **audience, "name": _name_of(learned.issuer)}
    provider = Provider(**described)
    arguments: dict[str, Any] = {**settings.arguments, "client_id": identity.client_id}
    if identity.how != "beforehand":
        # What the user passed is of another registration.
        arguments |= {"client_secret": identity.client_secret, "client_auth": identity.client_auth}
    if arguments["client_auth"] is None and not provider.client_auth_supported and _is_public(arguments):
        # A server that lists no methods is one for public clients at least: PKCE is all that such a client has.
        arguments["client_auth"] = "none"
    state = checked_state(provider, **arguments)
    if state.credentials.method == "client_secret_basic":
        # Servers made with the Python SDK of the Model Context Protocol look for it in the body of each request, beside
        # the header. RFC 6749 section 3.2.1: "A client MAY use the "client_id" request parameter to identify itself".
        named = {"client_id": identity.client_id}
        state = checked_state(Provider(**described, token_parameters=named), **arguments)
    state.network = settings.template.network.limited_to(AddressRule(learned.url, learned.reach))
    state.sign_ins.loopback_ports = identity.ports
    return state


def _is_public(arguments: Mapping[str, Any]) -> bool:
    return not any(arguments[name] for name in ("client_secret", "private_key", "client_assertion", "cert"))


def _name_of(issuer: str) -> str:
    """What the store keys have as the provider: the issuer without its scheme, which the environment has."""
    return issuer.partition("://")[2]
