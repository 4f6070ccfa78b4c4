"""The metadata of Blnk Cloud's personality (RFC 8414): what Blnk's document has, and a member for each extension.

Used by that personality. It promises to list all that the sandbox does. It never lists what the sandbox does not do.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from ._authorization_details import TYPES
from ._demands import ACRS
from ._device import DEVICE_AUTHORIZATION_PATH, DEVICE_GRANT
from ._extensions import Extension
from ._grant_management import PATH as GRANTS_PATH
from ._issued import CODE_CHALLENGE_METHODS
from ._managed_grants import ACTIONS
from ._token_binding import MTLS_PREFIX

TOKEN_PATH = "/oauth/token"
PAR_PATH = "/oauth/par"


def metadata(
    origin: str,
    *,
    grants: Collection[str],
    has_device_grant: bool,
    extensions: Collection[Extension],
    proof_algorithms: Collection[str],
    is_public: bool,
) -> dict[str, Any]:
    """The document of the server at `origin`, which has these grant types.

    `is_public`: whether its client has no secret.
    """
    members: dict[str, Any] = {
        "issuer": origin,
        "authorization_endpoint": f"{origin}/oauth/authorize",
        "token_endpoint": f"{origin}{TOKEN_PATH}",
        "response_types_supported": ["code"],
        "grant_types_supported": list(grants),
        "token_endpoint_auth_methods_supported": ["none"]
        if is_public
        else ["client_secret_post", "client_secret_basic"],
        "code_challenge_methods_supported": list(CODE_CHALLENGE_METHODS),
        # Not in Blnk's document; RFC 9207 section 3 obliges a server that sends `iss`, as this one does.
        "authorization_response_iss_parameter_supported": True,
    }
    if has_device_grant:
        members["device_authorization_endpoint"] = f"{origin}{DEVICE_AUTHORIZATION_PATH}"
        members["grant_types_supported"] = [*grants, DEVICE_GRANT]
    if "par" in extensions:
        members["pushed_authorization_request_endpoint"] = f"{origin}{PAR_PATH}"
        members["require_pushed_authorization_requests"] = "par_required" in extensions
    if "rar" in extensions:
        members["authorization_details_types_supported"] = list(TYPES)
    if "grant_management" in extensions:
        members["grant_management_endpoint"] = f"{origin}{GRANTS_PATH}"
        members["grant_management_actions_supported"] = list(ACTIONS)
    if proof_algorithms:
        members["dpop_signing_alg_values_supported"] = list(proof_algorithms)
    if "step_up" in extensions:
        members["acr_values_supported"] = list(ACRS)
    if "mtls" in extensions:
        members["tls_client_certificate_bound_access_tokens"] = True
        members["token_endpoint_auth_methods_supported"].append("tls_client_auth")
        aliases = ("token_endpoint", "pushed_authorization_request_endpoint")
        members["mtls_endpoint_aliases"] = {
            name: members[name].replace(origin, f"{origin}{MTLS_PREFIX}", 1) for name in aliases if name in members
        }
    return members
