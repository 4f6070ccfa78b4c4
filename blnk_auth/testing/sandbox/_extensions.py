"""What a sandbox can do beyond its provider: the extensions of OAuth 2.0 that a test switches on by name.

Used by `Sandbox`, by `blnk-auth sandbox` and by the personalities. It promises a `SettingError` for a name that the
personality does not have. It never switches on what nobody asked for: by default, a sandbox plays its provider.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Literal, cast, get_args

from ._setting_checks import SettingError

Extension = Literal[
    "par",
    "par_required",
    "rar",
    "grant_management",
    "dpop",
    "dpop_required",
    "dpop_nonce",
    "dpop_nonce_changes",
    "mtls",
    "step_up",
    "token_exchange",
    "jwt_bearer",
    "consent_3",
]
"""The name of an extension.

Of Blnk Cloud's personality:

* "par": authorization requests may be pushed (RFC 9126). "par_required": they must be.
* "rar": `authorization_details` are understood (RFC 9396).
* "grant_management": responses have a `grant_id`, and grants can be merged, replaced, queried and revoked (OpenID).
* "dpop": tokens that are asked for with a proof are bound to its key (RFC 9449). "dpop_required": a token request must
  have a proof.
* "dpop_nonce": each proof must have a nonce, which stays the same. "dpop_nonce_changes": there is a new nonce in each
  second of the sandbox's clock.
* "mtls": tokens that are asked for with a client certificate are bound to it (RFC 8705). Needs TLS.
* "token_exchange": access tokens are exchanged for others and for assertions (RFC 8693).
* "jwt_bearer": such an assertion is exchanged for an access token (RFC 7523).
* "step_up": the API wants the documented scope, and for changes a recent and stronger sign-in (RFC 9470).

Of bLink's:

* "consent_3": Consent 3.0 instead of 2.0, with pushed requests, `grant_id` and the exchange of permissions.
"""

IMPLIED: Mapping[Extension, tuple[Extension, ...]] = {
    "par_required": ("par",),
    "dpop_required": ("dpop",),
    "dpop_nonce": ("dpop",),
    "dpop_nonce_changes": ("dpop", "dpop_nonce"),
}
"""What is on as well when an extension is."""

OF_PERSONALITY: Mapping[str, tuple[Extension, ...]] = {
    "blnk_cloud": tuple(name for name in get_args(Extension) if name != "consent_3"),
    "blink": ("consent_3",),
    "flinks": (),
}
"""The extensions that each personality has."""


def checked_extensions(names: Collection[str], personality: str, *, has_tls: bool) -> frozenset[Extension]:
    """The extensions of these names, with what they imply; otherwise `SettingError`."""
    if isinstance(names, str):
        raise SettingError("extensions", f"must be a list of names, such as ({names!r},)")
    known = OF_PERSONALITY.get(personality, ())
    for name in names:
        if name not in known:
            there = f"known are: {', '.join(known)}" if known else "it has none"
            raise SettingError("extensions", f"{name!r} is not an extension of {personality!r}; {there}")
    if "mtls" in names and not has_tls:
        raise SettingError("extensions", "'mtls' needs tls, over which clients show their certificates")
    chosen = cast("Collection[Extension]", names)
    return frozenset([*chosen, *(implied for name in chosen for implied in IMPLIED.get(name, ()))])
