"""What is pickled in tests: values of every public class that is, errors, and what the first commits of 0.1.0 made.

Used by the tests of pickles, and by those that damage one. It unpickles nothing.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

from support.providers import acme

from blnk_auth import (
    AuthorizationRequest,
    BLink,
    BlnkAuthError,
    BlnkCloud,
    ConfigurationError,
    Conflict,
    DeviceAuthorization,
    Event,
    Flinks,
    ProtocolError,
    Record,
    RenewalPolicy,
    Signer,
    SignInRequired,
    StoreError,
    TemporarilyUnavailable,
    Token,
)
from blnk_auth.providers import TrueLayer, UKOpenBanking

EARLIER: dict[str, str] = json.loads((Path(__file__).parent.parent / "data" / "pickles_of_0_1.json").read_text())

ACME = acme()

BLINK = BLink(
    base_url="https://api.b.test",
    authorization_endpoint="https://bank.test/authorize",
    target_id="IIDX99999",
    username="u",
    user_agent="Acme 1.0",
)

VALUES: dict[str, object] = {
    "token": Token(
        "at",
        refresh_token="rt",
        expires_at=1790000000.0,
        issued_at=1789996400.0,
        scope="a b",
        extra={"grant_id": "g"},
    ),
    "policy": RenewalPolicy(jitter=0.1),
    "event": Event("renewed", "token/x", "detail"),
    "provider": ACME,
    "provider_replaced": dataclasses.replace(ACME, name="acme2", token_headers={"A": "b"}),
    "blnk_cloud": BlnkCloud(),
    "flinks": Flinks(host="ob.flinksapp.com"),
    "truelayer": TrueLayer(),
    "uk": UKOpenBanking(
        name="bank",
        issuer="https://as.bank.test",
        token_endpoint="https://as.bank.test/token",
        api_origins=("https://api.bank.test",),
    ),
    "signer": Signer(bytes, algorithm="ES256"),
    "authorization_request": AuthorizationRequest("https://u", "st", 1.0),
    "device_authorization": DeviceAuthorization("UC", "https://v", None, 1.0, 5.0, "dc"),
    "record": Record({"a": 1}, "v1"),
}
"""What is pickled, by the name that a committed pickle has. It holds no secret of a user's."""

ERRORS: list[BlnkAuthError] = [
    BlnkAuthError("m"),
    SignInRequired(
        "why; do",
        reason="refused",
        subject="alice",
        error="invalid_grant",
        error_description="d",
        status_code=400,
    ),
    TemporarilyUnavailable("x", retry_after=2.0),
    ConfigurationError("c"),
    StoreError("s"),
    Conflict("k"),
    ProtocolError("p"),
]
