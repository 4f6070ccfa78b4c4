"""The options that all commands with a client share: which profile, and each of its settings by its own name.

Used by every command with a client. It promises that a setting is taken from the option, else from the variable
BLNK_AUTH_<SETTING>, else from the file. A secret is never an option: other users of the machine can read a command
line.
"""

from __future__ import annotations

import difflib
import functools
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .._renewal.client_state import ClientState
from ..client import OAuthClient
from ..config import Profile, config_path, load_profile, profile_names
from ..config._settings import SECRETS, Setting, every_setting, settings_of
from ..errors import BlnkAuthError, ConfigurationError, redacted
from ..events import OnEvent
from ..source import TokenSource
from .log import show_log
from .terminal import time_left, waiting
from .variables import report_misspelt

Function = Callable[..., Any]

# Generic since click 8.2 and 8.3.
if TYPE_CHECKING:
    _Choice = click.Choice[str]
    _ParamType = click.ParamType[float]
else:
    _Choice, _ParamType = click.Choice, click.ParamType

_LONGEST = 1e10
"""Seconds that a duration may have: some 300 years."""

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}

EPILOG = "Each setting of a profile is an option too, such as --base-url; `blnk-auth init --help` lists them."


@dataclass(frozen=True, slots=True)
class Selection:
    """Which client the options select.

    Attributes:
        name: The name of the profile.
        path: The configuration file; None: the usual one.
        overrides: The settings from options and variables.
    """

    name: str
    path: Path | None
    overrides: Mapping[str, Any] = field(repr=False)

    def load(self) -> Profile:
        """The profile. Raises `ConfigurationError`."""
        return load_profile(self.name, self.path, overrides=self.overrides)

    def all_names(self) -> list[str]:
        """The names of all profiles of the configuration file. Raises `ConfigurationError`, also if there are none."""
        path = config_path(self.path)
        names = profile_names(path)
        if not names:
            raise ConfigurationError(f"--all-profiles: {path} has no profile", remedy="write one with: blnk-auth init")
        return names

    def open(self, profile: Profile, on_event: OnEvent | None = None, **further: Any) -> OAuthClient:
        """The client of the profile; `further` arguments replace its own. Raises `ConfigurationError`."""
        with waiting("Opening the store and the server's metadata"):
            return profile.make(OAuthClient, on_event=on_event, **further)


def subject_of(profile: Profile) -> str:
    """Whose tokens. Raises `ConfigurationError` if there is no subject."""
    if not profile.subject:
        raise profile.origin.error(
            "subject", "is missing", "specify whose tokens: --subject NAME, or write subject in the profile"
        )
    return profile.subject


def source_of(profile: Profile, client: OAuthClient, *, itself: bool) -> TokenSource:
    """The source of the tokens that the options select. Raises `ConfigurationError` if there cannot be one."""
    if not itself:
        return client.for_subject(subject_of(profile), resource=profile.resource)
    try:
        return client.for_itself(scope=profile.scope, resource=profile.resource, audience=profile.audience)
    except ConfigurationError as error:
        if error.parameter != "for_itself":
            raise
        raise _no_token_of_its_own(profile, client) from None


def state_of(client: OAuthClient) -> ClientState:
    """What all sources of a client share, for commands that look at every grant in its store."""
    return client._state  # pyright: ignore[reportPrivateUsage]  # of this package


def _no_token_of_its_own(profile: Profile, client: OAuthClient) -> ConfigurationError:
    remedy = "leave it out"
    if "grants" in settings_of(profile.settings["provider"]):
        remedy += ", or list client_credentials in grants of the profile if the server has that grant"
    return ConfigurationError(f"--itself: {client.provider.display_name} issues tokens for users only", remedy=remedy)


def client_options(*visible: str) -> Callable[[Function], Function]:
    """Pass a `Selection` to the command. Its help shows the settings that `visible` names."""

    def decorate(function: Function) -> Function:
        @functools.wraps(function)
        def command(profile: str, config: Path | None, **values: Any) -> Any:
            click.get_current_context().meta["profile"] = profile
            report_misspelt(os.environ)
            return function(Selection(profile, config, take_settings(values)), **values)

        return _verbose_option(profile_options(setting_options(visible)(command)))

    return decorate


def _show_log(_ctx: click.Context, _parameter: click.Parameter, verbose: bool) -> None:
    show_log(verbose=verbose)


_verbose_option: Callable[[Function], Function] = click.option(
    *("--verbose", "-v"),
    is_flag=True,
    expose_value=False,
    callback=_show_log,
    help="Show each exchange with the server, and what happens to tokens; no secret.",
)


def profile_options(function: Function) -> Function:
    """`--profile` and `--config`."""
    named = click.option(
        *("--profile", "-p"),
        envvar="BLNK_AUTH_PROFILE",
        default="default",
        show_default=True,
        shell_complete=complete_profile,
        help="Which profile of the configuration file.",
    )
    where = click.option(
        "--config",
        envvar="BLNK_AUTH_CONFIG",
        type=click.Path(dir_okay=False, path_type=Path),
        help="The configuration file. [default: this user's]",
    )
    return named(where(function))


def setting_options(visible: Sequence[str] | None = None) -> Callable[[Function], Function]:
    """An option for each setting that is not a secret. `visible` None shows them all in the help."""

    def decorate(function: Function) -> Function:
        for setting in reversed(every_setting()):
            if not setting.is_secret:
                function = _option(setting, in_help=visible is None or setting.name in visible)(function)
        return function

    return decorate


def take_settings(values: dict[str, Any]) -> dict[str, Any]:
    """The settings that were given, removed from a command's values; secrets are read from the environment."""
    given = {each.name: values.pop(each.name) for each in every_setting() if each.name in values}
    chosen = {name: value for name, value in given.items() if value not in (None, ())}
    secrets = {name: redacted(os.environ.get(f"BLNK_AUTH_{name.upper()}")) for name in SECRETS}
    return {**chosen, **{name: secret for name, secret in secrets.items() if secret}}


def _option(setting: Setting, *, in_help: bool) -> Callable[[Function], Function]:
    given: dict[str, Any] = {"envvar": setting.variable, "help": setting.help, "hidden": not in_help, "default": None}
    names = [setting.option, setting.name]
    if setting.kind == "flag":
        names[0] = f"{setting.option}/--no-{setting.option.removeprefix('--')}"
    elif setting.choices:
        given["type"] = Choice(setting.choices)
    elif setting.kind == "number":
        # All of them are durations, which the file has in seconds.
        given["type"] = Duration()
    elif setting.kind == "list":
        given |= {"multiple": True, "metavar": "TEXT, repeated"}
    elif setting.kind == "table":
        given |= {"multiple": True, "metavar": "NAME=VALUE, repeated", "callback": _table}
    return click.option(*names, **given)


def _table(_ctx: click.Context, parameter: click.Parameter, pairs: Sequence[str]) -> dict[str, str] | None:
    parts = [pair.partition("=") for pair in pairs]
    if any(not equals for _, equals, _ in parts):
        raise click.BadParameter("write it as NAME=VALUE", param=parameter)
    return {name: value for name, _, value in parts} or None


parameters_option: Callable[[Function], Function] = click.option(
    "--parameter",
    "parameters",
    multiple=True,
    metavar="NAME=VALUE",
    callback=_table,
    help="A further parameter of this sign-in, such as Flinks' provider_id, acr_values, or authorization_details.",
)

itself_option: Callable[[Function], Function] = click.option(
    "--itself", is_flag=True, help="The client's own token instead of a user's."
)
json_option: Callable[[Function], Function] = click.option(
    "--json", "as_json", is_flag=True, help="Write JSON, for scripts."
)


def complete_profile(ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """The profiles of the configuration file whose names begin so, for completion."""
    try:
        names = profile_names(config_path(ctx.params.get("config")))
    except BlnkAuthError:
        return []
    return [name for name in names if name.startswith(incomplete)]


class Choice(_Choice):
    """A choice whose error names the most similar one."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The choice. Fails with what to write instead."""
        similar = difflib.get_close_matches(str(value), self.choices, n=1)
        if value not in self.choices and similar:
            self.fail(f"{value!r} is not known; did you mean {similar[0]!r}?", param, ctx)
        return str(super().convert(value, param, ctx))


class Duration(_ParamType):
    """Seconds, from text such as 90s, 30m, 12h or 7d. A number without a unit is refused: 7 may be meant as days.

    Args:
        least: The fewest seconds.
        most: The most seconds.
    """

    name = "duration"

    def __init__(self, *, least: float = 0.001, most: float = _LONGEST) -> None:
        self._least = least
        self._most = most

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The seconds. Fails with what to write instead."""
        if isinstance(value, int | float):
            return value
        text = str(value).strip()
        unit = _UNITS.get(text[-1:])
        try:
            seconds = float(text if unit is None else text[:-1]) * (unit or 1)
        except ValueError:
            seconds = -1.0
        if not 0 < seconds < _LONGEST:
            self.fail(f"{text!r} is not a duration; write it as 90s, 30m, 12h or 7d", param, ctx)
        if unit is None:
            self.fail(f"{text!r} has no unit; write {text}d for days, {text}s for seconds", param, ctx)
        if not self._least <= seconds <= self._most:
            self.fail(f"{text!r} is too short or too long{self._between}", param, ctx)
        return seconds

    @property
    def _between(self) -> str:
        return f"; give {time_left(self._least)} to {time_left(self._most)}" if self._least >= 1 else ""
