"""What a client tells its `on_event` callback, and the log.

Events are told after the fact, outside every lock, on the thread where they happened (mostly a short-lived worker), so
a callback may call back into the client. A callback that raises is logged and does no harm.

The log `blnk_auth` has each event at level DEBUG, but for one: `token_withheld` is a WARNING, once for each source and
reason, since nothing is raised and nobody would look for it.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from dataclasses import dataclass

logger = logging.getLogger("blnk_auth")


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to one token. Holds no secret.

    `name` is one of: `renewed` (the server issued a token and it is saved), `adopted` (a sibling's newer token was
    taken from the store), `renewal_failed`, `save_failed` (the new pair lives in memory; saving is tried again),
    `saved` (a pair that could not be saved now is), `unlock_failed`, `odd_answer` (a member of the server's answer was
    strange), `sign_in_required`, `refresh_token_expiring`, `signed_in`, `forgotten`, `revoked`, `token_withheld` (a
    request went to an origin that may not have the token, or had a header of its own in its place).
    `store_key` says whose token; `detail` is for people; `error` is the exception, if there was one.
    """

    name: str
    store_key: str
    detail: str = ""
    error: Exception | None = None


OnEvent = Callable[[Event], object]


# Its cache is the memory of what has been said, for the whole process; bounded, so that after so many others one may
# be said again.
@functools.lru_cache(maxsize=1024)
def _warn_once(*event: str) -> None:
    """Nothing is raised for a request that goes without the token, so the log must say why a bare 401 came back."""
    logger.warning("%s %s %s", *event)


def tell(on_event: OnEvent | None, event: Event) -> None:
    """Log the event and hand it to the callback, whose failure is the callback's own."""
    if event.name == "token_withheld":
        _warn_once(event.name, event.store_key, event.detail)
    else:
        logger.debug("%s %s %s", event.name, event.store_key, event.detail)
    if on_event is None:
        return
    try:
        on_event(event)
    except Exception:
        logger.exception("on_event raised for %s", event.name)
