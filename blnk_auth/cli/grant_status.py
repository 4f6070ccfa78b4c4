"""The status of each grant of a client, and the table that shows it.

Used by `blnk-auth status`. It promises to show no secret. It only reads the store: it never renews.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from .._protocol.demands import Demands
from .._renewal.client_grants import grant_at, grant_keys, stored_record
from .._renewal.client_state import ClientState
from .._renewal.current_token import CurrentToken
from .._renewal.grant_operations import state_of as current_state
from .._renewal.presenting_grants import PresentingGrant
from .._renewal.stored_record import refresh_expiry
from .._transport.client_certificate import EXPIRY_WARNING
from ..errors import ConfigurationError, StoreError
from .remedies import message_of
from .terminal import printable, subject_label, time_left

_ENDED = {
    "refused": "the provider ended the grant",
    "expired": "the refresh token expired",
    "no_refresh_token": "nothing can renew it",
}
_OBTAINED_BY = {"token_exchange": "token exchange", "jwt_bearer": "an assertion"}
_BOX = box.Box("    \n    \n -- \n    \n    \n    \n    \n    \n", ascii=True)
"""Only a line below the headings, in characters that any terminal can show."""

_NARROWEST = 12
"""Characters that a column with long text has at least."""

_STYLES = {"fresh": "green", "stale": "green", "expired": "yellow", "sign_in_required": "bold red", "unreadable": "red"}


@dataclass(frozen=True, slots=True)
class GrantStatus:
    """The status of one grant. It contains no secret.

    Attributes:
        subject: Whose grant it is; None for the client itself.
        provider: The provider's name.
        state: As `TokenSource.state`, or `unreadable`.
        scope: The scope of the token, space-separated; None if unknown.
        expires_at: When the access token expires, in UTC epoch seconds; None if unknown.
        refresh_expires_at: When the refresh token expires if it is not used; None if unknown.
        resource: The resource that its tokens are for (RFC 8707); None if none was named.
        audience: The audience of its tokens; None if none was named.
        last_error: Why the grant has ended, or why it cannot be read; None if neither.
        step_up: What the API has asked for since the last sign-in: `scope`, `acr_values`, `max_age`. None: nothing.
        consent_ended: Whether the provider has reported since then that the consent has ended.
        certificate_expires_at: When the client's certificate expires, in UTC epoch seconds; None if there is none.
        obtained_by: `token_exchange` or `jwt_bearer`; None for a sign-in, and for the client's own token.
    """

    subject: str | None
    provider: str
    state: str
    scope: str | None = None
    expires_at: float | None = None
    refresh_expires_at: float | None = None
    resource: str | None = None
    audience: str | None = None
    last_error: str | None = None
    step_up: dict[str, Any] | None = None
    consent_ended: bool = False
    certificate_expires_at: float | None = None
    obtained_by: str | None = None


def grant_statuses(state: ClientState, only: str | None) -> list[GrantStatus]:
    """The status of each grant of this client in its store; with `only`, of that subject's."""
    grants = (grant for key in grant_keys(state) if (grant := grant_at(state, key)) is not None)
    wanted = (state.current_token(grant) for grant in grants if only is None or grant.subject == only)
    return [status for current in wanted if (status := _grant_status(current)) is not None]


def _grant_status(current: CurrentToken) -> GrantStatus | None:
    provider, grant = current.state.provider, current.grant
    whose = GrantStatus(
        grant.subject,
        provider.name,
        "unreadable",
        resource=grant.resource,
        audience=grant.audience,
        certificate_expires_at=current.state.network.certificate_expires_at,
        obtained_by=grant.purpose if isinstance(grant, PresentingGrant) else None,
    )
    try:
        record, state = stored_record(current.state, current.store_key), current_state(current)
    except (StoreError, ConfigurationError) as error:
        return replace(whose, last_error=message_of(error))
    if record is None:
        return None
    token, demands = record.token, record.demands or Demands()
    return replace(
        whose,
        state=state,
        scope=token.scope,
        expires_at=token.expires_at,
        refresh_expires_at=refresh_expiry(token, provider.refresh_idle_lifetime),
        last_error=None if record.ended is None else _ENDED.get(record.ended, record.ended),
        step_up=_asked_for(demands),
        consent_ended=demands.consent_ended,
    )


def _asked_for(demands: Demands) -> dict[str, Any] | None:
    step_up = demands.step_up
    if step_up is None:
        return None
    return {"scope": step_up.scope, "acr_values": step_up.acr_values, "max_age": step_up.max_age}


def json_members(status: GrantStatus) -> dict[str, Any]:
    """The members of a JSON object: the fields, and the seconds that are left."""
    now = time.time()
    ends = {"expires_in": status.expires_at, "refresh_expires_in": status.refresh_expires_at}
    return {**asdict(status), **{name: None if at is None else round(at - now, 3) for name, at in ends.items()}}


def status_table(found: list[GrantStatus]) -> Table:
    """The table for readers, which fits 80 columns: what is long is folded, what is short is not."""
    table, now = Table(box=_BOX, padding=(0, 2, 0, 0), show_edge=False, pad_edge=False), time.time()
    # They are all of one client, and so of one provider.
    provider = printable(found[0].provider) if found else ""
    for heading in (f"subject\nat {provider}", "scope", "expires\nin", "refresh\ntoken\nexpires in", "state"):
        is_short = heading.startswith(("expires", "refresh"))
        table.add_column(heading, overflow="fold", no_wrap=is_short, min_width=None if is_short else _NARROWEST)
    for each in found:
        state = Text(each.state.replace("_", " "), style=_STYLES.get(each.state, ""))
        if each.last_error is not None:
            state.append(f": {printable(each.last_error)}")
        for demand in _demands_in_words(each):
            state.append(f"\n{printable(demand)}", style="bold red")
        table.add_row(
            Text("\n".join([subject_label(each.subject), *_purpose(each)])),
            Text(printable(each.scope or "").replace(" ", "\n")),
            _left(each.expires_at, now),
            _left(each.refresh_expires_at, now),
            state,
        )
    table.caption = _certificate_in_words(found, now)
    return table


def _certificate_in_words(found: list[GrantStatus], now: float) -> str | None:
    """The end of the client's certificate, if it is near."""
    expires_at = found[0].certificate_expires_at if found else None
    if expires_at is None or expires_at - now > EXPIRY_WARNING:
        return None
    end = "has expired" if expires_at <= now else f"expires in {time_left(expires_at - now)}"
    return f"The client's certificate {end}: renew it."


def _demands_in_words(status: GrantStatus) -> Iterator[str]:
    """What the API has asked for, which a new sign-in gives."""
    if status.consent_ended:
        yield "the provider reports that the consent has ended"
    if status.step_up is not None:
        named = (
            f"{name} {value:g}" if name == "max_age" else f"{name} {value}"
            for name, value in status.step_up.items()
            if value is not None
        )
        yield f"the API asks for a sign-in with {', '.join(named) or 'more'}"


def _purpose(status: GrantStatus) -> list[str]:
    """How its tokens are obtained, if not by a sign-in, and their resource and audience as far as they were named."""
    how = [] if status.obtained_by is None else [f"by {_OBTAINED_BY[status.obtained_by]}"]
    return how + [f"for {printable(name)}" for name in (status.resource, status.audience) if name is not None]


def _left(at: float | None, now: float) -> str:
    return time_left(None if at is None else at - now)
