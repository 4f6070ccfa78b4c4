"""`blnk-auth token`: an access token on standard output, for curl and scripts.

Used by `app`. It promises a valid token, renewed if needed; with `--headers`, all headers that a request to one URL
needs. It never prints anything else on standard output.
"""

from __future__ import annotations

import click

from .api_url import checked_url
from .options import EPILOG, Selection, client_options, itself_option, json_option, source_of
from .terminal import print_json, waiting


@click.command("token", epilog=EPILOG)
@client_options("subject", "scope", "resource", "audience")
@itself_option
@click.option(
    "--headers",
    "url",
    metavar="URL",
    help="Print the headers that a request to this URL needs instead: the token's and the provider's own.",
)
@json_option
def command(selection: Selection, itself: bool, url: str | None, as_json: bool) -> None:
    """Print a valid access token and nothing else.

    It is renewed first if needed. For example:

    \b
      curl -H "Authorization: Bearer $(blnk-auth token)" URL
      blnk-auth token --headers URL | curl -H @- URL

    `blnk-auth request URL` does the same without showing the token to anyone.
    """  # noqa: D301 - click's mark for lines that stay as they are
    profile = selection.load()
    source = source_of(profile, selection.open(profile), itself=itself)
    with waiting("Renewing the token"):
        token = source.token()
        headers = {} if url is None else source.headers(checked_url(source, url, token))
    if url is not None:
        if as_json:
            print_json(headers)
        else:
            click.echo("\n".join(f"{name}: {value}" for name, value in headers.items()))
    elif as_json:
        print_json({"access_token": token.access_token, "token_type": token.token_type, "expires_at": token.expires_at})
    else:
        click.echo(token.access_token)
