"""A protected resource and its authorization server on loopback, which the library has never seen before.

Used by the tests of `ProtectedResource`. Both describe themselves (RFC 9728, RFC 8414); the server registers clients
(RFC 7591), signs every user in without asking, and rotates refresh tokens. What it was asked for is counted.
"""

from __future__ import annotations

import base64
import hashlib
import itertools
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
from support.sites import Received, Reply, Site

SCOPES = ["read", "write"]


@dataclass
class Grant:
    """What a user has granted: to whom, for what, and the tokens that live."""

    client_id: str
    resource: str | None
    scope: str | None
    access_tokens: set[str] = field(default_factory=set[str])
    refresh_token: str | None = None


class AuthorizationSite:
    """An authorization server.

    Attributes:
        asked: How often it was asked for what: `register`, `authorize`, `token authorization_code` and so on.
        resources: The `resource` of each authorization and token request.
        replayed: Refresh tokens that were spent twice.
        metadata: Changes to its metadata document.
        expires_in: The lifetime of access tokens, in seconds.
        clients: The registered clients, by id: what was registered of each.
    """

    def __init__(self, path: str = "") -> None:
        self.path = path
        self.asked: Counter[str] = Counter()
        self.resources: list[str | None] = []
        self.replayed: list[str] = []
        self.metadata: dict[str, Any] = {}
        self.expires_in = 3600
        self.clients: dict[str, Any] = {}
        self.codes: dict[str, tuple[dict[str, str], Grant]] = {}
        self.grants: list[Grant] = []
        self._spent: set[str] = set()
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self.site = Site(self._answer)

    @property
    def issuer(self) -> str:
        return self.site.origin + self.path

    def accepts(self, token: str, resource: str) -> bool:
        """Whether a resource accepts this access token."""
        return any(token in grant.access_tokens and grant.resource == resource for grant in self.grants)

    def scope_of(self, token: str) -> set[str]:
        """The scope of an access token, word by word."""
        return {word for grant in self.grants if token in grant.access_tokens for word in (grant.scope or "").split()}

    @property
    def scopes(self) -> list[str | None]:
        """The scope of each sign-in that was finished."""
        return [grant.scope for grant in self.grants]

    def revoke_access_tokens(self) -> None:
        """Every access token stops working; refresh tokens work on."""
        for grant in self.grants:
            grant.access_tokens.clear()

    def end_grants(self) -> None:
        """Every grant ends: only a new sign-in helps."""
        self.grants.clear()

    def _answer(self, request: Received) -> Reply:
        with self._lock:
            if request.path.startswith("/.well-known/"):
                is_mine = request.path == f"/.well-known/oauth-authorization-server{self.path}"
                return Reply.json({**self._document(), **self.metadata}) if is_mine else Reply(404)
            return {
                f"{self.path}/register": self._register,
                f"{self.path}/authorize": self._authorize,
                f"{self.path}/token": self._token,
            }[request.path](request)

    def _document(self) -> dict[str, Any]:
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "registration_endpoint": f"{self.issuer}/register",
            "response_types_supported": ["code"],
            "code_challenge_methods_supported": ["S256"],
            "token_endpoint_auth_methods_supported": ["none", "client_secret_basic"],
            "grant_types_supported": ["authorization_code", "refresh_token", "client_credentials"],
            "authorization_response_iss_parameter_supported": True,
        }

    def _register(self, request: Received) -> Reply:
        import json

        self.asked["register"] += 1
        client_id = f"client{next(self._numbers)}"
        wanted = json.loads(request.body)
        self.clients[client_id] = wanted
        return Reply.json({**wanted, "client_id": client_id}, 201)

    def _authorize(self, request: Received) -> Reply:
        self.asked["authorize"] += 1
        query = {name: values[0] for name, values in parse_qs(request.query).items()}
        self.resources.append(query.get("resource"))
        assert query["client_id"] in self.clients
        assert query["code_challenge_method"] == "S256"
        code = f"code{next(self._numbers)}"
        self.codes[code] = query, Grant(query["client_id"], query.get("resource"), query.get("scope"))
        back = urlencode({"code": code, "state": query["state"], "iss": self.issuer})
        return Reply.redirect(f"{query['redirect_uri']}?{back}")

    def _token(self, request: Received) -> Reply:
        form = request.form
        self.asked[f"token {form['grant_type']}"] += 1
        self.resources.append(form.get("resource"))
        basic = request.basic
        client_id = form.get("client_id") or (basic[0] if basic else "")
        if client_id not in self.clients:
            return Reply.json({"error": "invalid_client"}, 401)
        if form["grant_type"] == "client_credentials":
            grant = Grant(client_id, form.get("resource"), form.get("scope"))
            self.grants.append(grant)
            return self._issue(grant, refreshes=False)
        if form["grant_type"] == "authorization_code":
            query, grant = self.codes.pop(form["code"])
            digest = hashlib.sha256(form["code_verifier"].encode()).digest()
            assert base64.urlsafe_b64encode(digest).rstrip(b"=").decode() == query["code_challenge"]
            assert form["redirect_uri"] == query["redirect_uri"]
            self.grants.append(grant)
            return self._issue(grant)
        refresh_token = form["refresh_token"]
        if refresh_token in self._spent:
            self.replayed.append(refresh_token)
        found = next((each for each in self.grants if each.refresh_token == refresh_token), None)
        if found is None or found.client_id != client_id:
            return Reply.json({"error": "invalid_grant"}, 400)
        self._spent.add(refresh_token)
        return self._issue(found)

    def _issue(self, grant: Grant, *, refreshes: bool = True) -> Reply:
        access_token = f"at{next(self._numbers)}-{self.site.port}"
        grant.access_tokens.add(access_token)
        issued: dict[str, Any] = {"access_token": access_token, "token_type": "Bearer", "expires_in": self.expires_in}
        if refreshes:
            grant.refresh_token = f"rt{next(self._numbers)}-{self.site.port}"
            issued["refresh_token"] = grant.refresh_token
        return Reply.json(issued)


class ProtectedSite:
    """Protected resources of one host, each with its own authorization server, while the `with` block is open.

    Attributes:
        servers: By the path of the resource.
        resources: What a resource names itself, by its path. Missing: its own URL.
        describes: Whether the resources have metadata documents. If not, only their challenge asks for a token.
        challenge: Further parameters of the challenges.
        scheme: The scheme of the challenges.
        takes_only_posts: Whether every other request is answered with 404, without a challenge.
        redirects: Where paths redirect to, as nothing but a slash at the end may decide.
        needed: The scope that a token needs, by the path of a request; None: one that nobody can get.
        at_next_tokens: What happens when the next requests with a token come, before each is judged.
    """

    def __init__(self, *paths: str) -> None:
        self.servers = {path: AuthorizationSite() for path in paths or ("/mcp",)}
        self.resources: dict[str, str] = {}
        self.describes = True
        self.is_protected = True
        self.challenge = ""
        self.scheme = "Bearer"
        self.takes_only_posts = False
        self.redirects: dict[str, str] = {}
        self.needed: dict[str, str | None] = {}
        self.at_next_tokens: list[Callable[[], None]] = []
        self.site = Site(self._answer)
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        for server in self.servers.values():
            self._stack.enter_context(server.site)
        self._stack.enter_context(self.site)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def server(self) -> AuthorizationSite:
        """The authorization server of the only resource."""
        (server,) = self.servers.values()
        return server

    def url(self, path: str = "/mcp") -> str:
        return self.site.origin + path

    def requests_to(self, path: str) -> list[Received]:
        """The requests of users that this path got, without those for metadata."""
        return [each for each in self.site.received if each.path == path]

    def _answer(self, request: Received) -> Reply:
        if request.path.startswith("/.well-known/"):
            path = request.path.removeprefix("/.well-known/oauth-protected-resource")
            return self._document(path) if self.describes and path in self.servers else Reply(404)
        if request.path in self.redirects and request.method == "POST":
            return Reply.redirect(self.redirects[request.path], 307)
        path = next((each for each in self.servers if request.path.startswith(each)), None)
        if path is None or not self.is_protected:
            return Reply(200, b"open")
        if self.takes_only_posts and request.method != "POST":
            return Reply(404)
        token = (request.authorization or "").removeprefix("Bearer ")
        if token and self.at_next_tokens:
            self.at_next_tokens.pop(0)()
        if self.servers[path].accepts(token, self.resources.get(path, self.url(path))):
            needed = self.needed.get(request.path, "")
            if needed is not None and set(needed.split()) <= self.servers[path].scope_of(token):
                return Reply(200, b"hello")
            return Reply(403, b"more", {"WWW-Authenticate": _wants_more(needed or "admin")})
        metadata = f'resource_metadata="{self.url("/.well-known/oauth-protected-resource" + path)}"'
        error = 'error="invalid_token", ' if token else ""
        return Reply.rejected(f"{self.scheme} {error}{metadata if self.describes else 'realm=mcp'}{self.challenge}")

    def _document(self, path: str) -> Reply:
        return Reply.json(
            {
                "resource": self.resources.get(path, self.url(path)),
                "authorization_servers": [self.servers[path].issuer],
                "scopes_supported": SCOPES,
            }
        )


def _wants_more(scope: str) -> str:
    return f'Bearer error="insufficient_scope", scope="{scope}"'


def user(request: Any) -> str:
    """A user who gives access: what `sign_in` gets, opened in a browser that follows no further than the callback."""
    with httpx.Client(trust_env=False) as browser:
        return browser.get(request.url).headers["location"]


class Users:
    """Users who give access, counted. To be passed as `sign_in`."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self, request: Any) -> str:
        self.asked += 1
        return user(request)


def origin_and_path(url: str) -> tuple[str, str]:
    """The two parts of a URL that decide whether a token may go there."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}", parts.path
