"""`blnk-auth token`: an access token on standard output, for curl and scripts.

Used by `app`. It promises a valid token, renewed if needed. It never prints anything else on standard output.
"""

from __future__ import annotations

import click

from .options import EPILOG, Selection, client_options, itself_option, json_option, source_of
from .terminal import print_json


@click.command("token", epilog=EPILOG)
@client_options("subject", "scope", "resource", "audience")
@itself_option
@json_option
def command(selection: Selection, itself: bool, as_json: bool) -> None:
    """Print a valid access token and nothing else.

    It is renewed first if needed. For example: curl -H "Authorization: Bearer $(blnk-auth token)" ...
    """
    profile = selection.load()
    token = source_of(profile, selection.open(profile), itself=itself).token()
    if as_json:
        print_json({"access_token": token.access_token, "token_type": token.token_type, "expires_at": token.expires_at})
    else:
        click.echo(token.access_token)
