"""`blnk-auth renew`: one renewal now, whether or not it is due.

Used by `app`. It promises one renewal, also of a token that is still valid. It never prints the token.
"""

from __future__ import annotations

import click

from .options import EPILOG, Selection, client_options, itself_option, json_option, source_of
from .terminal import waiting
from .token_summary import print_token_summary


@click.command("renew", epilog=EPILOG)
@client_options("subject", "scope", "resource", "audience")
@itself_option
@json_option
def command(selection: Selection, itself: bool, as_json: bool) -> None:
    """Renew the access token now."""
    profile = selection.load()
    source = source_of(profile, client := selection.open(profile), itself=itself)
    with waiting("Renewing the token"):
        token = source.renew()
    print_token_summary("renewed", client.provider, source.subject, token, as_json=as_json)
