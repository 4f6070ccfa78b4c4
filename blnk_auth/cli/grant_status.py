"""How the grants of a client stand, and the table that shows it."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from ..client import OAuthClient
from ..errors import StoreError
from ..source import TokenSource
from .messages import ITSELF
from .screen import printable, span
from .stored_grants import dies_at, keys, source_at, stored

_ENDED = {
    "refused": "the provider ended the grant",
    "expired": "the refresh token expired",
    "no_refresh_token": "nothing can renew it",
}
_BOX = box.Box("    \n    \n -- \n    \n    \n    \n    \n    \n", ascii=True)
"""A line below the headings and nothing else, which any terminal can show."""

_STYLES = {"fresh": "green", "stale": "green", "expired": "yellow", "sign_in_required": "bold red", "unreadable": "red"}


@dataclass(frozen=True, slots=True)
class Standing:
    """One grant as it stands. Times are UTC epoch seconds, None where nobody knows. Holds no secret.

    `state` is one of `TokenSource.state`, or `unreadable`.
    """

    subject: str | None
    provider: str
    state: str
    scope: str | None = None
    expires_at: float | None = None
    refresh_expires_at: float | None = None
    last_error: str | None = None


def standings(client: OAuthClient, only: str | None) -> list[Standing]:
    """The grants of this client in its store; with `only`, those of one subject."""
    sources = (source for key in keys(client) if (source := source_at(client, key)) is not None)
    wanted = (source for source in sources if only is None or source.subject == only)
    return [standing for source in wanted if (standing := _standing(client, source)) is not None]


def _standing(client: OAuthClient, source: TokenSource) -> Standing | None:
    provider = client.provider
    try:
        grant, state = stored(client, source), source.state
    except StoreError as error:
        return Standing(source.subject, provider.name, "unreadable", last_error=str(error))
    if grant is None:
        return None
    token = grant.token
    return Standing(
        source.subject,
        provider.name,
        state,
        token.scope,
        token.expires_at,
        dies_at(token, provider.refresh_idle_lifetime),
        None if grant.ended is None else _ENDED.get(grant.ended, grant.ended),
    )


def members_of(standing: Standing) -> dict[str, Any]:
    """For JSON."""
    now = time.time()
    ends = {"expires_in": standing.expires_at, "refresh_expires_in": standing.refresh_expires_at}
    return {**asdict(standing), **{name: None if at is None else round(at - now, 3) for name, at in ends.items()}}


def table_of(found: list[Standing]) -> Table:
    """For people."""
    table, now = Table(box=_BOX, padding=(0, 2, 0, 0), show_edge=False, pad_edge=False), time.time()
    headings = ["subject", "provider", "scope", "expires\nin", "refresh\ntoken\ndies in", "state"]
    has_errors = any(each.last_error for each in found)
    for heading in (*headings, "last error") if has_errors else headings:
        table.add_column(heading, overflow="fold", no_wrap=heading not in ("subject", "last error"))
    for each in found:
        cells: list[str | Text] = [
            Text(ITSELF if each.subject is None else printable(each.subject)),
            each.provider,
            Text(printable(each.scope or "").replace(" ", "\n")),
            _left(each.expires_at, now),
            _left(each.refresh_expires_at, now),
            Text(each.state.replace("sign_in_", "sign in\n"), style=_STYLES.get(each.state, "")),
            Text(printable(each.last_error or "")),
        ]
        table.add_row(*cells[: len(table.columns)])
    return table


def _left(at: float | None, now: float) -> str:
    return span(None if at is None else at - now)
