"""Ending a grant at the provider, then deleting its record.

Used by `grant_operations`. It never deletes anything before the provider has ended the grant, so a revocation that
failed can be tried again. It promises to do all of this under the store's lock, so that no other process renews the
grant in the meantime.
"""

from __future__ import annotations

from collections.abc import Callable

from .._protocol.http_messages import HttpRequest
from .._protocol.requests import ServerRequest
from ..errors import SignInRequired
from .cached_token import DPOP, CachedToken
from .goal import Goal
from .renewal import Renewal

BuildRevocation = Callable[[str, str], ServerRequest]
"""Makes the request that revokes a token; its arguments are the token and its `token_type_hint`."""


def revoke_tokens(renewal: Renewal, build: BuildRevocation, known: CachedToken | None = None) -> None:
    """Revoke both tokens at the server (RFC 7009), then delete the record. If nothing is stored, do nothing.

    The refresh token is revoked first: after that nothing can be renewed, even if the second request fails. If this
    process has a pair that could not be saved, that pair is revoked: the stored one is older and already spent.

    Args:
        renewal: The renewal of the grant.
        build: Makes the requests.
        known: The newest token of the grant that this process has seen; None if it has seen none.
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
    """Like `revoke_tokens`, for providers where a request with a valid access token ends the grant.

    An expired access token is renewed first.
    """
    stored = renewal.stored
    with stored.locked():
        if stored.load() is None:
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
    request = build(current.token.access_token, "access_token")
    if current.needs_proof:
        # As in a request to the API: a token that is bound to a key is never sent as Bearer.
        made = request.request
        proof = renewal.ports.proofs.prove(current, made.method, made.url)
        headers = {**made.headers, "Authorization": DPOP + current.token.access_token, **proof}
        request = request._replace(request=HttpRequest(made.method, made.url, headers, made.body))
    renewal.endpoint.revoke(request)
