"""Ending a grant at the provider, then deleting its record.

Used by `grant_operations`. It never deletes anything before the provider has ended the grant, so a revocation that
failed can be tried again. All of it happens under the store's lock: a renewal under way elsewhere ends before.
"""

from __future__ import annotations

from collections.abc import Callable

from .._protocol.requests import ServerRequest
from ..errors import SignInRequired
from .cached_token import CachedToken
from .goal import Goal
from .renewal import Renewal

BuildRevocation = Callable[[str, str], ServerRequest]
"""Makes the request that revokes a token; its arguments are the token and its `token_type_hint`."""


def revoke_tokens(renewal: Renewal, build: BuildRevocation, known: CachedToken | None = None) -> None:
    """Have the server revoke both tokens (RFC 7009), then delete the record. Nothing stored is nothing to revoke.

    The refresh token comes first: once it is revoked nothing can be renewed, even if the second request fails. Of a
    pair that could not be saved the store has only the spent predecessor, so that pair comes before what is stored.

    Args:
        renewal: The grant.
        build: Makes the requests.
        known: The newest token of the grant that this process knows; None if it knows none.
    """
    stored = renewal.stored
    is_unsaved = known is not None and known.version is None
    with stored.locked():
        found = known if is_unsaved else stored.load_newest(known)
        token = None if found is None else found.token
        if token is None:
            return
        for value, hint in ((token.refresh_token, "refresh_token"), (token.access_token, "access_token")):
            if value is not None:
                renewal.endpoint.revoke(build(value, hint))
        stored.delete()


def revoke_connection(renewal: Renewal, build: BuildRevocation) -> None:
    """The same where the access token itself ends the grant: one that has expired is renewed first."""
    stored = renewal.stored
    with stored.locked():
        if not stored.exists():
            return
        current = renewal.run_locked(Goal(None))
        try:
            _revoke_with(renewal, current, build)
        except SignInRequired:
            # The access token was refused, not the grant: it had expired early, or its lifetime was unknown.
            _revoke_with(renewal, renewal.run_locked(Goal(None, forced=True)), build)
        stored.delete()


def _revoke_with(renewal: Renewal, current: CachedToken, build: BuildRevocation) -> None:
    renewal.endpoint.check_usable()
    renewal.endpoint.revoke(build(current.token.access_token, "access_token"))
