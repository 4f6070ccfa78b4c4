"""What a pickle contains of a client and of a source: settings by name, so that a later version can read it.

Used by `OAuthClient` and `TokenSource` when they are pickled. A pickle never contains a secret. `NotPickled` replaces a
secret that was passed as a string; the password of a key and the credentials for a proxy are left out. The HTTP client,
`on_event` and the cached tokens belong to one process, so they are left out too. Tokens stay in the store.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from .._protocol.client_authentication import ClientCredentials
from .._transport.network import Network
from ..errors import NotPickled
from ..errors._pickling import unpickles
from .authorization_grants import AuthorizationGrant, ClientCredentialsGrant, RefreshTokenGrant
from .client_state import ClientState
from .clocks import given_clock
from .presenting_grants import JwtBearerGrant, TokenExchangeGrant

_GRANTS: Mapping[str, Any] = {
    "client_credentials": ClientCredentialsGrant,
    "refresh_token": RefreshTokenGrant,
    "token_exchange": TokenExchangeGrant,
    "jwt_bearer": JwtBearerGrant,
}

_PRESENTED = ("subject_token", "actor_token", "assertion")
"""The fields that hold a secret if they are text."""


def settings_of(state: ClientState) -> dict[str, Any]:
    """The arguments of `OAuthClient`, by name, from which another process can make the same client."""
    credentials, network = state.credentials, state.network
    secret, key, cert = credentials.client_secret, credentials.private_key, network.cert
    return {
        "provider": state.provider,
        "client_id": credentials.client_id,
        "client_secret": NotPickled("client_secret") if isinstance(secret, str) else secret,
        "redirect_uri": state.redirect_uri,
        "store": state.store,
        "client_auth": credentials.method,
        "private_key": NotPickled("private_key") if isinstance(key, str | bytes | Mapping) else key,
        "key_id": credentials.key_id,
        "signing_algorithm": credentials.signing_algorithm,
        "policy": state.policy,
        "cert": tuple(map(str, cert[:2])) if isinstance(cert, tuple) else cert,
        "verify": network.verify,
        "proxy": None if network.proxy is None else re.sub(r"//[^/]*@", "//", network.proxy),
        "clock": given_clock(state.clock),
        **state.rules.on_demand,
        "dpop": state.proofs.pickled,
        # Named as its callable is. One that cannot be named cannot be pickled.
        "client_assertion": credentials.client_assertion,
        # Also true if the certificate belongs to the `token_http`, which is left out.
        "has_certificate": credentials.has_certificate,
    }


@unpickles
def shared_state(settings: Mapping[str, Any], client: object) -> ClientState:
    """The state of a client in a pickle, including pickles of earlier versions, where two clients may share one."""
    if "client_id" not in settings:
        from .._pickles import settings_of_client

        settings = settings_of_client(dict(settings), client)
    if "state" not in settings:
        return _state_of(settings)
    state = settings["state"]
    if not isinstance(state, ClientState):
        raise TypeError("state")
    return state


def _state_of(settings: Mapping[str, Any]) -> ClientState:
    """The inverse of `settings_of`."""
    provider, policy = settings["provider"], settings["policy"]
    return ClientState(
        provider=provider,
        credentials=ClientCredentials(
            settings["client_id"],
            settings["client_secret"],
            settings["client_auth"],
            provider.basic_encoding,
            settings["private_key"],
            settings["key_id"],
            settings["signing_algorithm"],
            provider.assertion_algorithms,
            settings["has_certificate"],
            # Earlier versions had no such setting, nor `dpop`.
            settings.get("client_assertion"),
        ),
        redirect_uri=settings["redirect_uri"],
        store=settings["store"],
        policy=policy,
        network=Network(policy, settings["verify"], settings["cert"], settings["proxy"]),
        on_event=None,
        clock=settings["clock"],
        step_up=settings.get("step_up", "event"),
        consent_ended=settings.get("consent_ended", "event"),
        dpop=settings.get("dpop"),
    )


def values_of(grant: AuthorizationGrant) -> dict[str, Any]:
    """The fields of a grant, by name; fields that are None are left out."""
    kind = next(kind for kind, grant_type in _GRANTS.items() if isinstance(grant, grant_type))
    values = {each.name: getattr(grant, each.name) for each in fields(grant)}
    # Without them it is as if it had been found in the store.
    values |= {name: None for name in _PRESENTED if isinstance(values.get(name), str)}
    return {"grant_type": kind, **{name: value for name, value in values.items() if value is not None}}


@unpickles
def grant_of(values: Mapping[str, Any]) -> AuthorizationGrant:
    """The inverse of `values_of`."""
    made: dict[str, Any] = dict(values)
    grant_type = _GRANTS[made.pop("grant_type")]
    # A field without a default may also be None, and so be left out of `values`.
    grant: AuthorizationGrant = grant_type(**{each.name: made.get(each.name) for each in fields(grant_type)})
    return grant
