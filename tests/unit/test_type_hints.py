"""`typing.get_type_hints` works on everything public, which tools for dependency injection and schemas need."""

from __future__ import annotations

import inspect
import typing
from collections.abc import AsyncGenerator, Generator

import httpx
import httpx2
import pytest
from support.public_names import public_definitions, public_functions

import blnk_auth
from blnk_auth import Httpx2Auth, HttpxAuth, OAuthClient, SignInRequired
from blnk_auth.errors._extras import NamedInAnnotations

CLASSES = {path: value for path, value in public_definitions().items() if inspect.isclass(value)}
FUNCTIONS = dict(public_functions())


@pytest.mark.parametrize("path", CLASSES)
def test_the_attributes_of_a_public_class_have_types_at_run_time(path: str) -> None:
    """Those of its bases too: no annotation names what only a type checker imports."""
    assert None not in typing.get_type_hints(CLASSES[path]).values()


@pytest.mark.parametrize("path", FUNCTIONS)
def test_a_public_function_has_types_at_run_time(path: str) -> None:
    """Each parameter and the result of each function, constructor, method and property."""
    assert None not in typing.get_type_hints(FUNCTIONS[path]).values()


def test_all_of_them_are_looked_at() -> None:
    """The lists are not empty, and have what is easily missed: private bases, class methods, properties."""
    assert {"blnk_auth.provider.Provider.discover", "blnk_auth.source.TokenSource.state"} <= FUNCTIONS.keys()
    assert {"blnk_auth.client.OAuthClient.aauthorize_device", "blnk_auth.errors.SignInRequired.__init__"} <= (
        FUNCTIONS.keys()
    )
    assert len(FUNCTIONS) > 200


def test_the_types_are_those_of_each_http_package() -> None:
    """The two auth classes share their code, and each has the requests and responses of its own package."""
    for auth, package in ((HttpxAuth, httpx), (Httpx2Auth, httpx2)):
        sync, asynchronous = (typing.get_type_hints(each) for each in (auth.sync_auth_flow, auth.async_auth_flow))
        assert sync["request"] is asynchronous["request"] is package.Request
        assert sync["return"] == Generator[package.Request, package.Response, None]
        assert asynchronous["return"] == AsyncGenerator[package.Request, package.Response]


def test_a_subclass_of_an_auth_class_keeps_its_own_flow() -> None:
    """A user may override a flow, and a subclass that does not has that of the class."""

    class Own(HttpxAuth):
        def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
            yield request

    assert Own.sync_auth_flow.__module__ == __name__
    assert Own.async_auth_flow is HttpxAuth.async_auth_flow


def test_the_types_are_the_public_ones() -> None:
    """The classes that users import, and nothing in their place."""
    assert typing.get_type_hints(OAuthClient.start_authorization)["return"] is blnk_auth.AuthorizationRequest
    assert typing.get_type_hints(SignInRequired.__init__)["authorization"] == blnk_auth.AuthorizationRequest | None


def test_a_module_that_only_annotations_name_is_loaded_when_it_is_asked_for() -> None:
    """Naming it costs nothing, and one that is missing is an error that names it."""
    assert NamedInAnnotations("fractions").Fraction.__module__ == "fractions"
    with pytest.raises(ModuleNotFoundError, match="no_such_package"):
        _ = NamedInAnnotations("no_such_package").Any
