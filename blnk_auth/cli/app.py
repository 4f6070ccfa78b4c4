"""The commands by name. Each is its own module, with a click command called `command`; a hyphen in its name
is an underscore in that of the module.

Used by `main`. It promises that a module is imported when its command, or the list of commands, is needed, and that
its dependencies are imported when it runs. So `blnk-auth --help` is quick: it never imports an HTTP client, a database
or `rich`.

A new command is one more module with a click command called `command`, and its name in `_COMMANDS`.
"""

from __future__ import annotations

import signal
from importlib import import_module
from typing import TYPE_CHECKING, Any

import click

from .. import __version__
from .exit_status import note_json, reported
from .groups import SuggestingGroup

if TYPE_CHECKING:
    from . import (
        client_metadata,
        completion,
        demo,
        doctor,
        init,
        keepalive,
        login,
        logout,
        renew,
        request,
        sandbox,
        status,
        store,
        token,
    )

    # A tool that bundles an application into one executable finds the commands by these imports.
    _FOUND_BY_BUNDLERS = (
        *(client_metadata, completion, demo, doctor, init, keepalive, login, logout, renew, request, sandbox, status),
        *(store, token),
    )

_COMMANDS = (
    *("demo", "init", "login", "logout", "status", "token", "request", "renew", "keepalive", "doctor"),
    *("sandbox", "store", "client-metadata", "completion"),
)


class _LazyGroup(SuggestingGroup):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        command: click.Command = import_module(f".{cmd_name.replace('-', '_')}", __package__).command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        found = super().resolve_command(ctx, args)
        if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
            # Everything is imported: from here on Ctrl-C is an exception, which `exit_status.reported` handles.
            signal.signal(signal.SIGINT, signal.default_int_handler)
        return found

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        note_json(args)
        with reported():
            return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        with reported():
            return super().invoke(ctx)


@click.group(
    cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "auto_envvar_prefix": "BLNK_AUTH"}
)
@click.version_option(__version__, prog_name="blnk-auth")
def group() -> None:
    """OAuth 2.0 tokens for httpx, httpx2 and requests: renewed once, never lost."""
