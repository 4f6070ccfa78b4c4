"""Grants for which the client presents a token or an assertion of somebody else: RFC 8693, RFC 7523 section 2.1.

Used by everything that uses the other grants. What this file promises:

* A grant is identified by the party that the application named. Without a name, it is identified by a hash of what was
  passed as text, or belongs to the client itself if a callable was passed. Neither what was passed nor what a callable
  returns is part of its identity, of its key or of its repr.
* A callable is called for each request that presents something, and at no other time.

It never sends a request. Nothing here ends a grant: a refused token is another one tomorrow.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar, TypeGuard

from .._protocol.http_messages import Call, Purpose
from .._protocol.http_values import checked_audience, checked_resource, joined_scope
from .._protocol.presented_tokens import PresentedToken, checked_presented, fingerprint, presented, same_callable
from .._protocol.requests import (
    JWT_BEARER_GRANT,
    TOKEN_EXCHANGE_GRANT,
    ServerRequest,
    build_jwt_bearer,
    build_token_exchange,
)
from .._protocol.setting_checks import USUAL_GRANTS
from .._protocol.token_response import is_not_applicable
from ..errors import ConfigurationError, is_text, quoted
from ..token import Token
from .attempt import Attempt

if TYPE_CHECKING:
    from ..provider import Provider

_ABSOLUTE_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[!-~]+")
"""As far as a likely mistake shows: RFC 8693 section 3 lets a type be any absolute URI."""

_METHODS: Mapping[Purpose, str] = {"token_exchange": "for_token_exchange", "jwt_bearer": "for_assertion"}
"""The method of a client that gives the source."""


@dataclass(frozen=True, slots=True)
class TokenExchangeGrant:
    """A token that the server issues for another token (RFC 8693); renewed by exchanging again.

    A refresh token that the server issued is used first: it is meant for "cases where the client of the token exchange
    needs the ability to access a resource even when the original credential is no longer valid" (section 2.2.1). If the
    server refuses it, the token is exchanged again.

    Attributes:
        subject_token_type: The type of the token that is exchanged.
        subject: The application's own name for the party that the token is about; None if it was not named.
        target: As for `RefreshTokenGrant`.
        resource: As for `RefreshTokenGrant`.
        audience: As for `RefreshTokenGrant`.
        scope: The scope that is asked for; None lets the server decide.
        requested_token_type: The type of token that is asked for; None lets the server decide.
        actor_token_type: The type of the token of the acting party; None if there is none.
        fingerprint: A hash of the tokens that were passed as text for a party without a name; None if there are none.
        subject_token: What is exchanged. It is not compared. None: a grant that was found by its key.
        actor_token: The token of the acting party, likewise.
    """

    subject_token_type: str
    subject: str | None = None
    target: str | None = None
    resource: str | None = None
    audience: str | None = None
    scope: str | None = None
    requested_token_type: str | None = None
    actor_token_type: str | None = None
    fingerprint: str | None = None
    subject_token: PresentedToken | None = field(default=None, compare=False, repr=False)
    actor_token: PresentedToken | None = field(default=None, compare=False, repr=False)
    needs_user: ClassVar[bool] = False
    purpose: ClassVar[Purpose] = "token_exchange"

    @classmethod
    def checked(
        cls,
        *,
        subject_token: PresentedToken,
        subject_token_type: str,
        subject: str | None,
        requested_token_type: str | None,
        scope: str | Sequence[str] | None,
        resource: str | None,
        audience: str | None,
        actor_token: PresentedToken | None,
        actor_token_type: str | None,
    ) -> TokenExchangeGrant:
        """Check what the user passed, all but whether a provider offers it. Raises `ConfigurationError`."""
        if (actor_token is None) is not (actor_token_type is None):
            # Section 2.1: it is required if there is an actor token, and must not be there if there is none.
            raise ConfigurationError(
                "actor_token and actor_token_type belong together, and one of them is missing",
                parameter="actor_token" if actor_token is None else "actor_token_type",
                remedy="pass both, or leave both out",
            )
        subject_token = checked_presented(subject_token, "subject_token")
        actor_token = None if actor_token is None else checked_presented(actor_token, "actor_token")
        return cls(
            _checked_token_type(subject_token_type, "subject_token_type"),
            _checked_subject(subject),
            None,
            checked_resource(resource),
            checked_audience(audience),
            joined_scope(scope),
            None if requested_token_type is None else _checked_token_type(requested_token_type, "requested_token_type"),
            None if actor_token_type is None else _checked_token_type(actor_token_type, "actor_token_type"),
            _fingerprint(subject, subject_token=subject_token, actor_token=actor_token),
            subject_token,
            actor_token,
        )

    def at(self, provider: Provider) -> TokenExchangeGrant:
        """The grant at this provider. Raises `ConfigurationError`, or the error of the provider's `target` callable."""
        _check_offered(provider, TOKEN_EXCHANGE_GRANT, _METHODS[self.purpose])
        return replace(self, target=provider.target_of(self.subject))

    @property
    def presented(self) -> tuple[PresentedToken | None, ...]:
        """What is presented to the server, as the user passed it."""
        return self.subject_token, self.actor_token

    def call(self, purpose: Purpose, *, in_background: bool = False) -> Call:
        """Like `RefreshTokenGrant.call`."""
        return Call(purpose, self.subject, in_background, self.target)

    def is_renewable(self, token: Token, attempt: Attempt) -> bool:
        """Always True: the subject token is presented again."""
        return True

    def uses_refresh_token(self, token: Token, attempt: Attempt) -> bool:
        """Whether the next request is a refresh. What is not an access token cannot be refreshed: only exchanged."""
        return not is_not_applicable(token.token_type) and attempt.why_not_refreshable(token) is None

    def build_request(self, attempt: Attempt, current: Token | None) -> ServerRequest:
        """The request for another token: a refresh, or an exchange. Raises what a callable of the user raises."""
        if current is not None and self.uses_refresh_token(current, attempt):
            call = self.call("refresh_token", in_background=attempt.in_background)
            return attempt.refresh_request(current, call, self.resource, self.audience)
        parameters = {
            "subject_token": _presented(self, self.subject_token, "subject_token"),
            "subject_token_type": self.subject_token_type,
            "requested_token_type": self.requested_token_type,
            "scope": self.scope,
            "resource": self.resource,
            "audience": self.audience,
        }
        if self.actor_token_type is not None:
            parameters["actor_token"] = _presented(self, self.actor_token, "actor_token")
            parameters["actor_token_type"] = self.actor_token_type
        call = self.call(self.purpose, in_background=attempt.in_background)
        return build_token_exchange(attempt.provider, attempt.credentials, parameters, call=call, now=attempt.now)


@dataclass(frozen=True, slots=True)
class JwtBearerGrant:
    """A token that the server issues for an assertion (RFC 7523 section 2.1); renewed by presenting another assertion.

    RFC 7521 section 4.1 expects no refresh token. One that the server issues all the same is used as for a
    `TokenExchangeGrant`.

    Attributes:
        subject: The application's own name for the party that the assertion is about; None if it was not named.
        target: As for `RefreshTokenGrant`.
        resource: As for `RefreshTokenGrant`.
        scope: As for `TokenExchangeGrant`.
        fingerprint: A hash of an assertion that was passed as text for a party without a name; None otherwise.
        assertion: The assertion. It is not compared. None: a grant that was found by its key.
        audience: Always None: the assertion names it.
    """

    subject: str | None = None
    target: str | None = None
    resource: str | None = None
    scope: str | None = None
    fingerprint: str | None = None
    assertion: PresentedToken | None = field(default=None, compare=False, repr=False)
    audience: ClassVar[None] = None
    needs_user: ClassVar[bool] = False
    purpose: ClassVar[Purpose] = "jwt_bearer"

    @classmethod
    def checked(
        cls,
        *,
        assertion: PresentedToken,
        subject: str | None,
        scope: str | Sequence[str] | None,
        resource: str | None,
    ) -> JwtBearerGrant:
        """Check what the user passed, all but whether a provider offers it. Raises `ConfigurationError`."""
        assertion = checked_presented(assertion, "assertion")
        return cls(
            _checked_subject(subject),
            None,
            checked_resource(resource),
            joined_scope(scope),
            _fingerprint(subject, assertion=assertion),
            assertion,
        )

    def at(self, provider: Provider) -> JwtBearerGrant:
        """Like `TokenExchangeGrant.at`."""
        _check_offered(provider, JWT_BEARER_GRANT, _METHODS[self.purpose])
        return replace(self, target=provider.target_of(self.subject))

    @property
    def presented(self) -> tuple[PresentedToken | None, ...]:
        """Like `TokenExchangeGrant.presented`."""
        return (self.assertion,)

    def call(self, purpose: Purpose, *, in_background: bool = False) -> Call:
        """Like `RefreshTokenGrant.call`."""
        return Call(purpose, self.subject, in_background, self.target)

    def is_renewable(self, token: Token, attempt: Attempt) -> bool:
        """Always True: an assertion is presented again."""
        return True

    def uses_refresh_token(self, token: Token, attempt: Attempt) -> bool:
        """Whether the next request is a refresh."""
        return attempt.why_not_refreshable(token) is None

    def build_request(self, attempt: Attempt, current: Token | None) -> ServerRequest:
        """The request for another token. Raises what a callable of the user raises."""
        if current is not None and self.uses_refresh_token(current, attempt):
            call = self.call("refresh_token", in_background=attempt.in_background)
            return attempt.refresh_request(current, call, self.resource, None)
        return build_jwt_bearer(
            attempt.provider,
            attempt.credentials,
            _presented(self, self.assertion, "assertion"),
            self.scope,
            resource=self.resource,
            call=self.call(self.purpose, in_background=attempt.in_background),
            now=attempt.now,
        )


PresentingGrant = TokenExchangeGrant | JwtBearerGrant


def is_unnamed(grant: PresentingGrant) -> bool:
    """Whether a callable supplies what is presented, and nothing but the other arguments identifies the grant."""
    return grant.subject is None and any(callable(each) for each in grant.presented)


def presents_something(grant: object) -> TypeGuard[PresentingGrant]:
    """Whether the application has passed what this grant presents. One that was found in the store has nothing."""
    return isinstance(grant, PresentingGrant) and grant.presented[0] is not None


def presents_same(one: PresentingGrant, other: PresentingGrant) -> bool:
    """Whether two equal grants present the same."""
    return all(map(same_callable, one.presented, other.presented))


def presents_another_text(before: object, after: object) -> bool:
    """Whether a text is presented now that was not presented before."""
    known, presented_now = (each.presented if isinstance(each, PresentingGrant) else () for each in (before, after))
    return any(isinstance(each, str) and each not in known for each in presented_now)


def indistinguishable(grant: PresentingGrant) -> ConfigurationError:
    """The error for a second callable where only a name could distinguish what the two return."""
    return ConfigurationError(
        f"{_METHODS[grant.purpose]}: another callable was passed with the same arguments, and nothing identifies whose "
        "tokens the two return",
        parameter="subject",
        remedy="pass subject, your own lasting id of the party that the token is about; or the same callable each time",
    )


def _check_offered(provider: Provider, grant_type: str, made_by: str) -> None:
    if grant_type not in provider.grants and provider.grants != USUAL_GRANTS:
        raise ConfigurationError(
            f"{made_by}: {provider.display_name} does not offer the grant {grant_type}",
            parameter=made_by,
            remedy=f"add '{grant_type}' to the provider's grants if it does offer it",
        )


def _checked_token_type(token_type: str, parameter: str) -> str:
    if not is_text(token_type) or not _ABSOLUTE_URI.fullmatch(token_type):
        raise ConfigurationError(
            f"{parameter} must be an absolute URI, not {quoted(token_type)}",
            parameter=parameter,
            remedy="pass a type of RFC 8693 section 3, such as urn:ietf:params:oauth:token-type:access_token",
        )
    return token_type


def _checked_subject(subject: str | None) -> str | None:
    if subject is not None and not (is_text(subject) and subject.strip()):
        raise ConfigurationError(
            f"subject must be None, or a non-empty string of valid Unicode, not {quoted(subject)}",
            parameter="subject",
            remedy="pass your own lasting id of the party that the token is about, or leave it out",
        )
    return subject


def _fingerprint(subject: str | None, **tokens: PresentedToken | None) -> str | None:
    """A hash of the tokens that were passed as text; None if there are none, or if the party has a name."""
    passed = [(name, token) for name, token in tokens.items() if isinstance(token, str)]
    return None if subject is not None or not passed else fingerprint(*(part for each in passed for part in each))


def _presented(grant: PresentingGrant, setting: PresentedToken | None, parameter: str) -> str:
    if setting is None:
        raise ConfigurationError(
            f"{parameter} is missing in this process, which has only found the grant in the store",
            parameter=parameter,
            remedy=f"call {_METHODS[grant.purpose]}() here with the same arguments",
        )
    return presented(setting, parameter)
