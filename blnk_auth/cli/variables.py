"""Environment variables with our prefix that nothing reads, because their name is misspelt.

Used by every command with a client. It promises one line on standard error for each of them, with the variable that was
probably meant. A variable that resembles no setting is not reported: programs may use the prefix for their own. It
never shows the value of a variable, and never ends the command.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator

import click

from ..config._settings import every_setting
from .exit_status import print_warning

_PREFIX = "BLNK_AUTH_"
_OTHERS = ("CONFIG", "PROFILE")
_SIMILAR = 0.8
"""`CLIENTID` and `SCOPES` are meant as settings; `STORE_KEY` is another variable."""


def report_misspelt(environment: Iterable[str]) -> None:
    """Print a warning for each misspelt variable among these names."""
    context = click.get_current_context()
    root = context.find_root().command
    commands = root.list_commands(context) if isinstance(root, click.Group) else ()
    for variable, meant in misspelt(
        environment, besides=tuple(f"{name.upper().replace('-', '_')}_" for name in commands)
    ):
        print_warning(f"the variable {variable} is not used", f"did you mean {meant}?")


def misspelt(environment: Iterable[str], *, besides: tuple[str, ...] = ()) -> Iterator[tuple[str, str]]:
    """Each misspelt variable, with the one that was probably meant.

    `besides`: how the variables of a command's own options begin, after our prefix.
    """
    known = [setting.variable.removeprefix(_PREFIX) for setting in every_setting()] + [*_OTHERS]
    for variable in sorted(environment):
        name = variable.removeprefix(_PREFIX)
        if not variable.startswith(_PREFIX) or name in known or name.startswith(besides):
            continue
        similar = difflib.get_close_matches(name, known, n=1, cutoff=_SIMILAR)
        if similar:
            yield variable, _PREFIX + similar[0]
