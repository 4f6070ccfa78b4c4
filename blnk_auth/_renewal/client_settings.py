"""Checks the arguments of `OAuthClient` and makes the state that all sources of the client share.

Used by `OAuthClient`, which documents each argument. It promises that an argument that cannot work raises an error with
its name, before anything is stored or sent. It never calls a callable that the user passed, except the clock.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .._protocol.client_authentication import (
    BY_CERTIFICATE,
    ClientAssertion,
    ClientAuthMethod,
    ClientCredentials,
    ClientSecret,
    choose_method,
)
from .._protocol.redirect_uris import check_redirect_uri
from .._protocol.signing import PrivateKey, SigningAlgorithm
from .._transport.network import Network
from ..errors import ConfigurationError, is_number, quoted
from ..events import OnEvent
from ..policy import RenewalPolicy
from ..stores._async_adapter import AsyncTokenStore, as_token_store
from ..stores._memory import MemoryStore
from ..stores._token_store import TokenStore
from .client_state import ClientState
from .credential import OnDemand
from .proofs import DpopSetting

if TYPE_CHECKING:
    from ..provider import Provider


def checked_state(
    provider: Provider,
    *,
    client_id: str,
    client_secret: ClientSecret,
    redirect_uri: str | None,
    store: TokenStore | AsyncTokenStore | str | None,
    client_auth: ClientAuthMethod | None,
    private_key: PrivateKey | None,
    client_assertion: ClientAssertion | None,
    key_id: str | None,
    signing_algorithm: SigningAlgorithm | None,
    policy: RenewalPolicy | None,
    on_event: OnEvent | None,
    token_http: Any,
    cert: str | tuple[str, ...] | None,
    verify: Any,
    proxy: str | None,
    clock: Callable[[], float] | None,
    step_up: OnDemand,
    consent_ended: OnDemand,
    dpop: DpopSetting,
) -> ClientState:
    """The state of a new client. Raises `ConfigurationError`."""
    policy = RenewalPolicy() if policy is None else policy
    if not isinstance(policy, RenewalPolicy):
        raise ConfigurationError(
            f"policy must be a RenewalPolicy, not {quoted(policy)}",
            parameter="policy",
            remedy="pass RenewalPolicy(...), or None",
        )
    for parameter, value in (("on_event", on_event), ("clock", clock)):
        if value is not None and not callable(value):
            raise ConfigurationError(
                f"{parameter} must be a callable, not {quoted(value)}",
                parameter=parameter,
                remedy="pass a function, or None",
            )
    _check_on_demand("step_up", step_up)
    _check_on_demand("consent_ended", consent_ended)
    if clock is not None:
        _check_clock(clock)
    if redirect_uri is not None:
        check_redirect_uri(redirect_uri)
    method = client_auth or _best_method(
        provider, client_secret, cert, token_http, has_key=private_key is not None, assertion=client_assertion
    )
    # A `requests.Session` shows its certificate; an httpx client does not.
    if cert is not None or method in BY_CERTIFICATE or getattr(token_http, "cert", None):
        provider = provider.with_certificate()
    return ClientState(
        provider=provider,
        credentials=ClientCredentials(
            client_id,
            client_secret,
            method,
            provider.basic_encoding,
            private_key,
            key_id,
            signing_algorithm,
            provider.assertion_algorithms,
            has_certificate=cert is not None or token_http is not None or isinstance(verify, ssl.SSLContext),
            client_assertion=client_assertion,
        ),
        redirect_uri=redirect_uri,
        store=_store_of(store),
        policy=policy,
        network=Network(policy=policy, verify=verify, cert=cert, proxy=proxy, client=token_http),
        on_event=on_event,
        clock=clock,
        step_up=step_up,
        consent_ended=consent_ended,
        dpop=dpop,
    )


def _store_of(store: TokenStore | AsyncTokenStore | str | None) -> TokenStore:
    if store is None:
        return MemoryStore()
    if isinstance(store, os.PathLike):
        raise ConfigurationError(
            "store must be a store or its URL, not a path",
            parameter="store",
            remedy="pass SQLiteStore(path) or FileStore(path)",
        )
    if not isinstance(store, str):
        return as_token_store(store)
    # Imported here: most programs pass a store.
    from ..stores._urls import open_store

    try:
        return open_store(store)
    except ConfigurationError as refused:
        # The user passed it as `store`.
        problem, parameter = f"store: {refused.problem}", "store" if refused.parameter == "url" else refused.parameter
        error = refused.replace(problem=problem, parameter=parameter)
    raise error


def _best_method(
    provider: Provider, secret: object, cert: object, token_http: object, *, has_key: bool, assertion: object
) -> ClientAuthMethod:
    if assertion is not None:
        # The request is that of private_key_jwt: who has the key is all that differs.
        return "private_key_jwt"
    if not provider.client_auth_supported:
        return provider.client_auth
    best = choose_method(
        provider.client_auth_supported,
        has_key=has_key,
        # The user's own HTTP client may have a certificate. That is assumed only if there is no key and no secret.
        has_certificate=cert is not None or (token_http is not None and not has_key and not secret),
        has_secret=bool(secret),
    )
    if best is None:
        raise ConfigurationError(
            f"client_auth: {provider.display_name} supports {', '.join(provider.client_auth_supported)}, but the "
            "given credentials fit no method of these",
            parameter="client_auth",
            remedy="pass the client_secret, private_key or cert that one of them needs",
        )
    return best


def _check_on_demand(parameter: str, value: object) -> None:
    if value not in ("event", "raise"):
        raise ConfigurationError(
            f'{parameter} must be "event" or "raise", not {quoted(value)}',
            parameter=parameter,
            remedy='pass "raise" for a SignInRequired in place of the response of the API, or leave it out',
        )


def _check_clock(clock: Callable[[], object]) -> None:
    try:
        now = clock()
    except Exception as error:  # noqa: BLE001 - a user's callable may raise anything
        problem = f"clock raised {type(error).__name__}"
    else:
        if is_number(now):
            return
        problem = f"clock returned a value of type {type(now).__name__}, not a number"
    raise ConfigurationError(
        problem, parameter="clock", remedy="pass a function that returns UTC epoch seconds, or None for time.time"
    )
