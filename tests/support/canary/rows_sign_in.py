"""Rows: signing in by authorization code, interactively and by device code."""

from __future__ import annotations

import threading
import time
from typing import Any
from urllib.error import HTTPError
from urllib.request import HTTPRedirectHandler, build_opener, urlopen

from support.limits import PATIENCE

from blnk_auth import AuthorizationRequest, DeviceAuthorization, OAuthClient

from .faults import BROKEN, CALLABLES, ONE_OF_EACH, STORE, TOKEN_REQUEST, quotes
from .table import add_row, row
from .world import World

DEVICE = (*quotes("device", ("error_description", "error", "HTML", "title")), *(f"device: {name}" for name in BROKEN))

PAR = (
    *quotes("par", ("error_description", "error_description of invalid_grant", "error", "HTML", "title")),
    *(f"par: {name}" for name in BROKEN),
)

QUICK = tuple(name for name in ONE_OF_EACH if name not in CALLABLES)
"""A user has to be waited for where a callable fails while the browser is on its way."""


def _learn(world: World, request: AuthorizationRequest) -> AuthorizationRequest:
    world.secrets.add("state", request.state)
    return world.look_at(request)


@row(
    "AuthorizationRequest OAuthClient.start_authorization OAuthClient.finish_authorization",
    failures=(*TOKEN_REQUEST, *STORE),
)
def signing_in(world: World) -> object:
    """With a code, a state and a verifier."""
    client = world.client()
    request = _learn(world, client.start_authorization("alice", scope="read"))
    return client.finish_authorization(world.callback(request.url))


@row("OAuthClient.astart_authorization OAuthClient.afinish_authorization", failures=ONE_OF_EACH, further=TOKEN_REQUEST)
async def signing_in_by_tasks(world: World) -> object:
    """The same, awaited."""
    client = world.client()
    request = _learn(world, await client.astart_authorization("alice", scope="read"))
    return await client.afinish_authorization(world.callback(request.url))


def _pushing(world: World) -> OAuthClient:
    """A client whose sign-ins are pushed."""
    endpoint = f"{world.server.origin}/par"
    return world.client(
        world.provider(pushed_authorization_request_endpoint=endpoint, requires_pushed_authorization_requests=True)
    )


@row("OAuthClient.start_authorization OAuthClient.finish_authorization", failures=(*PAR, *ONE_OF_EACH), further=STORE)
def signing_in_with_a_pushed_request(world: World) -> object:
    """The request is sent to the server with the secret and the state; the URL has a reference."""
    client = _pushing(world)
    details = {"type": "account_information", "identifier": "CH93-0076"}
    request = _learn(world, client.start_authorization("alice", authorization_details=details))
    return client.finish_authorization(world.callback(request.url))


@row("OAuthClient.astart_authorization OAuthClient.afinish_authorization", failures=PAR[:1], further=PAR)
async def signing_in_with_a_pushed_request_by_tasks(world: World) -> object:
    """The same, awaited."""
    client = _pushing(world)
    request = _learn(world, await client.astart_authorization("alice", grant_management_action="create"))
    return await client.afinish_authorization(world.callback(request.url))


def _finishing(name: str, settings: dict[str, Any], **changes: str | None) -> None:
    def operation(world: World) -> object:
        client: OAuthClient = world.client(world.provider(issuer=world.server.origin, **settings))
        url = world.callback(_learn(world, client.start_authorization("alice")).url, **changes)
        return client.finish_authorization(url)

    async def awaited(world: World) -> object:
        client: OAuthClient = world.client(world.provider(issuer=world.server.origin, **settings))
        url = world.callback(_learn(world, await client.astart_authorization("alice")).url, **changes)
        return await client.afinish_authorization(url)

    add_row(f"a callback with {name}", operation, "", raises=True)
    add_row(f"a callback with {name} in a task", awaited, "", raises=True)


_finishing("another state", {}, state="Another-State-0f-Somebody-Else")
_finishing("no state", {}, state=None)
_finishing("no code", {}, code=None)
_finishing("another issuer", {}, iss="https://evil.test")
_finishing("no issuer where one is promised", {"sends_iss": True})
_finishing("an error", {}, code=None, error="access_denied", error_description="no")
_finishing("an unknown error", {}, error="Some-Secret-Of-Nobody", error_description="no")


@row("", raises=True)
def a_callback_that_quotes_its_state(world: World) -> object:
    """The description of an error is the browser's text, and so is a code of nobody's."""
    client = world.client()
    request = _learn(world, client.start_authorization("alice"))
    quoted = world.callback(request.url, error=request.state[:30], error_description=f"no {request.state}")
    return client.finish_authorization(quoted)


@row("", raises=True)
def a_callback_used_twice(world: World) -> object:
    """Its second use is refused."""
    client = world.client()
    url = world.callback(_learn(world, client.start_authorization("alice")).url)
    client.finish_authorization(url)
    return client.finish_authorization(url)


@row("", raises=True)
def a_code_in_the_place_of_a_callback(world: World) -> object:
    """What a user pastes who copies too little."""
    return world.client().finish_authorization(world.secrets.new("authorization code"))


@row("", raises=True)
def a_token_in_a_callback(world: World) -> object:
    """As the implicit grant sends it, in a fragment and in the query."""
    token = world.secrets.new("access token")
    return world.client().finish_authorization(f"http://127.0.0.1/callback?access_token={token}#access_token={token}")


@row("", raises=True)
def a_callback_with_two_states(world: World) -> object:
    """The second is of nobody."""
    client = world.client()
    url = world.callback(_learn(world, client.start_authorization("alice")).url)
    return client.finish_authorization(f"{url}&state=Another-State-0f-Somebody-Else")


@row("", raises=True)
def a_callback_of_another_client(world: World) -> object:
    """Its state is in the same store, under another registration."""
    request = _learn(world, world.client().start_authorization("alice"))
    return world.client(client_id="another").finish_authorization(world.callback(request.url))


@row("", raises=True)
def a_callback_with_two_codes(world: World) -> object:
    """RFC 6749 section 3.1: no parameter twice."""
    client = world.client()
    url = world.callback(_learn(world, client.start_authorization("alice")).url)
    return client.finish_authorization(f"{url}&code={world.secrets.new('authorization code')}")


# --- interactively ---------------------------------------------------------------------------------------------------


def _visit(world: World, url: str) -> None:
    """A browser has no log."""
    try:
        with urlopen(url, timeout=PATIENCE) as page:
            world.look_at(page.read().decode())
    except HTTPError as page:
        world.look_at(page.read().decode())


def browse(world: World, url: str, *, first: str = "") -> None:
    """Comes back with the code on a thread of its own, perhaps after something else."""

    def come_back() -> None:
        callback = world.callback(url)
        if first:
            _visit(world, f"{callback.partition('?')[0]}?{first}&token={world.secrets.new('access token')}")
        _visit(world, callback)

    thread = threading.Thread(target=come_back, name="browser of the canary")
    world.stack.callback(thread.join)
    thread.start()


@row("OAuthClient.authorize_interactively", failures=QUICK, further=TOKEN_REQUEST)
def signing_in_interactively(world: World) -> object:
    """The browser comes back to a port of this machine; the page that it gets shows no secret either."""
    return world.client().authorize_interactively(
        "alice",
        open_browser=False,
        on_url=lambda url: browse(world, url, first="code=Unknown-Code-0f-Nobody"),
        timeout=PATIENCE,
    )


class _Stays(HTTPRedirectHandler):
    """A browser that shows where it is sent to, and stays where it is."""

    def redirect_request(self, *_: Any) -> None:
        return None


def _open(world: World, url: str) -> None:
    """Opens the address of the listener, and comes back from the server."""
    try:
        with build_opener(_Stays()).open(url, timeout=PATIENCE) as page:
            world.look_at(page.read().decode())
    except HTTPError as redirect:
        _visit(world, world.callback(redirect.headers["Location"]))


@row("OAuthClient.authorize_interactively", failures=PAR, further=ONE_OF_EACH)
def signing_in_interactively_with_a_pushed_request(world: World) -> object:
    """It is pushed when the browser opens the address of the listener; the page of a refusal shows no secret."""

    def browse_to(url: str) -> None:
        thread = threading.Thread(target=_open, args=(world, url), name="browser of the canary")
        world.stack.callback(thread.join)
        thread.start()

    return _pushing(world).authorize_interactively("alice", open_browser=False, on_url=browse_to, timeout=PATIENCE)


@row("OAuthClient.aauthorize_interactively", further=TOKEN_REQUEST)
async def signing_in_interactively_in_a_task(world: World) -> object:
    """The same, awaited."""
    return await world.client().aauthorize_interactively(
        "alice", open_browser=False, on_url=lambda url: browse(world, url), timeout=PATIENCE
    )


@row("", failures=QUICK, further=TOKEN_REQUEST)
def signing_in_by_pasting(world: World) -> object:
    """A wrong line is described, and not quoted."""
    urls: list[str] = []
    problems: list[str] = []
    wrong = [
        world.secrets.new("authorization code"),
        f"http://127.0.0.1/callback?code={world.secrets.new('authorization code')}",
    ]

    def paste() -> str | None:
        if wrong:
            return wrong.pop()
        while not urls:
            time.sleep(0.001)
        return world.callback(urls[0]) if len(problems) < 5 else None

    try:
        return world.client().authorize_interactively(
            "alice",
            open_browser=False,
            listen=False,
            pasted=paste,
            on_url=urls.append,
            on_problem=problems.append,
            timeout=PATIENCE,
        )
    finally:
        world.look_at(*problems)


# --- by device code --------------------------------------------------------------------------------------------------


@row("DeviceAuthorization OAuthClient.authorize_device", failures=(*TOKEN_REQUEST, *DEVICE, *STORE))
def signing_in_by_device(world: World) -> object:
    """One poll too early, then the pair."""
    seconds: list[float] = []

    def prompt(shown: DeviceAuthorization) -> None:
        world.look_at(shown)

    return world.client().authorize_device("alice", on_prompt=prompt, wait=_few(seconds), timeout=60)


@row("OAuthClient.aauthorize_device", failures=ONE_OF_EACH, further=(*TOKEN_REQUEST, *DEVICE))
async def signing_in_by_device_in_a_task(world: World) -> object:
    """The same, awaited."""
    seconds: list[float] = []
    few = _few(seconds)

    async def wait(length: float) -> None:
        few(length)

    return await world.client().aauthorize_device("alice", on_prompt=world.look_at, wait=wait, timeout=60)


# --- by an exchange --------------------------------------------------------------------------------------------------


@row("OAuthClient.authorize_by_exchange", failures=(*TOKEN_REQUEST, *STORE))
def signing_in_by_an_exchange(world: World) -> object:
    """The exchanged value is a secret; a hash of it is stored."""
    parameters = {"permission_id": world.secrets.new("permission")}
    return world.client().authorize_by_exchange("alice", grant_type="urn:acme:permission", parameters=parameters)


@row("OAuthClient.aauthorize_by_exchange", failures=ONE_OF_EACH, further=TOKEN_REQUEST)
async def signing_in_by_an_exchange_in_a_task(world: World) -> object:
    """The same, awaited."""
    parameters = {"permission_id": world.secrets.new("permission")}
    return await world.client().aauthorize_by_exchange("alice", grant_type="urn:acme:permission", parameters=parameters)


def _few(seconds: list[float]) -> Any:
    """Does not wait; gives up after some polls."""

    def wait(length: float) -> None:
        seconds.append(length)
        if len(seconds) > 5:
            raise TimeoutError("the trial has polled enough")

    return wait
