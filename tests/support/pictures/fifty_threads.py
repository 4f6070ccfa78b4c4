"""Fifty threads, one expired token: the lines that a picture of the first page shows, run with two libraries.

Used by `draw` and by the test of that page. Each library gets a sandbox of its own, which rotates refresh tokens and
ends a grant whose spent refresh token comes again; the figures are the sandbox's. The token endpoint takes 0.2 s, as
one on the internet may. The lines between the markers are drawn as they are run.
"""

from __future__ import annotations

import inspect
import textwrap
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import requests
from authlib.integrations.requests_client import OAuth2Session

from blnk_auth import Auth, BlnkCloud, OAuthClient, Token
from blnk_auth.testing import Sandbox

THREADS = 50
LATENCY = 0.2
"""Seconds that the token endpoint takes."""

Run = tuple[requests.Session, list[Future[requests.Response]]]


@dataclass(frozen=True, slots=True)
class Figures:
    """What the sandbox counted, how many of the fifty calls failed, and whether one more call succeeds."""

    token_requests: int
    reuses: int
    failed_calls: int
    goes_on: bool


# fmt: off
def _blnk_auth(client: OAuthClient, url: str) -> Run:
    # begin
    session = requests.Session()
    session.auth = Auth(client.for_subject("alice"))

    with ThreadPoolExecutor(50) as pool:
        calls = [pool.submit(session.get, url)
                 for _ in range(50)]
    # end
    return session, calls


# As its documentation shows for a token that renews itself: `token_endpoint` and `update_token`.
def _authlib(
    registration: tuple[str, str], token_endpoint: str, token: dict[str, Any], save: Callable[..., None], url: str
) -> Run:
    client_id, client_secret = registration
    # begin
    session = OAuth2Session(
        client_id, client_secret, token=token,
        token_endpoint=token_endpoint, update_token=save)

    with ThreadPoolExecutor(50) as pool:
        calls = [pool.submit(session.get, url)
                 for _ in range(50)]
    # end
    return session, calls
# fmt: on


def _run_blnk_auth(sandbox: Sandbox, token: dict[str, Any]) -> Run:
    client = OAuthClient(
        BlnkCloud(base_url=sandbox.origin),
        client_id=sandbox.client_id,
        client_secret=sandbox.client_secret,
        redirect_uri=sandbox.redirect_uri,
    )
    client.for_subject("alice").adopt(Token.from_response(token, now=time.time()))
    return _blnk_auth(client, f"{sandbox.origin}/data/ledgers")


def _run_authlib(sandbox: Sandbox, token: dict[str, Any]) -> Run:
    saved: list[dict[str, Any]] = []

    def save(token: dict[str, Any], refresh_token: str | None = None, access_token: str | None = None) -> None:
        saved.append(token)

    return _authlib(
        (sandbox.client_id, sandbox.client_secret),
        f"{sandbox.origin}/oauth/token",
        token,
        save,
        f"{sandbox.origin}/data/ledgers",
    )


def _run_authlib_apart(sandbox: Sandbox, token: dict[str, Any]) -> Run:
    """A session for each thread, since requests does not promise that threads may share one."""

    def session() -> OAuth2Session:
        endpoint = f"{sandbox.origin}/oauth/token"
        return OAuth2Session(sandbox.client_id, sandbox.client_secret, token=dict(token), token_endpoint=endpoint)

    sessions = [session() for _ in range(THREADS)]
    with ThreadPoolExecutor(THREADS) as pool:
        calls = [pool.submit(each.get, f"{sandbox.origin}/data/ledgers") for each in sessions]
    return sessions[0], calls


LIBRARIES: dict[str, tuple[Callable[..., Run], Callable[[Sandbox, dict[str, Any]], Run]]] = {
    "blnk_auth": (_blnk_auth, _run_blnk_auth),
    "authlib": (_authlib, _run_authlib),
}


def lines(library: str) -> list[str]:
    """The lines of code between the markers."""
    source = inspect.getsource(LIBRARIES[library][0])
    return textwrap.dedent(source.partition("# begin\n")[2].partition("    # end")[0]).rstrip().splitlines()


def figures(library: str) -> Figures:
    """Run the lines once."""
    return _figures(LIBRARIES[library][1])


def figures_apart() -> Figures:
    """The same with authlib and a session for each thread."""
    return _figures(_run_authlib_apart)


def _figures(run: Callable[[Sandbox, dict[str, Any]], Run]) -> Figures:
    with Sandbox() as sandbox:
        sandbox.token_latency = LATENCY
        expired = {**sandbox.issue("alice", lifetime=0), "expires_at": int(time.time()) - 1}
        session, calls = run(sandbox, expired)
        counts = sandbox.counts
        failed = sum(call.exception() is not None or not call.result().ok for call in calls)
        return Figures(
            counts.token_requests, counts.reuses, failed, _goes_on(session, f"{sandbox.origin}/data/ledgers")
        )


def _goes_on(session: requests.Session, url: str) -> bool:
    try:
        return session.get(url).ok
    # What a library raises where the user has to sign in again is its own.
    except Exception:
        return False
