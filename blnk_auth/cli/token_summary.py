"""What `login` and `renew` print about the token that they got.

Used by these two commands. It promises the times at which the tokens expire, and what was granted. It never prints a
token.
"""

from __future__ import annotations

import time

import click

from .._renewal.stored_record import refresh_expiry
from ..provider import Provider
from ..token import Token
from .terminal import print_json, printable, subject_label, time_left

_GRANTED = ("grant_id", "authorization_details")
"""Members of the response that are shown: what another sign-in may change (RFC 9396, Grant Management)."""


def print_token_summary(done: str, provider: Provider, subject: str | None, token: Token, *, as_json: bool) -> None:
    """Print what was done (`done`, such as "renewed"), for whom, and when the tokens expire."""
    now = time.time()
    refresh_expires_at = refresh_expiry(token, provider.refresh_idle_lifetime)
    if as_json:
        members = {"subject": subject, "provider": provider.name, "scope": token.scope}
        granted = {name: token.extra[name] for name in _GRANTED if name in token.extra}
        print_json({**members, "expires_at": token.expires_at, "refresh_expires_at": refresh_expires_at, **granted})
        return
    left = None if token.expires_at is None else token.expires_at - now
    text = f"{subject_label(subject)}: {done} at {provider.display_name}; the access token expires in {time_left(left)}"
    if refresh_expires_at is not None:
        text += f", the refresh token expires in {time_left(refresh_expires_at - now)} if it is not used"
    click.echo(text)
    if isinstance(token.extra.get("grant_id"), str):
        click.echo(f"grant_id: {printable(token.extra['grant_id'])}")
