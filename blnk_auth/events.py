"""What happened to a token: for a user's `on_event` callback, and for the log `blnk_auth`.

Used by everything that renews, stores or attaches a token. What this file promises:

* An event is emitted after the fact, outside every lock, on the thread where it happened (mostly a worker thread), so
  a callback may call back into the client.
* If a callback raises, the exception is logged, and the operation continues.
* An event never contains a secret.

The log has each event at level DEBUG. Some are a WARNING, once for each source and reason, since often nothing is
raised and they would go unnoticed: `token_withheld`, `rejection_unresolved`, `store_rolled_back`, `step_up_required`
(unless the request itself asks the user), `consent_ended`, `certificate_expiring`, `certificate_unreadable`,
`certificate_missing`, `not_protected` and `issuer_changed`.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from .errors._pickling import pickled_by_name

__all__ = ["Event", "EventName", "OnEvent"]

_logger: logging.Logger = logging.getLogger("blnk_auth")

EventName = Literal[
    "renewed",
    "adopted",
    "renewal_failed",
    "save_failed",
    "saved",
    "store_rolled_back",
    "unlock_failed",
    "odd_answer",
    "sign_in_required",
    "refresh_token_expiring",
    "signed_in",
    "forgotten",
    "revoked",
    "token_withheld",
    "rejection_unresolved",
    "step_up_required",
    "consent_ended",
    "certificate_expiring",
    "certificate_renewed",
    "certificate_unreadable",
    "certificate_missing",
    "resource_learned",
    "not_protected",
    "issuer_changed",
    "client_registered",
]
"""The names of all events; see `Event`."""


@pickled_by_name
@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to one token. Immutable. Contains no secret.

    The names:

    * `renewed`: the server issued a token and it is saved.
    * `adopted`: a newer token of another process was taken from the store.
    * `renewal_failed`: it could not be renewed; `error` is the reason.
    * `save_failed`: the new pair is in memory only; saving is tried again.
    * `saved`: a pair that could not be saved before is saved now.
    * `store_rolled_back`: the store had lost a pair that it had confirmed; this process knew it and saved it again.
    * `unlock_failed`: the store's lock could not be released.
    * `odd_answer`: a member of the server's response was strange.
    * `sign_in_required`: the grant has ended, and its user must sign in again.
    * `refresh_token_expiring`: the refresh token expires soon, and renewals do not put that off.
    * `signed_in`: a user signed in, or a token was adopted (`adopt`), and the token is saved.
    * `forgotten`: the record of a grant was deleted here; the provider was not informed.
    * `revoked`: the provider has revoked the tokens, as `revoke` asked it to.
    * `token_withheld`: a request was sent to an origin that may not have the token, or had a header of its own.
    * `rejection_unresolved`: the API rejected a renewed token too, so such rejections cause fewer renewals for a while.
    * `step_up_required`: the API asks for more than the grant gives; `error` has what to ask for in a new sign-in.
    * `consent_ended`: the provider reports that the user's consent has ended; `error` is what may be raised for it.
    * `certificate_expiring`: the client's certificate (`OAuthClient(cert=...)`) expires within three weeks, or has
      expired. At most once a day in each process.
    * `certificate_renewed`: the file of the client's certificate has changed, and is used from the next token request
      on.
    * `certificate_unreadable`: the file of the client's certificate has changed and cannot be read; the certificate
      that was loaded before stays in use.
    * `certificate_missing`: the API rejected a token that is bound to the client's certificate, or may be, and the HTTP
      client visibly has none. Only requests shows that.
    * `resource_learned`: a protected resource has described how to sign in (RFC 9728); `detail` names the issuer.
    * `not_protected`: the URL of a `ProtectedResource` describes no sign-in, so requests are sent without a token.
    * `issuer_changed`: a protected resource names another issuer than before. Its earlier tokens are not used any more.
    * `client_registered`: a client was registered dynamically (RFC 7591); `detail` names the issuer.

    Attributes:
        name: What happened: one of `EventName`.
        store_key: Whose token it is, as the store names it. For a certificate: what the keys of its client begin with.
            For what was learned of a protected resource: the key of that.
        detail: A human-readable detail; empty where the name is enough.
        error: The exception; None if there was none.
        subject: Whose grant it is; None for the client's own, or where it is not known.
        provider: The provider's name; None where there is none, as for a `StaticToken`.
        seconds: How many seconds the operation took, including the wait for the store's lock. None for an event without
            an operation, such as `token_withheld`.
    """

    name: EventName
    store_key: str
    detail: str = ""
    error: Exception | None = None
    subject: str | None = field(default=None, kw_only=True)
    provider: str | None = field(default=None, kw_only=True)
    seconds: float | None = field(default=None, kw_only=True)


OnEvent = Callable[[Event], object]
"""A user's callback for events. What it returns is ignored."""


_WARNINGS = (
    *("token_withheld", "rejection_unresolved", "store_rolled_back", "step_up_required", "consent_ended"),
    *("certificate_expiring", "certificate_unreadable", "certificate_missing", "not_protected", "issuer_changed"),
)


# The cache remembers which warnings were logged in this process. It is bounded, so an old warning may be logged again
# after many others.
@functools.lru_cache(maxsize=1024)
def _warn_once(*event: str) -> None:
    """Log it as a warning: a request without the token raises nothing, so the log must explain the 401 that follows."""
    _logger.warning("%s %s %s", *event)


def emit(on_event: OnEvent | None, event: Event, *, may_warn: bool = True) -> None:
    """Log the event and pass it to the callback. If the callback raises, that is logged and not raised again.

    `may_warn`: False where something is done about the event already, so that it is logged at DEBUG in any case.
    """
    if may_warn and event.name in _WARNINGS:
        _warn_once(event.name, event.store_key, event.detail)
    else:
        _logger.debug("%s %s %s", event.name, event.store_key, event.detail)
    if on_event is None:
        return
    try:
        on_event(event)
    except Exception:
        _logger.exception("on_event raised for %s", event.name)
