"""Signing in with a device code, where the browser is elsewhere (RFC 8628): ask for a code, show it, poll.

How long to wait is decided here, from the server's answers and a clock; waiting is the caller's affair, so that a test
needs none. Each question is asked on a worker thread that no cancellation reaches: its answer may be the tokens.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .._protocol.answers import judge_device_answer, judge_device_authorization, no_answer
from .._protocol.http_messages import Call, NoAnswer
from .._protocol.origins import endpoint_origin
from .._protocol.requests import build_device_authorization, build_device_exchange
from .._renewal.client_state import ClientState
from .._renewal.current_token import CurrentToken
from .._renewal.single_flight import Flight, in_trio, run_on_worker
from ..errors import ConfigurationError, ProtocolError, SignInRequired, TemporarilyUnavailable
from ..errors._pickling import pickled_by_name, public
from ..events import Event
from ..token import read_seconds

_DEFAULT_INTERVAL = 5.0
"""RFC 8628 section 3.2: "If no value is provided, clients MUST use 5 as the default." """

_SLOW_DOWN = 5.0
"""RFC 8628 section 3.5: "the interval MUST be increased by 5 seconds for this and all subsequent requests." """

_LONGEST_BACK_OFF = 60.0
_LONGEST_LIFE = 86_400.0


@public
@pickled_by_name
@dataclass(frozen=True, slots=True)
class DeviceAuthorization:
    """What to show the person: the `user_code`, and the `verification_uri` to open on a device with a browser.

    `verification_uri_complete` holds the code too, for a QR code; None if the server gave none. `expires_at` is in UTC
    epoch seconds, `interval` the seconds between two questions that the server asked for.
    """

    user_code: str
    verification_uri: str
    verification_uri_complete: str | None
    expires_at: float
    interval: float
    device_code: str = field(repr=False)


def read_device_authorization(members: Mapping[str, Any], *, now: float) -> DeviceAuthorization:
    """The answer of RFC 8628 section 3.2, received at `now`. Raises `ProtocolError`."""
    interval = read_seconds(members.get("interval"))
    lifetime = read_seconds(members.get("expires_in"))
    if lifetime is None:
        raise ProtocolError(
            "the device authorization endpoint answered without expires_in", remedy="is it the right URL?"
        )
    complete = members.get("verification_uri_complete")
    return DeviceAuthorization(
        user_code=_text(members, "user_code"),
        # Google wrote verification_url before the RFC was finished, and still does.
        verification_uri=_web_address(_text(members, "verification_uri", "verification_url")),
        verification_uri_complete=_web_address(complete) if isinstance(complete, str) and complete else None,
        expires_at=now + min(lifetime, _LONGEST_LIFE),
        interval=_DEFAULT_INTERVAL if interval is None else max(interval, 0.0),
        device_code=_text(members, "device_code"),
    )


def _text(members: Mapping[str, Any], *names: str) -> str:
    """The first of these members; what is shown in a terminal must not control it."""
    value = next((members[name] for name in names if members.get(name)), None)
    if not isinstance(value, str) or not value.isprintable():
        raise ProtocolError(f"the device authorization endpoint answered without a usable {names[0]}")
    return value


def _web_address(url: str) -> str:
    try:
        endpoint_origin(url, "verification_uri")
    except ConfigurationError as error:
        raise ProtocolError(f"the device authorization endpoint's {error}") from None
    return url


class DeviceSignIn:
    """One sign-in by device code: `begin` it, then ask again and again. Used by one caller at a time."""

    def __init__(self, state: ClientState, current: CurrentToken, *, scope: str | None, timeout: float | None) -> None:
        if timeout is not None and (isinstance(timeout, bool) or not isinstance(timeout, int | float) or timeout < 0):
            raise ConfigurationError(
                f"timeout must be a number of seconds, or None, not {timeout!r}", parameter="timeout"
            )
        self.state = state
        self._current = current
        self._scope = scope
        self._timeout = timeout
        self._device_code = ""
        self._interval = _DEFAULT_INTERVAL
        self._ends_at = 0.0

    def begin(self) -> DeviceAuthorization:
        """Ask for the code. Blocks. Raises `ConfigurationError`, `ProtocolError`, `TemporarilyUnavailable`."""
        state = self.state
        call = build_device_authorization(
            state.provider, state.credentials, self._scope, call=self._call, now=state.clock()
        )
        try:
            response = state.ports(None).send(call.request)
        except NoAnswer as failure:
            raise no_answer(failure, call.purpose) from None
        now = state.clock()
        members = judge_device_authorization(response, call, now=now)
        authorization = read_device_authorization(members, now=now)
        self._device_code, self._interval = authorization.device_code, authorization.interval
        self._ends_at = min(authorization.expires_at, now + (_LONGEST_LIFE if self._timeout is None else self._timeout))
        return authorization

    def pause(self) -> float:
        """Seconds to wait before the next question. Raises `SignInRequired` if there is no time for another."""
        if self.state.clock() + self._interval > self._ends_at:
            raise SignInRequired(
                "nobody has entered the code in time",
                remedy="start it again",
                reason="restart",
                subject=self._current.grant.subject,
            )
        return self._interval

    def ask(self) -> Flight[CurrentToken | None]:
        """Ask whether the person has decided: their source if they gave access, None for not yet."""
        events: list[Event] = []
        return run_on_worker(lambda: self._ask(events), lambda: self.state.emit(events))

    def _ask(self, events: list[Event]) -> CurrentToken | None:
        state, exchange = self.state, self._current.renewal()
        call = build_device_exchange(
            state.provider, state.credentials, self._device_code, call=self._call, now=state.clock()
        )
        try:
            self._current.install(exchange.exchange(call, judge_device_answer))
        except TemporarilyUnavailable as not_yet:
            self._interval = _next_interval(self._interval, not_yet)
            return None
        except SignInRequired as verdict:
            raise verdict.replace(subject=self._current.grant.subject) from None
        finally:
            events.extend(exchange.events)
        return self._current

    @property
    def _call(self) -> Call:
        return self._current.call("device_code")


def _next_interval(interval: float, not_yet: TemporarilyUnavailable) -> float:
    if not_yet.error == "authorization_pending":
        return interval
    if not_yet.error == "slow_down":
        return interval + _SLOW_DOWN
    # RFC 8628 section 3.5: on a timeout "clients MUST unilaterally reduce their polling frequency before retrying",
    # such as by doubling the interval.
    doubled = max(2 * interval, not_yet.retry_after or 0.0, 1.0)
    return max(interval, min(doubled, _LONGEST_BACK_OFF))


def poll(sign_in: DeviceSignIn, wait: Callable[[float], object]) -> CurrentToken:
    """Ask until the person has decided; block meanwhile."""
    while True:
        wait(sign_in.pause())
        current = sign_in.state.wait_for(sign_in.ask())
        if current is not None:
            return current


async def apoll(sign_in: DeviceSignIn, wait: Callable[[float], Awaitable[object]] | None) -> CurrentToken:
    """The same in a task of asyncio or trio, whose own sleep is used if `wait` is None."""
    while True:
        await (_sleep if wait is None else wait)(sign_in.pause())
        current = await sign_in.state.await_for(sign_in.ask())
        if current is not None:
            return current


async def _sleep(seconds: float) -> None:
    if in_trio():
        import trio

        await trio.sleep(seconds)
    else:
        import asyncio

        await asyncio.sleep(seconds)
