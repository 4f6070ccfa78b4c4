"""A program that makes one `Auth` and imports HTTP packages in a given order, and sends a request with each of them.

Used by tests/scenarios/test_auth.py, in a process of its own, since a package cannot be imported for the first time
twice. Each argument is `Auth`, a package, `again:PACKAGE` (its next import makes another copy of it), or `alias`. After
each one it checks what the object is an instance of. At the end it sends a request with every copy of every package to
an API that rejects the first token, and prints the results.
"""

from __future__ import annotations

import importlib
import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

from blnk_auth import Auth, ConfigurationError, OAuthClient, Provider, Token

HOMES = {"requests": ("requests.auth", "AuthBase"), "httpx": ("httpx", "Auth"), "httpx2": ("httpx2", "Auth")}


class Api(BaseHTTPRequestHandler):
    """Accepts the token `new`. When it rejects another one, that is the current token immediately."""

    def do_GET(self) -> None:
        """Answer one request."""
        is_accepted = self.headers.get("Authorization") == "Bearer new"
        if not is_accepted:
            source.adopt(Token("new"))
        self.send_response(200 if is_accepted else 401)
        self.send_header("WWW-Authenticate", 'Bearer error="invalid_token"')
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Write nothing."""


server = ThreadingHTTPServer(("127.0.0.1", 0), Api)
Thread(target=server.serve_forever, daemon=True).start()
origin = f"http://127.0.0.1:{server.server_port}"
acme = Provider(name="acme", token_endpoint=f"{origin}/token", api_origins=(origin,))
source = OAuthClient(acme, client_id="id", client_secret="secret").for_subject("alice")


def check(auth: Any) -> None:
    """The object is an instance of the class of each imported package, and of nothing else."""
    assert type(auth) is Auth
    assert isinstance(auth, Auth)
    assert not isinstance(auth, tuple | dict | str)
    for module, name in HOMES.values():
        if module in sys.modules:
            assert isinstance(auth, getattr(sys.modules[module], name)), module


def imported() -> set[str]:
    """The HTTP packages that are imported."""
    return HOMES.keys() & sys.modules.keys()


def result_of(package: Any, auth: Any) -> int | str:
    """The status of a request that is sent with the first token, or the name of the error."""
    source.adopt(Token("old"))
    client = package.Session() if hasattr(package, "Session") else package.Client(trust_env=False)
    client.auth = auth
    with client:
        try:
            status: int = client.get(origin).status_code
        except ConfigurationError as error:
            return f"{type(error).__name__} {error.parameter}"
    return status


def main() -> None:
    """Do what the arguments list, then send the requests."""
    auth, copies = None, []
    for each in sys.argv[1:]:
        if each == "Auth":
            before = imported()
            auth = Auth(source)
            check(auth)
            assert imported() == before, "Auth imports a package"
        elif each == "alias":
            sys.modules["httpx2"].alias_httpx()
        elif each.startswith("again:"):
            name = each.removeprefix("again:")
            for module in [module for module in sys.modules if f"{module}.".startswith(f"{name}.")]:
                del sys.modules[module]
        else:
            copies.append(importlib.import_module(each))
            importlib.reload(copies[-1])
        if auth is not None:
            check(auth)
    sys.stdout.write(json.dumps([result_of(copy, auth) for copy in copies]))


if __name__ == "__main__":
    main()
