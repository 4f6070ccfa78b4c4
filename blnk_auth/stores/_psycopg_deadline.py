"""A psycopg connection with a time limit for each statement, kept by the client.

Used by `_sql_database` for a store that was given a URL. It promises that a statement is answered in time, or that the
connection is closed and an error is raised. It never repeats a statement. PostgreSQL's own `statement_timeout` is not
enough: it does not apply to a commit that waits for a synchronous standby, nor on a suspended server. Without this
module, psycopg and the thread of a renewal would then wait for ever. This module needs psycopg 3.2.11: an older one
wakes up only when the server answers, so that nothing ends its wait.
"""

from __future__ import annotations

import time
from collections.abc import Generator
from typing import Any

import psycopg


class NoAnswerInTime(psycopg.OperationalError):
    """The server has not answered a statement in time. Whether it was executed is unknown."""

    # The code of the SQL standard for this: "transaction resolution unknown".
    sqlstate = "08007"


def connect(*args: Any, seconds: float, **options: Any) -> psycopg.Connection[Any]:
    """As `psycopg.connect`, but the connection is closed when a statement is not answered within `seconds`."""

    class LimitedConnection(psycopg.Connection[Any]):
        def wait(self, gen: Any, *args: Any, **options: Any) -> Any:
            return super().wait(_within(seconds, gen, self), *args, **options)

    return LimitedConnection.connect(*args, **options)


def _within(
    seconds: float, gen: Generator[Any, Any, Any], connection: psycopg.Connection[Any]
) -> Generator[Any, Any, Any]:
    """The same generator with a deadline. It yields the events that psycopg must wait for, and receives those that are
    ready, or nothing several times a second.
    """
    ends_at = time.monotonic() + seconds
    try:
        waits_for = next(gen)
        while True:
            ready = yield waits_for
            if not ready and time.monotonic() >= ends_at:
                connection.pgconn.finish()
                raise NoAnswerInTime(f"no answer within {seconds:g} s")
            waits_for = gen.send(ready)
    except StopIteration as end:
        return end.value
