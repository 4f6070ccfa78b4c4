"""What a sign-in asks for, checked.

Used by all sign-ins, and made by `OAuthClient` from what its user passed. It promises that an argument that cannot work
is refused by its name. It never asks the provider anything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from .._protocol.http_values import checked_authorization_parameters, checked_resource, joined_scope
from .._renewal.authorization_grants import RefreshTokenGrant
from ..errors import ConfigurationError, is_text, quoted


class WantedGrant(NamedTuple):
    """The grant that a user is asked for.

    Attributes:
        subject: Whose grant it will be: the application's own lasting id of the user.
        scope: Space-separated; None lets the server decide.
        resource: What the tokens are for (RFC 8707); None if that is not specified.
        parameters: Further parameters of the authorization request.
    """

    subject: str
    scope: str | None = None
    resource: str | None = None
    parameters: Mapping[str, str] = MappingProxyType({})

    @classmethod
    def checked(
        cls,
        subject: str,
        scope: str | Sequence[str] | None = None,
        resource: str | None = None,
        parameters: Mapping[str, str] | None = None,
    ) -> WantedGrant:
        """From what the user of the library passed. Raises `ConfigurationError`."""
        further: Mapping[str, str] = {} if parameters is None else parameters
        checked_authorization_parameters(further, "parameters")
        return cls(_checked_subject(subject), joined_scope(scope), checked_resource(resource), further)

    def grant(self, target: str | None) -> RefreshTokenGrant:
        """Where its tokens are kept, if the user is sent to this target."""
        return RefreshTokenGrant(self.subject, target, self.resource)


def _checked_subject(subject: str) -> str:
    """The subject, if it is a string that is not empty; else raise `ConfigurationError`."""
    if not is_text(subject) or not subject.strip():
        raise ConfigurationError(
            f"subject must be a non-empty string of valid Unicode, not {quoted(subject)}",
            parameter="subject",
            remedy="pass your own lasting id of the user who gave the grant",
        )
    return subject
