"""Where a shell gets its token: `TokenSource` for one that is renewed, `StaticToken` for a fixed key.

The hot path of a valid token is `fresh()`: one attribute read and one clock read. Everything else goes through at most
one flight per key, in which the renewal runs on a worker thread.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Literal, NamedTuple

from ._protocol.answers import ANSWER_LOST
from ._protocol.http_messages import ApiAnswer, Call, Package, Purpose
from ._protocol.origins import AllowedOrigins, Origin
from ._renewal.authorization_grants import ClientCredentialsGrant, RefreshTokenGrant
from ._renewal.cached_token import BEARER, CachedToken, is_sendable
from ._renewal.client_state import ClientState
from ._renewal.cooldown import cooldown
from ._renewal.grant_record import GrantRecord
from ._renewal.renewal import Renewal, RenewalGoal
from ._renewal.schedule import NEVER, Before, before
from ._renewal.single_flight import Flight
from .errors import (
    BlnkAuthError,
    ConfigurationError,
    ProtocolError,
    SignInRequired,
    StoreError,
    TemporarilyUnavailable,
    redacted,
)
from .events import Event, emit
from .stores._token_store import to_json
from .token import Token

State = Literal["missing", "fresh", "stale", "expired", "sign_in_required"]


class _Failure(NamedTuple):
    """The last failed renewal: no other is tried before `until`, on a clock that may be put back."""

    error: BlnkAuthError
    in_a_row: int
    since: float
    until: float

    def cools_down(self, now: float) -> bool:
        return self.since <= now < self.until

    @property
    def answer_lost(self) -> bool:
        return isinstance(self.error, TemporarilyUnavailable) and self.error.outcome_unknown


class _Unresolved(NamedTuple):
    """Renewals that cured no rejection: rejections cause no other before `until`."""

    in_a_row: int
    since: float
    until: float

    def cools_down(self, now: float) -> bool:
        return self.since <= now < self.until


class TokenSource:
    """The tokens of one grant: always a valid one, renewed once for everybody who shares the store.

    Made by `OAuthClient.for_subject` and `for_itself`. May be used from any number of threads, event loops and tasks
    at once; methods that begin with `a` are for asyncio and trio. Copying it yields the same source.
    """

    __slots__ = ("__weakref__", "_clock", "_epoch", "_failure", "_grant", "_held", "_state", "_unresolved")

    header_name = "Authorization"

    def __init__(self, state: ClientState, grant: RefreshTokenGrant | ClientCredentialsGrant) -> None:
        self._state = state
        self._clock = state.clock
        self._grant = grant
        self._held: CachedToken | None = None
        self._failure: _Failure | None = None
        self._unresolved: _Unresolved | None = None
        self._epoch = 0

    @classmethod
    def of(cls, state: ClientState, grant: RefreshTokenGrant | ClientCredentialsGrant) -> TokenSource:
        """The one source of this grant, shared by all who ask this client for it."""
        return state.the_one(grant, lambda: cls(state, grant))

    def __repr__(self) -> str:
        return f"<TokenSource {self.store_key}>"

    # --- by hand -------------------------------------------------------------------------------------------------

    @property
    def subject(self) -> str | None:
        """Whose grant it is; None for the client's own token."""
        return self._grant.subject

    @property
    def store_key(self) -> str:
        """The key of its record in the store. Holds no secret."""
        # Made each time it is asked for, which is seldom: a source may be one of a hundred thousand that are idle.
        return f"token/{self._state.slot}/{self._grant.slot}"

    @property
    def state(self) -> State:
        """How the stored token stands now. Reads the store; renews nothing. Raises `StoreError` if it cannot be read.

        `missing`: nothing stored. `fresh`: good. `stale`: good, and the next call renews it. `expired`: the next call
        waits for a renewal. `sign_in_required`: the grant has ended, although its last access token may still work.
        """
        held = self._held
        if held is None or held.version is not None:
            held = self.renewal().look()
        if held is None:
            return "missing"
        if held.grant.ended is not None:
            return "sign_in_required"
        due = before(held.window, self._clock())
        if due is Before.MUST_RENEW:
            can_renew = self._grant.is_renewable(held.grant, self._state.attempt())
            return "expired" if can_renew else "sign_in_required"
        return "fresh" if due is Before.USE else "stale"

    def token(self) -> Token:
        """A valid token, renewed first if needed; raises a `BlnkAuthError`. Blocks; for asyncio and trio: `atoken`."""
        return self._landed(self.ready(None)).grant.token

    async def atoken(self) -> Token:
        """A valid token, renewed first if needed; raises a `BlnkAuthError`."""
        return (await self._alanded(self.ready(None))).grant.token

    def renew(self, *, rejected: Token | None = None) -> Token:
        """Renew now, or join the renewal under way, and return the new token.

        With `rejected`, renew only if that token is still the current one, else return the current one.
        Raises a `BlnkAuthError`. Blocks; for asyncio and trio: `arenew`.
        """
        before = self._held
        return self._other_than(before, self._landed(self._renew_by_hand(rejected)))

    async def arenew(self, *, rejected: Token | None = None) -> Token:
        """The same as `renew`, for asyncio and trio."""
        before = self._held
        return self._other_than(before, await self._alanded(self._renew_by_hand(rejected)))

    def adopt(self, token: Token) -> None:
        """Store a token obtained elsewhere as this grant's, replacing what is stored. Raises `StoreError`."""
        self._state.wait_for(self._state.operate(lambda: self._adopt(token)))

    async def aadopt(self, token: Token) -> None:
        """The same as `adopt`, for asyncio and trio."""
        await self._state.await_for(self._state.operate(lambda: self._adopt(token)))

    def revoke(self) -> None:
        """Tell the provider to end the grant, then forget it here; nothing is forgotten if the provider cannot be told.

        Raises `ConfigurationError` where the provider has no revocation endpoint, or another `BlnkAuthError`.
        """
        self._state.wait_for(self._state.operate(self._revoke))

    async def arevoke(self) -> None:
        """The same as `revoke`, for asyncio and trio."""
        await self._state.await_for(self._state.operate(self._revoke))

    def forget(self) -> None:
        """Delete the stored record. Local only: the provider is not told. Raises `StoreError`."""
        self._state.wait_for(self._state.operate(self._forget))

    async def aforget(self) -> None:
        """The same as `forget`, for asyncio and trio."""
        await self._state.await_for(self._state.operate(self._forget))

    # --- for shells ----------------------------------------------------------------------------------------------

    @property
    def origins(self) -> AllowedOrigins:
        return self._state.provider.origins

    @property
    def has_api_headers(self) -> bool:
        return bool(self._state.provider.api_headers)

    def api_headers(self) -> Mapping[str, str]:
        return self._state.provider.api_headers_of(self.call("api"))

    @property
    def rejection_statuses(self) -> frozenset[int]:
        return self._state.provider.rejection_statuses

    @property
    def reads_rejection_body(self) -> bool:
        return self._state.provider.reads_rejection_body

    @property
    def wait_timeout(self) -> float:
        return self._state.wait_timeout

    def fresh(self) -> CachedToken | None:
        """The token, if it can be sent and nothing is to be begun; None: ask `ready`. Has no effect."""
        held = self._held
        return held if held is not None and self._clock() < held.window.renew_at else None

    def ready(self, package: Package | None) -> CachedToken | Flight[CachedToken]:
        """A token to send now, or the renewal to wait for. `package` is the caller's HTTP package."""
        fresh = self.fresh()
        return self._ready_after_all(self._held, package) if fresh is None else fresh

    def is_rejection(self, answer: ApiAnswer) -> bool:
        try:
            return self._state.provider.is_rejection(answer)
        except Exception as error:  # noqa: BLE001 - a provider's author may raise anything
            failure = type(error).__name__
        raise ConfigurationError(
            f"is_rejection of the provider raised {failure}", parameter="is_rejection", remedy="correct it there"
        )

    def is_current(self, held: CachedToken) -> bool:
        current = self._held
        # Saved at last, or marked as ended, it is another object and still no other token.
        return current is not None and (current is held or current.grant.token == held.grant.token)

    def replace(self, rejected: CachedToken, package: Package) -> Flight[CachedToken] | None:
        now, uncured, failure = self._clock(), self._unresolved, self._failure
        if uncured is not None and uncured.cools_down(now):
            return None
        self._raise_if_cooling_down(now)
        return self._fly(RenewalGoal(rejected, renewed_only=True), package, failure)

    def note_retry(self, held: CachedToken, *, accepted: bool) -> None:
        if not self.is_current(held):
            return
        if accepted:
            self._unresolved = None
            return
        policy, last = self._state.policy, self._unresolved
        count = 1 if last is None else last.in_a_row + 1
        wait = min(policy.rejection_cooldown * 2.0 ** min(count - 1, 32), policy.max_rejection_cooldown)
        now = self._clock()
        if last is None or not last.cools_down(now):
            self._unresolved = _Unresolved(count, now, now + wait)

    def report_withheld(self, origin: Origin) -> None:
        detail = _not_for(origin, "add it to the provider")
        self._state.emit([Event("token_withheld", self.store_key, detail)])

    def report_own_header(self) -> None:
        self._state.emit([Event("token_withheld", self.store_key, _in_place_of(self.header_name))])

    # --- inside --------------------------------------------------------------------------------------------------

    def _ready_after_all(self, held: CachedToken | None, package: Package | None) -> CachedToken | Flight[CachedToken]:
        now, failure = self._clock(), self._failure
        due = Before.MUST_RENEW if held is None else before(held.window, now)
        if held is not None and due is not Before.MUST_RENEW:
            if due is Before.USE_AND_RENEW and not self._is_cooling_down(now):
                self._fly(RenewalGoal(held), package, failure)
            return held
        if held is not None and now < held.window.expires_at and self._is_cooling_down(now):
            return held
        self._raise_if_cooling_down(now)
        return self._fly(RenewalGoal(held), package, failure)

    def _renew_by_hand(self, rejected: Token | None) -> CachedToken | Flight[CachedToken]:
        held = self._held
        if rejected is not None and held is not None and held.grant.token != rejected:
            return self.ready(None)
        failure = self._failure
        if failure is not None and isinstance(failure.error, TemporarilyUnavailable):
            self._raise_if_cooling_down(self._clock())
        return self._fly(
            RenewalGoal(held, renewed_only=True, forced=rejected is None, rejected=rejected), None, failure
        )

    def _other_than(self, before: CachedToken | None, landed: CachedToken) -> Token:
        """The renewed token. A renewal behind the callers that was joined and failed leaves them the old one: then the
        failure is raised, since whoever calls renew() wants another.
        """
        failure = self._failure
        if landed is before and failure is not None:
            raise failure.error.replace()
        return landed.grant.token

    def _fly(self, goal: RenewalGoal, package: Package | None, failure: _Failure | None) -> Flight[CachedToken]:
        """The renewal under way, or a new one. `failure` is the last one that the caller knew of when it decided so."""
        in_background = (
            goal.seen is not None and not goal.renewed_only and self._clock() < goal.seen.window.must_renew_at
        )
        renewal = self.renewal(package, in_background=in_background)
        return self._state.flights.join_or_start(
            self.store_key, lambda: self._renew(renewal, goal, failure), lambda: self._state.emit(renewal.events)
        )

    def call(self, purpose: Purpose) -> Call:
        """One HTTP call for this grant."""
        return self._grant.call(purpose)

    def renewal(self, package: Package | None = None, *, in_background: bool = False) -> Renewal:
        """The renewal of this grant, through the given HTTP package."""
        state, grant = self._state, self._grant
        return Renewal(
            key=self.store_key,
            subject=grant.subject,
            ports=state.ports(package),
            ask=lambda current: grant.ask(state.attempt(in_background=in_background), current),
            is_renewable=lambda stored: grant.is_renewable(stored, state.attempt()),
        )

    def _renew(self, renewal: Renewal, goal: RenewalGoal, failure: _Failure | None) -> CachedToken:
        """The work of a flight: on a worker thread, and never twice at once for one source."""
        current = self._held
        if current is not None and current is not goal.seen:
            if goal.is_met_by(current, self._clock()):
                return current
            # What the caller saw is history; what may not yet be saved must be.
            goal = goal._replace(seen=current)
        if self._failure is not failure:
            try:
                self._raise_if_cooling_down(self._clock())
            except BlnkAuthError as error:
                # Another flight failed between the caller's look and this one's start.
                return self._make_do(error, goal)
        epoch = self._epoch
        try:
            renewed = self._install_renewed(renewal.run(goal), epoch)
            if renewed.window.expires_at <= self._clock() and renewed.grant.ended is None:
                raise _over(renewed)
        except Exception as error:  # noqa: BLE001 - sorted by _cope, which raises it again
            return self._cope(error, renewal, goal)
        self._failure = None
        return renewed

    def _install_renewed(self, renewed: CachedToken, epoch: int) -> CachedToken:
        """Begin to use a renewed token, unless somebody signed in or forgot the grant since `epoch`."""
        with self._state.installing:
            if self._epoch == epoch:
                self._hold(renewed)
            return self._held or renewed

    def _cope(self, error: Exception, renewal: Renewal, goal: RenewalGoal) -> CachedToken:
        """Remember a failure, and make do with what there is."""
        if not isinstance(error, BlnkAuthError):
            raise error
        lost = self._failure is not None and self._failure.answer_lost
        if isinstance(error, SignInRequired):
            self._remember_end(error)
            if error.reason == "refused" and lost:
                error = error.replace(problem=f"{error.problem} ({ANSWER_LOST}, and with it the rotated refresh token)")
        else:
            self._failure = self._next_failure(error)
            error = self._failure.error
            renewal.events.append(Event("renewal_failed", self.store_key, str(error), error.replace()))
        return self._make_do(error, goal)

    def _make_do(self, error: BlnkAuthError, goal: RenewalGoal) -> CachedToken:
        """A token that is still good, while it lasts and unless a newer one is needed; else the error."""
        held = self._held
        if held is not None and not goal.renewed_only and self._clock() < held.window.expires_at:
            return held
        raise error

    def _remember_end(self, error: SignInRequired) -> None:
        # Not a failure that passes with time: each call looks into the store whether somebody has signed in meanwhile.
        self._failure = None
        held = self._held
        if error.reason == "missing" or held is None or held.version is None:
            # A pair that could not be saved has been by now, or a sibling's stands there: the record says what holds.
            self._hold(None)
        elif held.grant.ended is None:
            ended = GrantRecord(held.grant.token, error.reason)
            self._held = self._state.hold_ended(ended, held.version)

    def _next_failure(self, error: BlnkAuthError) -> _Failure:
        policy, ports = self._state.policy, self._state.ports(None)
        count = 1 if self._failure is None else self._failure.in_a_row + 1
        wait = cooldown(
            count, first=policy.cooldown, longest=policy.max_cooldown, jitter_position=ports.jitter_position()
        )
        if isinstance(error, TemporarilyUnavailable):
            if error.retry_after is not None:
                wait = max(wait, min(error.retry_after, policy.max_retry_after))
            error = error.replace(retry_after=wait)
        now = self._clock()
        return _Failure(error.replace(), count, now, now + wait)

    def _is_cooling_down(self, now: float) -> bool:
        return self._failure is not None and self._failure.cools_down(now)

    def _raise_if_cooling_down(self, now: float) -> None:
        failure = self._failure
        if failure is None or not failure.cools_down(now):
            return
        if isinstance(failure.error, TemporarilyUnavailable):
            raise failure.error.replace(retry_after=failure.until - now)
        raise failure.error.replace()

    def _landed(self, ready: CachedToken | Flight[CachedToken]) -> CachedToken:
        return ready.wait(self.wait_timeout) if isinstance(ready, Flight) else ready

    async def _alanded(self, ready: CachedToken | Flight[CachedToken]) -> CachedToken:
        return await ready.wait_async(self.wait_timeout) if isinstance(ready, Flight) else ready

    # --- operations on a worker thread ---------------------------------------------------------------------------

    def _adopt(self, token: Token) -> list[Event]:
        now = self._clock()
        _check_adoptable(token)
        grant = GrantRecord(token if token.issued_at is not None else token.replace(issued_at=now))
        self.install(self.renewal().put(grant))
        return [Event("signed_in", self.store_key, repr(token))]

    def install(self, held: CachedToken) -> None:
        """Begin to use a token that was stored for a new sign-in."""
        self._begin_anew(held)

    def _begin_anew(self, held: CachedToken | None) -> None:
        with self._state.installing:
            self._epoch += 1
            self._hold(held)
            self._failure, self._unresolved = None, None

    def _hold(self, held: CachedToken | None) -> None:
        self._held = held
        self._state.keep(self, until_saved=held is not None and held.version is None)

    def _revoke(self) -> list[Event]:
        state, renewal = self._state, self.renewal()
        build = functools.partial(state.revocation, self._grant)
        if state.provider.revocation == "connection":
            renewal.revoke_connection(build)
        else:
            held = self._held
            renewal.revoke(build, held if held is not None and held.version is None else None)
        self._begin_anew(None)
        return [Event("revoked", self.store_key)]

    def _forget(self) -> list[Event]:
        self.renewal().forget()
        self._begin_anew(None)
        return [Event("forgotten", self.store_key)]

    # --- copying -------------------------------------------------------------------------------------------------

    def __copy__(self) -> TokenSource:
        return self

    def __deepcopy__(self, memo: object) -> TokenSource:
        # A source is a handle on a shared grant: a second state beside it would renew a second time.
        return self

    def __reduce__(self) -> tuple[Callable[..., TokenSource], tuple[object, ...]]:
        return TokenSource.of, (self._state, self._grant)


def _not_for(origin: Origin, how: str) -> str:
    remedy = (
        f"if the token belongs there too, {how}: api_origins=({str(origin)!r},)"
        if origin.is_secure
        else "a token travels over https only"
    )
    return f"{origin} is not one of the api_origins; the request went without the token; {remedy}"


def _in_place_of(header_name: str) -> str:
    return (
        f"the request has a header {header_name} of its own, which stays, and went without the token; if an SDK sets "
        "that header, tell it to omit it (docs/how-to/use-inside-api-clients.md)"
    )


def _over(renewed: CachedToken) -> BlnkAuthError:
    issued_at = renewed.grant.token.issued_at
    if issued_at is not None and issued_at < renewed.window.expires_at:
        return TemporarilyUnavailable(
            "the access token expired before the renewal ended: this machine was held up in between, perhaps asleep",
            remedy="try again",
        )
    return ProtocolError(
        "the authorization server issued an access token that had expired at birth, or that no header can carry",
        remedy="it is stored, but cannot be used: check the server's clock and its expires_in",
    )


def _check_adoptable(token: Token) -> None:
    """Raise `ConfigurationError` for what is no token, or could not be read back from a store."""
    if not isinstance(token, Token):
        raise ConfigurationError("adopt: token must be a Token", remedy="Token.from_response(...) makes one of a dict")
    if not isinstance(token.access_token, str) or not is_sendable(token.access_token):
        raise ConfigurationError("adopt: token.access_token is empty or has characters that no header can carry")
    why = "it has members that are no JSON"
    try:
        if Token.from_dict(json.loads(to_json(token.to_dict()))) == token:
            return
    except (ValueError, TypeError, StoreError) as error:
        why = str(error) if isinstance(error, ValueError) else why
    raise ConfigurationError(
        f"adopt: the token cannot be stored ({why})", remedy="Token.from_response(...) makes a good one"
    )


class StaticToken:
    """A fixed key or token, sent to the API's origins and nowhere else; never renewed.

    `value`: the key. `api_origins`: the origins that may receive it. `header`: the header that carries it; the default
    `Authorization` sends it as a Bearer token, any other header (`X-Blnk-Key` for Blnk Core) sends it as it is.
    A custom header is not carried across redirects by httpx, and only to allowed origins by requests.
    Raises `ConfigurationError` for an empty value or one that no header can carry. Immutable; safe to share.
    """

    __slots__ = ("_held", "header_name", "origins")

    has_api_headers = False
    rejection_statuses: frozenset[int] = frozenset()
    reads_rejection_body = False
    wait_timeout = 0.0

    def api_headers(self) -> Mapping[str, str]:
        return {}

    def __init__(self, value: str, *, api_origins: Iterable[str], header: str = "Authorization") -> None:
        value = redacted(value.strip() if isinstance(value, str) else "")
        if not is_sendable(value):
            raise ConfigurationError(
                "value is empty or has characters that no HTTP header can carry",
                parameter="value",
                remedy="pass the key itself",
            )
        if (
            not isinstance(header, str)
            or not header
            or not header.isascii()
            or not header.replace("-", "").replace("_", "").isalnum()
        ):
            raise ConfigurationError(f"header {header!r} is not the name of an HTTP header", parameter="header")
        self.header_name = header
        self.origins = AllowedOrigins(api_origins)
        prefix = BEARER if header.lower() == "authorization" else ""
        self._held = CachedToken(GrantRecord(Token(value)), NEVER, prefix)

    def __repr__(self) -> str:
        return f"<StaticToken in {self.header_name} for {self.origins!r}>"

    def __copy__(self) -> StaticToken:
        return self

    def __deepcopy__(self, memo: object) -> StaticToken:
        return self

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("a StaticToken is a secret and is not pickled; make it anew in the other process")

    def fresh(self) -> CachedToken:
        """The key; always fresh."""
        return self._held

    def ready(self, package: Package | None) -> CachedToken:
        """The key; always ready."""
        return self._held

    def token(self) -> Token:
        """The key as a token."""
        return self._held.grant.token

    async def atoken(self) -> Token:
        """The key as a token."""
        return self._held.grant.token

    def is_rejection(self, answer: ApiAnswer) -> bool:
        return False

    def is_current(self, held: CachedToken) -> bool:
        return True

    def replace(self, rejected: CachedToken, package: Package) -> None:
        return None

    def note_retry(self, held: CachedToken, *, accepted: bool) -> None:
        return None

    def report_withheld(self, origin: Origin) -> None:
        emit(None, Event("token_withheld", repr(self), _not_for(origin, "add it to the StaticToken")))

    def report_own_header(self) -> None:
        emit(None, Event("token_withheld", repr(self), _in_place_of(self.header_name)))
