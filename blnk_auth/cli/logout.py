"""`blnk-auth logout`: revokes the tokens at the provider and deletes them here.

Used by `app`. It promises to report what was done, and what was not. Without `--forget` it never deletes a token that
the provider did not revoke.
"""

from __future__ import annotations

import click

from .._renewal.client_grants import stored_record
from ..client import OAuthClient
from ..errors import SignInRequired
from .exit_status import CONFIGURATION, SIGN_IN, Failure
from .options import EPILOG, Selection, client_options, itself_option, json_option, source_of, state_of
from .terminal import print_json, subject_label, waiting


@click.command("logout", epilog=EPILOG)
@client_options("subject", "scope", "resource", "audience")
@itself_option
@click.option("--forget", is_flag=True, help="Only delete the tokens here; the provider is not informed.")
@json_option
def command(selection: Selection, itself: bool, forget: bool, as_json: bool) -> None:
    """Revoke the tokens at the provider, then forget them here."""
    profile = selection.load()
    client = selection.open(profile)
    source = source_of(profile, client, itself=itself)
    whose = subject_label(source.subject)
    if not forget:
        _refuse_if_not_revocable(client)
        if stored_record(state_of(client), source.store_key) is None:
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
        print_json({"subject": source.subject, "provider": client.provider.name, "revoked": not forget})
    else:
        click.echo(f"{whose}: {'forgotten here; the provider was not informed' if forget else 'revoked and forgotten'}")


def _refuse_if_not_revocable(client: OAuthClient) -> None:
    provider = client.provider
    if provider.revocation_endpoint is None:
        advice = f"{provider.revocation_advice}; " if provider.revocation_advice else ""
        raise Failure(
            f"{provider.display_name} has no revocation endpoint, so nothing was changed; {advice}--forget deletes the "
            "tokens here",
            CONFIGURATION,
        )
