"""`blnk-auth init`: writes a profile of the configuration file, by asking.

Used by `app`. It promises that other profiles and the comments in the file stay, that only this user can read the file,
and that it is replaced wholly or not at all. It never has an option for a secret.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from ..client import OAuthClient
from ..config import config_path, load_profile, profile_names
from ..config._references import has_reference, is_in_keyring, is_plain
from ..config._settings import COMMON, PROVIDER, PROVIDERS, SECRETS, Setting, every_setting
from ..errors import ConfigurationError
from ..errors._extras import needs_extra
from ..stores._durable_file import replace_file
from ..stores._memory import MemoryStore
from ..stores._private_file import make_directory
from .exit_status import CONFIGURATION, Failure, sign_in_command
from .options import profile_options, setting_options, take_settings
from .redirect import usual_redirect_uri
from .remedies import message_of

_ASKED = ("base_url", "username", "authorization_endpoint", "client_id", "client_secret")
_ASKED_LAST = ("cert", "cert_key", "redirect_uri", "scope", "subject")
_HEAD = """\
# Written by `blnk-auth init`; edit it freely. docs/reference/configuration.md lists every key, and
# `blnk-auth init --help` most of them.
# ${NAME} in a value is an environment variable; a secret keyring:service/name is an entry of the keyring.

"""


class _InSections(click.Command):
    """A command whose help has a section for each provider: together the settings are too many to read."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        settings = {each.name for each in every_setting()} - {PROVIDER.name}
        own = [each for each in self.get_params(ctx) if each.name not in settings]
        left = {each.name: each.get_help_record(ctx) for each in self.get_params(ctx)}
        records = [record for each in own if (record := left[each.name]) is not None]
        with formatter.section("Options"):
            formatter.write_dl(records)
        for title, listed in (("Settings of every client", COMMON), *_titled(PROVIDERS)):
            with formatter.section(title):
                formatter.write_dl(
                    [
                        (record[0], f"{each.help}{'  [required]' if each.required else ''}")
                        for each in listed
                        if (record := left.get(each.name)) is not None
                    ]
                )


def _titled(providers: Mapping[str, tuple[Setting, ...]]) -> list[tuple[str, tuple[Setting, ...]]]:
    return [(f"Settings with --provider {name}", listed) for name, listed in providers.items()]


@click.command("init", cls=_InSections)
@profile_options
@setting_options()
@click.option(
    "--client-secret-from",
    metavar="REFERENCE",
    help="Where the secret is: '${VARIABLE}' (in single quotes) or keyring:service/name.",
)
@click.option("--non-interactive", is_flag=True, help="Ask nothing: take the options, and fail if one is missing.")
@click.option("--force", is_flag=True, help="Replace the profile if there is one.")
def command(
    profile: str,
    config: Path | None,
    client_secret_from: str | None,
    non_interactive: bool,
    force: bool,
    **values: Any,
) -> None:
    """Write a profile of the configuration file, by asking.

    Other profiles and comments in the file stay. The file is for this user only.
    """
    path = config_path(config).resolve()
    _check_name(profile)
    if profile in profile_names(path) and not force:
        _allow_replacing(path, profile, ask=not non_interactive)
    given = take_settings(values)
    # A secret in the environment stays there.
    given |= {name: f"${{BLNK_AUTH_{name.upper()}}}" for name in SECRETS if name in given}
    if client_secret_from is not None:
        given["client_secret"] = _reference(client_secret_from)
    if non_interactive:
        _check_that_it_works(path, profile, table := _complete(given))
    else:
        table = _ask_until_it_works(path, profile, given)
    _save_profile(path, profile, table)
    click.echo(f"Wrote profile {profile!r} to {path}.")
    # `login` needs a subject, and a profile that options wrote may have none.
    click.echo(f"Next: {sign_in_command(None if table.get('subject') else 'NAME', profile)}")


def _check_name(profile: str) -> None:
    if not profile.strip() or not profile.isprintable():
        raise click.UsageError("--profile must be a name, such as default")


def _allow_replacing(path: Path, profile: str, *, ask: bool) -> None:
    if not ask:
        raise click.UsageError(
            f"{path} has a profile {profile!r} already; --force replaces it, --profile names another"
        )
    if not click.confirm(f"{path} has a profile {profile!r} already. Replace it?", err=True):
        raise Failure("nothing was written; --profile NAME writes another profile", CONFIGURATION)


def _reference(text: str) -> str:
    if is_plain(text) or not has_reference(text):
        # Not the text, which may be a secret: a shell may have expanded "${NAME}".
        raise click.UsageError(
            "--client-secret-from must be '${VARIABLE}', in single quotes, or keyring:service/name; never the secret"
        )
    return text


def _complete(given: Mapping[str, Any]) -> dict[str, Any]:
    if "provider" not in given:
        raise click.UsageError(f"--provider is missing; it is one of {', '.join(PROVIDERS)}")
    for setting in (*COMMON, *PROVIDERS[given["provider"]]):
        if setting.required and setting.name not in given:
            raise click.UsageError(f"{setting.option} (or {setting.variable}) is missing. {setting.help}")
    return dict(given)


def _ask_until_it_works(path: Path, profile: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Ask until a client can be made of the answers. A wrong answer does not lose the others."""
    table: dict[str, Any] = {}
    while True:
        table = _ask(given, table)
        try:
            _check_that_it_works(path, profile, table)
        except ConfigurationError as error:
            if table == given:
                raise
            click.echo(f"\nThat cannot work: {message_of(error)}.\nTry again; Enter keeps an answer.\n", err=True)
        else:
            return table


def _ask(given: Mapping[str, Any], before: Mapping[str, Any]) -> dict[str, Any]:
    """All settings: those given, and the answers; those of `before` are proposed."""
    table = dict(given)
    if "provider" not in table:
        choices, proposed = click.Choice(PROVIDER.choices), before.get("provider", PROVIDER.choices[0])
        table["provider"] = click.prompt("provider", type=choices, default=proposed, err=True)
    for setting in _to_ask(table["provider"]):
        if setting.name not in table:
            answer = _answer(setting, table["provider"], before.get(setting.name))
            if answer:
                table[setting.name] = answer
    return table


def _to_ask(provider: str) -> list[Setting]:
    own = PROVIDERS[provider]
    known = {each.name: each for each in (*COMMON, *own)}
    questions = [*(each.name for each in own if each.required), *_ASKED, *_ASKED_LAST]
    by_certificate = provider == "blink"
    left_out = ("client_secret", "scope") if by_certificate else ("cert", "cert_key")
    return [known[name] for name in dict.fromkeys(questions) if name in known and name not in left_out]


def _answer(setting: Setting, provider: str, before: Any) -> Any:
    hosted = "https://api.cloud.blnkfinance.com" if provider == "blnk_cloud" else ""
    usual = {"base_url": hosted, "redirect_uri": usual_redirect_uri(provider), "subject": "me"}.get(setting.name, "")
    default = usual if before is None else before if isinstance(before, str) else " ".join(before)
    optional = "" if setting.required or default else " Enter leaves it out."
    click.echo(click.style(f"{setting.help}{optional}", dim=True), err=True)
    answer: str = click.prompt(
        setting.name,
        default=None if setting.required and not default else default,
        show_default=bool(default) and not setting.is_secret,
        hide_input=setting.is_secret,
        err=True,
    ).strip()
    return answer.split() if setting.kind == "list" else answer


def _check_that_it_works(path: Path, profile: str, table: Mapping[str, Any]) -> None:
    """Make the client once, to find errors now. References are not resolved: they may refer to a later secret."""
    values = [value for value in table.values() if isinstance(value, str)]
    if table["provider"] == "discover" or any(has_reference(each) or is_in_keyring(each) for each in values):
        return
    load_profile(profile, path, overrides=table).make(OAuthClient, store=MemoryStore())


def _save_profile(path: Path, profile: str, table: Mapping[str, Any]) -> None:
    """Write the file, readable for this user only."""
    text = _with_profile(path.read_text("utf-8") if path.exists() else _HEAD, profile, table)
    try:
        make_directory(path.parent)
        replace_file(path, text.encode("utf-8"))
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be written ({error.strerror})", remedy="choose another with --config FILE"
        ) from None


def _with_profile(text: str, profile: str, table: Mapping[str, Any]) -> str:
    with needs_extra("cli", "tomlkit", needed_by="init"):
        import tomlkit
    document: Any = tomlkit.parse(text)
    profiles = document.setdefault("profiles", tomlkit.table(is_super_table=True))
    profiles[profile] = {name: [*value] if isinstance(value, tuple) else value for name, value in table.items()}
    return tomlkit.dumps(document)
