"""Assertions about what a sandbox saw: one renewal, no refresh token spent twice, no secret where it can be read.

Used by tests of applications, as functions and as pytest fixtures of the same names. They promise an `AssertionError`
that states what happened instead and what to do. They never change the sandbox or its record.
"""

from __future__ import annotations

import logging
import time
import traceback
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import cast

from ..errors._pickling import public
from ._secret_search import Secrets
from .sandbox import Counts, Sandbox

_PAUSE = 0.01


@public
def assert_renewed_once(sandbox: Sandbox, *, timeout: float = 5.0) -> None:
    """Assert that exactly one token was renewed: one request to the token endpoint, and it succeeded.

        blnk_clock.advance(3601)                # the access token has expired
        application.list_accounts()
        assert_renewed_once(blnk_sandbox)

    A renewal is a refresh, or another token that a client got for itself. Sign-ins are not counted. A renewal in the
    background may still be under way, so this waits for it. May be called from any thread; it blocks, so call it on a
    worker thread where an event loop runs.

    Args:
        sandbox: The sandbox. What counts is what happened since its start or its last `clear_record()`.
        timeout: Seconds to wait at most for a first renewal. Nothing waits if there was one already.

    Raises:
        AssertionError: There was no renewal, there were several, a request to the token endpoint failed, or a spent
            refresh token was presented. The message has the counts.
    """
    __tracebackhide__ = True
    # Counted in pauses: a library that stops the clocks would stop a deadline too.
    pauses = round(timeout / _PAUSE)
    while _renewals(sandbox.counts) == 0 and pauses > 0:
        time.sleep(_PAUSE)
        pauses -= 1
    counts = sandbox.counts
    if (_renewals(counts), _renewal_requests(counts), counts.reuses) != (1, 1, 0):
        raise AssertionError(
            f"expected one renewal by one token request, but there were {_renewals(counts)} by "
            f"{_renewal_requests(counts)}, of which {counts.refused} got an error; spent refresh tokens presented: "
            f"{counts.reuses}. To count from a certain point on, call sandbox.clear_record() there"
        )


@public
def assert_no_reuse(sandbox: Sandbox) -> None:
    """Assert that no spent refresh token was presented, which would have ended the user's grant.

    May be called from any thread.

    Args:
        sandbox: The sandbox. What counts is what happened since its start or its last `clear_record()`.

    Raises:
        AssertionError: One was presented. A provider with reuse detection revokes the whole grant then (RFC 9700
            section 4.14.2), and the user must sign in again.
    """
    __tracebackhide__ = True
    reuses = sandbox.counts.reuses
    if reuses:
        raise AssertionError(
            f"spent refresh tokens were presented: {reuses}. Two clients renewed the same grant without sharing a "
            "store, or a rotated refresh token was not saved"
        )


@public
def assert_no_secret_in(shown: object, sandbox: Sandbox) -> None:
    """Assert that output, such as a log or an error, contains no secret of the sandbox.

        assert_no_secret_in(caplog.records, blnk_sandbox)
        assert_no_secret_in(capsys.readouterr(), blnk_sandbox)
        assert_no_secret_in(raised.value, blnk_sandbox)

    It searches for each token and code that the sandbox has issued, and for the client secret. Any twelve characters of
    one are found: as they are, percent-encoded, escaped as in JSON or HTML, in base64, in hexadecimal, or in two of
    these. Of a text over 300,000 characters, only the beginning is searched for encoded secrets. May be
    called from any thread.

    Args:
        shown: A string or bytes; an exception, with all that it is chained to; a log record; a mapping or another
            collection of these. Of any other object its `repr` and its `str`, and never its attributes: pass the
            `text` of a response, not the response.
        sandbox: The sandbox whose secrets are searched for.

    Raises:
        AssertionError: A secret was found. The message has its kind, its encoding and what is around it.
    """
    __tracebackhide__ = True
    secrets = Secrets()
    for kind, secret in sandbox.secrets:
        secrets.add(kind, secret)
    for text in _strings_of(shown):
        for found in secrets.found_in(text):
            raise AssertionError(f"{found.kind} ({found.encoding}) in: ...{found.excerpt}...")


def _renewals(counts: Counts) -> int:
    return counts.refreshes + counts.client_credentials


def _renewal_requests(counts: Counts) -> int:
    return counts.token_requests - counts.code_exchanges - counts.device_exchanges


def _strings_of(shown: object) -> Iterator[str]:
    """Each string by which the value, or a part of it, may be shown; each part once."""
    seen: dict[int, object] = {}
    waiting = [shown]
    while waiting:
        each = waiting.pop()
        if id(each) not in seen:
            seen[id(each)] = each
            waiting += _parts_of(each)
            yield from _own_strings_of(each)


def _parts_of(shown: object) -> Iterable[object]:
    if isinstance(shown, Mapping):
        return chain.from_iterable(cast("Mapping[object, object]", shown).items())
    if isinstance(shown, list | tuple | set | frozenset):
        return cast("Iterable[object]", shown)
    if isinstance(shown, logging.LogRecord):
        return (shown.getMessage(), shown.args, shown.exc_info and shown.exc_info[1])
    if isinstance(shown, BaseExceptionGroup):
        group = cast("BaseExceptionGroup[BaseException]", shown)
        return (*group.exceptions, group.args, group.__cause__, group.__context__)
    if isinstance(shown, BaseException):
        return (shown.args, shown.__cause__, shown.__context__)
    return ()


def _own_strings_of(shown: object) -> Iterator[str]:
    if isinstance(shown, str):
        yield shown
    elif isinstance(shown, bytes | bytearray):
        yield bytes(shown).decode("utf-8", "replace")
    elif isinstance(shown, BaseException):
        # As Python prints it, with its notes, but without the lines of the program: a test may name a secret there.
        yield "".join(traceback.format_exception_only(shown))
        yield repr(shown)
    else:
        yield from (repr(shown), str(shown))
