"""`typing.get_type_hints` works on everything public, which tools for dependency injection and schemas need."""

from __future__ import annotations

import importlib
import inspect
import typing
from collections.abc import AsyncGenerator, Callable, Generator, Iterator, Mapping
from typing import Any

import httpx
import httpx2
import pytest
from support.public_names import is_public, names_of, public_definitions, public_functions, public_modules

import blnk_auth
from blnk_auth import Httpx2Auth, HttpxAuth, OAuthClient, SignInRequired
from blnk_auth.errors._extras import NamedInAnnotations

CLASSES = {path: value for path, value in public_definitions().items() if inspect.isclass(value)}
FUNCTIONS = dict(public_functions())


def without_types(things: Mapping[str, Any]) -> list[str]:
    """Those with an annotation that cannot be read."""
    return [path for path, value in things.items() if None in typing.get_type_hints(value).values()]


def test_the_attributes_of_a_public_class_have_types_at_run_time() -> None:
    """Those of its bases too: no annotation names what only a type checker imports."""
    assert without_types(CLASSES) == []


def test_a_public_function_has_types_at_run_time() -> None:
    """Each parameter and the result of each function, constructor, method and property."""
    assert without_types(FUNCTIONS) == []


CONSTRUCTORS = {"blnk_auth.source.TokenSource.__init__": "applications do not call it"}
"""Public functions that may have parameters of private types, each with the reason."""


def public_annotations() -> Iterator[tuple[str, Any]]:
    """Each annotation that users see, with its place: of attributes, parameters, results, and of aliases."""
    for path, value in CLASSES.items():
        hints = typing.get_type_hints(value)
        yield from ((f"{path}.{name}", hint) for name, hint in hints.items() if not name.startswith("_"))
    for path, function in FUNCTIONS.items():
        if path not in CONSTRUCTORS:
            yield from ((f"{path}: {name}", hint) for name, hint in typing.get_type_hints(function).items())
    for path in public_modules():
        module = importlib.import_module(path)
        yield from ((f"{path}.{name}", getattr(module, name)) for name in names_of(module))


def private_types(hint: Any) -> Iterator[str]:
    """The classes of the package in an annotation that no public module lists."""
    is_ours = inspect.isclass(hint) and hint.__module__.partition(".")[0] == blnk_auth.__name__
    if is_ours and not is_public(hint.__module__, hint.__name__):
        yield f"{hint.__module__}.{hint.__name__}"
    for part in hint if isinstance(hint, list) else typing.get_args(hint):
        yield from private_types(part)


def test_a_type_in_a_public_annotation_has_a_public_home() -> None:
    """So a user can import each type that a public function takes or returns, and a public class has."""
    found = {place: [*private_types(hint)] for place, hint in public_annotations()}
    assert {place: types for place, types in found.items() if types} == {}


def test_a_private_type_is_found_wherever_it_is() -> None:
    """Alone, in a union, in a collection, and among the arguments of a callable."""

    class Private:
        __module__ = "blnk_auth._protocol.example"

    for hint in (Private, Private | None, dict[str, list[Private]], Callable[[int, Private], None], type[Private]):
        assert [*private_types(hint)] == ["blnk_auth._protocol.example.Private"]
    assert [*private_types(blnk_auth.Token | None)] == []


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
