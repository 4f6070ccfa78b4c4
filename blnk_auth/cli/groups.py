"""A group of commands that answers an unknown one with the most similar.

Used by `blnk-auth` itself and by `blnk-auth store`. It promises a suggestion where a command is similar. It never
imports a command to make one.
"""

from __future__ import annotations

import difflib

import click


class SuggestingGroup(click.Group):
    """A click group whose error for an unknown command names the most similar one."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click's; the error for an unknown command has a suggestion."""
        known = self.list_commands(ctx)
        similar = difflib.get_close_matches(args[0], known, n=1, cutoff=0.5)
        if args[0] not in known and not args[0].startswith("-") and similar and not ctx.resilient_parsing:
            ctx.fail(f"No such command {args[0]!r} (did you mean {similar[0]!r}?)")
        return super().resolve_command(ctx, args)
