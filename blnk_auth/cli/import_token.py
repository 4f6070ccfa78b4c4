"""`blnk-auth store import`: stores a token that another library has stored.

Used by `store`. It promises that it replaces nothing that is stored, and exit status 1 if the user has a record.
It never prints a token, and never changes the file.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import BinaryIO

import click

from ..errors import ConfigurationError
from ..token import Token
from .options import EPILOG, Choice, Selection, client_options, json_option, subject_of
from .terminal import print_json, subject_label, time_left, waiting

_READERS = {
    "authlib": "from_authlib",
    "requests-oauthlib": "from_requests_oauthlib",
    "httpx-auth": "from_httpx_auth",
    "requests-auth": "from_requests_auth",
    "requests-oauth2client": "from_requests_oauth2client",
    "hand-written": "from_hand_written",
}
"""The function of `migrate` for what each library stores."""

_MOST = 1_048_577
"""Bytes that are read: one more than `migrate` accepts."""


@click.command("import", epilog=EPILOG)
@client_options("subject", "resource")
@click.option("--from", "library", type=Choice(tuple(_READERS)), required=True, help="What has written FILE.")
@click.option("--key", help="For httpx-auth and requests-auth: which token, by `state` of its auth object.")
@json_option
@click.argument("file", type=click.File("rb"))
def import_command(selection: Selection, *, library: str, key: str | None, as_json: bool, file: BinaryIO) -> None:
    """Store the token that another library has in FILE; - is standard input.

    First stop every process that renews this token with the other library. A record that the user has already is left,
    and the command ends with status 1: the token in FILE may be older. FILE is not changed.
    """
    from .. import migrate

    profile = selection.load()
    subject = subject_of(profile)
    read = getattr(migrate, _READERS[library])
    try:
        found = read(file.read(_MOST))
    except ConfigurationError as error:
        # The argument `stored` of a program is FILE here.
        raise error.replace(problem=error.problem.replace("stored ", "FILE ", 1)) from None
    token = _chosen(found, key)
    source = selection.open(profile).for_subject(subject, resource=profile.resource)
    with waiting("Storing the token"):
        is_stored = migrate.adopt_once(source, token)
    if as_json:
        print_json({"subject": subject, "stored": is_stored, "expires_at": token.expires_at})
    elif is_stored:
        click.echo(f"{subject_label(subject)}: stored; the access token {_expiry(token)}")
    else:
        click.echo(f"{subject_label(subject)}: not stored, since the store has a record of this user already")
    if not is_stored:
        raise SystemExit(1)


def _expiry(token: Token) -> str:
    left = token.expires_in
    if left is None:
        return "is used until the API rejects it"
    return f"expires in {time_left(left)}" if left >= 1 else "has expired and is renewed when it is first used"


def _chosen(found: Token | Mapping[str, Token], key: str | None) -> Token:
    """The token; of several, that of the key. Raises `ConfigurationError`."""
    if isinstance(found, Token):
        if key is None:
            return found
        raise ConfigurationError(
            "--key is for the caches of httpx-auth and requests-auth", parameter="key", remedy="leave it out"
        )
    if key is None and len(found) == 1:
        return next(iter(found.values()))
    if key is not None and key in found:
        return found[key]
    if not found:
        raise ConfigurationError(
            "FILE has no token", parameter="file", remedy="pass the file in which that library keeps its tokens"
        )
    raise ConfigurationError(
        f"FILE has {len(found)} tokens, and " + ("no --key names one" if key is None else "none has this key"),
        parameter="key",
        remedy="pass --key with the `state` of the auth object that the token belongs to",
    )
