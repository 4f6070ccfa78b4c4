"""Mastercard Open Finance Europe (formerly Aiia): a JSON body together with HTTP Basic.

Used by users of that service, through `blnk_auth.providers`. It promises requests as
developer.mastercard.com/open-finance-europe (refreshing) documents them: access tokens for an hour, refresh tokens for
14 days. It was never tried with the real service. Its user passes the URLs.
"""

from __future__ import annotations

from ..errors._pickling import public
from ..provider import Provider


@public
def MastercardOpenFinanceEurope(  # noqa: N802 - reads as the name of a provider
    *, token_endpoint: str, authorization_endpoint: str, api_origins: tuple[str, ...]
) -> Provider:
    """Mastercard Open Finance Europe as a provider, as documented at developer.mastercard.com/open-finance-europe.

    Not verified against the real service.

    May be called from any thread. Source: https://developer.mastercard.com/open-finance-europe

    Args:
        token_endpoint: The URL in your environment.
        authorization_endpoint: The URL in your environment.
        api_origins: The origins of its APIs, which may receive its tokens.

    Returns:
        The provider, whose refresh tokens expire 14 days after their last use.

    Raises:
        ConfigurationError: A URL cannot be used.
    """
    return Provider(
        name="mastercard_open_finance_europe",
        display_name="Mastercard Open Finance Europe",
        token_endpoint=token_endpoint,
        authorization_endpoint=authorization_endpoint,
        api_origins=api_origins,
        grants=("authorization_code", "refresh_token"),
        client_auth="client_secret_basic",
        token_body="json",
        refresh_idle_lifetime=14 * 86_400.0,
    )
