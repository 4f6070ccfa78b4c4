"""Blnk Cloud, the hosted side of Blnk Finance.

Used by users of Blnk, as `blnk_auth.BlnkCloud`. It promises requests as Blnk documents them: form bodies, HTTP Basic
with the unencoded id and secret, a new refresh token with every renewal, no revocation endpoint. It never contacts Blnk
Core, which has API keys of its own. Sources: docs.blnkfinance.com/cloud/auth/oauth,
.../cloud/reference/get-access-token, .../refresh-access-token and the metadata at
/.well-known/oauth-authorization-server.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from .._protocol.challenges import renewal_may_help
from .._protocol.http_messages import ApiAnswer
from .._protocol.origins import origins_of_provider, parse_base_url
from ..errors._pickling import public
from ..provider import Provider

BLNK_CLOUD_URL = "https://api.cloud.blnkfinance.com"
"""The base URL of the hosted Cloud."""


@public
def BlnkCloud(*, base_url: str = BLNK_CLOUD_URL, api_origins: Iterable[str] = ()) -> Provider:  # noqa: N802 - reads as the name of a provider
    """Blnk Cloud as a provider, as documented at docs.blnkfinance.com/cloud/auth/oauth.

    The scopes and the expiry of an OAuth client are chosen when it is created. After its expiry nothing can be renewed.

    May be called from any thread. Source: https://docs.blnkfinance.com/cloud/auth/oauth

    Args:
        base_url: The URL of a self-hosted Cloud (Production License). Default: the hosted one.
        api_origins: Further origins that may receive its tokens; its own always may. Default: none.

    Returns:
        The provider.

    Raises:
        ConfigurationError: A URL cannot be used.
    """
    origin, base_url = parse_base_url(base_url, "base_url")
    return Provider(
        name="blnk_cloud",
        display_name="Blnk Cloud",
        issuer=base_url,
        authorization_endpoint=f"{base_url}/oauth/authorize",
        token_endpoint=f"{base_url}/oauth/token",
        api_origins=origins_of_provider((origin,), api_origins),
        grants=("authorization_code", "refresh_token"),
        client_auth="client_secret_basic",
        # Every page shows `curl -u`, which does not percent-encode.
        basic_encoding="raw",
        is_rejection=is_blnk_cloud_rejection,
        reads_rejection_body=True,
        revocation_advice=(
            "revoke the OAuth client in the Blnk Cloud dashboard, which ends every integration that uses it"
        ),
    )


@public
def is_blnk_cloud_rejection(answer: ApiAnswer) -> bool:
    """Whether a response of the API is a rejection that a new token may resolve. Used as `Provider.is_rejection`.

    May be called from any thread.

    Source: https://docs.blnkfinance.com/cloud/auth/oauth

    Args:
        answer: The response, with a rejection status.

    Returns:
        True for a 401 that Cloud itself sent. A 401 that Core sent through /proxy rejects Cloud's own key, not the
        user's token.
    """
    return renewal_may_help(answer) and not _is_core_rejection(answer.body)


def _is_core_rejection(body: bytes | None) -> bool:
    try:
        document: Any = json.loads(body or b"")
        code: Any = document["error_detail"]["code"]
    except (ValueError, RecursionError, TypeError, KeyError):
        return False
    return isinstance(code, str) and code.startswith("AUTH_")
