"""Every library measured, each behind one thin adapter: the same grant, the same calls.

`open` returns a `Caller`, the object that a user of that library would keep, shared by all threads or tasks.
`step` is the auth step alone, as the client drives it, on a request that is ready to be sent.
`note` describes what an adapter had to add because the library leaves it to its users. It is on the report.
"""

# mypy: ignore-errors
# The libraries' own types are of all kinds, and adapters pass values through.

from __future__ import annotations

import asyncio
import base64
import functools
import hashlib
import importlib.metadata
import json
import logging
import os
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

MOCKED = "https://api.example.com"
"""The API that is answered inside the process, where the network would hide what is measured."""

FOR_ALL = "blnk_auth.Auth"
"""The auth class of all clients. It runs the flow of the other classes, so only its hot path is measured apart."""

HAND_WRITTEN = "hand-written"
"""What programs have that use no library; it does not count as one."""

BEARER = "Bearer "
CLIENT = ("bench-client", "bench-secret")

logging.disable(logging.CRITICAL)
warnings.simplefilter("ignore")


@dataclass(frozen=True)
class Grant:
    """What a library is given: a pair, when its access token expires, and a directory to keep it in, if it keeps it."""

    token_endpoint: str
    access_token: str
    refresh_token: str
    expires_at: float
    directory: Path | None = None

    @classmethod
    def of(cls, pair: dict[str, Any], endpoint: str, *, expires_in: float, directory: Path | None = None) -> Grant:
        """The pair as issued, with an access token that is believed to live for `expires_in` seconds from now."""
        return cls(endpoint, pair["access_token"], pair["refresh_token"], time.time() + expires_in, directory)

    @property
    def token(self) -> dict[str, Any]:
        """As a token dict with `expires_at`, which several libraries keep."""
        return {
            "access_token": self.access_token,
            "refresh_token": self.refresh_token,
            "token_type": "Bearer",
            "expires_at": int(self.expires_at),
            "expires_in": int(self.expires_at - time.time()),
        }


@dataclass
class Mock:
    """The mocked API: takes its time, and notes the tokens it was called with."""

    delay: float = 0.0
    seen: list[str] | None = None

    def note(self, headers: Any) -> None:
        if self.seen is not None:
            self.seen.append(headers.get("Authorization", "").removeprefix(BEARER))


@dataclass(frozen=True)
class Peer:
    """One library in one HTTP client."""

    name: str
    client: str
    """`requests`, `httpx`, `httpx async`, `httpx2`, `httpx2 async` or `aiohttp async`."""

    open: Callable[[Grant, Mock | None], Any] | None
    """None: only the auth step is measured, since the client has no place for a mocked API."""

    step: Callable[[Grant], Callable[[Any], object]] | None = None
    package: str = ""
    note: str = ""

    @property
    def label(self) -> str:
        return f"{self.name} ({self.client})"

    @property
    def is_async(self) -> bool:
        return self.client.endswith("async")

    @property
    def version(self) -> str:
        return importlib.metadata.version(self.package) if self.package else ""


# --- HTTP clients ----------------------------------------------------------------------------------------------------


class RequestsCaller:
    """Any requests session, with any class that signs its requests."""

    def __init__(self, session: Any, auth: Any = None, mock: Mock | None = None) -> None:
        import requests.adapters

        self._session, self._auth = session, auth
        session.trust_env = False
        pool = requests.adapters.HTTPAdapter(pool_connections=4, pool_maxsize=64)
        session.mount("http://", pool)
        if mock is not None:
            session.mount(MOCKED, requests_mock(mock))

    def request(self, method: str, url: str, body: Any = None) -> int:
        more = {} if self._auth is None else {"auth": self._auth}
        status: int = self._session.request(method, url, data=body, timeout=20, **more).status_code
        return status


class HttpxCaller:
    """Any httpx or httpx2 client."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def request(self, method: str, url: str, body: Any = None) -> int:
        status: int = self._client.request(method, url, content=body, follow_redirects=True).status_code
        return status


class AsyncHttpxCaller:
    """Any asynchronous httpx or httpx2 client. `again` makes another with the same auth, where the two are separate."""

    def __init__(self, client: Any, again: Callable[[], Any] | None = None) -> None:
        self._client, self._again = client, again

    def in_new_loop(self) -> AsyncHttpxCaller:
        """The same auth in a client for another event loop; the same client where it is the auth itself."""
        return self if self._again is None else AsyncHttpxCaller(self._again(), self._again)

    async def request(self, method: str, url: str, body: Any = None) -> int:
        answer = await self._client.request(method, url, content=body, follow_redirects=True)
        return int(answer.status_code)


def requests_mock(mock: Mock) -> Any:
    """A transport adapter that answers in place."""
    import io

    import requests
    from requests.adapters import BaseAdapter
    from urllib3 import HTTPResponse

    class MockAdapter(BaseAdapter):
        def send(self, request: Any, **kwargs: Any) -> Any:
            mock.note(request.headers)
            if mock.delay:
                time.sleep(mock.delay)
            response = requests.Response()
            response.status_code, response.request, response.url = 200, request, request.url
            response.raw = HTTPResponse(io.BytesIO(b"{}"), preload_content=False)
            return response

        def close(self) -> None:
            pass

    return MockAdapter()


def client_settings(package: Any, mock: Mock | None, *, is_async: bool) -> dict[str, Any]:
    """How every httpx and httpx2 client is made here: alike for all."""
    limits = package.Limits(max_connections=64, max_keepalive_connections=64)
    settings: dict[str, Any] = {"timeout": 20, "trust_env": False, "limits": limits, "verify": shared_context()}
    if mock is None:
        return settings

    def answer(request: Any) -> Any:
        mock.note(request.headers)
        if mock.delay:
            time.sleep(mock.delay)
        return package.Response(200, content=b"{}")

    async def answer_in_a_while(request: Any) -> Any:
        mock.note(request.headers)
        if mock.delay:
            await asyncio.sleep(mock.delay)
        return package.Response(200, content=b"{}")

    settings["mounts"] = {MOCKED: package.MockTransport(answer_in_a_while if is_async else answer)}
    return settings


_context: Any = None


def shared_context() -> Any:
    """One TLS context: making one costs more than everything measured here."""
    global _context  # noqa: PLW0603 - a cache
    if _context is None:
        import ssl

        _context = ssl.create_default_context()
    return _context


def packaged(name: str) -> Any:
    """The package called `httpx` or `httpx2`."""
    return importlib.import_module(name)


def open_httpx(package: str, auth: Callable[[Any, Grant], Any], *, is_async: bool = False) -> Callable[..., Any]:
    """How to open a client of `package` whose `auth=` is made by `auth`."""

    def opened(grant: Grant, mock: Mock | None = None) -> Any:
        httpx = packaged(package)
        settings = client_settings(httpx, mock, is_async=is_async)
        made = auth(httpx, grant)
        if isinstance(made, dict):
            settings["headers"] = made
        else:
            settings["auth"] = made
        if is_async:
            again = functools.partial(httpx.AsyncClient, **settings)
            return AsyncHttpxCaller(again(), again)
        return HttpxCaller(httpx.Client(**settings))

    return opened


def open_requests(auth: Callable[[Grant], Any]) -> Callable[..., Any]:
    """How to open a session whose calls are signed by what `auth` makes; a dict is set as headers."""

    def opened(grant: Grant, mock: Mock | None = None) -> Any:
        import requests

        session, made = requests.Session(), auth(grant)
        if isinstance(made, dict):
            session.headers.update(made)
        else:
            session.auth = made
        return RequestsCaller(session, mock=mock)

    return opened


def flow_step(package: str, auth: Callable[[Any, Grant], Any]) -> Callable[..., Any]:
    """The auth flow up to the request it lets through, as httpx's clients begin it."""

    def made(grant: Grant) -> Callable[[Any], object]:
        begin = auth(packaged(package), grant).sync_auth_flow
        return lambda request: next(begin(request))

    return made


def async_flow_step(package: str, auth: Callable[[Any, Grant], Any]) -> Callable[..., Any]:
    """The same for an asynchronous client, as far as it runs without waiting; then closed, as clients do."""

    def made(grant: Grant) -> Callable[[Any], object]:
        begin = auth(packaged(package), grant).async_auth_flow

        def step(request: Any) -> None:
            flow = begin(request)
            drive(flow.__anext__())
            drive(flow.aclose())

        return step

    return made


def drive(awaitable: Any) -> Any:
    """Run a coroutine that never really waits, without an event loop."""
    steps = awaitable.__await__()
    try:
        while True:
            next(steps)
    except StopIteration as end:
        return end.value


# --- the limit, and a trivial auth class -----------------------------------------------------------------------------


def hard_coded(package: Any, grant: Grant) -> dict[str, str]:
    return {"Authorization": BEARER + grant.access_token}


def hard_coded_step(grant: Grant) -> Callable[[Any], object]:
    header = BEARER + grant.access_token

    def step(request: Any) -> None:
        request.headers["Authorization"] = header

    return step


def trivial(package: Any, grant: Grant) -> Any:
    header = BEARER + grant.access_token

    class Trivial(package.Auth):
        def auth_flow(self, request: Any) -> Any:
            request.headers["Authorization"] = header
            yield request

    return Trivial()


def trivial_requests(grant: Grant) -> Any:
    from requests.auth import AuthBase

    header = BEARER + grant.access_token

    class Trivial(AuthBase):
        def __call__(self, request: Any) -> Any:
            request.headers["Authorization"] = header
            return request

    return Trivial()


# --- aiohttp ---------------------------------------------------------------------------------------------------------


def middleware_step(made: Callable[[Grant], Any]) -> Callable[[Grant], Callable[[Any], object]]:
    """What aiohttp runs of a middleware: up to the handler, which has the response ready, and after it."""

    def step_of(grant: Grant) -> Callable[[Any], object]:
        auth, response = made(grant), _Response()

        async def handler(request: Any) -> Any:
            return response

        return lambda request: drive(auth(request, handler))

    return step_of


class _Response:
    status = 200


def trivial_aiohttp(grant: Grant) -> Any:
    header = BEARER + grant.access_token

    async def trivial(request: Any, handler: Any) -> Any:
        request.headers["Authorization"] = header
        return await handler(request)

    return trivial


def blnk_aiohttp(grant: Grant) -> Any:
    from blnk_auth import AiohttpAuth

    return AiohttpAuth(blnk_source(grant))


# --- blnk_auth -------------------------------------------------------------------------------------------------------


def blnk_source(grant: Grant) -> Any:
    from blnk_auth import OAuthClient, Provider, SQLiteStore, Token

    origin = grant.token_endpoint.removesuffix("/token")
    store = None if grant.directory is None else SQLiteStore(grant.directory / "tokens.db")
    provider = Provider(name="bench", token_endpoint=grant.token_endpoint, api_origins=(origin, MOCKED))
    alice = OAuthClient(provider, client_id=CLIENT[0], client_secret=CLIENT[1], store=store).for_subject("alice")
    if grant.access_token:
        issued_at = min(time.time(), grant.expires_at - 1.0)
        alice.adopt(Token(grant.access_token, "Bearer", grant.expires_at, grant.refresh_token, issued_at=issued_at))
    return alice


def blnk(package: Any, grant: Grant) -> Any:
    from blnk_auth import Httpx2Auth, HttpxAuth

    return (HttpxAuth if package.__name__ == "httpx" else Httpx2Auth)(blnk_source(grant))


def blnk_requests(grant: Grant) -> Any:
    from blnk_auth import RequestsAuth

    return RequestsAuth(blnk_source(grant))


def blnk_for_all(package: Any, grant: Grant) -> Any:
    """The one class that every client accepts."""
    from blnk_auth import Auth

    return Auth(blnk_source(grant))


def hand_written(grant: Grant) -> Any:
    """The refresh that programs write themselves, as tutorials show it: the tokens and their expiry, and no lock."""
    import requests

    class HandWritten(requests.auth.AuthBase):
        def __init__(self) -> None:
            self.access_token, self.refresh_token = grant.access_token, grant.refresh_token
            self.expires_at = grant.expires_at

        def __call__(self, request: Any) -> Any:
            if time.time() > self.expires_at - 30:
                self.refresh()
            request.headers["Authorization"] = f"Bearer {self.access_token}"
            return request

        def refresh(self) -> None:
            form = {"grant_type": "refresh_token", "refresh_token": self.refresh_token}
            answer = requests.post(grant.token_endpoint, data=form, auth=CLIENT, timeout=20)
            answer.raise_for_status()
            token = answer.json()
            self.access_token = token["access_token"]
            self.refresh_token = token.get("refresh_token", self.refresh_token)
            self.expires_at = time.time() + int(token["expires_in"])

    return HandWritten()


# --- peers on requests -----------------------------------------------------------------------------------------------


def authlib_session(grant: Grant) -> Any:
    from authlib.integrations.requests_client import OAuth2Session

    return OAuth2Session(*CLIENT, token=grant.token, token_endpoint=grant.token_endpoint)


def open_authlib(grant: Grant, mock: Mock | None = None) -> Any:
    return RequestsCaller(authlib_session(grant), mock=mock)


def authlib_requests_step(grant: Grant) -> Callable[[Any], object]:
    session = authlib_session(grant)
    return session.token_auth


def oauthlib_session(grant: Grant) -> Any:
    from requests_oauthlib import OAuth2Session

    os.environ["OAUTHLIB_INSECURE_TRANSPORT"] = "1"
    return OAuth2Session(
        CLIENT[0],
        token=grant.token,
        auto_refresh_url=grant.token_endpoint,
        auto_refresh_kwargs={"client_id": CLIENT[0], "client_secret": CLIENT[1]},
        token_updater=lambda token: None,
    )


def open_oauthlib(grant: Grant, mock: Mock | None = None) -> Any:
    return RequestsCaller(oauthlib_session(grant), mock=mock)


def oauthlib_step(grant: Grant) -> Callable[[Any], object]:
    add = oauthlib_session(grant)._client.add_token

    def step(request: Any) -> None:
        request.url, request.headers, _ = add(request.url, http_method="GET", body=None, headers=request.headers)

    return step


def oauth2client(grant: Grant) -> Any:
    from requests_oauth2client import BearerToken, OAuth2AccessTokenAuth, OAuth2Client

    client = OAuth2Client(grant.token_endpoint, CLIENT, testing=True)
    expires_at = datetime.fromtimestamp(grant.expires_at, UTC)
    token = BearerToken(grant.access_token, expires_at=expires_at, refresh_token=grant.refresh_token)
    return OAuth2AccessTokenAuth(client, token)


def requests_auth(grant: Grant) -> Any:
    from requests_auth import JsonTokenFileCache, OAuth2, OAuth2ResourceOwnerPasswordCredentials

    auth = OAuth2ResourceOwnerPasswordCredentials(grant.token_endpoint, "user", "password", session_auth=CLIENT)
    return _seeded(auth, OAuth2, JsonTokenFileCache, grant)


def _seeded(auth: Any, oauth2: Any, file_cache: Any, grant: Grant) -> Any:
    if grant.directory is not None:
        oauth2.token_cache = file_cache(str(grant.directory / "tokens.json"))
    if grant.access_token:
        lifetime = int(grant.expires_at - time.time())
        oauth2.token_cache._add_access_token(auth.state, grant.access_token, lifetime, grant.refresh_token)
    return auth


def google(grant: Grant) -> Any:
    from google.oauth2.credentials import Credentials

    expiry = datetime.fromtimestamp(grant.expires_at, UTC).replace(tzinfo=None)
    return Credentials(
        grant.access_token,
        refresh_token=grant.refresh_token,
        token_uri=grant.token_endpoint,
        client_id=CLIENT[0],
        client_secret=CLIENT[1],
        expiry=expiry,
    )


def open_google(grant: Grant, mock: Mock | None = None) -> Any:
    from google.auth.transport.requests import AuthorizedSession

    return RequestsCaller(AuthorizedSession(google(grant)), mock=mock)


def google_step(grant: Grant) -> Callable[[Any], object]:
    from google.auth.transport.requests import Request

    credentials, transport = google(grant), Request()
    return lambda request: credentials.before_request(transport, "GET", request.url, request.headers)


AUTHORITY = "https://login.microsoftonline.com/bench"
_CLAIMS = {"sub": "u", "oid": "u", "preferred_username": "alice", "aud": CLIENT[0], "iss": AUTHORITY, "exp": 4e9}


def _base64(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


MSAL_IDENTITY = {"client_info": _base64({"uid": "u", "utid": "t"}), "id_token": f"e30.{_base64(_CLAIMS)}.x"}
SCOPES = ["api/.default"]


class LocalAuthority:
    """msal knows Microsoft's hosts only: this, its `http_client`, takes its token requests to the server measured."""

    def __init__(self, endpoint: str) -> None:
        import requests

        self._endpoint, self._session = endpoint, requests.Session()
        self._session.trust_env = False

    def get(self, url: str, **kwargs: Any) -> Any:
        return MsalAnswer(200, json.dumps({"token_endpoint": f"{AUTHORITY}/token", "authorization_endpoint": AUTHORITY,
                                           "issuer": AUTHORITY}))  # fmt: skip

    def post(self, url: str, data: Any = None, **kwargs: Any) -> Any:
        answer = self._session.post(self._endpoint, data=data, timeout=20)
        # As Microsoft's answers do, it names the user of the token; msal does not find its own token again otherwise.
        return MsalAnswer(answer.status_code, json.dumps({**answer.json(), **MSAL_IDENTITY}))

    def close(self) -> None:
        pass


@dataclass
class MsalAnswer:
    status_code: int
    text: str
    headers: tuple[()] | dict[str, str] = ()

    def __post_init__(self) -> None:
        self.headers = {}

    def raise_for_status(self) -> None:
        if self.status_code >= 400:
            raise RuntimeError(f"HTTP {self.status_code}")


def msal_auth(grant: Grant) -> Any:
    import msal
    from requests.auth import AuthBase

    app = msal.ConfidentialClientApplication(
        CLIENT[0],
        client_credential=CLIENT[1],
        authority=AUTHORITY,
        instance_discovery=False,
        http_client=LocalAuthority(grant.token_endpoint),
        token_cache=_msal_cache(grant),
    )
    account = app.get_accounts()[0]

    class MsalAuth(AuthBase):
        def __call__(self, request: Any) -> Any:
            found = app.acquire_token_silent_with_error(SCOPES, account)
            if not found or "access_token" not in found:
                raise RuntimeError(f"msal: {found and found.get('error')}")
            request.headers["Authorization"] = BEARER + found["access_token"]
            return request

    return MsalAuth()


def _msal_cache(grant: Grant) -> Any:
    import msal

    cache = msal.TokenCache()
    if grant.directory is not None:
        from msal_extensions import FilePersistence, PersistedTokenCache

        cache = PersistedTokenCache(FilePersistence(str(grant.directory / "msal.bin")))
    if not grant.access_token:
        return cache
    cache.add({
        "client_id": CLIENT[0],
        "scope": SCOPES,
        "token_endpoint": f"{AUTHORITY}/token",
        "environment": "login.microsoftonline.com",
        "response": {**grant.token, "expires_in": grant.expires_at - time.time(), **MSAL_IDENTITY,
                     "id_token_claims": _CLAIMS},
    })  # fmt: skip
    return cache


class RefreshingCredential:
    """azure-core asks a credential for tokens and leaves the renewal to it: here the plainest there is."""

    def __init__(self, grant: Grant) -> None:
        import requests

        self._grant, self._refresh, self._session = grant, grant.refresh_token, requests.Session()
        self._session.trust_env = False
        self._first = True

    def get_token(self, *scopes: str, **kwargs: Any) -> Any:
        from azure.core.credentials import AccessToken

        if self._first and self._grant.expires_at > time.time():
            self._first = False
            return AccessToken(self._grant.access_token, int(self._grant.expires_at))
        form = {"grant_type": "refresh_token", "refresh_token": self._refresh}
        answer = self._session.post(self._grant.token_endpoint, data=form, auth=CLIENT, timeout=20)
        answer.raise_for_status()
        token = answer.json()
        self._refresh = token["refresh_token"]
        return AccessToken(token["access_token"], int(time.time() + float(token["expires_in"])))


class AzureCaller:
    def __init__(self, grant: Grant, mock: Mock | None) -> None:
        import requests
        from azure.core import PipelineClient
        from azure.core.pipeline.policies import BearerTokenCredentialPolicy, RedirectPolicy
        from azure.core.pipeline.transport import RequestsTransport

        session = requests.Session()
        RequestsCaller(session, mock=mock)
        policy = BearerTokenCredentialPolicy(RefreshingCredential(grant), "scope")
        transport = RequestsTransport(session=session, session_owner=False)
        self._client = PipelineClient(MOCKED, policies=[RedirectPolicy(), policy], transport=transport)

    def request(self, method: str, url: str, body: Any = None) -> int:
        from azure.core.rest import HttpRequest

        request = HttpRequest(method, url, content=body)
        status: int = self._client.send_request(request, enforce_https=False).status_code
        return status


def azure_step(grant: Grant) -> Callable[[Any], object]:
    from azure.core.pipeline import PipelineContext, PipelineRequest
    from azure.core.pipeline.policies import BearerTokenCredentialPolicy

    policy = BearerTokenCredentialPolicy(RefreshingCredential(grant), "scope")
    return lambda request: policy.on_request(PipelineRequest(request, PipelineContext(None)))


def botocore_auth(grant: Grant) -> Any:
    import botocore.session
    from botocore.tokens import SSOTokenProvider
    from botocore.utils import JSONFileCache
    from requests.auth import AuthBase

    os.environ["AWS_EC2_METADATA_DISABLED"] = "true"
    os.environ["AWS_ENDPOINT_URL_SSO_OIDC"] = grant.token_endpoint.removesuffix("/token")
    session = botocore.session.Session()
    session._config = {
        "profiles": {"default": {"sso_session": "bench"}},
        "sso_sessions": {"bench": {"sso_start_url": "https://start.example.com", "sso_region": "eu-central-1"}},
    }
    cache: Any = {} if grant.directory is None else JSONFileCache(str(grant.directory))
    if grant.access_token:
        later = datetime.now(UTC) + timedelta(days=30)
        cache[hashlib.sha1(b"bench", usedforsecurity=False).hexdigest()] = {
            "accessToken": grant.access_token,
            "refreshToken": grant.refresh_token,
            "expiresAt": datetime.fromtimestamp(grant.expires_at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "clientId": CLIENT[0],
            "clientSecret": CLIENT[1],
            "registrationExpiresAt": later.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
    token = SSOTokenProvider(session, cache=cache, profile_name="default").load_token()

    class BotocoreAuth(AuthBase):
        def __call__(self, request: Any) -> Any:
            request.headers["Authorization"] = BEARER + token.get_frozen_token().token
            return request

    return BotocoreAuth()


# --- peers on httpx and httpx2 ---------------------------------------------------------------------------------------


def httpx_auth(package: Any, grant: Grant) -> Any:
    from httpx_auth import JsonTokenFileCache, OAuth2, OAuth2ResourceOwnerPasswordCredentials

    token_http = package.Client(verify=shared_context(), trust_env=False)
    auth = OAuth2ResourceOwnerPasswordCredentials(
        grant.token_endpoint, "user", "password", client_auth=CLIENT, client=token_http
    )
    return _seeded(auth, OAuth2, JsonTokenFileCache, grant)


def authlib_client(grant: Grant, mock: Mock | None, *, is_async: bool) -> Any:
    from authlib.integrations import httpx_client

    made = httpx_client.AsyncOAuth2Client if is_async else httpx_client.OAuth2Client
    settings = client_settings(packaged("httpx2"), mock, is_async=is_async)
    return made(*CLIENT, token=grant.token, token_endpoint=grant.token_endpoint, **settings)


def open_authlib_httpx(grant: Grant, mock: Mock | None = None) -> Any:
    return HttpxCaller(authlib_client(grant, mock, is_async=False))


def open_authlib_async(grant: Grant, mock: Mock | None = None) -> Any:
    return AsyncHttpxCaller(authlib_client(grant, mock, is_async=True))


def authlib_httpx_step(grant: Grant) -> Callable[[Any], object]:
    client = authlib_client(grant, None, is_async=False)

    def step(request: Any) -> None:
        client.ensure_active_token(client.token)
        next(client.token_auth.sync_auth_flow(request))

    return step


def mcp_auth(package: Any, grant: Grant) -> Any:
    from mcp.client.auth import OAuthClientProvider
    from mcp.shared.auth import OAuthClientInformationFull, OAuthClientMetadata, OAuthToken

    class Storage:
        def __init__(self) -> None:
            self.tokens = OAuthToken(
                access_token=grant.access_token,
                refresh_token=grant.refresh_token,
                expires_in=int(grant.expires_at - time.time()),
            )

        async def get_tokens(self) -> Any:
            return self.tokens

        async def set_tokens(self, tokens: Any) -> None:
            self.tokens = tokens

        async def get_client_info(self) -> Any:
            return OAuthClientInformationFull(
                client_id=CLIENT[0],
                client_secret=CLIENT[1],
                redirect_uris=["http://127.0.0.1/callback"],
                token_endpoint_auth_method="client_secret_post",
            )

        async def set_client_info(self, info: Any) -> None:
            pass

    metadata = OAuthClientMetadata(redirect_uris=["http://127.0.0.1/callback"])
    storage = Storage()
    provider = OAuthClientProvider(grant.token_endpoint.removesuffix("/token"), metadata, storage)
    # It does not restore when a stored token expires; its users set this themselves.
    provider.context.token_expiry_time = grant.expires_at
    return provider


PEERS = [
    Peer("hard-coded header", "requests", open_requests(lambda g: hard_coded(None, g)), hard_coded_step),
    Peer("trivial auth", "requests", open_requests(trivial_requests), trivial_requests),
    Peer("blnk_auth", "requests", open_requests(blnk_requests), blnk_requests, "blnk-auth"),
    Peer(FOR_ALL, "requests", open_requests(functools.partial(blnk_for_all, None)),
         functools.partial(blnk_for_all, None), "blnk-auth"),
    Peer("authlib", "requests", open_authlib, authlib_requests_step, "authlib"),
    Peer("requests-oauthlib", "requests", open_oauthlib, oauthlib_step, "requests-oauthlib"),
    Peer("requests-oauth2client", "requests", open_requests(oauth2client), oauth2client, "requests-oauth2client"),
    Peer("requests-auth", "requests", open_requests(requests_auth), requests_auth, "requests-auth",
         "its password grant, the only one that keeps a refresh token without a browser"),
    Peer("google-auth", "requests", open_google, google_step, "google-auth"),
    Peer("msal", "requests", open_requests(msal_auth), msal_auth, "msal",
         "acquire_token_silent before each request; its token requests are taken to the local server"),
    Peer("azure-core", "requests", AzureCaller, azure_step, "azure-core",
         "its bearer policy over a credential of ten lines that refreshes, since azure-core leaves that to credentials"),
    Peer("botocore", "requests", open_requests(botocore_auth), botocore_auth, "botocore",
         "its SSO token provider; the header is set by an adapter"),
    Peer(HAND_WRITTEN, "requests", open_requests(hand_written), hand_written, "",
         "some fifteen lines that programs have instead of a library, without a lock"),
    Peer("hard-coded header", "httpx", open_httpx("httpx", hard_coded), hard_coded_step),
    Peer("trivial auth", "httpx", open_httpx("httpx", trivial), flow_step("httpx", trivial)),
    Peer("blnk_auth", "httpx", open_httpx("httpx", blnk), flow_step("httpx", blnk), "blnk-auth"),
    Peer(FOR_ALL, "httpx", open_httpx("httpx", blnk_for_all), flow_step("httpx", blnk_for_all), "blnk-auth"),
    Peer("httpx-auth", "httpx", open_httpx("httpx", httpx_auth), flow_step("httpx", httpx_auth), "httpx-auth",
         "its password grant, as requests-auth"),
    Peer("hard-coded header", "httpx async", open_httpx("httpx", hard_coded, is_async=True), hard_coded_step),
    Peer("trivial auth", "httpx async", open_httpx("httpx", trivial, is_async=True), async_flow_step("httpx", trivial)),
    Peer("blnk_auth", "httpx async", open_httpx("httpx", blnk, is_async=True), async_flow_step("httpx", blnk),
         "blnk-auth"),
    Peer(FOR_ALL, "httpx async", open_httpx("httpx", blnk_for_all, is_async=True),
         async_flow_step("httpx", blnk_for_all), "blnk-auth"),
    Peer("httpx-auth", "httpx async", open_httpx("httpx", httpx_auth, is_async=True),
         async_flow_step("httpx", httpx_auth), "httpx-auth", "its password grant, as requests-auth"),
    Peer("hard-coded header", "httpx2", open_httpx("httpx2", hard_coded), hard_coded_step),
    Peer("trivial auth", "httpx2", open_httpx("httpx2", trivial), flow_step("httpx2", trivial)),
    Peer("blnk_auth", "httpx2", open_httpx("httpx2", blnk), flow_step("httpx2", blnk), "blnk-auth"),
    Peer(FOR_ALL, "httpx2", open_httpx("httpx2", blnk_for_all), flow_step("httpx2", blnk_for_all), "blnk-auth"),
    Peer("authlib", "httpx2", open_authlib_httpx, authlib_httpx_step, "authlib"),
    Peer("hard-coded header", "httpx2 async", open_httpx("httpx2", hard_coded, is_async=True), hard_coded_step),
    Peer("trivial auth", "httpx2 async", open_httpx("httpx2", trivial, is_async=True),
         async_flow_step("httpx2", trivial)),
    Peer("blnk_auth", "httpx2 async", open_httpx("httpx2", blnk, is_async=True), async_flow_step("httpx2", blnk),
         "blnk-auth"),
    Peer(FOR_ALL, "httpx2 async", open_httpx("httpx2", blnk_for_all, is_async=True),
         async_flow_step("httpx2", blnk_for_all), "blnk-auth"),
    Peer("authlib", "httpx2 async", open_authlib_async, None, "authlib"),
    Peer("hard-coded header", "aiohttp async", None, hard_coded_step),
    Peer("trivial auth", "aiohttp async", None, middleware_step(trivial_aiohttp)),
    Peer("blnk_auth", "aiohttp async", None, middleware_step(blnk_aiohttp), "blnk-auth"),
    Peer("MCP SDK", "httpx2 async", open_httpx("httpx2", mcp_auth, is_async=True), async_flow_step("httpx2", mcp_auth),
         "mcp"),
]  # fmt: skip


def that_renew(*, quick: bool) -> list[Peer]:
    """The peers that can be opened, without the limits; with `quick`, ours only."""
    others = {"hard-coded header", "trivial auth", FOR_ALL}
    names = {"blnk_auth"} if quick else {peer.name for peer in PEERS} - others
    return [peer for peer in PEERS if peer.name in names and peer.open is not None]


def named(label: str) -> Peer:
    """The peer of this label."""
    return next(peer for peer in PEERS if peer.label == label)
