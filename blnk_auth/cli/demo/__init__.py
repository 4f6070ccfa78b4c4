"""`blnk-auth demo`: the main job, seen to work.

The sandbox runs in a process of its own, and the tokens are in a SQLite file. So the demo may be killed between any two
calls, and the next run finds both and goes on without a new sign-in. Only a kill in the few milliseconds between the
server's rotation and our save costs the grant, as it would cost any client; the next run says so and signs in again.
"""

from __future__ import annotations

import sys
from pathlib import Path

import click

from ..extras import require


@click.command("demo")
@click.option(
    "--state-dir",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where the tokens, and the address of the sandbox, are kept while it runs. [default: your state directory]",
)
@click.option("--quick", is_flag=True, help="With shorter lifetimes: about 10 seconds instead of 25.")
def command(state_dir: Path | None, quick: bool) -> None:
    """See token renewal work, against a sandbox on this machine.

    Signs in, then calls an API through requests, httpx, httpx2 and the Blnk SDK while tokens expire and are revoked,
    with 50 callers at once and across a restart. Ends with a table, and with status 1 if any figure in it is off.
    Kill it and start it again: it goes on without a new sign-in.
    """
    require("sandbox")
    from .run import FULL, QUICK, run
    from .state import StateDirectory

    try:
        status = run(StateDirectory.at(state_dir), QUICK if quick else FULL)
    except KeyboardInterrupt:
        click.echo("\nStopped. The sandbox stays up for a while: start the demo again and it goes on.", err=True)
        status = 130
    sys.exit(status)
