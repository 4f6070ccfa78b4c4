"""The documented errors of each provider, and the usual failures of a network, as faults by name.

Used by `Sandbox.fail` and by the live page. It promises one name for each error that a provider documents, with the
status, body and headers that it documents. Where the provider names an error, that is its name here. A name never
depends on what happened before.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field

from ._answer import Answer
from ._blink import problem
from ._faults import NONCE_OF_FAULT, Fault, FaultKind
from ._flinks import fdx_error, refusal, upstream_expired


@dataclass(frozen=True, slots=True)
class NamedFault:
    """A fault, and the kind of request at which the provider documents it."""

    at: FaultKind
    fault: Fault
    elsewhere: Mapping[FaultKind, Fault] = field(default_factory=dict[FaultKind, Fault])
    """What it is at other kinds of requests, where that differs."""

    def for_requests(self, at: FaultKind | None) -> tuple[FaultKind, Fault]:
        """The kind of requests that it is for, and what it is there. `at` None: where the provider documents it."""
        return at or self.at, self.fault if at is None else self.elsewhere.get(at, self.fault)


def _json(status: int, members: Mapping[str, object], **headers: str) -> Fault:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    answer = Answer.json(status, members, named)
    return Fault(status=answer.status, body=answer.body, headers=answer.headers)


def _oauth(error: str, status: int = 400, **headers: str) -> NamedFault:
    """A refusal of RFC 6749 section 5.2."""
    members = {"error": error, "error_description": f"Made to fail with {error}"}
    return NamedFault("token", _json(status, members, **headers))


def _challenged(status: int, challenge: str) -> NamedFault:
    """A response of the API that asks for something by its challenge."""
    return NamedFault("api", _json(status, {"error": "Made to fail"}, www_authenticate=challenge))


def _about_proof(error: str, headers: Mapping[str, str]) -> NamedFault:
    """A refusal of RFC 9449: section 5 at the token endpoint, section 7.1 at the API."""
    refused = _json(400, {"error": error, "error_description": f"Made to fail with {error}"}, **headers)
    challenge = f'DPoP error="{error}", algs="ES256"'
    rejected = _json(401, {"error": "Made to fail"}, www_authenticate=challenge, **headers)
    return NamedFault("token", refused, {"api": rejected})


def _core(code: str, status: int) -> NamedFault:
    """An error of Blnk Core."""
    message = code.replace("_", " ").lower()
    detail: dict[str, object] = {"code": code, "message": message, "details": {}}
    return NamedFault("api", _json(status, {"error": message, "error_detail": detail}))


_PAGE = b"<!doctype html><title>502 Bad Gateway</title><h1>Bad Gateway</h1>"

_NETWORK: Mapping[str, NamedFault] = {
    name: NamedFault("token", fault)
    for name, fault in {
        "no_response": Fault(hang=True),
        "disconnect": Fault(disconnect=True),
        # The refresh token is spent, and the client never sees the new one.
        "lost_response": Fault(disconnect=True, after_rotation=True),
        "slow_body": Fault(drip=1.0),
        "bad_gateway": Fault(status=502, body=_PAGE, headers={"content-type": "text/html"}),
        "unavailable": Fault(status=503, headers={"retry-after": "1"}),
        "rate_limited": Fault(status=429, headers={"retry-after": "1"}),
        "not_json": Fault(status=200, body=b"OK", headers={"content-type": "text/plain"}),
    }.items()
}
"""What any server or network does. At the token endpoint, unless another is named."""

_DEMANDS: Mapping[str, NamedFault] = {
    "insufficient_scope": _challenged(403, 'Bearer error="insufficient_scope", scope="more"'),
    "insufficient_user_authentication": _challenged(
        401, 'Bearer error="insufficient_user_authentication", acr_values="mfa", max_age="300"'
    ),
}
"""What an API asks for by RFC 6750 section 3.1 and RFC 9470."""

_EXTENSIONS: Mapping[str, NamedFault] = {
    "invalid_authorization_details": NamedFault("par", _oauth("invalid_authorization_details").fault),
    "invalid_grant_id": NamedFault("par", _oauth("invalid_grant_id").fault),
    "invalid_dpop_proof": _about_proof("invalid_dpop_proof", {}),
    "use_dpop_nonce": _about_proof("use_dpop_nonce", {"dpop_nonce": NONCE_OF_FAULT}),
    # The tokens are issued and bound, and the response names the wrong type.
    "answers_bearer": NamedFault("token", Fault(rewrite=lambda members: {**members, "token_type": "Bearer"})),
}
"""What a server with one of the extensions answers."""

_OAUTH = ("invalid_request", "invalid_grant", "unauthorized_client", "unsupported_grant_type", "invalid_scope")

_BLNK_CLOUD: Mapping[str, NamedFault] = {
    "invalid_client": _oauth("invalid_client", 401, www_authenticate='Basic realm="blnk"'),
    **{name: _oauth(name) for name in _OAUTH},
    "authorization_required": NamedFault("api", _json(401, {"error": "Authorization header is required"})),
    "invalid_token": NamedFault(
        "api",
        _json(401, {"error": "Invalid or expired token"}, www_authenticate='Bearer error="invalid_token"'),
    ),
    # What the Blnk Core behind /proxy answers, which Cloud passes on unchanged.
    **{
        name: _core(name, status)
        for name, status in {
            "AUTH_MISSING_API_KEY": 401,
            "AUTH_INVALID_API_KEY": 401,
            "AUTH_EXPIRED_API_KEY": 401,
            "AUTH_MISSING_PRINCIPAL": 401,
            "AUTH_INSUFFICIENT_PERMISSIONS": 403,
            "AUTH_UNKNOWN_RESOURCE": 403,
            "GEN_RESOURCE_LOCKED": 423,
            "GEN_RATE_LIMITED": 429,
            "QUEUE_BACKPRESSURE": 503,
        }.items()
    },
}

_BLINK: Mapping[str, NamedFault] = {
    # The bank refuses a grant with a code of RFC 6749; the platform refuses everything else with a problem document.
    **{name: _oauth(name, x_corapi_source="PROVIDER") for name in _OAUTH},
    "certificate_refused": NamedFault("token", problem("INSUFFICIENT_PRIVILEGES", source="PLATFORM", status=401)),
    "bank_unreachable": NamedFault("token", problem("TECHNICAL_ERROR", source="PLATFORM", status=502)),
    "bank_timeout": NamedFault("token", problem("TECHNICAL_ERROR", source="PLATFORM", status=504)),
    "not_acceptable": NamedFault("token", problem("INVALID_PAYLOAD", source="PLATFORM", status=406)),
    "unsupported_media_type": NamedFault("token", problem("MALFORMED_PAYLOAD", source="PLATFORM", status=415)),
    **{
        name: NamedFault("api", problem(name))
        for name in (
            *("EXPIRED_TOKEN", "INVALID_TOKEN", "INSUFFICIENT_PRIVILEGES", "INVALID_PAYLOAD", "MALFORMED_PAYLOAD"),
            *("WRONG_METHOD", "TECHNICAL_ERROR", "RESOURCE_TOO_LARGE", "NOT_IMPLEMENTED"),
        )
    },
}

_FLINKS: Mapping[str, NamedFault] = {
    **{name: NamedFault("token", refusal(name)) for name in ("invalid_client", *_OAUTH, "access_denied")},
    "unsupported_token_type": NamedFault("revocation", refusal("unsupported_token_type")),
    "server_error": NamedFault("token", refusal("server_error", 500)),
    "temporarily_unavailable": NamedFault("token", refusal("temporarily_unavailable", 503)),
    "upstream_expired": NamedFault("token", upstream_expired()),
    "unauthorized": NamedFault("api", _json(401, {"message": "Unauthorized"})),
    "forbidden": NamedFault("api", _json(403, {"message": "Forbidden"})),
    # Partner endpoints answer so to an expired token.
    "bad_request": NamedFault("api", _json(400, {"message": "Bad Request"})),
    "customer_not_authorized": NamedFault("api", fdx_error(602, 401, "Customer not authorized")),
    "subscription_not_found": NamedFault("api", fdx_error(403, 403, "Subscription not found")),
    "account_not_found": NamedFault("api", fdx_error(701, 404, "Account not found")),
    "throttled": NamedFault("api", fdx_error(1207, 429, "Too many requests")),
    "internal_error": NamedFault("api", fdx_error(500, 500, "Internal server error")),
    "maintenance": NamedFault("api", fdx_error(503, 503, "Subsystem unavailable")),
}

_MCP: Mapping[str, NamedFault] = {
    "invalid_client": _oauth("invalid_client", 401, www_authenticate='Basic realm="mcp"'),
    **{name: _oauth(name) for name in (*_OAUTH, "invalid_target")},
    "invalid_token": NamedFault(
        "api", _json(401, {"error": "Made to fail"}, www_authenticate='Bearer error="invalid_token"')
    ),
    # RFC 7591 section 3.2.2.
    **{
        name: NamedFault("registration", _oauth(name).fault)
        for name in ("invalid_client_metadata", "invalid_redirect_uri", "invalid_software_statement")
    },
    # What a hostile server does with its metadata.
    "huge_metadata": NamedFault("metadata", Fault(body=b" " * 5_000_000, headers={"content-type": "application/json"})),
    "html_metadata": NamedFault("metadata", Fault(body=_PAGE, headers={"content-type": "text/html"})),
}

FAULTS: Mapping[str, Mapping[str, NamedFault]] = {
    "blnk_cloud": {**_NETWORK, **_DEMANDS, **_EXTENSIONS, **_BLNK_CLOUD},
    "blink": {**_NETWORK, **_DEMANDS, **_BLINK},
    "flinks": {**_NETWORK, **_DEMANDS, **_FLINKS},
    "mcp": {**_NETWORK, **_DEMANDS, **_MCP},
}
"""By personality and name."""


def named_fault(personality: str, name: str) -> NamedFault:
    """The fault of that name. Raises `ValueError` that has the similar names, else all."""
    faults = FAULTS[personality]
    if name not in faults:
        similar = difflib.get_close_matches(name, faults, n=3)
        known = f"did you mean {' or '.join(map(repr, similar))}?" if similar else f"known are: {', '.join(faults)}"
        raise ValueError(f"faults: {name!r} is not a fault of {personality!r}; {known}")
    return faults[name]
