"""A bank of UK Open Banking, or any other server of the FAPI 1.0 Advanced kind: private_key_jwt over mutual TLS.

From the OBIE Read/Write profile: fresh `x-fapi-interaction-id` for each call. Not verified against a real bank, and
request objects, PAR and payment signatures are not part of it.
"""

from __future__ import annotations

import uuid
from typing import Any

from .._protocol.http_messages import Call
from ..errors._pickling import public
from ..provider import Provider


def UKOpenBanking(*, name: str, issuer: str, token_endpoint: str, **settings: Any) -> Provider:  # noqa: N802 - a name
    """A bank as a provider. `settings`: further ones of `Provider`, among them its `api_origins`."""
    # FAPI 1.0 Advanced: these two only (section 8.6); and the interaction id is that of one call, also of a retry.
    signing = {"client_auth": "private_key_jwt", "assertion_algorithms": ("PS256", "ES256")}
    usual: dict[str, Any] = {**signing, "api_headers": uk_open_banking_interaction, "requires_scope": True}
    return Provider(name=name, issuer=issuer, token_endpoint=token_endpoint, **{**usual, **settings})


@public
def uk_open_banking_interaction(_call: Call) -> dict[str, str]:
    """The header that names one API call to the bank; another one for a call that is repeated."""
    return {"x-fapi-interaction-id": str(uuid.uuid4())}
