"""`blnk-auth sandbox`: the sandbox in the foreground, for manual trials and for clients in other languages.

Used by `app`, and by the demo as another process. It promises the same address and the same client at each start, so
that a configuration stays right. It never listens on anything but loopback, and stores no token: a new start knows no
grant of an earlier one.
"""

from __future__ import annotations

import errno
import textwrap
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from .exit_status import CONFIGURATION, Failure
from .extras import require
from .options import Duration
from .sandbox_address import SandboxAddress
from .sandbox_files import CertificateFiles

if TYPE_CHECKING:
    from ..testing.sandbox import Extension, Sandbox
    from ..testing.sandbox._client_settings import ClientSettings

Personality = Literal["blnk_cloud", "blink", "flinks", "mcp"]

DEFAULT_PORT = 8400

REDIRECT_URIS = ("http://127.0.0.1/callback", "http://127.0.0.1/oauth/callback")
"""Loopback addresses without a port: the sandbox redirects to them on any port (RFC 8252 section 7.3)."""

_LIFETIMES: Mapping[Personality, float] = {"blnk_cloud": 3600, "blink": 86_400, "flinks": 299, "mcp": 3600}
"""The lifetime of access tokens in seconds, as each provider documents it."""

_HINTS: Mapping[Personality, str] = {
    "blnk_cloud": "",
    "blink": " (there, the user who signs in is the username)",
    "flinks": ' (and name a scope when signing in, such as "ACCOUNT_BASIC")',
    "mcp": " (its URL is enough)",
}

_REGISTERED = ("client_id", "client_secret", "redirect_uri")

_POLL_INTERVAL = 0.2
"""Seconds between two checks whether the sandbox should end."""

_HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Choices:
    """The options of one run, by their names."""

    personality: Personality
    port: int
    client_id: str
    client_secret: str = field(repr=False)
    redirect_uri: tuple[str, ...]
    device: bool
    extension: tuple[Extension, ...]
    tls: bool
    lifetime: float | None
    idle_exit: float | None
    env: bool
    env_file: Path | None
    state_file: Path | None

    @property
    def all_extensions(self) -> frozenset[Extension]:
        """The extensions, with those that they imply. Raises `UsageError`."""
        from ..testing.sandbox._extensions import checked_extensions
        from ..testing.sandbox._setting_checks import SettingError

        try:
            return checked_extensions(self.extension, self.personality, has_tls=self.tls)
        except SettingError as wrong:
            raise click.UsageError(f"--extension {wrong.problem}") from wrong

    @property
    def token_lifetime(self) -> float:
        """Seconds that access tokens are valid."""
        return _LIFETIMES[self.personality] if self.lifetime is None else self.lifetime


@click.command("sandbox")
@click.option(
    "--personality",
    type=click.Choice(tuple(_LIFETIMES)),
    default="blnk_cloud",
    show_default=True,
    help="The provider that it plays.",
)
@click.option(
    "--port", type=click.IntRange(0, 65535), default=DEFAULT_PORT, show_default=True, help="0 means any free one."
)
@click.option("--client-id", default="sandbox-client", show_default=True, help="The id of the registered client.")
@click.option(
    "--client-secret", default="sandbox-secret", show_default=True, help="Its secret, which protects nothing here."
)
@click.option(
    "--redirect-uri",
    multiple=True,
    default=REDIRECT_URIS,
    metavar="URI, repeated",
    help="Where users may be redirected to. [default: /callback and /oauth/callback on any port of 127.0.0.1]",
)
@click.option(
    "--device", is_flag=True, help="Also issue device codes, and tokens for the client itself (blnk_cloud only)."
)
@click.option(
    "--extension",
    multiple=True,
    metavar="NAME, repeated",
    help="Also play what the provider does not have, such as par, rar or dpop. An unknown NAME lists all.",
)
@click.option("--tls", is_flag=True, help="Serve https, with certificates that are made at each start.")
@click.option(
    "--lifetime",
    type=Duration(),
    help="Lifetime of access tokens, such as 90s. [default: the provider's: 1h, 24h, 299s or 1h]",
)
@click.option("--env", is_flag=True, help="Only print the variables that a client needs, as for a .env file.")
@click.option(
    "--env-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Set these variables in this .env file; its other lines stay.",
)
@click.option(
    "--idle-exit",
    type=Duration(),
    help="End after this time without a request to the API or the token endpoint, such as 30m. [default: never]",
)
@click.option(
    "--state-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the address and the client to this file as JSON; end when it is removed or replaced.",
)
def command(**chosen: Any) -> None:
    """Run an authorization server and a small API on this machine.

    They play Blnk Cloud, bLink, Flinks, or an MCP server that describes its own sign-in, on a loopback address.
    Open that address in a browser to see the client, sample calls, and every request as it happens. For tests and
    demonstrations only: anyone who can reach the port can sign in as anyone. Ctrl-C ends it.
    """
    require("sandbox")
    choices = Choices(**chosen)
    if choices.device and choices.personality != "blnk_cloud":
        raise click.UsageError(f"--device is for --personality blnk_cloud only, not {choices.personality}")
    if choices.personality == "mcp" and (choices.env or choices.env_file is not None):
        raise click.UsageError("a client of --personality mcp needs no variables; leave out --env and --env-file")
    if choices.env and choices.env_file is not None:
        raise click.UsageError("--env only prints, and --env-file is for a sandbox that runs; leave one out")
    if choices.env:
        _print_variables(choices)
    else:
        with suppress(KeyboardInterrupt):
            _run(choices)


def _print_variables(choices: Choices) -> None:
    if choices.port == 0:
        raise click.UsageError("--env needs the port that the sandbox will have; name one with --port")
    from ..testing.sandbox._env_file import lines_of

    click.echo("\n".join(lines_of(_client_settings(choices, choices.port).variables())))


def _run(choices: Choices) -> None:
    with ExitStack() as running:
        authority = _authority() if choices.tls else None
        tls = None if authority is None else authority.server_context()
        sandbox = _started(running, choices, tls)
        address = SandboxAddress(sandbox.origin, choices.client_id, choices.client_secret, sandbox.redirect_uri)
        port = int(sandbox.origin.rpartition(":")[2])
        if authority is not None:
            is_proved_by_certificate = choices.personality == "blink" or "mtls" in choices.extension
            client = authority.client_pem(choices.client_id) if is_proved_by_certificate else None
            CertificateFiles.of(port).save(authority.pem, client)
        settings = _client_settings(choices, port)
        if choices.env_file is not None:
            _save_variables(choices.env_file, settings)
        if choices.state_file is not None:
            _save(address, choices.state_file)
        click.echo(_description(choices, address, settings, sandbox.personality.display_name))
        _wait_until_over(
            sandbox,
            choices.idle_exit,
            lambda: choices.state_file is None or SandboxAddress.load(choices.state_file) == address,
        )


def _authority() -> Any:
    from ..testing.sandbox._certificates import CertificateAuthority

    return CertificateAuthority()


def _started(running: ExitStack, choices: Choices, tls: Any) -> Sandbox:
    from ..testing.sandbox import Sandbox
    from ..testing.sandbox._setting_checks import SettingError

    try:
        sandbox = Sandbox(
            choices.personality,
            port=choices.port,
            lifetime=choices.token_lifetime,
            client_id=choices.client_id,
            client_secret=choices.client_secret,
            redirect_uri=choices.redirect_uri,
            tls=tls,
            device_grant=choices.device,
            extensions=choices.all_extensions,
        )
        return running.enter_context(sandbox)
    except SettingError as wrong:
        raise click.UsageError(f"--{wrong.parameter.replace('_', '-')} {wrong.problem}") from wrong
    except OSError as wrong:
        raise Failure(_port_problem(choices, wrong), CONFIGURATION) from wrong


def _port_problem(choices: Choices, wrong: OSError) -> str:
    if wrong.errno != errno.EADDRINUSE:
        return f"--{wrong.strerror}"
    # Another sandbox is the usual reason, and its page shows in a browser which one it is.
    return (
        f"--port {choices.port} is in use, perhaps by another sandbox (open http://{_HOST}:{choices.port}/ to see it); "
        "end that one, or choose another port, or 0 for any free one"
    )


def _client_settings(choices: Choices, port: int) -> ClientSettings:
    """The settings of the client, for a sandbox that runs or will run."""
    from ..testing.sandbox._client_settings import settings_for

    files = CertificateFiles.of(port) if choices.tls else None
    return settings_for(
        "device" if choices.device else choices.personality,
        origin=f"http{'s' if choices.tls else ''}://{_HOST}:{port}",
        client_id=choices.client_id,
        client_secret=choices.client_secret,
        redirect_uri=choices.redirect_uri[0],
        authority_file=None if files is None else str(files.authority),
        certificate_file=None if files is None else str(files.client),
        extensions=choices.all_extensions,
    )


def _save_variables(env_file: Path, settings: ClientSettings) -> None:
    from ..testing.sandbox._client_settings import OF_PROVIDERS, variable
    from ..testing.sandbox._env_file import save_variables

    try:
        save_variables(env_file, settings.variables(), removed=frozenset(map(variable, OF_PROVIDERS)))
    except (OSError, ValueError) as wrong:
        why = wrong.strerror if isinstance(wrong, OSError) else "it is not UTF-8 text"
        raise Failure(f"--env-file {env_file} cannot be written ({why}); choose another", CONFIGURATION) from wrong


def _save(address: SandboxAddress, state_file: Path) -> None:
    try:
        address.save(state_file)
    except OSError as wrong:
        reason = f"--state-file {state_file} cannot be written ({wrong.strerror}); choose another"
        raise Failure(reason, CONFIGURATION) from wrong


def _wait_until_over(sandbox: Sandbox, idle_exit: float | None, is_wanted: Callable[[], bool]) -> None:
    never, counts, busy_at = threading.Event(), sandbox.counts, time.monotonic()
    while is_wanted() and not never.wait(_POLL_INTERVAL):
        if counts != sandbox.counts:
            counts, busy_at = sandbox.counts, time.monotonic()
        if idle_exit is not None and time.monotonic() - busy_at >= idle_exit:
            return


def _description(choices: Choices, address: SandboxAddress, settings: ClientSettings, display_name: str) -> str:
    from ..testing.sandbox._client_settings import endpoints_of

    facts = {
        **endpoints_of(settings, address.origin),
        **{name: value for name, value in settings.of_client.items() if name in _REGISTERED},
        "access token lifetime": f"{choices.token_lifetime:g} s",
        **_trust(settings),
    }
    shown = "\n".join(f"  {name:<22}  {value}" for name, value in facts.items())
    return f"""\
A sandbox of {display_name} runs at {address.origin} (Ctrl-C ends it).
Open that address in a browser to see sample calls, and every request as it happens.

{shown}

To use it{_HINTS[choices.personality]}:

{textwrap.indent(settings.python(), "  ")}"""


def _trust(settings: ClientSettings) -> dict[str, str]:
    authority = settings.of_client.get("verify")
    if authority is None:
        return {}
    return {
        "certificate authority": authority,
        "": "for verify=, SSL_CERT_FILE (httpx), REQUESTS_CA_BUNDLE (requests) and curl --cacert",
    }
