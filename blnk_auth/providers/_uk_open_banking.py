"""A bank of UK Open Banking, or any other server of the FAPI 1.0 Advanced kind: private_key_jwt over mutual TLS.

Used by users of such a bank, through `blnk_auth.providers`. It promises requests as the OBIE Read/Write profile defines
them, with a new `x-fapi-interaction-id` for each call. It was never tried with a real bank. Request objects and payment
signatures are not part of it. Where the bank wants pushed authorization requests, pass its endpoint as a setting.
"""

from __future__ import annotations

import uuid
from typing import Any, Unpack

from .._protocol.http_messages import Call
from ..errors._pickling import public
from ..provider import Provider, ProviderSettings


@public
def UKOpenBanking(  # noqa: N802 - reads as the name of a provider
    *, name: str, issuer: str, token_endpoint: str, **settings: Unpack[ProviderSettings]
) -> Provider:
    """A bank as a provider, by the OBIE Read/Write profile and FAPI 1.0 Advanced; not verified against a real bank.

    May be called from any thread.

    Source: https://openid.net/specs/openid-financial-api-part-2-1_0.html

    Args:
        name: Part of the key under which tokens are stored.
        issuer: The URL in the bank's metadata.
        token_endpoint: The URL in the bank's metadata.
        **settings: Further settings of `Provider`, among them its `api_origins`.

    Returns:
        The provider.

    Raises:
        ConfigurationError: A setting cannot work; `parameter` names it.
    """
    given: dict[str, Any] = {
        "client_auth": "private_key_jwt",
        # FAPI 1.0 Advanced section 8.6 allows these two only.
        "assertion_algorithms": ("PS256", "ES256"),
        "api_headers": uk_open_banking_interaction,
        "requires_scope": True,
        **settings,
    }
    return Provider(name=name, issuer=issuer, token_endpoint=token_endpoint, **given)


@public
def uk_open_banking_interaction(_call: Call) -> dict[str, str]:
    """The header that identifies one API call to the bank. Used as `Provider.api_headers`.

    May be called from any thread.

    Source: https://openid.net/specs/openid-financial-api-part-1-1_0.html (section 6.2.2)

    Returns:
        `x-fapi-interaction-id` with a new UUID, also for a call that is repeated.
    """
    return {"x-fapi-interaction-id": str(uuid.uuid4())}
