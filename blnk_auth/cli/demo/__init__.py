"""`blnk-auth demo`: shows token renewal at work, against a sandbox on this machine.

Used by the command line only; the other modules of this folder are its parts. What it promises:

* The sandbox runs in its own process and the tokens are in an SQLite file, so the demo may be killed between any two
  calls. The next run finds both and continues without a new sign-in. Only a kill in the few milliseconds between the
  server's rotation and our save loses the grant, as with any client; the next run reports it and signs in again.
* Its verdict is derived from the sandbox's own figures, not from what the library reports.

It never connects to another machine, and it removes its files when it has ended.

* `run`: the demo from beginning to end. `display`: what it prints. `results`: whether a scenario is as promised.
* `scenario`: what every scenario has. `client_scenarios`, `concurrent_callers`, `restart`: the scenarios. A new one is
  a function of a `ScenarioRun`, and a line in `run`.
* `sandbox_process`, `remote_sandbox`, `server_record`: the sandbox in its process, its controls and its record.
* `state_directory`: the files. `child_process`: how a child is started.
"""

from __future__ import annotations

import sys
from pathlib import Path

import click

from ..exit_status import CONFIGURATION, Failure
from ..extras import require


@click.command("demo")
@click.option(
    "--state-dir",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where the tokens, and the address of the sandbox, are kept while it runs. [default: this user's state "
    "directory]",
)
@click.option("--quick", is_flag=True, help="With shorter lifetimes: about 10 seconds instead of 25.")
def command(state_dir: Path | None, quick: bool) -> None:
    """Show token renewal at work, against a sandbox on this machine.

    Signs in, then calls an API through requests, httpx, httpx2 and the Blnk SDK while tokens expire and are revoked,
    with 50 callers together and across a restart. Ends with a table, and with status 1 if any figure in it is off.
    Kill it and start it again: it continues without a new sign-in.
    """
    require("sandbox")
    if getattr(sys, "frozen", False):
        # The demo runs modules with `python -m`, and there is no python beside a bundled application.
        raise Failure(
            "the demo starts Python processes, which an application that was bundled cannot; run it from an "
            "installation: pip install 'blnk-auth[cli,sandbox]'",
            CONFIGURATION,
        )
    from .run import FULL, QUICK, run
    from .state_directory import StateDirectory

    try:
        status = run(StateDirectory.at(state_dir), QUICK if quick else FULL)
    except KeyboardInterrupt:
        click.echo("\nStopped. The sandbox keeps running for a while: start the demo again and it continues.", err=True)
        status = 130
    sys.exit(status)
