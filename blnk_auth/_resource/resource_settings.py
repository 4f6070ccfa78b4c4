"""What the user of a `ProtectedResource` has passed, checked before anything is learned.

Used by `resource_state`. It promises that an argument that cannot work raises an error with its name, before anything
is stored or sent. It never asks a server.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .._protocol.client_authentication import BY_SECRET
from .._protocol.client_metadata import ClientMetadata
from .._protocol.origins import endpoint_origin
from .._protocol.resource_metadata import check_resource_url
from .._renewal.client_settings import checked_state
from .._renewal.client_state import ClientState
from ..provider import Provider
from .client_identity import IdentitySettings


class ResourceSettings:
    """The arguments of `ProtectedResource`. Never changed; may be used from any thread or task.

    Args:
        given: The arguments, by name.

    Attributes:
        url: The URL of the resource, as the user named it.
        origin: Its origin.
        scope: The scope that the user specified. None: the resource decides.
        metadata: What the client specifies of itself. None: nothing but the defaults.
        identity: Who the client wants to be.
        template: The state of a client whose server is the resource itself: what the states of all clients share.
        arguments: The further arguments of `checked_state`, for each of these clients.

    Raises:
        ConfigurationError: An argument cannot work.
    """

    def __init__(self, given: Mapping[str, Any]) -> None:
        arguments: dict[str, Any] = dict(given)
        self.url: str = arguments.pop("url")
        check_resource_url(self.url)
        self.origin: str = str(endpoint_origin(self.url, "url"))
        self.scope: str | None = arguments.pop("scope")
        self.metadata: ClientMetadata | None = arguments.pop("client_metadata")
        # What the API asks for beyond the grant is what a sign-in asks for.
        arguments |= {"step_up": "raise", "consent_ended": "event"}
        self.identity: IdentitySettings = IdentitySettings(
            client_id=arguments["client_id"],
            client_secret=arguments["client_secret"],
            client_auth=arguments["client_auth"],
            redirect_uri=arguments["redirect_uri"],
            metadata=self.metadata or ClientMetadata(),
            scope=self.scope,
            has_key=arguments["private_key"] is not None or arguments["client_assertion"] is not None,
            has_certificate=arguments["cert"] is not None or arguments["token_http"] is not None,
        )
        server = Provider(name=self.origin.partition("://")[2], token_endpoint=self.url, api_origins=(self.origin,))
        of_template: dict[str, Any] = {**arguments, **_credentials_now(arguments)}
        self.template: ClientState = checked_state(server, **of_template)
        self.arguments: dict[str, Any] = {**arguments, "store": self.template.store}


def _credentials_now(given: Mapping[str, Any]) -> dict[str, Any]:
    """The credentials of the template: those that were passed, so that they are checked.

    What only a registration brings is left out: an id, and a secret.
    """
    method, has_secret = given["client_auth"], given["client_secret"] is not None
    if method is None:
        has_key = given["private_key"] is not None or given["client_assertion"] is not None
        method = "private_key_jwt" if has_key else "client_secret_basic" if has_secret else "none"
    elif not has_secret and given["client_id"] is None and method in BY_SECRET:
        method = "none"
    return {"client_id": "unknown" if given["client_id"] is None else given["client_id"], "client_auth": method}
