"""Whose token it is, and therefore how it is renewed: a grant that a person gave, or the client's own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

from .._protocol.client_authentication import ClientCredentials
from .._protocol.http_messages import Call, Purpose
from .._protocol.requests import ServerRequest, build_client_credentials, build_refresh
from ..errors import SignInReason, SignInRequired
from ..token import Token
from .grant_record import GrantRecord

if TYPE_CHECKING:
    from ..provider import Provider


@dataclass(frozen=True, slots=True)
class Attempt:
    """The registered client that asks for a token, as both kinds of grant need it for one attempt."""

    provider: Provider
    credentials: ClientCredentials
    redirect_uri: str | None
    now: float
    in_background: bool = False


@dataclass(frozen=True, slots=True)
class RefreshTokenGrant:
    """A grant that a person gave in the browser; renewed with its refresh token (RFC 6749 section 6)."""

    subject: str
    target: str | None = None
    """Fixed for good: a token of one bank must never be sent to another, whatever a callable says by then."""

    @property
    def slot(self) -> str:
        """Its part of the store key."""
        return f"subject/{quote(self.subject, safe='')}{_of_target(self.target)}"

    def call(self, purpose: Purpose, *, in_background: bool = False) -> Call:
        """One HTTP call for this grant."""
        return Call(purpose, self.subject, in_background, self.target)

    def is_renewable(self, grant: GrantRecord, attempt: Attempt) -> bool:
        """Whether something is there to renew it with."""
        return self._hindrance(grant.token, attempt) is None

    def _hindrance(self, token: Token, attempt: Attempt) -> SignInReason | None:
        if token.refresh_token is None or "refresh_token" not in attempt.provider.grants:
            return "no_refresh_token"
        has_expired = token.refresh_expires_at is not None and token.refresh_expires_at <= attempt.now
        return "expired" if has_expired else None

    def ask(self, attempt: Attempt, current: Token | None) -> ServerRequest:
        """The request that renews `current`. Raises `SignInRequired` if only the person can help."""
        if current is None:
            raise sign_in_again("missing", self.subject)
        hindrance = self._hindrance(current, attempt)
        if hindrance is not None:
            raise sign_in_again(hindrance, self.subject)
        return build_refresh(
            attempt.provider,
            attempt.credentials,
            current.refresh_token or "",
            redirect_uri=attempt.redirect_uri,
            call=self.call("refresh_token", in_background=attempt.in_background),
            now=attempt.now,
        )


@dataclass(frozen=True, slots=True)
class ClientCredentialsGrant:
    """The client's own token (RFC 6749 section 4.4); renewed by asking for another one."""

    scope: str | None
    target: str | None = None
    subject: None = None

    @property
    def slot(self) -> str:
        """Its part of the store key: each scope has a token of its own."""
        return f"itself/{quote(self.scope or '', safe='')}{_of_target(self.target)}"

    def call(self, purpose: Purpose, *, in_background: bool = False) -> Call:
        """One HTTP call for this grant."""
        return Call(purpose, None, in_background, self.target)

    def is_renewable(self, grant: GrantRecord, attempt: Attempt) -> bool:
        """Always: the client's credentials renew it."""
        return True

    def ask(self, attempt: Attempt, current: Token | None) -> ServerRequest:
        """The request for another token; a refresh token, which RFC 6749 section 4.4.3 advises against, is not used."""
        return build_client_credentials(
            attempt.provider,
            attempt.credentials,
            self.scope,
            call=self.call("client_credentials", in_background=attempt.in_background),
            now=attempt.now,
        )


def _of_target(target: str | None) -> str:
    return "" if target is None else f"/{quote(target, safe='')}"


def sign_in_again(reason: SignInReason, subject: str | None) -> SignInRequired:
    """The error for a grant that cannot be renewed, in words that say what to do."""
    whose = f"subject {subject!r}"
    why = {
        "missing": f"nothing is stored for {whose}: it was never authorized here, or was forgotten",
        "refused": f"the authorization server has ended the grant of {whose}",
        "expired": f"the refresh token of {whose} has expired",
        "no_refresh_token": f"the access token of {whose} has ended and there is no refresh token to renew it with",
    }[reason]
    return SignInRequired(
        why, remedy="send the person through start_authorization() again", reason=reason, subject=subject
    )
