"""blnk_auth: an auth plug-in for requests, httpx and httpx2 that renews OAuth 2.0 tokens exactly once.

Importing this package imports no HTTP client, no store and no authlib: each public name is loaded when it is first
used (PEP 562).
"""

from __future__ import annotations

import importlib

__version__ = "0.1.0"
"""The build reads it from here, so a checkout and its wheel cannot disagree."""

# As type checkers know it, without `typing`, whose import takes longer than this package's.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from ._protocol.assertions import Signer
    from ._sign_in.authorization_code import AuthorizationRequest
    from ._sign_in.device import DeviceAuthorization
    from .client import OAuthClient
    from .errors import (
        BlnkAuthError,
        ConfigurationError,
        ProtocolError,
        SignInRequired,
        StoreError,
        TemporarilyUnavailable,
    )
    from .events import Event
    from .httpx import HttpxAuth
    from .httpx2 import Httpx2Auth
    from .policy import RenewalPolicy
    from .provider import Provider
    from .providers._blink import BLink
    from .providers._blnk_cloud import BlnkCloud
    from .providers._flinks import Flinks
    from .requests import RequestsAuth
    from .source import StaticToken, TokenSource
    from .stores._encrypted import EncryptedStore
    from .stores._file import FileStore
    from .stores._key_value import KeyValueStore
    from .stores._keyring import KeyringStore
    from .stores._memory import MemoryStore
    from .stores._redis import RedisStore
    from .stores._sql import SQLStore
    from .stores._sqlite import SQLiteStore
    from .stores._token_store import TokenStore
    from .token import Token

__all__ = [
    "AuthorizationRequest",
    "BLink",
    "BlnkAuthError",
    "BlnkCloud",
    "ConfigurationError",
    "DeviceAuthorization",
    "EncryptedStore",
    "Event",
    "FileStore",
    "Flinks",
    "Httpx2Auth",
    "HttpxAuth",
    "KeyValueStore",
    "KeyringStore",
    "MemoryStore",
    "OAuthClient",
    "ProtocolError",
    "Provider",
    "RedisStore",
    "RenewalPolicy",
    "RequestsAuth",
    "SQLStore",
    "SQLiteStore",
    "SignInRequired",
    "Signer",
    "StaticToken",
    "StoreError",
    "TemporarilyUnavailable",
    "Token",
    "TokenSource",
    "TokenStore",
    "__version__",
]

_HOME = {
    "AuthorizationRequest": "_sign_in.authorization_code",
    "BLink": "providers",
    "BlnkAuthError": "errors",
    "BlnkCloud": "providers",
    "ConfigurationError": "errors",
    "DeviceAuthorization": "_sign_in.device",
    "EncryptedStore": "stores",
    "Event": "events",
    "FileStore": "stores",
    "Flinks": "providers",
    "Httpx2Auth": "httpx2",
    "HttpxAuth": "httpx",
    "KeyValueStore": "stores",
    "KeyringStore": "stores",
    "MemoryStore": "stores",
    "OAuthClient": "client",
    "ProtocolError": "errors",
    "Provider": "provider",
    "RedisStore": "stores",
    "RenewalPolicy": "policy",
    "RequestsAuth": "requests",
    "SQLStore": "stores",
    "SQLiteStore": "stores",
    "SignInRequired": "errors",
    "Signer": "_protocol.assertions",
    "StaticToken": "source",
    "StoreError": "errors",
    "TemporarilyUnavailable": "errors",
    "Token": "token",
    "TokenSource": "source",
    "TokenStore": "stores",
}


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
