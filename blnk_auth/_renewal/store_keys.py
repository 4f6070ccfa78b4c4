"""The keys under which a client stores things: made and read here, and nowhere else.

    token/<provider>/<environment>/<client_id>/subject/<subject>[/<target>][;resource=...;audience=...]
    token/<provider>/<environment>/<client_id>/itself/<scope>[/<target>][;resource=...;audience=...;parameters=...]
    token/<provider>/<environment>/<client_id>/exchange/<subject>[/<target>]
        [;resource=...;audience=...;scope=...];subject_token_type=...[;requested_token_type=...;actor_token_type=...]
        [;presented=<hash of the tokens that are exchanged>]
    token/<provider>/<environment>/<client_id>/assertion/<subject>[/<target>]
        [;resource=...;scope=...;presented=<hash of the assertion>]
    authorization/<provider>/<environment>/<client_id>/<hash of the state of a sign-in that was started>
    exchange/<provider>/<environment>/<client_id>/<hash of what was exchanged once>
    resource/<url of a protected resource>                       what was learned of it
    client/<issuer>/<hash of what was asked for>                 a client that was registered dynamically
    issuer/<url of a protected resource>/<client_id>             where a client that was registered beforehand belongs
    pending/<the rest of the key of a grant>                     a sign-in that a request has begun

Used by everything that reads or writes a store. What this file promises:

* Every part is percent-quoted, so two grants have the same key only if they are the same grant.
* `parse_token_key` is the inverse of `token_key`; for all other strings it returns None.
* A key never contains a secret: of a token that is presented it has a hash at most.
* A key without options (what follows a `;`) is the same as in every earlier version.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, quote, unquote, urlencode

from .authorization_grants import AuthorizationGrant, ClientCredentialsGrant, RefreshTokenGrant
from .presenting_grants import JwtBearerGrant, TokenExchangeGrant


class Registration(NamedTuple):
    """The registered client that stored records belong to. All its keys contain these three parts."""

    provider: str
    environment: str
    client_id: str

    @property
    def tokens(self) -> str:
        """The prefix that the keys of all its grants have, and no other keys."""
        return f"token/{self._quoted}/"

    @property
    def sign_ins(self) -> str:
        """The prefix that the keys of all sign-ins that it started have, and no other keys."""
        return f"authorization/{self._quoted}/"

    @property
    def pending(self) -> str:
        """The prefix that the keys of all sign-ins have that requests have begun for its grants, and no other keys."""
        return f"pending/{self._quoted}/"

    @property
    def exchanges(self) -> str:
        """The prefix that the keys of all its one-time exchanges have, and no other keys."""
        return f"exchange/{self._quoted}/"

    @property
    def _quoted(self) -> str:
        return "/".join(map(_quote, self))


def token_key(registration: Registration, grant: AuthorizationGrant) -> str:
    """The key of a grant's record."""
    kind, name, own = _parts_of(grant)
    target = "" if grant.target is None else f"/{_quote(grant.target)}"
    further = {"resource": grant.resource, "audience": grant.audience, **own}
    options = "".join(f";{option}={_quote(value)}" for option, value in further.items() if value is not None)
    return f"{registration.tokens}{kind}/{_quote(name or '')}{target}{options}"


def _parts_of(grant: AuthorizationGrant) -> tuple[str, str | None, Mapping[str, str | None]]:
    """The kind of a grant, its name, and the options that only this kind has. Their order is that in the key."""
    if isinstance(grant, RefreshTokenGrant):
        return "subject", grant.subject, {}
    if isinstance(grant, ClientCredentialsGrant):
        return "itself", grant.scope, {"parameters": urlencode(grant.parameters) if grant.parameters else None}
    if isinstance(grant, JwtBearerGrant):
        return "assertion", grant.subject, {"scope": grant.scope, "presented": grant.fingerprint}
    own = {
        "scope": grant.scope,
        "subject_token_type": grant.subject_token_type,
        "requested_token_type": grant.requested_token_type,
        "actor_token_type": grant.actor_token_type,
        "presented": grant.fingerprint,
    }
    return "exchange", grant.subject, own


def parse_token_key(key: str) -> tuple[Registration, AuthorizationGrant] | None:
    """The arguments from which `token_key` made this key; None for any other key, or for one of a later version."""
    path, *options = key.split(";")
    first, *parts = path.split("/")
    if first != "token" or len(parts) not in (5, 6):
        return None
    provider, environment, client_id, kind, name, *targets = map(unquote, parts)
    target = targets[0] if targets else None
    further = {option: unquote(value) for option, _, value in (each.partition("=") for each in options)}
    grant = _grant_of(kind, name, target, further)
    registration = Registration(provider, environment, client_id)
    # Built again from its parts, a key with another kind, an unknown option or another quoting would differ.
    return (registration, grant) if token_key(registration, grant) == key else None


def _grant_of(kind: str, name: str, target: str | None, options: Mapping[str, str]) -> AuthorizationGrant:
    """The inverse of `_parts_of`, with anything for what that never makes."""
    resource, audience, scope = map(options.get, ("resource", "audience", "scope"))
    if kind == "subject":
        return RefreshTokenGrant(name, target, resource, audience)
    if kind == "assertion":
        return JwtBearerGrant(name or None, target, resource, scope, options.get("presented"))
    if kind == "exchange":
        return TokenExchangeGrant(
            options.get("subject_token_type", ""),
            name or None,
            target,
            resource,
            audience,
            scope,
            options.get("requested_token_type"),
            options.get("actor_token_type"),
            options.get("presented"),
        )
    parameters = tuple(parse_qsl(options.get("parameters", ""), keep_blank_values=True)) or None
    return ClientCredentialsGrant(name or None, target, resource, audience, parameters)


def subjects_prefix(registration: Registration, prefix: str) -> str:
    """What the keys of all subjects begin with whose names begin with `prefix`, and no other keys."""
    # Each character is quoted by itself, so the quoted prefix is a prefix of the quoted name.
    return f"{registration.tokens}subject/{_quote(prefix)}"


def sign_in_key(registration: Registration, state: str) -> str:
    """The key of a sign-in that was started with this `state` (RFC 6749 section 4.1.1)."""
    # Hashed: somebody who can list keys must not be able to finish a sign-in, and looking up a hash leaks no timing.
    return registration.sign_ins + _hash(state)


def exchange_key(registration: Registration, grant_type: str, parameters: Mapping[str, str]) -> str:
    """The key of a one-time exchange of these parameters."""
    # Hashed, because what is exchanged is a secret.
    return registration.exchanges + _hash(urlencode((("grant_type", grant_type), *sorted(parameters.items()))))


def resource_key(url: str) -> str:
    """The key of what was learned of the protected resource at this URL (RFC 9728)."""
    return f"resource/{_quote(url)}"


def client_key(issuer: str, wanted: Mapping[str, Any]) -> str:
    """The key of the client that was registered at an issuer (RFC 7591).

    `wanted`: what was asked for, as JSON values. Another request has another client.
    """
    return f"client/{_quote(issuer)}/{_hash(json.dumps(wanted, sort_keys=True))}"


def issuer_key(url: str, client_id: str) -> str:
    """The key of the issuer at which a client is registered that was first used for the resource at this URL."""
    return f"issuer/{_quote(url)}/{_quote(client_id)}"


def pending_key(grant_key: str) -> str:
    """The key of the sign-in that a request has begun for the grant with this key."""
    return f"pending/{grant_key.removeprefix('token/')}"


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _quote(part: str) -> str:
    return quote(part, safe="")
