"""The first mistakes that users make with the auth classes: each error names what to pass instead."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import httpx2
import pytest
import requests
from support.canary.leaks import leaks
from support.errors import raises
from support.providers import acme
from support.scripted import ScriptedWorld

from blnk_auth import (
    AiohttpAuth,
    Auth,
    ConfigurationError,
    Httpx2Auth,
    HttpxAuth,
    OAuthClient,
    ProtectedResource,
    RequestsAuth,
    StaticToken,
    Token,
)

AUTH_CLASSES = (AiohttpAuth, Auth, HttpxAuth, Httpx2Auth, RequestsAuth)
URL = "https://api.acme.test/x"


class Unusual:
    """Something that is not a source."""


MISTAKES: dict[str, tuple[Callable[[], Any], str, str]] = {
    "the client": (
        lambda: OAuthClient(acme(), client_id="c", client_secret="s"),
        "OAuthClient",
        "client.for_subject(...)",
    ),
    "a resource": (
        lambda: ProtectedResource("https://api.example.com"),
        "ProtectedResource",
        "resource.for_subject(...)",
    ),
    "a key": (lambda: "blnk_a-key", "str", "StaticToken("),
    "a token": (lambda: Token("a-secret"), "Token", "source.adopt(token)"),
    "None": (lambda: None, "NoneType", "TokenSource"),
    "a class": (lambda: StaticToken, "StaticToken", "TokenSource"),
    "a dict": (lambda: {"access_token": "a-secret"}, "dict", "TokenSource"),
    "anything": (Unusual, "Unusual", "TokenSource"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
@pytest.mark.parametrize("auth_class", AUTH_CLASSES)
def test_what_is_not_a_source_is_refused_immediately(auth_class: Any, mistake: str) -> None:
    """The error names the parameter, what was passed and what to pass, and shows no secret."""
    make, given, right = MISTAKES[mistake]
    with raises(ConfigurationError, parameter="source", shows=(given, right)) as caught:
        auth_class(make())
    assert leaks([str(caught.value)], ["a-secret", "blnk_a-key"]) == []


PACKAGES = "requests, httpx, httpx2, niquests and httpxyz"


def through_requests(auth: Any) -> None:
    with requests.Session() as session:
        session.auth = auth
        session.get(URL)


def through_httpx(auth: Any) -> None:
    with httpx.Client(auth=auth, transport=httpx.MockTransport(lambda _: httpx.Response(200))) as http:
        http.get(URL)


def through_httpx2(auth: Any) -> None:
    with httpx2.Client(auth=auth, transport=httpx2.MockTransport(lambda _: httpx2.Response(200))) as http:
        http.get(URL)


@pytest.mark.parametrize(
    ("send", "given", "package"),
    [
        (through_requests, HttpxAuth, "requests"),
        (through_requests, Httpx2Auth, "requests"),
        (through_httpx, RequestsAuth, "httpx"),
        (through_httpx, Httpx2Auth, "httpx"),
        (through_httpx2, RequestsAuth, "httpx2"),
        (through_httpx2, HttpxAuth, "httpx2"),
    ],
)
def test_the_auth_class_of_another_package_is_refused(send: Callable[[Any], None], given: Any, package: str) -> None:
    """The error names the package and the class that every package accepts; nothing is sent."""
    with raises(
        ConfigurationError, parameter="auth", shows=(f"{given.__name__} was passed to {package},", "Auth(source)")
    ):
        send(given(ScriptedWorld().signed_in()))


def test_another_caller_of_an_auth_class_gets_the_rule() -> None:
    """A package that this library has no auth class for."""
    with raises(ConfigurationError, parameter="auth", shows=(PACKAGES,)):
        RequestsAuth(ScriptedWorld().signed_in())(Unusual())  # type: ignore[arg-type]


def test_another_caller_of_auth_is_referred_to_the_headers() -> None:
    """`Auth` fits no more than the packages that it is made for; the headers fit everywhere."""
    auth = Auth(ScriptedWorld().signed_in())
    for call in (auth, auth.sync_auth_flow, auth.async_auth_flow):
        with raises(ConfigurationError, parameter="auth", shows=(PACKAGES, "source.headers(url)")):
            call(Unusual())
