"""Whose token it is, and therefore how it is renewed: a grant that a user gave, or the client's own.

Used by everything that stores, renews or revokes a token. Each kind is a value; `presenting_grants` has two more. It
promises that two grants are equal exactly if they are for the same token, so that a process has one current token for
each. They build requests, and never send one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from .._protocol.http_messages import Call, Purpose
from .._protocol.http_values import checked_audience, checked_resource, checked_token_parameters, joined_scope
from .._protocol.requests import ServerRequest, build_client_credentials
from .._protocol.response_errors import PRESENTED
from ..errors import BlnkAuthError, ConfigurationError, SignInReason, SignInRequired
from ..token import Token
from .attempt import Attempt
from .presenting_grants import PresentingGrant

if TYPE_CHECKING:
    from ..provider import Provider


@dataclass(frozen=True, slots=True)
class RefreshTokenGrant:
    """A grant that a user gave; renewed with its refresh token (RFC 6749 section 6).

    Attributes:
        subject: The application's own name for the user.
        target: The party behind the server, such as a bank; None if there is only one. It never changes, even if the
            provider's `target` callable returns another value later: a token for one bank must not be sent to another.
        resource: The resource that its tokens are for (RFC 8707); None if none was named.
        audience: The audience that its tokens are for, at servers that ask for one; None if none was named.
    """

    subject: str
    target: str | None = None
    resource: str | None = None
    audience: str | None = None
    needs_user: ClassVar[bool] = True
    """Whether only a user can give the grant again, once the server has refused to renew it."""

    def call(self, purpose: Purpose, *, in_background: bool = False) -> Call:
        """The description of one HTTP call, on which a provider's parameters and headers may depend."""
        return Call(purpose, self.subject, in_background, self.target)

    def is_renewable(self, token: Token, attempt: Attempt) -> bool:
        """Whether a refresh request could renew this token."""
        return attempt.why_not_refreshable(token) is None

    def uses_refresh_token(self, token: Token, attempt: Attempt) -> bool:
        """Whether the next request is a refresh: there is no other way."""
        return self.is_renewable(token, attempt)

    def build_request(self, attempt: Attempt, current: Token | None) -> ServerRequest:
        """The request that renews `current`. Raises `SignInRequired` if the user must sign in again."""
        if current is None:
            raise sign_in_required("missing", self.subject)
        reason = attempt.why_not_refreshable(current)
        if reason is not None:
            raise sign_in_required(reason, self.subject)
        call = self.call("refresh_token", in_background=attempt.in_background)
        return attempt.refresh_request(current, call, self.resource, self.audience)


@dataclass(frozen=True, slots=True)
class ClientCredentialsGrant:
    """The client's own token (RFC 6749 section 4.4); renewed by asking for another one.

    Attributes:
        scope: The scope that is asked for; None lets the server decide. Each scope has its own token.
        target: As for `RefreshTokenGrant`.
        resource: As for `RefreshTokenGrant`.
        audience: As for `RefreshTokenGrant`.
        parameters: Further parameters of each request, ordered by name; None if there are no others. They must not be
            secret, since the store key contains them.
        subject: Always None: no user gave this grant.
    """

    scope: str | None
    target: str | None = None
    resource: str | None = None
    audience: str | None = None
    parameters: tuple[tuple[str, str], ...] | None = None
    subject: ClassVar[None] = None
    needs_user: ClassVar[bool] = False
    purpose: ClassVar[Purpose] = "client_credentials"

    @classmethod
    def checked(
        cls,
        provider: Provider,
        scope: str | Sequence[str] | None,
        resource: str | None,
        audience: str | None,
        parameters: Mapping[str, str] | None,
    ) -> ClientCredentialsGrant:
        """Check what the user passed. Raises `ConfigurationError`, or the error of the provider's `target` callable."""
        if "client_credentials" not in provider.grants:
            raise ConfigurationError(
                f"for_itself: {provider.display_name} does not offer the client_credentials grant",
                parameter="for_itself",
                remedy="use for_subject(), or add 'client_credentials' to the provider's grants if it does offer it",
            )
        return cls(
            joined_scope(scope),
            provider.target_of(None),
            checked_resource(resource),
            checked_audience(audience),
            tuple(sorted(checked_token_parameters(parameters or {}).items())) or None,
        )

    def call(self, purpose: Purpose, *, in_background: bool = False) -> Call:
        """Like `RefreshTokenGrant.call`."""
        return Call(purpose, None, in_background, self.target)

    def is_renewable(self, token: Token, attempt: Attempt) -> bool:
        """Always True: the client's credentials are enough for a new token."""
        return True

    def uses_refresh_token(self, token: Token, attempt: Attempt) -> bool:
        """Always False: RFC 6749 section 4.4.3 advises against it."""
        return False

    def build_request(self, attempt: Attempt, current: Token | None) -> ServerRequest:
        """The request for another token."""
        return build_client_credentials(
            attempt.provider,
            attempt.credentials,
            self.scope,
            resource=self.resource,
            audience=self.audience,
            further=self.parameters or (),
            call=self.call("client_credentials", in_background=attempt.in_background),
            now=attempt.now,
        )


AuthorizationGrant = RefreshTokenGrant | ClientCredentialsGrant | PresentingGrant

GrantKey = AuthorizationGrant | str
"""A grant where very many are kept: the subject alone, if it is all that describes the grant."""


def grant_key(grant: AuthorizationGrant) -> GrantKey:
    """The key of a grant in a table of many. Equal for equal grants, and for no others."""
    if isinstance(grant, RefreshTokenGrant) and grant == RefreshTokenGrant(grant.subject):
        return grant.subject
    return grant


def grant_of(key: GrantKey) -> AuthorizationGrant:
    """The grant whose `grant_key` this is."""
    return RefreshTokenGrant(key) if isinstance(key, str) else key


def sign_in_required(reason: SignInReason, subject: str | None) -> SignInRequired:
    """The error for a grant that cannot be renewed.

    `reason` is one of the first four that `SignInRequired` lists. A record that a later version wrote may have another
    one, which this version does not know.
    """
    whose = f"subject {subject!r}"
    known = {
        "missing": f"nothing is stored for {whose}: it was never authorized here, was forgotten, or the store lost it",
        "refused": f"the authorization server has ended the grant of {whose}",
        "expired": f"the refresh token of {whose} has expired",
        "no_refresh_token": f"the access token of {whose} has expired, and no refresh token is stored",
    }
    problem = known.get(reason, f"the grant of {whose} has ended")
    return SignInRequired(
        problem, remedy="send the user through start_authorization() again", reason=reason, subject=subject
    )


def refused(grant: ClientCredentialsGrant | PresentingGrant, verdict: SignInRequired) -> ConfigurationError:
    """The error for a grant that the server refuses although no user gave it: no sign-in helps."""
    presented = PRESENTED.get(grant.purpose)
    remedy = "check the client's registration: its credentials, grant types and scope"
    if presented is not None:
        remedy = (
            f"check {presented}, which may have expired or be meant for another server; if it comes from a sign-in, "
            "let that user sign in again"
        )
    fields = BlnkAuthError.fields(verdict.replace(remedy=remedy, parameter=presented))
    return ConfigurationError(f"{grant.purpose}: {verdict.problem}", **fields)
