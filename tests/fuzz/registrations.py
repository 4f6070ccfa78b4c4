"""Target: what a registration endpoint sends (RFC 7591)."""

from __future__ import annotations

import json
from typing import Any

from fuzz.responses import HEADERS, MEMBERS, NOW, STATUSES
from fuzz.strategies import json_bodies
from fuzz.target import Target, check_message
from hypothesis import strategies as st

from blnk_auth import BlnkAuthError, MemoryStore
from blnk_auth._protocol.client_authentication import ClientCredentials
from blnk_auth._protocol.http_messages import HttpResponse
from blnk_auth._resource.client_identity import IdentitySettings
from blnk_auth._resource.learned import Learned
from blnk_auth._resource.registering import identify

ISSUER = "https://as.acme.test"
SECRET = "s3cret-of-the-client-that-was-registered-now"
LOOPBACK = "http://127.0.0.1/callback"

DOCUMENTS: list[dict[str, Any]] = [
    {"client_id": "id-1", "token_endpoint_auth_method": "none", "redirect_uris": [LOOPBACK]},
    {
        "client_id": "id-1",
        "client_secret": SECRET,
        "client_secret_expires_at": 1_900_000_000,
        "client_id_issued_at": 1_800_000_000,
        "registration_access_token": f"{SECRET}-2",
        "registration_client_uri": f"{ISSUER}/register/id-1",
        "token_endpoint_auth_method": "client_secret_basic",
        "redirect_uris": ["http://127.0.0.1:8765/callback"],
        "grant_types": ["authorization_code"],
    },
    {"error": "invalid_client_metadata", "error_description": f"scope, and {SECRET}", "client_secret": SECRET},
    {"error": "invalid_redirect_uri", "error_description": "not on the list"},
]
_NAMES = sorted({name for document in DOCUMENTS for name in document} | {*MEMBERS})


def check_registration(value: tuple[int, dict[str, str], bytes]) -> None:
    """A client that can authenticate and is read from the store as it was stored; or an error without a secret."""
    answer = HttpResponse(*value)
    store, asked = MemoryStore(), []

    def send(request: Any) -> HttpResponse:
        asked.append(json.loads(request.body))
        return answer

    def identified() -> Any:
        return identify(
            LEARNED,
            IdentitySettings(redirect_uri=LOOPBACK),
            send=send,
            store=store,
            clock=lambda: NOW,
            monotonic=lambda: 0.0,
            lock_timeout=1.0,
            events=[],
        )

    try:
        found = identified()
    except BlnkAuthError as error:
        check_message(str(error))
        assert SECRET not in f"{error!r} {error}"
        assert list(store.keys()) == []
    else:
        assert found.is_usable(NOW)
        ClientCredentials(found.client_id, found.client_secret, found.client_auth)
        assert identified() == found
    assert len(asked) <= 2


LEARNED = Learned(
    f"{ISSUER}/mcp",
    f"{ISSUER}/mcp",
    ISSUER,
    {"name": "acme", "issuer": ISSUER, "token_endpoint": f"{ISSUER}/token"},
    ("read",),
    None,
    {
        "registration_endpoint": f"{ISSUER}/register",
        "client_id_metadata_document_supported": False,
        "scopes_supported": (),
        "token_endpoint_auth_methods_supported": (),
        "grant_types_supported": (),
    },
    NOW,
)

TARGETS = (
    Target(
        "registration",
        st.tuples(STATUSES, HEADERS, json_bodies(DOCUMENTS, _NAMES) | st.binary(max_size=60)),
        check_registration,
    ),
)
