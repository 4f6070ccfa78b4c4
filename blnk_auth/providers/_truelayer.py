"""TrueLayer's Data API: form bodies, the secret in the body, refresh tokens that must be used every 30 days.

Used by users of that service, through `blnk_auth.providers`. It promises requests as support.truelayer.com 360002750513
(refresh tokens) documents them. It was never tried with the real service: the hosts, and that credentials are deleted
through its own API instead of RFC 7009, are general knowledge. Payments need signed requests, which are not part of it.
"""

from __future__ import annotations

from ..errors._pickling import public
from ..provider import Provider


@public
def TrueLayer(*, sandbox: bool = False, api_origins: tuple[str, ...] = ()) -> Provider:  # noqa: N802 - a provider's name
    """TrueLayer's Data API as a provider, by its public documentation; not verified against the real service.

    May be called from any thread. Source: https://support.truelayer.com (article 360002750513, refresh tokens)

    Args:
        sandbox: True for its test environment. Default: False.
        api_origins: Further origins that may receive its tokens. Default: none.

    Returns:
        The provider, whose refresh tokens expire 30 days after their last use.

    Raises:
        ConfigurationError: One of `api_origins` cannot be used.
    """
    domain = "truelayer-sandbox.com" if sandbox else "truelayer.com"
    return Provider(
        name="truelayer",
        display_name="TrueLayer",
        authorization_endpoint=f"https://auth.{domain}/",
        token_endpoint=f"https://auth.{domain}/connect/token",
        api_origins=(f"https://api.{domain}", *api_origins),
        client_auth="client_secret_post",
        requires_scope=True,
        revocation_advice="delete the credentials through TrueLayer's API",
        refresh_idle_lifetime=30 * 86_400.0,
    )
