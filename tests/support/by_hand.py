"""A client of the sandbox by hand: bare httpx and nothing of blnk_auth, so that it can be the oracle.

Used by the tests of the sandbox itself. Each function sends one request; a parameter that is None is left out.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx

from blnk_auth.testing import Sandbox

VERIFIER = "a" * 43
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()


def asked(sandbox: Sandbox, **changes: str | None) -> dict[str, str]:
    """The parameters of an authorization request."""
    parameters = {
        "response_type": "code",
        "client_id": sandbox.client_id,
        "redirect_uri": sandbox.redirect_uri,
        "state": "s t&te",
        "code_challenge": CHALLENGE,
        "code_challenge_method": "S256",
        **changes,
    }
    return {name: value for name, value in parameters.items() if value is not None}


def authorization_url(sandbox: Sandbox, **changes: str | None) -> str:
    """Where the user is sent."""
    return f"{sandbox.origin}/oauth/authorize?{urlencode(asked(sandbox, **changes))}"


def members(callback_url: str) -> dict[str, str]:
    """The parameters with which the user comes back."""
    return {name: values[0] for name, values in parse_qs(urlsplit(callback_url).query).items()}


def code_for(sandbox: Sandbox, **changes: str | None) -> str:
    """A code, after the user has approved."""
    return members(sandbox.sign_in(authorization_url(sandbox, **changes)))["code"]


def push(sandbox: Sandbox, http: httpx.Client, *, proof: str | None = None, **changes: str | None) -> httpx.Response:
    """Push an authorization request (RFC 9126)."""
    return _post(sandbox, http, "/oauth/par", asked(sandbox, **changes), proof)


def pushed_url(sandbox: Sandbox, request_uri: str, **changes: str) -> str:
    """Where the user is sent with a request that was pushed."""
    query = {"client_id": sandbox.client_id, "request_uri": request_uri, **changes}
    return f"{sandbox.origin}/oauth/authorize?{urlencode(query)}"


def exchange(
    sandbox: Sandbox, http: httpx.Client, code: str | None, *, proof: str | None = None, **changes: str | None
) -> httpx.Response:
    """Exchange a code for tokens."""
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": sandbox.redirect_uri,
        "code_verifier": VERIFIER,
        **changes,
    }
    return _post(sandbox, http, "/oauth/token", form, proof)


def refresh(
    sandbox: Sandbox, http: httpx.Client, refresh_token: str, *, proof: str | None = None, **changes: str
) -> httpx.Response:
    """Exchange a refresh token for tokens."""
    form = {"grant_type": "refresh_token", "refresh_token": refresh_token, **changes}
    return _post(sandbox, http, "/oauth/token", form, proof)


def bearer(answer: dict[str, Any]) -> dict[str, str]:
    """The header of an API request."""
    return {"Authorization": f"Bearer {answer['access_token']}"}


def _post(
    sandbox: Sandbox, http: httpx.Client, path: str, form: Mapping[str, str | None], proof: str | None
) -> httpx.Response:
    sent = {name: value for name, value in form.items() if value is not None}
    headers = {} if proof is None else {"DPoP": proof}
    if not sandbox.client_secret:
        # A public client only names itself.
        return http.post(path, data={"client_id": sandbox.client_id, **sent}, headers=headers)
    return http.post(path, data=sent, headers=headers, auth=(sandbox.client_id, sandbox.client_secret))
