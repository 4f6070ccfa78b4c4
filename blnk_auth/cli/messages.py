"""What `login` and `renew` say about a token they have got: never the token itself."""

from __future__ import annotations

import time

import click

from ..client import OAuthClient
from ..token import Token
from .screen import printable, show_json, span
from .stored_grants import dies_at

ITSELF = "(the client itself)"


def tell_token(what: str, client: OAuthClient, subject: str | None, token: Token, *, as_json: bool) -> None:
    """Say what happened to whose token, and how long it lives."""
    now, provider = time.time(), client.provider
    refresh_expires_at = dies_at(token, provider.refresh_idle_lifetime)
    if as_json:
        members = {"subject": subject, "provider": provider.name, "scope": token.scope}
        show_json({**members, "expires_at": token.expires_at, "refresh_expires_at": refresh_expires_at})
        return
    whose = ITSELF if subject is None else printable(subject)
    lives = None if token.expires_at is None else token.expires_at - now
    text = f"{whose}: {what} at {provider.display_name}; the access token expires in {span(lives)}"
    if refresh_expires_at is not None:
        text += f", the refresh token dies in {span(refresh_expires_at - now)} if it is not used"
    click.echo(text)
