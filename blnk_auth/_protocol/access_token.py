"""What an access token that is a JWT shows to a client: a hint, since only the server can verify it. Pure.

Used by the request flow, through `_renewal`, and by providers whose responses leave out what their tokens have. It
promises never to raise, for any token. It never verifies a signature.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any, cast

from ..token import Token
from .documents import read_json_object

_LONGEST = 65_536
"""In characters; a longer token is not read."""


def claims_of(access_token: object) -> Mapping[str, Any]:
    """The claims of an access token that is a JWT (RFC 7519); empty for any other."""
    if not isinstance(access_token, str) or len(access_token) > _LONGEST or access_token.count(".") != 2:
        return {}
    payload = access_token.split(".")[1]
    try:
        return read_json_object(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))) or {}
    except ValueError:
        return {}


def is_certificate_bound(token: Token) -> bool:
    """Whether a token is bound to a client certificate, as far as it shows that itself (RFC 8705 section 3.1)."""
    confirmation = claims_of(token.access_token).get("cnf")
    return isinstance(confirmation, Mapping) and isinstance(
        cast("Mapping[str, Any]", confirmation).get("x5t#S256"), str
    )
