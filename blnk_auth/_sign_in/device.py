"""Signing in with a device code, for a browser on another device (RFC 8628): ask for a code, show it, and poll.

Used by `OAuthClient.authorize_device`. It promises:

* This file decides how long to wait between polls. The waiting itself is done by the caller's `wait`.
* An outage does not end the sign-in. The sign-in ends when the server refuses it or the code expires.
* Each poll runs on a worker thread. Cancelling the caller does not cancel a poll, because its response may contain the
  tokens.
* Text from the server is shown to the user only if it is printable and short.

It never waits on a worker thread, and never polls faster than the server asked for.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from .._protocol.dpop_key import DpopKey
from .._protocol.http_messages import HttpResponse
from .._protocol.origins import endpoint_origin
from .._protocol.requests import ServerRequest, build_device_authorization, build_device_exchange
from .._protocol.token_response import (
    Issued,
    judge_device_authorization,
    judge_device_token_response,
    with_requested_scope,
)
from .._renewal.client_state import ClientState
from .._renewal.cooldown import doubled
from .._renewal.current_token import CurrentToken
from .._renewal.single_flight import in_trio
from ..errors import ConfigurationError, ProtocolError, SignInRequired, TemporarilyUnavailable, is_number, quoted
from ..errors._pickling import pickled_by_name, public
from ..events import Event
from ..token import read_seconds
from .wanted_grant import WantedGrant

_DEFAULT_INTERVAL = 5.0
"""RFC 8628 section 3.2: "If no value is provided, clients MUST use 5 as the default." """

_SLOW_DOWN = 5.0
"""RFC 8628 section 3.5: "the interval MUST be increased by 5 seconds for this and all subsequent requests." """

_MAX_BACK_OFF = 60.0
_MAX_LIFETIME = 86_400.0
_MAX_SHOWN = 2048
"""Characters of a server's text that are shown to the user."""


@public
@pickled_by_name
@dataclass(frozen=True, slots=True)
class DeviceAuthorization:
    """What to show the user.

    Immutable. The response of RFC 8628 section 3.2.

    Attributes:
        user_code: The code to enter.
        verification_uri: The page to open on a device with a browser.
        verification_uri_complete: The same page with the code in its URL, for a QR code. None: the server sent none.
        expires_at: When the code expires, in UTC epoch seconds.
        interval: Seconds between two polls that the server asked for.
        device_code: The secret code with which this client polls.
    """

    user_code: str
    verification_uri: str
    verification_uri_complete: str | None
    expires_at: float
    interval: float
    device_code: str = field(repr=False)


def read_device_authorization(members: Mapping[str, Any], *, now: float) -> DeviceAuthorization:
    """The response of RFC 8628 section 3.2, received at `now`. Raises `ProtocolError`."""
    interval = read_seconds(members.get("interval"))
    lifetime = read_seconds(members.get("expires_in"))
    if lifetime is None:
        raise ProtocolError(
            "the device authorization endpoint answered without expires_in",
            parameter="device_authorization_endpoint",
            remedy="check that device_authorization_endpoint is the right URL",
        )
    complete = members.get("verification_uri_complete")
    return DeviceAuthorization(
        user_code=_text(members, "user_code"),
        # Google wrote verification_url before the RFC was finished, and still does.
        verification_uri=_web_address(_text(members, "verification_uri", "verification_url")),
        verification_uri_complete=_web_address(complete) if isinstance(complete, str) and complete else None,
        expires_at=now + min(lifetime, _MAX_LIFETIME),
        interval=_DEFAULT_INTERVAL if interval is None else max(interval, 0.0),
        device_code=_member(members, "device_code"),
    )


def _text(members: Mapping[str, Any], *names: str) -> str:
    """The first of these members that exists. It must be printable and short, because a terminal shows it."""
    value = _member(members, *names)
    if len(value) > _MAX_SHOWN:
        raise _unusable(names[0])
    return value


def _member(members: Mapping[str, Any], *names: str) -> str:
    value = next((members[name] for name in names if members.get(name)), None)
    if not isinstance(value, str) or not value.isprintable():
        raise _unusable(names[0])
    return value


def _web_address(url: str) -> str:
    try:
        endpoint_origin(url, "verification_uri")
    except ConfigurationError:
        pass
    else:
        if url.isprintable() and len(url) <= _MAX_SHOWN:
            return url
    raise _unusable("verification_uri")


def _unusable(member: str) -> ProtocolError:
    return ProtocolError(
        f"the device authorization endpoint answered without a usable {member}",
        parameter="device_authorization_endpoint",
        remedy="check that device_authorization_endpoint is the right URL",
    )


class DeviceSignIn:
    """One sign-in with a device code, to be run once, by one caller.

    Args:
        state: The client's.
        wanted: The grant that the user is asked for. Its `parameters` are not sent.
        on_prompt: Shows the user what to do.
        timeout: Seconds after which the sign-in ends, if the code does not expire earlier. None: it ends when the code
            expires.
        wait: Called with the seconds until the next poll. For `arun` it returns what is awaited.

    Raises:
        ConfigurationError: An argument cannot work.
        TemporarilyUnavailable: The provider's `target` callable failed.
    """

    def __init__(
        self,
        state: ClientState,
        wanted: WantedGrant,
        *,
        on_prompt: Callable[[DeviceAuthorization], object],
        timeout: float | None,
        wait: Callable[[float], object],
    ) -> None:
        if timeout is not None and not (is_number(timeout) and timeout >= 0):
            raise ConfigurationError(
                f"timeout must be None, or a number of seconds, not {quoted(timeout)}",
                parameter="timeout",
                remedy="pass None to wait until the code expires",
            )
        _check_callable("on_prompt", on_prompt)
        _check_callable("wait", wait)
        self._state = state
        self._wanted = wanted
        self._current = state.current_token(wanted.grant(state.provider.target_of(wanted.subject)))
        self._on_prompt = on_prompt
        self._timeout = timeout
        self._wait = wait
        self._device_code = ""
        self._key: DpopKey | None = None
        self._interval = _DEFAULT_INTERVAL
        self._deadline = 0.0

    def run(self) -> CurrentToken:
        """Sign the user in. Blocks."""
        self._on_prompt(self._state.operations.wait_for(self._state.operations.begin(self._begin)))
        while True:
            self._wait(self._pause())
            if self._state.operations.wait_for(self._state.operations.begin(self._poll)):
                return self._current

    async def arun(self) -> CurrentToken:
        """The same in a task of asyncio or trio."""
        self._on_prompt(await self._state.operations.await_for(self._state.operations.begin(self._begin)))
        while True:
            await cast("Awaitable[object]", self._wait(self._pause()))
            if await self._state.operations.await_for(self._state.operations.begin(self._poll)):
                return self._current

    def _begin(self, _events: list[Event]) -> DeviceAuthorization:
        """Ask for the code."""
        state = self._state
        request = build_device_authorization(
            state.provider,
            state.credentials,
            self._wanted.scope,
            resource=self._wanted.resource,
            call=self._current.grant.call("device_code"),
            now=state.clock(),
        )
        response = self._current.renewal().endpoint.send(request)
        now = state.clock()
        members = judge_device_authorization(response, request, now=now)
        authorization = read_device_authorization(members, now=now)
        self._key = state.proofs.new_key()
        self._device_code, self._interval = authorization.device_code, authorization.interval
        self._deadline = min(
            authorization.expires_at, now + (_MAX_LIFETIME if self._timeout is None else self._timeout)
        )
        return authorization

    def _pause(self) -> float:
        """Seconds to wait before the next poll. Raises `SignInRequired` if there is no time for another."""
        if self._state.clock() + self._interval > self._deadline:
            raise SignInRequired(
                "the user has not entered the code in time",
                remedy="start the sign-in again",
                reason="restart",
                subject=self._wanted.subject,
            )
        return self._interval

    def _poll(self, events: list[Event]) -> bool:
        """Whether the user has given access; if so, the tokens are stored."""
        state, exchange = self._state, self._current.renewal()

        def build() -> ServerRequest:
            return build_device_exchange(
                state.provider,
                state.credentials,
                self._device_code,
                resource=self._wanted.resource,
                call=self._current.grant.call("device_code"),
                now=state.clock(),
            )

        try:
            self._current.start_over(
                exchange.exchange(build, self._judge, key=self._key, requested_scope=self._wanted.scope)
            )
        except TemporarilyUnavailable as not_yet:
            self._interval = _next_interval(self._interval, not_yet)
            return False
        except SignInRequired as verdict:
            raise verdict.replace(subject=self._wanted.subject) from None
        finally:
            events.extend(exchange.events)
        return True

    def _judge(self, response: HttpResponse, request: ServerRequest, *, now: float) -> Issued:
        issued = judge_device_token_response(response, request, now=now)
        return with_requested_scope(issued, self._wanted.scope, response)


def _next_interval(interval: float, not_yet: TemporarilyUnavailable) -> float:
    if not_yet.error == "authorization_pending":
        return interval
    if not_yet.error == "slow_down":
        return interval + _SLOW_DOWN
    # RFC 8628 section 3.5: on a timeout "clients MUST unilaterally reduce their polling frequency before retrying",
    # such as by doubling the interval.
    longer = max(doubled(interval, 1), not_yet.retry_after or 0.0, 1.0)
    return max(interval, min(longer, _MAX_BACK_OFF))


def _check_callable(parameter: str, value: object) -> None:
    if not callable(value):
        remedy = {
            "on_prompt": "pass a function that shows user_code and verification_uri",
            "wait": "pass a function that waits for the seconds it is given, or leave it out",
        }[parameter]
        raise ConfigurationError(
            f"{parameter} must be a callable, not {quoted(value)}", parameter=parameter, remedy=remedy
        )


async def sleep(seconds: float) -> None:
    """Wait in a task of asyncio or trio: the event loop's own sleep."""
    if in_trio():
        import trio

        await trio.sleep(seconds)
    else:
        import asyncio

        await asyncio.sleep(seconds)
