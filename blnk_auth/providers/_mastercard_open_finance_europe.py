"""Mastercard Open Finance Europe (formerly Aiia): a JSON body together with HTTP Basic.

From developer.mastercard.com/open-finance-europe (refreshing): access tokens for an hour, refresh tokens for 14 days.
Not verified against the real service; the paths are given by its user.
"""

from __future__ import annotations

from ..provider import Provider


def MastercardOpenFinanceEurope(  # noqa: N802 - reads as the name of a provider
    *, token_endpoint: str, authorization_endpoint: str, api_origins: tuple[str, ...]
) -> Provider:
    """Mastercard Open Finance Europe as a provider; the URLs are those of your environment."""
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
