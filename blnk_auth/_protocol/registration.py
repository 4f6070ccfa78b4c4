"""Dynamic client registration, RFC 7591: the request, and what the server's response means.

Used by `_resource/registering.py`. Pure: it never uses a socket, a clock or a store. What this file promises:

* A client is accepted only if the server gave it an id, and a way to authenticate that this client has.
* An error names the registration endpoint and, where the server complains of one, the member of the request.
* No error contains the secret of the client that the server registered.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, cast

from ..errors import BlnkAuthError, ConfigurationError, ProtocolError, TemporarilyUnavailable, clears_locals, is_text
from ..token import read_seconds
from .client_authentication import BY_SECRET, METHODS, ClientAuthMethod
from .documents import read_json_object
from .http_messages import HttpRequest, HttpResponse
from .redirect_uris import accepts
from .refusals import is_transient
from .response_errors import fields_of, in_words, retry_after_of

REFUSED_METADATA = frozenset({"invalid_redirect_uri", "invalid_client_metadata"})
"""The error codes of RFC 7591 section 3.2.2 for how the client describes itself."""

_METHOD = "token_endpoint_auth_method"
_LONGEST_ID = 2048
_SECRETS = ("client_secret", "registration_access_token")
_BEFOREHAND = "register the client at the provider beforehand, and pass its client_id"


class RegisteredAs(NamedTuple):
    """What the server registered (RFC 7591 section 3.2.1).

    Attributes:
        client_id: The id of the client.
        client_secret: Its secret; None for a client without one.
        method: How it authenticates.
        secret_expires_at: When the secret expires, in UTC epoch seconds; None: never, or not credible.
    """

    client_id: str
    client_secret: str | None
    method: ClientAuthMethod
    secret_expires_at: float | None

    def __repr__(self) -> str:
        return f"<RegisteredAs {self.client_id!r} {self.method}>"


def wanted_method(
    supported: Sequence[str], *, has_key: bool, has_certificate: bool, needs_secret: bool
) -> ClientAuthMethod:
    """How a client that is not registered yet asks to authenticate.

    A client with a key or a certificate uses it. Otherwise it is a public client if the server has those, since a
    secret that is stored beside the refresh token protects nothing more. Else the order of the server counts: those of
    the `mcp` package list `client_secret_post` first, and refuse Basic without a `client_id` in the body.

    Args:
        supported: The methods that the server supports, in its order.
        has_key: Whether the client has a key that the server can find.
        has_certificate: Whether the client has a certificate.
        needs_secret: Whether it asks for tokens of its own, which no public client may (RFC 6749 section 4.4).
    """
    means: dict[ClientAuthMethod, bool] = {
        "private_key_jwt": has_key,
        "self_signed_tls_client_auth": has_certificate,
        "tls_client_auth": has_certificate,
        "none": not needs_secret,
        **dict.fromkeys(sorted(BY_SECRET, key=[*supported, *BY_SECRET].index), True),
    }
    # What the server accepts is in its answer, so a server that lists only what we do not know is asked all the same.
    fitting: list[ClientAuthMethod] = [
        method for method, has_means in means.items() if has_means and method in supported
    ]
    return fitting[0] if fitting else "none"


def build_registration(endpoint: str, members: Mapping[str, Any]) -> HttpRequest:
    """The client registration request, RFC 7591 section 3.1."""
    headers = {"Content-Type": "application/json", "Accept": "application/json"}
    return HttpRequest("POST", endpoint, headers, json.dumps(members, ensure_ascii=False).encode())


@clears_locals
def judge_registration(
    response: HttpResponse,
    *,
    endpoint: str,
    asked: Mapping[str, Any],
    redirect_uri: str | None,
    now: float,
) -> RegisteredAs:
    """The client that the server registered.

    Args:
        response: The server's response.
        endpoint: The registration endpoint, for errors.
        asked: The members of the request.
        redirect_uri: The redirect URI that the client will use; None if it uses none.
        now: When the response arrived, in UTC epoch seconds.

    Raises:
        ConfigurationError: The server refused the registration, or accepts another redirect URI only.
        ProtocolError: The response is not one of RFC 7591.
        TemporarilyUnavailable: The server cannot answer now.
    """
    judged = _registered_or_error(response, endpoint, asked, redirect_uri, now)
    # Raised here and not inside: no local variable of this function contains the secret.
    if isinstance(judged, BlnkAuthError):
        raise judged
    return judged


def names_member(error: BlnkAuthError, member: str) -> bool:
    """Whether the server's words for a refusal are about this member of the request."""
    return re.search(rf"\b{member}s?\b", error.error_description or "", re.IGNORECASE) is not None


# --- judging ----------------------------------------------------------------------------------------------------------


def _registered_or_error(
    response: HttpResponse, endpoint: str, asked: Mapping[str, Any], redirect_uri: str | None, now: float
) -> RegisteredAs | BlnkAuthError:
    document = read_json_object(response.body)
    secrets = tuple(value for name in _SECRETS if is_text(value := (document or {}).get(name)) and value)
    fields = fields_of(response, document, secrets)
    if response.status_code not in (200, 201):
        return _refusal(response, endpoint, asked, fields, now)
    client_id = None if document is None else document.get("client_id")
    if document is None or not is_text(client_id) or not client_id.strip() or not client_id.isprintable():
        kind = "a response that is not a JSON object" if document is None else "no client_id"
        return _odd(endpoint, f"{kind} (RFC 7591 section 3.2.1)", fields)
    if len(client_id) > _LONGEST_ID:
        return _odd(endpoint, f"a client_id of more than {_LONGEST_ID} characters", fields)
    if redirect_uri is not None and not _accepts(document, redirect_uri):
        return ConfigurationError(
            f"the registration endpoint {endpoint} registered other redirect_uris than the one that was asked for",
            parameter="redirect_uri",
            remedy=f"pass a redirect_uri that the server accepts, or {_BEFOREHAND}",
            **fields,
        )
    secret = document.get("client_secret") or None
    if secret is not None and not (is_text(secret) and secret.isprintable() and len(secret) <= _LONGEST_ID):
        return _odd(endpoint, "a client_secret that cannot be sent", fields, "client_secret")
    method = _method(document.get(_METHOD), asked[_METHOD], secret)
    if method is None:
        return _odd(endpoint, f"a {_METHOD} that this client does not have", fields, _METHOD)
    return RegisteredAs(client_id, secret, method, _end(document, secret, now))


def _refusal(
    response: HttpResponse, endpoint: str, asked: Mapping[str, Any], fields: dict[str, Any], now: float
) -> BlnkAuthError:
    problem = f"the client could not be registered at {endpoint}: {in_words(fields)}"
    if is_transient(response.status_code, fields["error"]):
        retry_after = retry_after_of(response.headers, now)
        return TemporarilyUnavailable(problem, remedy="try again later", retry_after=retry_after, **fields)
    refused = ConfigurationError(problem, remedy=_BEFOREHAND, parameter="client_id", **fields)
    if fields["error"] == "invalid_redirect_uri":
        remedy = f"pass a redirect_uri that the server accepts, or {_BEFOREHAND}"
        return refused.replace(parameter="redirect_uri", remedy=remedy)
    if fields["error"] == "invalid_client_metadata":
        member = next((name for name in asked if names_member(refused, name)), None)
        what = f"its {member}" if member else "what the server complains of"
        return refused.replace(parameter="client_metadata", remedy=f"correct {what} in client_metadata")
    if 300 <= response.status_code < 400:
        return refused.replace(remedy=f"a redirect is never followed; {_BEFOREHAND}")
    return refused


def _odd(endpoint: str, what: str, fields: dict[str, Any], member: str = "client_id") -> ProtocolError:
    return ProtocolError(
        f"the registration endpoint {endpoint} sent {what}",
        parameter=member,
        remedy=f"report it to the provider, and {_BEFOREHAND}",
        **fields,
    )


def _accepts(document: Mapping[str, Any], redirect_uri: str) -> bool:
    """Whether the redirect URI was registered. A server that lists none has registered what was asked for."""
    listed = document.get("redirect_uris")
    if not isinstance(listed, list) or not listed:
        return True
    uris = cast("Sequence[Any]", listed)
    return accepts((each for each in uris if isinstance(each, str)), redirect_uri)


def _method(named: Any, asked: ClientAuthMethod, secret: str | None) -> ClientAuthMethod | None:
    """How the client authenticates; None if it cannot.

    RFC 7591 section 3.2.1: the server may replace what was asked for, and returns what it registered. Many leave the
    method out, and some return their default for a client to which they gave no secret.
    """
    method: ClientAuthMethod = named if named in METHODS else asked
    if method in BY_SECRET:
        return method if secret is not None else "none"
    return method if method in ("none", asked) else None


def _end(document: Mapping[str, Any], secret: str | None, now: float) -> float | None:
    """`client_secret_expires_at`: 0 means never. A secret that is new cannot have expired: then a clock is wrong."""
    end = read_seconds(document.get("client_secret_expires_at"))
    return end if secret is not None and end is not None and end > now else None
