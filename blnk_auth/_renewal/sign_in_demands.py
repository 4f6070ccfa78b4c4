"""What follows when the API asks for a new sign-in: an event, a mark in the record, and an error where that is wanted.

Used by the request flow through `CurrentToken.demands`, after a response with status 401 or 403. What it promises:

* Such a response never causes a renewal. The store is read instead, at most once a second, because the user may have
  signed in again in another process.
* An event is emitted once for each cause until the next sign-in: `step_up_required` or `consent_ended`. At most 256
  causes are remembered.
* What was asked for is stored with the grant, for `blnk-auth status`. Nobody waits for that, and if it fails, only the
  mark is missing.

A client certificate that a request visibly lacks is reported here too, since no renewal gives one. This file never
marks a grant as ended: only the authorization server ends one.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from .._protocol.access_token import is_certificate_bound
from .._protocol.demands import Demand, Demands, step_up_in, union_of_scopes
from .._protocol.http_messages import ApiAnswer, Package
from .._protocol.redaction import clean_identifier
from ..errors import ConfigurationError, SignInRequired, StoreError
from ..events import Event, EventName
from ..token import Token
from .cached_token import CachedToken
from .goal import Goal
from .single_flight import Flight
from .stored_record import GrantRecord

if TYPE_CHECKING:
    from .current_token import CurrentToken

MOST_CAUSES = 256

LOOK_TIMEOUT = 2.0
"""Seconds that a caller waits for the store, which may have the token of a newer sign-in."""

_LOOK_EVERY = 1.0
"""Seconds between two looks at the store."""


class SeenDemands(NamedTuple):
    """What one process remembers of the demands on one grant. Immutable.

    Attributes:
        causes: The demands that were reported.
        demands: All of them together.
        sign_in: `GrantRecord.sign_in` of the stored record, as it was last read; None if it was not.
        looked_at: When the store was last read, in UTC epoch seconds. None: never.
        lacked_certificate: Whether a missing client certificate was reported.
    """

    causes: tuple[Demand, ...] = ()
    demands: Demands = Demands()
    sign_in: str | None = None
    looked_at: float | None = None
    lacked_certificate: bool = False

    def with_record(self, record: GrantRecord) -> SeenDemands:
        """With what the store has. If that is another sign-in, the demands on the grant before it are forgotten."""
        stored = record.demands or Demands()
        if record.sign_in != self.sign_in and self.sign_in is not None:
            return SeenDemands((), stored, record.sign_in, self.looked_at, self.lacked_certificate)
        merged = self.demands
        for demand in _each(stored):
            merged = merged.including(demand) if demand not in _each(merged) else merged
        return self._replace(demands=merged, sign_in=record.sign_in)


def _each(demands: Demands) -> tuple[Demand, ...]:
    step_up = () if demands.step_up is None else (demands.step_up,)
    return (*step_up, Demand("consent_ended")) if demands.consent_ended else step_up


class SignInDemands:
    """Judges responses of the API to the requests of one grant, and remembers what they ask for.

    A new sign-in begins with another one. May be used from any thread or task.

    Attributes:
        install: Begins to use a token in place of another one, if that is still the current one.
        seen: What is remembered. Replaced under `Sources.installing` only.
    """

    __slots__ = ("_current", "install", "seen")

    def __init__(self, current: CurrentToken, install: Callable[[CachedToken, CachedToken], bool]) -> None:
        self._current = current
        self.install: Callable[[CachedToken, CachedToken], bool] = install
        self.seen: SeenDemands = SeenDemands()

    def find(self, answer: ApiAnswer, sent: CachedToken) -> Demand | None:
        """What a response asks for that only a sign-in gives; None if it asks for nothing of that kind.

        Args:
            answer: The response to a request that carried our token.
            sent: The token that the request carried.

        Raises:
            ConfigurationError: The provider's `ends_consent` failed.
        """
        step_up = step_up_in(answer, sent.prefix.strip(), _secrets_of(sent.token))
        if step_up is not None:
            return step_up
        try:
            has_ended = self._current.state.provider.ends_consent(answer)
        except Exception as error:  # noqa: BLE001 - a provider's author may raise anything
            failure = type(error).__name__
        else:
            return Demand("consent_ended") if has_ended else None
        raise ConfigurationError(
            f"ends_consent of the provider raised {failure}", remedy="correct it there", parameter="ends_consent"
        )

    def newer_token(self, sent: CachedToken, package: Package) -> CachedToken | Flight[CachedToken | None] | None:
        """A token that is newer than the one that was sent, and that was not obtained because of this response.

        Args:
            sent: The token that the request carried.
            package: The caller's HTTP package.

        Returns:
            The current token, if it is another one and valid; else a look at the store, which another process or a new
            sign-in may have changed; None if the store was read less than a second ago.
        """
        current, now = self._current, self._current.state.clock()
        cached = current.cached
        if cached is not None and not cached.is_same_token(sent):
            return cached if now < cached.expires_at else None
        key = ("demands", current.store_key)
        under_way: Flight[CachedToken | None] | None = current.state.flights.under_way(key)
        if under_way is not None:
            return under_way
        seen = self.seen
        if current.unsaved is not None or (
            seen.looked_at is not None and seen.looked_at <= now < seen.looked_at + _LOOK_EVERY
        ):
            return None
        with current.state.sources.installing:
            self.seen = self.seen._replace(looked_at=now)
        look = _Look(self, current, sent, package)
        return current.state.flights.join_or_start(key, look.run, lambda: self._after_look(look))

    def note(
        self, demand: Demand, answer: ApiAnswer, sent: CachedToken, *, is_asked: bool = False
    ) -> SignInRequired | None:
        """Report a demand, once for each cause, and remember it.

        Args:
            demand: What `find` found in the response.
            answer: The response.
            sent: The token that the request carried.
            is_asked: Whether the user is asked to sign in because of it, so that there is nothing to warn of.

        Returns:
            The error to raise; None if the user of the library wants the API's response.
        """
        current, wanted = self._current, demand
        if demand.reason == "step_up":
            wanted = demand._replace(scope=union_of_scopes(sent.token.scope, demand.scope))
        with current.state.sources.installing:
            before = self.seen
            is_new = demand not in before.causes
            causes = (*before.causes, demand)[-MOST_CAUSES:] if is_new else before.causes
            seen = before._replace(causes=causes, demands=before.demands.including(wanted))
            self.seen = seen
        error = self._error(demand, seen.demands, answer, sent)
        if is_new:
            name: EventName = "step_up_required" if demand.reason == "step_up" else "consent_ended"
            current.state.operations.emit([Event(name, current.store_key, str(error), error)], may_warn=not is_asked)
        if seen.demands != before.demands:
            current.state.operations.begin(self._save)
        is_raised = current.grant.needs_user and current.rules.on_demand.get(demand.reason) == "raise"
        return error.replace() if is_raised else None

    def sign_in(self, error: SignInRequired, sent: CachedToken, package: Package) -> Flight[CachedToken] | None:
        """None: an `OAuthClient` never asks a user from inside a request; see `_resource/step_up.py`."""

    def note_missing_certificate(self, sent: CachedToken, *, was_renewed: bool) -> None:
        """Report, once, that a token was rejected whose HTTP client visibly lacks the certificate it is bound to.

        Args:
            sent: The token.
            was_renewed: Whether a renewal has not helped. Then it is likely that the tokens of a client with a
                certificate are bound to it, although they do not show it.
        """
        current = self._current
        is_bound, may_be_bound = is_certificate_bound(sent.token), current.state.network.cert is not None
        if not is_bound and not (was_renewed and may_be_bound):
            return
        with current.state.sources.installing:
            if self.seen.lacked_certificate:
                return
            self.seen = self.seen._replace(lacked_certificate=True)
        how = "is" if is_bound else "may be"
        detail = (
            f"the API rejected a token that {how} bound to the client's certificate (RFC 8705 section 3), and the HTTP "
            "client of that request has no certificate: give it that of OAuthClient, as in session.cert = (...)"
        )
        current.state.operations.emit([Event("certificate_missing", current.store_key, detail)])

    def _error(self, demand: Demand, demands: Demands, answer: ApiAnswer, sent: CachedToken) -> SignInRequired:
        provider, subject = self._current.state.provider, self._current.grant.subject
        whose = "the client's own token" if subject is None else f"the grant of subject {subject!r}"
        header = provider.correlation_header
        fields: dict[str, Any] = {
            "reason": demand.reason,
            "subject": subject,
            "error": demand.error,
            "status_code": answer.status_code,
            "correlation_id": clean_identifier(
                None if header is None else answer.headers.get(header.lower()), _secrets_of(sent.token)
            ),
        }
        if demand.reason == "consent_ended":
            return SignInRequired(
                f"{provider.display_name} reports that the consent has ended, or does not cover this request: {whose}",
                remedy="send the user through start_authorization() again",
                **fields,
            )
        wanted = demands.step_up or demand
        asked: dict[str, Any] = {"scope": wanted.scope, "acr_values": demand.acr_values, "max_age": demand.max_age}
        named = ", ".join(f"{name}={value!r}" for name, value in asked.items() if value is not None)
        arguments = "".join(f", {name}=error.{name}" for name, value in asked.items() if value is not None)
        remedy = f"send the user through start_authorization(error.subject{arguments})"
        return SignInRequired(
            f"the API asks for more than {whose} gives ({demand.error})",
            remedy=f"{remedy}: {named}" if named else remedy,
            **asked,
            **fields,
        )

    # --- on a worker thread --------------------------------------------------------------------------------------

    def _after_look(self, look: _Look) -> None:
        self._current.state.operations.emit(look.events)
        if look.lacks_mark:
            # Saving it has failed before, or the store had no record then.
            self._current.state.operations.begin(self._save)

    def _save(self, events: list[Event]) -> None:
        """Store what was asked for, beside the token that it was asked for with."""
        current = self._current
        stored_grant = current.renewal(events=events).stored
        try:
            with stored_grant.locked():
                known, seen = current.cached, self.seen
                stored = stored_grant.load(known)
                if stored is None or known is None or known.supersedes(stored.token):
                    return
                record = stored.record
                if record.demands != seen.demands and seen.sign_in in (None, record.sign_in):
                    stored_grant.write(dataclasses.replace(record, demands=seen.demands), stored.version)
        except StoreError as failure:
            stored_grant.note_failure("save_failed", failure)


class _Look:
    """A look at the store for the token of a newer sign-in. For one thread.

    Attributes:
        events: What happened, to be emitted afterwards.
        lacks_mark: Whether the record does not have what the API has asked for.
    """

    def __init__(self, demands: SignInDemands, current: CurrentToken, sent: CachedToken, package: Package) -> None:
        self._demands = demands
        self._current = current
        self._sent = sent
        self._renewal = current.renewal(package)
        self.events: list[Event] = []
        self.lacks_mark = False

    def run(self) -> CachedToken | None:
        """The stored token, if it is another one than the one that was sent, and valid; else None."""
        current, sent = self._current, self._sent
        try:
            stored = self._renewal.stored.load(sent)
        except StoreError:
            return None
        if stored is None:
            return None
        with current.state.sources.installing:
            seen = self._demands.seen.with_record(stored.record)
            self._demands.seen = seen
        self.lacks_mark = bool(seen.causes) and stored.record.demands != seen.demands
        is_newer = Goal(sent, must_differ=True).is_met_by(stored.cached, current.state.clock())
        if not is_newer or sent.supersedes(stored.token) or not self._demands.install(sent, stored.cached):
            return None
        self.events.append(Event("adopted", current.store_key, repr(stored.token)))
        return stored.cached


def _secrets_of(token: Token) -> tuple[str, ...]:
    return tuple(each for each in (token.access_token, token.refresh_token) if each)
