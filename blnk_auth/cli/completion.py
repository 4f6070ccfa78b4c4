"""`blnk-auth completion`: the script that a shell needs to complete commands, options and names of profiles.

Used by `app`. It promises to print click's own script for that shell and nothing else. It never changes a file.
"""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from .options import Choice

_PROGRAM, _VARIABLE = "blnk-auth", "_BLNK_AUTH_COMPLETE"


@click.command("completion")
@click.argument("shell", metavar="bash|zsh|fish", type=Choice(("bash", "zsh", "fish")))
def command(shell: str) -> None:
    """Print the script that completes commands, options and profiles.

    \b
      bash, in ~/.bashrc:                   eval "$(blnk-auth completion bash)"
      zsh, in ~/.zshrc:                     eval "$(blnk-auth completion zsh)"
      fish, in ~/.config/fish/config.fish:  blnk-auth completion fish | source
    """  # noqa: D301 - click's mark for lines that stay as they are
    made = get_completion_class(shell)
    if made is None:
        raise click.UsageError(f"this version of click has no completion for {shell}")
    root = click.get_current_context().find_root().command
    click.echo(made(root, {}, _PROGRAM, _VARIABLE).source())
