"""`blnk-auth token`: an access token on standard output, for curl and scripts.

Used by `app`. It promises a valid token, renewed if needed; with `--headers`, all headers that a request to one URL
needs. It never prints anything else on standard output.
"""

from __future__ import annotations

import click

from ..source import TokenSource
from .api_url import checked_url
from .options import EPILOG, Selection, client_options, itself_option, json_option, source_of
from .resource_url import client_at, open_resource, selected_url, source_at
from .terminal import print_json, waiting


@click.command("token", epilog=EPILOG)
@client_options("subject", "scope", "resource", "audience")
@itself_option
@click.option(
    "--headers",
    "sent_to",
    metavar="URL",
    help="Print the headers that a request to this URL needs instead: the token's and the provider's own.",
)
@json_option
@click.argument("url", required=False)
def command(selection: Selection, *, itself: bool, sent_to: str | None, url: str | None, as_json: bool) -> None:
    """Print a valid access token and nothing else.

    URL is that of an API that describes its own sign-in, such as an MCP server. It takes the place of a profile.

    The token is renewed first if needed. For example:

    \b
      curl -H "Authorization: Bearer $(blnk-auth token)" URL
      blnk-auth token --headers URL | curl -H @- URL

    `blnk-auth request URL` does the same without showing the token to anyone.
    """  # noqa: D301 - click's mark for lines that stay as they are
    source = _source(selection, url, itself=itself)
    with waiting("Renewing the token"):
        token = source.token()
        headers = {} if sent_to is None else source.headers(checked_url(source, sent_to, token))
    if sent_to is not None:
        if as_json:
            print_json(headers)
        else:
            click.echo("\n".join(f"{name}: {value}" for name, value in headers.items()))
    elif as_json:
        print_json({"access_token": token.access_token, "token_type": token.token_type, "expires_at": token.expires_at})
    else:
        click.echo(token.access_token)


def _source(selection: Selection, url: str | None, *, itself: bool) -> TokenSource:
    api = selected_url(selection, url)
    if api is None:
        profile = selection.load()
        return source_of(profile, selection.open(profile), itself=itself)
    profile, resource = open_resource(selection, api)
    client_at(resource)
    return source_at(profile, resource, itself=itself)
