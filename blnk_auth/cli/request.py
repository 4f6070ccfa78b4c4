"""`blnk-auth request`: one request to the API, with the token and the provider's headers, for a shell.

Used by `app`. What this file promises:

* It never prints the token. What the API sends is printed as it came; on a terminal, without control characters.
* The token is sent by the rules of the auth classes: to the origins of the profile, and to no other after a redirect.
* The exit status is that of the HTTP status: 0, or 4 for 4xx, 5 for 5xx.
"""

from __future__ import annotations

import codecs
import json
import sys
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .._renewal.credential import credential_of
from .._renewal.current_token import CurrentToken
from .._transport.network import stays_on_this_machine
from .._transport.tls import context
from ..config import Profile
from ..source import TokenSource
from .api_url import checked_url
from .exit_status import CLIENT_ERROR, CONFIGURATION, OK, SERVER_ERROR, UNAVAILABLE, Failure
from .log import log_line
from .options import EPILOG, Duration, Selection, client_options, itself_option, source_of
from .resource_url import needs_no_profile, open_resource, selected_url, source_at
from .terminal import printable, waiting

if TYPE_CHECKING:
    import httpx

_FORM, _JSON = "application/x-www-form-urlencoded", "application/json"
_SENT_BY_DEFAULT = {"Accept": "*/*", "Accept-Encoding": "identity"}
_MOST_REDIRECTS = 10


def _headers(_ctx: click.Context, parameter: click.Parameter, lines: Sequence[str]) -> dict[str, str]:
    parts = [line.partition(":") for line in lines]
    if any(not colon or not name.strip() for name, colon, _ in parts):
        raise click.BadParameter("write it as 'Name: value'", param=parameter)
    return {name.strip(): value.strip() for name, _, value in parts}


@click.command("request", epilog=EPILOG)
@client_options("subject", "scope", "resource", "audience")
@itself_option
@click.argument("url")
@click.option("--request", "-X", "method", metavar="METHOD", help="[default: GET, or POST with --data]")
@click.option(
    "--header", "-H", "headers", multiple=True, metavar="'NAME: VALUE'", callback=_headers, help="A further header."
)
@click.option(
    "--data",
    "-d",
    metavar="TEXT|@FILE|@-",
    help="The body: text, the content of a file, or standard input. JSON is sent as such, anything else as a form, "
    "unless -H names its Content-Type.",
)
@click.option("--include", "-i", is_flag=True, help="Print the status line and the headers of the response first.")
@click.option(
    "--location", "-L", is_flag=True, help="Follow redirects; to another origin, they are sent without the token."
)
@click.option(
    "--timeout",
    type=Duration(least=1, most=3600),
    default="60s",
    show_default=True,
    help="Longest time without a byte from the API.",
)
def command(
    selection: Selection,
    *,
    itself: bool,
    url: str,
    method: str | None,
    headers: dict[str, str],
    data: str | None,
    include: bool,
    location: bool,
    timeout: float,
) -> None:
    """Send a request to the API, and print the body of the response.

    The token is added and renewed as needed, and so are the provider's own headers. It is sent to the profile's
    api_origins and to no other origin, and it is never printed. For example:

    \b
      blnk-auth request https://api.example.com/accounts
      blnk-auth request -d '{"name": "main"}' https://api.example.com/ledgers

    Without a profile, an API that describes its own sign-in, such as an MCP server, is asked for it.

    The exit status is 4 if the API answers 4xx, 5 if it answers 5xx, 3 if it cannot be reached.
    """  # noqa: D301 - click's mark for lines that stay as they are
    profile, source = _profile_and_source(selection, url, itself=itself)
    checked_url(source, url)
    body = None if data is None else _body(data)
    _check_headers(headers)
    if body is not None and "content-type" not in map(str.lower, headers):
        headers["Content-Type"] = _JSON if _is_json(body) else _FORM
    method = (method or ("GET" if body is None else "POST")).upper()
    if not method.isascii() or not method.isalpha():
        raise click.BadParameter("it is not the name of an HTTP method, such as GET", param_hint="'--request' / '-X'")
    if isinstance(credential_of(source), CurrentToken):
        # Not at a URL that takes the place of a profile: it may turn out to describe no sign-in, and to need no token.
        with waiting("Renewing the token"):
            checked_url(source, url, source.token())
    with _client(profile, source, url, timeout) as http:
        request = http.build_request(method, url, headers={**_SENT_BY_DEFAULT, **headers}, content=body)
        status = _send(http, request, include=include, follow_redirects=location)
    click.get_current_context().exit(status)


def _profile_and_source(selection: Selection, url: str, *, itself: bool) -> tuple[Profile, TokenSource]:
    api = selected_url(selection, url if needs_no_profile(selection) else None)
    if api is None:
        profile = selection.load()
        return profile, source_of(profile, selection.open(profile), itself=itself)
    profile, resource = open_resource(selection, api)
    return profile, source_at(profile, resource, itself=itself)


def _check_headers(headers: Mapping[str, str]) -> None:
    for name, value in headers.items():
        if name.lower() == "authorization":
            # With a header of its own, a request is sent without the token.
            raise Failure(
                "--header: Authorization is what this command adds", CONFIGURATION, remedy="leave this header out"
            )
        if not name.isascii() or not name.replace("-", "").replace("_", "").isalnum() or not value.isprintable():
            raise Failure(
                f"--header: {printable(name)!r} or its value cannot be sent in HTTP",
                CONFIGURATION,
                remedy="write it as 'Name: value', on one line",
            )


def _body(data: str) -> bytes:
    if not data.startswith("@"):
        return data.encode("utf-8", "surrogateescape")
    if data == "@-":
        return sys.stdin.buffer.read()
    try:
        return Path(data[1:]).read_bytes()
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise Failure(
            f"--data: {data[1:]!r} cannot be read ({why})",
            CONFIGURATION,
            remedy="check the name after the @; a text that begins with @ is read from standard input with @-",
        ) from None


def _is_json(body: bytes) -> bool:
    try:
        return isinstance(json.loads(body), dict | list)
    except (ValueError, RecursionError):
        return False


@contextmanager
def _client(profile: Profile, source: TokenSource, url: str, timeout: float) -> Generator[httpx.Client]:
    import httpx

    from ..httpx import HttpxAuth

    network = profile.network_settings()
    # The client's certificate is for the API too, as at bLink; the authorities of `verify` are trusted beside the
    # usual ones, since they are meant for the authorization server.
    tls = context(True, network.get("cert"))
    if "verify" in network:
        tls.load_verify_locations(network["verify"])
    with httpx.Client(
        auth=HttpxAuth(source),
        verify=tls,
        timeout=timeout,
        trust_env=not stays_on_this_machine(url),
        max_redirects=_MOST_REDIRECTS,
    ) as http:
        yield http


def _send(http: httpx.Client, request: httpx.Request, *, include: bool, follow_redirects: bool) -> int:
    import httpx

    try:
        with waiting("Waiting for the API"):
            response = http.send(request, stream=True, follow_redirects=follow_redirects)
        log_line(f"{request.method} {request.url.scheme}://{request.url.netloc.decode()}{request.url.path}: "
                 f"{response.status_code} (the API)")  # fmt: skip
        try:
            _print(response, include=include)
        finally:
            response.close()
    except (httpx.RequestError, httpx.InvalidURL) as error:
        raise _failure(error) from None
    return {4: CLIENT_ERROR, 5: SERVER_ERROR}.get(response.status_code // 100, OK)


def _failure(error: Exception) -> Failure:
    import httpx

    from ..errors import BlnkAuthError

    if isinstance(error, BlnkAuthError):
        raise error
    what = printable(str(error)) or type(error).__name__
    if isinstance(error, httpx.TooManyRedirects | httpx.UnsupportedProtocol | httpx.InvalidURL):
        return Failure(f"the API's address cannot be used ({what})", CONFIGURATION, remedy="check the URL")
    return Failure(
        f"the API gave no complete response ({what})",
        UNAVAILABLE,
        remedy="check that it runs at this address, and try again; a request that changes something may have arrived",
    )


def _print(response: httpx.Response, *, include: bool) -> None:
    out = sys.stdout.buffer
    show = _for_terminal() if sys.stdout.isatty() else _unchanged
    if include:
        lines = [f"{response.http_version} {response.status_code} {response.reason_phrase}".rstrip()]
        lines += [f"{name}: {value}" for name, value in response.headers.multi_items()]
        out.write("".join(f"{printable(line)}\n" for line in (*lines, "")).encode("utf-8", "replace"))
    for piece in response.iter_bytes():
        out.write(show(piece))
        out.flush()
    out.flush()


def _unchanged(piece: bytes) -> bytes:
    return piece


def _for_terminal() -> Any:
    """For the pieces of a body, one after another: what a terminal can show of each."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def show(piece: bytes) -> bytes:
        text = decoder.decode(piece)
        return "".join(each if each.isprintable() or each in "\n\t" else "?" for each in text).encode("utf-8")

    return show
