"""What `login` and `renew` print about the token that they got.

Used by these two commands. It promises the times at which the tokens expire. It never prints a token.
"""

from __future__ import annotations

import time

import click

from .._renewal.client_grants import refresh_expiry
from ..client import OAuthClient
from ..token import Token
from .terminal import print_json, subject_label, time_left


def print_token_summary(done: str, client: OAuthClient, subject: str | None, token: Token, *, as_json: bool) -> None:
    """Print what was done (`done`, such as "renewed"), for whom, and when the tokens expire."""
    now, provider = time.time(), client.provider
    refresh_expires_at = refresh_expiry(token, provider.refresh_idle_lifetime)
    if as_json:
        members = {"subject": subject, "provider": provider.name, "scope": token.scope}
        print_json({**members, "expires_at": token.expires_at, "refresh_expires_at": refresh_expires_at})
        return
    left = None if token.expires_at is None else token.expires_at - now
    text = f"{subject_label(subject)}: {done} at {provider.display_name}; the access token expires in {time_left(left)}"
    if refresh_expires_at is not None:
        text += f", the refresh token expires in {time_left(refresh_expires_at - now)} if it is not used"
    click.echo(text)
