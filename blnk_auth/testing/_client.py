"""The client of a sandbox: the provider that it plays, with the client that is registered there.

Used by the fixture `blnk_client`. It promises a client that works without another setting. It never starts a sandbox.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .. import BLink, BlnkCloud, Flinks, OAuthClient, Provider, RenewalPolicy, TokenStore
from .sandbox import Sandbox, blink, flinks, mcp


def client_of(sandbox: Sandbox, *, store: TokenStore, clock: Callable[[], float]) -> OAuthClient:
    """The registered client. A request whose response was lost is repeated without a pause, so that no test waits."""
    from .sandbox import blink

    # bLink knows a client by its certificate, or, without TLS, by its id alone.
    is_blink = isinstance(sandbox.personality, blink.BLink)
    return OAuthClient(
        provider_of(sandbox),
        client_id=sandbox.client_id,
        client_secret=None if is_blink else sandbox.client_secret,
        redirect_uri=sandbox.redirect_uri,
        store=store,
        clock=clock,
        policy=RenewalPolicy(lost_answer_delay=0),
        dpop=True if "dpop" in sandbox.personality.extensions else None,
    )


def provider_of(sandbox: Sandbox, **settings: Any) -> Provider:
    """The provider that a sandbox plays, at the sandbox; `settings` are added to those that it needs."""
    if isinstance(sandbox.personality, flinks.Flinks):
        return Flinks(host=sandbox.origin, **settings)
    if isinstance(sandbox.personality, blink.BLink):
        usual: dict[str, Any] = {
            "base_url": sandbox.origin + blink.BASE_PATH,
            "authorization_endpoint": sandbox.origin + blink.authorize_path(),
            "target_id": blink.DEFAULT_TARGET,
            "user_agent": "Acme/1.0",
            "username": _own_name,
            "client_auth": "none",
            "consent": sandbox.personality.consent,
        }
        return BLink(**{**usual, **settings})
    is_discovered = isinstance(sandbox.personality, mcp.MCP) or sandbox.personality.has_device_grant
    if is_discovered or sandbox.personality.extensions:
        # These are not Blnk Cloud's: the server describes itself.
        further: tuple[str, ...] = tuple(settings.pop("api_origins", ()))
        return Provider.discover(sandbox.origin, **settings, api_origins=(sandbox.origin, *further))
    return BlnkCloud(base_url=sandbox.origin, **settings)


def _own_name(subject: str | None) -> str:
    """In the sandbox the e-banking user has the subject's own name."""
    return subject or ""
