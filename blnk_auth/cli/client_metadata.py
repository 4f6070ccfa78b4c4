"""`blnk-auth client-metadata`: writes a client ID metadata document, for you to publish at the URL that it names.

Used by `app`. It promises that the document is one that servers accept by the draft of client ID metadata documents: it
is checked before anything is written. It contains no secret, so it has the usual permissions. It never publishes it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from .._protocol.client_metadata import ClientMetadata
from .._protocol.redirect_uris import any_port, ports_of, with_port
from .exit_status import CONFIGURATION, Failure, print_warning

_MOST_BYTES = 5120
"""The draft, "Maximum Response Size for Client Metadata Documents": it recommends 5 kilobytes."""


@click.command("client-metadata")
@click.option("--client-id", metavar="URL", required=True, help="Where the document will be: https, with a path.")
@click.option("--client-name", metavar="NAME", required=True, help="What servers call your application to its users.")
@click.option(
    "--redirect-uri",
    "redirect_uris",
    metavar="URI",
    required=True,
    multiple=True,
    help="Where users may be sent back to, such as http://127.0.0.1:8765/callback; may be repeated.",
)
@click.option("--client-uri", metavar="URL", help="A page about the application.")
@click.option("--logo-uri", metavar="URL", help="Its logo.")
@click.option("--tos-uri", metavar="URL", help="Its terms of service.")
@click.option("--policy-uri", metavar="URL", help="How it uses what it learns of a user.")
@click.option("--jwks-uri", metavar="URL", help="Its public keys, if it authenticates with private_key_jwt.")
@click.option("--contact", "contacts", metavar="ADDRESS", multiple=True, help="Who operates it; may be repeated.")
@click.option("--scope", metavar="SCOPES", help="The scopes that it may ask for, separated by spaces.")
@click.option(
    "--output", type=click.Path(dir_okay=False, path_type=Path), help="The file to write. Without it: standard output."
)
@click.option("--force", is_flag=True, help="Replace the file if there is one.")
def command(client_id: str, output: Path | None, force: bool, **members: Any) -> None:
    """Write a client ID metadata document, to publish at its URL.

    An authorization server that supports these documents then knows the client without a registration.
    """
    document = ClientMetadata(**members).document(client_id)
    text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
    _warn(document, text)
    if output is None:
        click.echo(text, nl=False)
        return
    _write(output, text, force=force)
    click.echo(f"Wrote {output}. Publish it at {client_id} as application/json.", err=True)
    click.echo(f"Then: ProtectedResource(url, client_id={client_id!r})", err=True)


def _warn(document: dict[str, Any], text: str) -> None:
    listed = document["redirect_uris"]
    without_port = [each for each in listed if any_port(each) and not ports_of(listed, each)]
    if without_port:
        print_warning(
            f"{without_port[0]} has no port, and some servers accept no port that the document does not list",
            f"list one or more with a port as well, such as {with_port(without_port[0], 8765)}",
        )
    if len(text.encode()) > _MOST_BYTES:
        print_warning(f"the document has more than {_MOST_BYTES} bytes, and servers may refuse it", "shorten it")


def _write(path: Path, text: str, *, force: bool) -> None:
    try:
        with path.open("w" if force else "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise Failure(f"{path} exists already", CONFIGURATION, remedy="replace it with --force") from None
    except OSError as error:
        raise Failure(
            f"{path} cannot be written: {error.strerror}", CONFIGURATION, remedy="name another file"
        ) from None
