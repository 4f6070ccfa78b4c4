"""Rows: a user who signs in because a request needs it, by a callable of the application or without one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from support.limits import PATIENCE

from blnk_auth import AuthorizationRequest, OAuthClient, SignInRequired
from blnk_auth._renewal.current_token import CurrentToken
from blnk_auth._resource.request_sign_in import RequestSignIn

from .faults import STORE, TOKEN_REQUEST
from .table import row
from .world import World


def _sign_in(
    world: World, client: OAuthClient, how: Any, reason: str = "missing", scope: str | None = "read"
) -> object:
    """What a request does that needs a token of alice."""
    source = client.for_subject("alice")
    current = cast("CurrentToken", source._credential)
    needed = SignInRequired("a sign-in is needed", reason=cast("Any", reason), subject="alice", scope=scope)
    flight = world.look_at(RequestSignIn(how, PATIENCE)).begin(
        current, reason=needed, package="httpx", scope=scope, rejected=current.cached
    )
    flight.wait(PATIENCE)
    return world.look_at(source)


def _user(world: World) -> Callable[[AuthorizationRequest], str]:
    def come_back(request: AuthorizationRequest) -> str:
        world.secrets.add("state", request.state)
        world.look_at(request)
        return world.callback(request.url)

    return come_back


@row("", failures=(*TOKEN_REQUEST, *STORE))
def a_request_signs_its_user_in(world: World) -> object:
    """By a callable, which gets the state and returns the code; then once more, for another scope."""
    client = world.client()
    return [
        _sign_in(world, client, _user(world)),
        _sign_in(world, client, _user(world), "step_up", "read write"),
    ]


@row("", raises=True, failures=STORE)
def a_request_whose_user_is_sent_elsewhere(world: World) -> object:
    """The error has the request, which is in no text of it."""
    try:
        return _sign_in(world, world.client(), None)
    except SignInRequired as error:
        if error.authorization is not None:
            world.secrets.add("state", error.authorization.state)
        world.look_at(error, error.authorization, error.replace())
        raise


@row("", raises=True)
def a_request_whose_callable_gives_up(world: World) -> object:
    """It returns None, and the error has the request."""

    def give_up(request: AuthorizationRequest) -> None:
        world.secrets.add("state", request.state)

    return _sign_in(world, world.client(), give_up)


@row("", raises=True)
def a_request_whose_callable_fails(world: World) -> object:
    """With an error of its own, after it has seen the state and the code."""

    def fail(request: AuthorizationRequest) -> str:
        world.secrets.add("state", request.state)
        callback_url = world.callback(request.url)
        assert callback_url
        raise RuntimeError("no screen")

    return _sign_in(world, world.client(), fail)
