"""Every provider that tests use: a plain one, the three by name at a sandbox, and the one that describes itself.

Used by the worlds, and by tests that make a client of their own. `acme` is at made-up hosts, for tests without a
network; `acme_at` is at a server of the test's own.
"""

from __future__ import annotations

from typing import Any

from blnk_auth import Provider
from blnk_auth.testing import Sandbox
from blnk_auth.testing._client import provider_of

TOKEN_ENDPOINT = "https://as.acme.test/token"
AUTHORIZATION_ENDPOINT = "https://as.acme.test/authorize"
API = "https://api.acme.test"

USER_AGENT = "Acme Moneymaker v2.0"
DAY = 86_400.0

NAMES = ("blnk_cloud", "blink", "flinks")
SCOPES = {
    "blnk_cloud": "data:read",
    "blink": "urn:blink:xs2a:ais",
    "flinks": "ACCOUNT_BASIC",
    "mcp": "ledgers:read",
}
API_PATHS = {
    "blnk_cloud": "/data/ledgers",
    "blink": "/ais/v6/accounts",
    "flinks": "/api/fdx/5/accounts",
    "mcp": "/mcp/ledgers",
}
LIFETIMES = {"blnk_cloud": 3600.0, "blink": DAY, "flinks": 299.0, "mcp": 3600.0}
"""Seconds for which each one's access token is good."""


def acme(**settings: Any) -> Provider:
    """A plain provider."""
    given: dict[str, Any] = {
        "name": "acme",
        "token_endpoint": TOKEN_ENDPOINT,
        "authorization_endpoint": AUTHORIZATION_ENDPOINT,
        "api_origins": (API,),
        **settings,
    }
    return Provider(**given)


def acme_at(origin: str, *api_origins: str, **settings: Any) -> Provider:
    """A plain provider whose token endpoint is `/token` of a running server; its API is there too, or elsewhere."""
    given: dict[str, Any] = {
        "name": "acme",
        "token_endpoint": f"{origin}/token",
        "api_origins": api_origins or (origin,),
        **settings,
    }
    return Provider(**given)


def provider_at(sandbox: Sandbox, name: str, **settings: Any) -> Provider:
    """The named provider, at a sandbox that plays it."""
    return provider_of(sandbox, **({"user_agent": USER_AGENT, **settings} if name == "blink" else settings))
