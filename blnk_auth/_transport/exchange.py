"""One exchange with the authorization server: within its deadline, and with every failure as an error of this library.

Used by both transports, which contain only how their HTTP package sends and what its errors mean. It promises that
each exception becomes a `NoResponse`, which reports whether the request may have been sent, or a `ConfigurationError`.
It never sends a request twice.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .._protocol.http_messages import HttpResponse, NoResponse
from ..errors import ConfigurationError, ProtocolError
from .addresses import AddressCheck
from .deadline import Deadline
from .failures import UNUSABLE_CLIENT, name_of, unusable_client

Send = Callable[[Deadline], tuple[Any, bytes]]
"""Sends a request, and returns the package's response with its whole body."""

Judge = Callable[[Exception, Deadline], Exception | None]
"""The error to raise for an error of the HTTP package; None if the error is not the package's own."""


def exchange(send: Send, judge: Judge, seconds: float, check: AddressCheck | None = None) -> HttpResponse:
    """The response to a request that is sent once.

    Args:
        send: Sends the request.
        judge: Converts the errors of the HTTP package.
        seconds: How long the exchange may take in all.
        check: Judges the addresses that are connected to. None: any may be.

    Raises:
        NoResponse: No response arrived, or not all of it.
        ProtocolError: The response is longer than its limit.
        ConfigurationError: The certificate, the proxy or another setting cannot work, or the address is refused.
    """
    with Deadline(seconds, check=check) as deadline:
        try:
            response, body = send(deadline)
        except (ConfigurationError, ProtocolError, NoResponse, AssertionError):
            # A mock of an HTTP client raises an AssertionError to make its test fail.
            raise
        except Exception as error:  # noqa: BLE001 - a user's HTTP client, with the user's hooks
            failure = judge(error, deadline)
            if failure is None:
                # Once the request was sent, such an error is about the response: a Location that cannot be parsed.
                is_unusable = isinstance(error, UNUSABLE_CLIENT) and not deadline.may_have_sent
                failure = unusable_client(error) if is_unusable else lost(error, deadline)
            raise failure from None
    if check is not None:
        check.answered()
    return HttpResponse(response.status_code, {k.lower(): v for k, v in response.headers.items()}, body)


def lost(error: Exception, deadline: Deadline, *, sent: bool | None = None) -> NoResponse:
    """The error for an exchange that ended without a response.

    Args:
        error: The HTTP package's error.
        deadline: The deadline of the exchange. If it has passed, the error reports that.
        sent: Whether the request may have been sent. None: the deadline's connections decide.
    """
    if deadline.has_passed:
        return deadline.missed()
    return NoResponse(name_of(error), sent=not deadline.nothing_was_sent if sent is None else sent)
