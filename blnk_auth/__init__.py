"""blnk_auth: an auth plug-in for requests, httpx and httpx2 that renews OAuth 2.0 tokens exactly once.

Used by applications, and by authors of stores and providers. Importing it never imports an HTTP client, a store or
authlib: each public name is loaded when it is first used (PEP 562).
"""

from __future__ import annotations

import sys

__version__ = "0.1.0"
"""The build reads it from here, so a checkout and its wheel cannot disagree."""

# As type checkers know it, without `typing`, whose import takes longer than this package's.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from importlib.machinery import ModuleSpec

    from ._protocol.http_messages import ApiAnswer, Call
    from ._protocol.refusals import Refusal, Verdict
    from ._protocol.signing import Signer
    from ._renewal.keepalive import KeepaliveFailure, KeepaliveReport
    from ._sign_in.device import DeviceAuthorization
    from ._sign_in.start_authorization import AuthorizationRequest
    from .aiohttp import AiohttpAuth
    from .auth import Auth
    from .client import OAuthClient
    from .errors import (
        BlnkAuthError,
        ConfigurationError,
        Conflict,
        ProtocolError,
        SignInReason,
        SignInRequired,
        StoreError,
        TemporarilyUnavailable,
    )
    from .events import Event, EventName
    from .httpx import HttpxAuth
    from .httpx2 import Httpx2Auth
    from .policy import RenewalPolicy
    from .provider import Provider
    from .providers import BLink, BlnkCloud, Flinks
    from .requests import RequestsAuth
    from .resource import ClientMetadata, ProtectedResource
    from .source import StaticToken, TokenSource
    from .stores import (
        DueStore,
        EncryptedStore,
        FileStore,
        KeyringStore,
        KeyValueStore,
        MemoryStore,
        Record,
        RedisStore,
        SimpleStore,
        SQLiteStore,
        SQLStore,
        TokenStore,
    )
    from .token import Token

__all__ = [
    "AiohttpAuth",
    "ApiAnswer",
    "Auth",
    "AuthorizationRequest",
    "BLink",
    "BlnkAuthError",
    "BlnkCloud",
    "Call",
    "ClientMetadata",
    "ConfigurationError",
    "Conflict",
    "DeviceAuthorization",
    "DueStore",
    "EncryptedStore",
    "Event",
    "EventName",
    "FileStore",
    "Flinks",
    "Httpx2Auth",
    "HttpxAuth",
    "KeepaliveFailure",
    "KeepaliveReport",
    "KeyValueStore",
    "KeyringStore",
    "MemoryStore",
    "OAuthClient",
    "ProtectedResource",
    "ProtocolError",
    "Provider",
    "Record",
    "RedisStore",
    "Refusal",
    "RenewalPolicy",
    "RequestsAuth",
    "SQLStore",
    "SQLiteStore",
    "SignInReason",
    "SignInRequired",
    "Signer",
    "SimpleStore",
    "StaticToken",
    "StoreError",
    "TemporarilyUnavailable",
    "Token",
    "TokenSource",
    "TokenStore",
    "Verdict",
    "__version__",
]

_HOME = {
    "AiohttpAuth": "aiohttp",
    "ApiAnswer": "_protocol.http_messages",
    "Auth": "auth",
    "AuthorizationRequest": "_sign_in.start_authorization",
    "BLink": "providers",
    "BlnkAuthError": "errors",
    "BlnkCloud": "providers",
    "Call": "_protocol.http_messages",
    "ClientMetadata": "resource",
    "ConfigurationError": "errors",
    "Conflict": "errors",
    "DeviceAuthorization": "_sign_in.device",
    "DueStore": "stores",
    "EncryptedStore": "stores",
    "Event": "events",
    "EventName": "events",
    "FileStore": "stores",
    "Flinks": "providers",
    "Httpx2Auth": "httpx2",
    "HttpxAuth": "httpx",
    "KeepaliveFailure": "_renewal.keepalive",
    "KeepaliveReport": "_renewal.keepalive",
    "KeyValueStore": "stores",
    "KeyringStore": "stores",
    "MemoryStore": "stores",
    "OAuthClient": "client",
    "ProtectedResource": "resource",
    "ProtocolError": "errors",
    "Provider": "provider",
    "Record": "stores",
    "RedisStore": "stores",
    "Refusal": "_protocol.refusals",
    "RenewalPolicy": "policy",
    "RequestsAuth": "requests",
    "SQLStore": "stores",
    "SQLiteStore": "stores",
    "SignInReason": "errors",
    "SignInRequired": "errors",
    "Signer": "_protocol.signing",
    "SimpleStore": "stores",
    "StaticToken": "source",
    "StoreError": "errors",
    "TemporarilyUnavailable": "errors",
    "Token": "token",
    "TokenSource": "source",
    "TokenStore": "stores",
    "Verdict": "_protocol.refusals",
}


def __getattr__(name: str) -> object:
    from .errors._extras import public_name

    return public_name(name, __name__, _HOME)


class _MovedModules:
    """Asked last, when nothing else finds a module: a pickle of an earlier version may name one that has moved."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        if not name.startswith(f"{__name__}."):
            return None
        from ._pickles import find_spec

        return find_spec(name)


sys.meta_path.append(_MovedModules())


def __dir__() -> list[str]:
    return sorted(__all__)
