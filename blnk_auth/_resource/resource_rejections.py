"""What follows when a protected resource rejects a request: it is asked again, before its server is.

Used by the request flow, through `ResourceToken.after_rejection`. It promises that a token of one server is renewed
only as long as the resource names that server, and that a request without a token leads to one if the challenge permits
it. It never sends the request again itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._protocol.http_messages import ApiAnswer, Package
from .._protocol.resource_metadata import resource_challenge
from .._renewal.cached_token import CachedToken
from .._renewal.current_token import CurrentToken
from .._renewal.single_flight import Flight
from .resource_state import not_protected

if TYPE_CHECKING:
    from .._renewal.credential import SignInDemands
    from .resource_token import ResourceToken


class ResourceRejections:
    """Judges the rejections of one token, and has it replaced. May be used from any thread or task."""

    __slots__ = ("_token",)

    def __init__(self, token: ResourceToken) -> None:
        self._token = token

    def is_rejection(self, answer: ApiAnswer) -> bool:
        current = self._token.current
        if current is None:
            return answer.status_code == 401 and resource_challenge(answer.headers) is not None
        return current.is_rejection(answer)

    @property
    def demands(self) -> SignInDemands:
        current = self._token.current
        if current is None:
            raise not_protected(self._token.resource.url)
        # Imported for responses with status 401 and 403 only.
        from .step_up import ResourceDemands

        return ResourceDemands(current, self._token.request_sign_in)

    def is_current(self, cached: CachedToken) -> bool:
        current = self._token.current
        if cached.header is None:
            return current is None or current.fresh() is None
        return current is not None and current.is_current(cached)

    def replace(
        self,
        rejected: CachedToken,
        package: Package,
        cause: str,
        answer: ApiAnswer | None = None,
        *,
        is_repeated: bool = True,
    ) -> Flight[CachedToken | None]:
        # All requests without a token wait for the same: that one is learned of.
        about = None if rejected.header is None else (rejected.token, cause)
        work = self._without_token if rejected.header is None else self._with_token
        return self._token.fly(
            ("replace", about, is_repeated), lambda: work(rejected, package, cause, answer, asks_user=is_repeated)
        )

    def note_retry(self, cached: CachedToken, cause: str, *, accepted: bool) -> bool:
        current = self._token.current
        return current is not None and current.note_retry(cached, cause, accepted=accepted)

    # --- on a worker thread ------------------------------------------------------------------------------------------

    def _without_token(
        self, _: CachedToken, package: Package, _cause: str, answer: ApiAnswer | None, *, asks_user: bool
    ) -> CachedToken | None:
        resource = self._token.resource
        challenge = None if answer is None else resource_challenge(answer.headers)
        if resource.client is None and not resource.may_learn_from(challenge):
            return None
        client = resource.known_client(package, challenge=challenge)
        if client is None:
            return None
        return self._token.obtain(client, package, lambda current: current.ready(package), asks_user=asks_user)

    def _with_token(
        self, rejected: CachedToken, package: Package, cause: str, answer: ApiAnswer | None, *, asks_user: bool
    ) -> CachedToken | None:
        challenge = None if answer is None else resource_challenge(answer.headers)
        before = self._token.current
        client = self._token.resource.known_client(package, challenge=challenge, is_rejected=True)
        if client is None:
            return None

        def another(current: CurrentToken) -> CachedToken | Flight[CachedToken] | None:
            # A token of another server than before has not been rejected yet.
            return current.replace(rejected, package, cause) if current is before else current.ready(package)

        return self._token.obtain(client, package, another, asks_user=asks_user)
