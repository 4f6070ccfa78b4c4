"""`blnk-auth logout`: revokes the tokens at the provider and deletes them here.

Used by `app`. It promises to report what was done, and what was not. Without `--forget` it never deletes a token that
the provider did not revoke.
"""

from __future__ import annotations

import click

from .._renewal.client_state import ClientState
from ..errors import SignInRequired
from ..provider import Provider
from ..source import TokenSource
from .exit_status import CONFIGURATION, SIGN_IN, Failure
from .options import EPILOG, Selection, client_options, itself_option, json_option, source_of, state_of
from .resource_url import open_resource, selected_url, source_at, stored_client_at
from .terminal import print_json, subject_label, waiting


@click.command("logout", epilog=EPILOG)
@client_options("subject", "scope", "resource", "audience")
@itself_option
@click.option("--forget", is_flag=True, help="Only delete the tokens here; the provider is not informed.")
@json_option
@click.argument("url", required=False)
def command(selection: Selection, itself: bool, forget: bool, url: str | None, as_json: bool) -> None:
    """Revoke the tokens at the provider, then forget them here.

    URL is that of an API that describes its own sign-in, such as an MCP server. It takes the place of a profile.
    """
    state, source = _selected(selection, url, itself=itself)
    whose = subject_label(source.subject)
    if state is None:
        raise Failure(f"{whose}: nothing is stored for this URL, so there is nothing to revoke", SIGN_IN)
    provider = state.provider
    if not forget:
        _refuse_if_not_revocable(provider)
        if source.state == "missing":
            raise Failure(f"{whose}: nothing is stored, so there is nothing to revoke", SIGN_IN)
    try:
        with waiting("Revoking the tokens"):
            source.forget() if forget else source.revoke()
    except SignInRequired as ended:
        raise Failure(
            f"{whose}: the grant has already ended ({ended.error or ended.reason})",
            SIGN_IN,
        ) from None
    if as_json:
        print_json({"subject": source.subject, "provider": provider.name, "revoked": not forget})
    else:
        click.echo(f"{whose}: {'forgotten here; the provider was not informed' if forget else 'revoked and forgotten'}")


def _selected(selection: Selection, url: str | None, *, itself: bool) -> tuple[ClientState | None, TokenSource]:
    """The client's state, and the source of the tokens. None: nothing is stored for the URL."""
    api = selected_url(selection, url)
    if api is None:
        profile = selection.load()
        client = selection.open(profile)
        return state_of(client), source_of(profile, client, itself=itself)
    profile, resource = open_resource(selection, api)
    stored, source = stored_client_at(resource), source_at(profile, resource, itself=itself)
    if stored is None:
        return None, source
    return stored.state, source


def _refuse_if_not_revocable(provider: Provider) -> None:
    if provider.revocation_endpoint is None:
        advice = f"{provider.revocation_advice}; " if provider.revocation_advice else ""
        raise Failure(
            f"{provider.display_name} has no revocation endpoint, so nothing was changed; {advice}--forget deletes the "
            "tokens here",
            CONFIGURATION,
        )
