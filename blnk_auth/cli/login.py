"""`blnk-auth login`: a user signs in, in a browser on this machine or another one, or with a code on another device.

Used by `app`. It promises that each text of the server is filtered before it reaches the terminal. It never prints a
token.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import click

from .._sign_in.device import DeviceAuthorization
from ..client import OAuthClient
from ..config import Profile
from ..errors import ConfigurationError
from ..source import TokenSource
from .exit_status import CONFIGURATION, Failure
from .options import EPILOG, Duration, Selection, client_options, json_option, parameters_option, subject_of
from .pasted_lines import long_lines, read_line
from .redirect import usual_redirect_uri
from .resource_url import USUAL_SUBJECT, client_at, open_resource, selected_url
from .sign_in_parameters import FURTHER, arguments_of
from .terminal import printable
from .token_summary import print_token_summary


@click.command("login", epilog=EPILOG)
@client_options("subject", "scope", "resource")
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    help="Port that the browser is redirected to. [default: that of redirect_uri, or any]",
)
@click.option("--browser/--no-browser", default=True, show_default=True, help="Open a browser, or only show the URL.")
@click.option("--paste", is_flag=True, help="Open nothing; you paste the address that the browser was redirected to.")
@click.option("--device", is_flag=True, help="Show a code to enter on another device.")
@click.option(
    "--timeout",
    type=Duration(least=1, most=600),
    default="5m",
    show_default=True,
    help="How long to wait for the sign-in, at most 10m.",
)
@parameters_option
@json_option
@click.argument("url", required=False)
def command(selection: Selection, url: str | None, as_json: bool, **way: Any) -> None:
    """Sign in, and save the tokens in the store.

    URL is that of an API that describes its own sign-in, such as an MCP server. It takes the place of a profile.

    The browser is redirected to this command. Where it cannot reach it, such as over SSH, paste the address that it
    was redirected to, although that page does not load.
    """
    if way["device"] and way["paste"]:
        raise click.UsageError("--device and --paste exclude each other")
    if way["paste"] and way["port"]:
        raise click.UsageError("--port has no meaning with --paste, which opens none; leave one out")
    if way["device"] and way["parameters"]:
        raise click.UsageError("--parameter has no meaning with --device; leave one out")
    api = selected_url(selection, url)
    if api is not None:
        _sign_in_at(selection, api, way, as_json=as_json)
        return
    profile = selection.load()
    client = _client(selection, profile)
    subject = subject_of(profile)
    source = _sign_in(client, subject, profile, **way)
    print_token_summary("signed in", client.provider, subject, source.token(), as_json=as_json)


def _sign_in_at(selection: Selection, url: str, way: Mapping[str, Any], *, as_json: bool) -> None:
    """Sign in to an API that describes by itself how."""
    from .._sign_in.interactive import InteractiveSignIn
    from .._sign_in.interactive_settings import InteractiveSettings
    from .._sign_in.wanted_grant import WantedGrant

    if way["device"]:
        raise click.UsageError("--device has no meaning with a URL; use --paste where no browser reaches this machine")
    further = {**dict.fromkeys(FURTHER), **arguments_of(way["parameters"])}
    profile, resource = open_resource(selection, url)
    client, subject = client_at(resource), profile.subject or USUAL_SUBJECT
    wanted = WantedGrant.of_authorization(
        client.state.provider,
        subject,
        scope=client.wanted_scope(),
        resource=client.resource,
        **further,
    )
    with long_lines() as edits:
        asked = _at_the_terminal(way["port"], way["timeout"], browser=way["browser"], paste=way["paste"], edits=edits)
        InteractiveSignIn(client.state, wanted, InteractiveSettings(**asked)).run()
    token = resource.for_subject(subject).token()
    print_token_summary("signed in", client.state.provider, subject, token, as_json=as_json)


def _client(selection: Selection, profile: Profile) -> OAuthClient:
    if profile.settings.get("redirect_uri") is not None:
        return selection.open(profile)
    return selection.open(profile, redirect_uri=usual_redirect_uri(profile.settings["provider"]))


def _sign_in(
    client: OAuthClient,
    subject: str,
    profile: Profile,
    *,
    port: int | None,
    browser: bool,
    paste: bool,
    device: bool,
    timeout: float,
    parameters: Mapping[str, str] | None,
) -> TokenSource:
    if device and client.provider.device_authorization_endpoint is None:
        raise Failure(
            f"--device: {client.provider.display_name} has no device_authorization_endpoint; leave it out, or use "
            "--paste where no browser can reach this machine",
            CONFIGURATION,
        )
    if device:
        return client.authorize_device(
            subject, scope=profile.scope, resource=profile.resource, on_prompt=_print_code, timeout=timeout
        )
    with long_lines() as edits:
        return client.authorize_interactively(
            subject,
            scope=profile.scope,
            resource=profile.resource,
            **_at_the_terminal(port, timeout, browser=browser, paste=paste, edits=edits),
            **arguments_of(parameters),
        )


def _at_the_terminal(port: int | None, timeout: float, *, browser: bool, paste: bool, edits: bool) -> dict[str, Any]:
    """How the user is asked: arguments of `authorize_interactively`."""
    opens = browser and not paste

    def show(url: str) -> None:
        _print_url(url, opens=opens)

    return {
        "port": port,
        "timeout": timeout,
        "open_browser": opens,
        "listen": not paste,
        "pasted": lambda: _pasted(edits=edits),
        "on_url": show,
        "on_problem": _print_problem,
    }


def _pasted(*, edits: bool) -> str | None:
    """The next line that can be a callback URL; None at the end of the input."""
    while (line := read_line(edits=edits)) is not None:
        if not line or "?" in line:
            return line
        _print_problem("it has no ? with the server's response after it")
    return None


def _print_url(url: str, *, opens: bool) -> None:
    click.echo(
        f"{'If no browser opens, open' if opens else 'Open'} this address in a browser, and sign in:\n\n  {url}\n\n"
        "If the browser ends on a page that does not load, paste that page's address here:",
        err=True,
    )


def _print_problem(problem: str) -> None:
    click.echo(f"Not that one: {printable(problem)}. Paste the address that the browser was redirected to:", err=True)


def _print_code(authorization: DeviceAuthorization) -> None:
    address = authorization.verification_uri_complete or authorization.verification_uri
    if "utf" in (sys.stderr.encoding or "").lower() and (drawn := _qr_code(address)):
        click.echo(drawn, err=True)
    where, code = printable(authorization.verification_uri), printable(authorization.user_code)
    click.echo(
        f"On any device, open {where} and enter {code}\nWaiting until you have approved it there ...",
        err=True,
    )


def _qr_code(url: str) -> str | None:
    from .qr_code import terminal_qr_code

    try:
        return terminal_qr_code(url)
    except ConfigurationError:
        return None
