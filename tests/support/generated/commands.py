"""The commands of `docs/reference/command-line.md`, from click's own: usage, arguments and options.

Used by `support.reference`. It promises every option that `--help` shows, and a link to the others.
"""

from __future__ import annotations

import functools
import inspect
import itertools
import textwrap
from collections.abc import Iterator
from typing import Any

import click
from support.generated.markdown import codes, listing, prose

from blnk_auth.cli.app import group
from blnk_auth.config._settings import every_setting

SHARED = ("profile", "config", "verbose", "as_json")
"""Options that are described once, because most commands have them."""

_IN_PLACE = "in place of what the variable or the profile has."
_SETTINGS = frozenset(each.name for each in every_setting())


@functools.cache
def commands() -> dict[str, click.Command]:
    """Every command by its words, such as `store copy`, in the order of `--help`."""
    return dict(_commands(group, ()))


def _commands(parent: click.Group, words: tuple[str, ...]) -> Iterator[tuple[str, click.Command]]:
    context = click.Context(parent)
    for name in parent.list_commands(context):
        command = parent.get_command(context, name)
        assert command is not None
        yield " ".join((*words, name)), command
        if isinstance(command, click.Group):
            yield from _commands(command, (*words, name))


def command(name: str) -> str:
    """What is written below the heading of a command."""
    chosen = commands()[name]
    parts = [f"```text\n{_usage(name, chosen)}\n```", _help(chosen.help or "")]
    if chosen.epilog and isinstance(chosen, click.Group):
        parts.append(_help(chosen.epilog))
    own = [each for each in options(chosen) if each.name not in SHARED and not _is_setting(each)]
    settings = [each for each in options(chosen) if _is_setting(each)]
    rows = [(_names(each), _meaning(each)) for each in own]
    if settings:
        shown = [max(each.opts, key=len) for each in settings if not each.hidden]
        is_every = not shown or len(shown) == len(settings)
        named = "" if is_every else f"{codes(shown)}, and "
        rows.append((f"{named}each {'' if is_every else 'other '}[setting](configuration.md)", _IN_PLACE))
    shared = [max(each.opts, key=len) for each in options(chosen) if each.name in SHARED]
    if shared:
        rows.append((codes(shared), "see [options of most commands](#options-of-most-commands)."))
    if rows:
        parts.append(listing(rows))
    return "\n\n".join(parts)


def shared() -> str:
    """The options that most commands have."""
    found: dict[str, click.Option] = {}
    for each in commands().values():
        found = {str(option.name): option for option in options(each) if option.name in SHARED} | found
    return listing((_names(found[name]), _meaning(found[name])) for name in SHARED)


def options(chosen: click.Command) -> list[click.Option]:
    """Its options, those of `--help` and those that it leaves out."""
    return [each for each in chosen.params if isinstance(each, click.Option)]


def _is_setting(option: click.Option) -> bool:
    return option.name in _SETTINGS and option.envvar == f"BLNK_AUTH_{str(option.name).upper()}"


def _usage(name: str, chosen: click.Command) -> str:
    words = [f"blnk-auth {name}"]
    if options(chosen):
        words.append("[OPTIONS]")
    words += [_of_argument(each) for each in chosen.params if isinstance(each, click.Argument)]
    if isinstance(chosen, click.Group):
        words.append("COMMAND")
    return " ".join(words)


def _of_argument(argument: click.Argument) -> str:
    if argument.metavar:
        return argument.metavar
    word = _choices(argument) or str(argument.name).upper()
    word = word if argument.required else f"[{word}]"
    return word if argument.nargs == 1 else f"{word}..."


def _help(text: str) -> str:
    """The paragraphs of a help text; what click shows line by line is a block of code."""
    found: list[str] = []
    for each in inspect.cleandoc(text).split("\n\n"):
        lines = each.replace("\b", "").strip("\n").splitlines()
        plain = list(itertools.takewhile(lambda line: not line.startswith(" "), lines))
        found += [prose(" ".join(plain))] if plain else []
        found += [f"```text\n{textwrap.dedent(chr(10).join(lines[len(plain) :]))}\n```"] if lines[len(plain) :] else []
    return "\n\n".join(found)


def _names(option: click.Option) -> str:
    names = sorted((*option.opts, *option.secondary_opts), key=lambda name: (name.startswith("--no-"), len(name)))
    value = "" if option.is_flag else f" {_value(option)}"
    return ", ".join(f"`{name}{value if name == names[-1] else ''}`" for name in names)


def _value(option: click.Option) -> str:
    return (
        option.metavar
        or _choices(option)
        or {"integer range": "INTEGER", "float range": "NUMBER"}.get(option.type.name, option.type.name.upper())
    )


def _choices(parameter: click.Parameter) -> str:
    return "|".join(map(str, parameter.type.choices)) if isinstance(parameter.type, click.Choice) else ""


def _meaning(option: click.Option) -> str:
    text, _, default = (option.help or "").strip().rstrip("]").partition("[default: ")
    parts = [prose(text.strip())]
    kind: Any = option.type
    if option.required:
        parts.append("Required.")
    if option.type.name.endswith(" range"):
        least = f"{'More than' if kind.min_open else 'At least'} {kind.min}."
        parts.append(least if kind.max is None else f"From {kind.min} to {kind.max}.")
    if default:
        parts.append(f"Default: {prose(default)}.")
    elif isinstance(option.default, str | int | float) and not isinstance(option.default, bool) and option.default:
        parts.append(f"Default: `{option.default}`.")
    return " ".join(filter(None, parts))
