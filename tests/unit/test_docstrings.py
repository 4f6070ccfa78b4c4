"""Every public name is documented in full, in the style that editors show: Args, Returns, Raises, Attributes.

The names are those that the public modules list, with the members of their classes.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import re
import textwrap
import typing
from collections.abc import AsyncIterator, Callable, Iterator
from types import FunctionType
from typing import Any, NamedTuple

import pytest
from support.public_names import public_definitions, public_members

import blnk_auth
from blnk_auth import errors
from blnk_auth.stores import AsyncTokenStore, TokenStore

SECTIONS = ("Args", "Attributes", "Raises", "Returns", "Yields")

OUR_ERRORS = frozenset(
    name
    for name, value in vars(errors).items()
    if inspect.isclass(value) and issubclass(value, blnk_auth.BlnkAuthError)
)

PROTOCOLS: tuple[type, ...] = (TokenStore, AsyncTokenStore)
"""What a class may implement without deriving from it: its methods need no docstring of their own then."""


class Documented(NamedTuple):
    """A docstring, taken apart."""

    text: str
    sections: dict[str, set[str]]

    def names(self, *sections: str) -> set[str]:
        """What is described in these sections."""
        return {name for section in sections for name in self.sections.get(section, ())}


def documented(text: str | None) -> Documented:
    """Read a docstring in Google style."""
    sections: dict[str, set[str]] = {}
    current = None
    for line in inspect.cleandoc(text or "").splitlines():
        if (header := line.removesuffix(":")) in SECTIONS and line.endswith(":"):
            current = sections.setdefault(header, set())
        elif line and not line.startswith(" "):
            current = None
        elif current is not None and (entry := re.match(r"    \*{0,2}([\w.]+)(?: \(.*?\))?: \S", line)):
            current.add(entry[1])
    return Documented(text or "", sections)


# --- functions and methods -------------------------------------------------------------------------------------------


def problems_of_function(function: Callable[..., Any], owner: type | None = None) -> Iterator[str]:
    """What the documentation of a function or method leaves out."""
    found = documented(_docstring_of(function, owner))
    if not found.text:
        yield "no docstring"
        return
    twin = _twin_of(function, owner, found)
    if twin is not None:
        # The same need not be documented again.
        yield from (
            f"parameter {parameter}, which {twin.__name__} has not in this form"
            for parameter, hint in _parameters(function).items()
            if _parameters(twin).get(parameter) != hint and parameter not in found.names("Args")
        )
        return
    yield from (f"parameter {each}" for each in _parameters(function) if each not in found.names("Args"))
    returned = inspect.signature(function).return_annotation
    if returned not in (None, "None", "NoReturn", inspect.Signature.empty) and not (
        {"Returns", "Yields"} & found.sections.keys()
    ):
        yield f"Returns: {returned}"
    raised = raised_by(function)
    yield from (f"raises {each}" for each in sorted(raised - _with_bases(found.names("Raises"))))


def _docstring_of(function: Callable[..., Any], owner: type | None) -> str | None:
    """The function's own, or that of the base class or protocol that describes it."""
    if function.__doc__ or owner is None:
        return function.__doc__
    implemented = (each for each in PROTOCOLS if all(hasattr(owner, member) for member in public_members(each)))
    for base in (*owner.__mro__, *implemented):
        described = vars(base).get(function.__name__)
        if described is not None and described.__doc__ and _same_kind(described, function):
            return described.__doc__
    return None


def _is_async(function: Any) -> bool:
    """Whether it is an `async def`: one that returns a coroutine, or an asynchronous generator."""
    plain = inspect.unwrap(function)
    return inspect.iscoroutinefunction(plain) or inspect.isasyncgenfunction(plain)


def _same_kind(described: object, function: Callable[..., Any]) -> bool:
    return _is_async(described) == _is_async(function)


def _twin_of(function: Callable[..., Any], owner: type | None, found: Documented) -> Callable[..., Any] | None:
    """The blocking method that the docstring of an async one refers to."""
    name = function.__name__
    if owner is None or not _is_async(function) or not name.startswith("a"):
        return None
    twin = getattr(owner, name[1:], None)
    return twin if twin is not None and f"same as `{name[1:]}`" in found.text else None


def _parameters(function: Callable[..., Any]) -> dict[str, Any]:
    parameters = list(inspect.signature(function).parameters.values())
    return {
        each.name: each.annotation
        for place, each in enumerate(parameters)
        if not (place == 0 and each.name in ("self", "cls")) and not each.name.startswith("_")
    }


def raised_by(function: Callable[..., Any]) -> set[str]:
    """Which of our errors the body raises itself, by their names."""
    plain = inspect.unwrap(function)
    tree = ast.parse(textwrap.dedent(inspect.getsource(plain)))
    return {
        node.exc.func.id
        for node in _nodes_of_body(tree.body[0])
        if isinstance(node, ast.Raise)
        and isinstance(node.exc, ast.Call)
        and isinstance(node.exc.func, ast.Name)
        and node.exc.func.id in OUR_ERRORS
    }


def _nodes_of_body(node: ast.AST) -> Iterator[ast.AST]:
    """All nodes, except those of functions within it."""
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
            yield child
            yield from _nodes_of_body(child)


def _with_bases(names: set[str]) -> set[str]:
    """The errors that are covered by naming these: `BlnkAuthError` stands for each of its subclasses."""
    return {each for each in OUR_ERRORS for name in names & OUR_ERRORS if issubclass(_error(each), _error(name))}


def _error(name: str) -> type:
    return typing.cast("type", getattr(errors, name))


# --- classes ---------------------------------------------------------------------------------------------------------


def problems_of_class(cls: type) -> Iterator[str]:
    """What the documentation of a class and of its members leaves out."""
    found = documented(vars(cls).get("__doc__"))
    if not found.text:
        yield "no docstring"
    fields = _fields(cls)
    yield from (f"field {each}" for each in fields if each not in found.names("Attributes", "Args"))
    if not fields:
        yield from _problems_of_constructor(cls, found)
    for name in public_members(cls):
        # The parameters of a test are fixtures, which the docstring of its class describes.
        if not name.startswith("test_"):
            member = inspect.getattr_static(cls, name, None)
            yield from (f"{name}: {each}" for each in _problems_of_member(member, cls))


def _problems_of_member(member: Any, cls: type) -> Iterator[str]:
    if isinstance(member, property):
        if not _docstring_of(typing.cast("Any", member.fget), cls):
            yield "no docstring"
    elif isinstance(member, classmethod | staticmethod):
        yield from problems_of_function(member.__func__, cls)
    elif isinstance(member, FunctionType):
        yield from problems_of_function(member, cls)


def _fields(cls: type) -> list[str]:
    """What an object of a dataclass or a named tuple has; and a typed dictionary, unless its class names another
    place.
    """
    if dataclasses.is_dataclass(cls):
        names = [each.name for each in dataclasses.fields(cls)]
    elif issubclass(cls, dict):
        names = [] if _says_who_knows(cls) else list(cls.__annotations__)
    else:
        names = list(getattr(cls, "_fields", ()))
    return [name for name in names if not name.startswith("_")]


def _says_who_knows(cls: type) -> bool:
    """Whether the docstring names a public class that describes each key."""
    others = (getattr(blnk_auth, name, None) for name in re.findall(r"`(\w+)`", cls.__doc__ or ""))
    keys = {*cls.__annotations__}
    return any(inspect.isclass(each) and keys <= documented(each.__doc__).names("Attributes") for each in others)


def _problems_of_constructor(cls: type, found: Documented) -> Iterator[str]:
    constructor: Any = vars(cls).get("__init__")
    if not isinstance(constructor, FunctionType) or getattr(cls, "_is_protocol", False):
        return
    described = found.names("Args", "Attributes") | documented(constructor.__doc__).names("Args")
    yield from (f"parameter {each}" for each in _parameters(constructor) if each not in described)
    raises = found.names("Raises") | documented(constructor.__doc__).names("Raises")
    yield from (f"raises {each}" for each in sorted(raised_by(constructor) - _with_bases(raises)))


# --- all of them -----------------------------------------------------------------------------------------------------


def problems_of(value: Any) -> list[str]:
    """What the documentation of a public name leaves out."""
    return list(problems_of_class(value) if inspect.isclass(value) else problems_of_function(value))


def test_a_public_name_is_documented_in_full() -> None:
    """Each parameter, field, result, and error of this library."""
    found = {name: problems_of(value) for name, value in public_definitions().items()}
    assert {name: problems for name, problems in found.items() if problems} == {}


def repeats_its_twin(cls: type) -> list[str]:
    """The async methods that describe again what the blocking method of the same name describes.

    Not the two that httpx calls: what they differ in, how the caller waits, is all that their descriptions are about.
    """
    return [
        name
        for name in public_members(cls)
        if isinstance(function := inspect.getattr_static(cls, name, None), FunctionType)
        and _is_async(function)
        and name.startswith("a")
        and name != "async_auth_flow"
        and hasattr(cls, name[1:])
        and (found := documented(function.__doc__)).text
        and (_twin_of(function, cls, found) is None or {"Returns", "Yields", "Raises"} & found.sections.keys())
    ]


def test_an_async_method_refers_to_its_blocking_twin() -> None:
    """So there is one description of both, and it cannot differ."""
    classes = {name: value for name, value in public_definitions().items() if inspect.isclass(value)}
    assert {name: repeats for name, value in classes.items() if (repeats := repeats_its_twin(value))} == {}


# --- threads and tasks, and sources ----------------------------------------------------------------------------------

THREADS = (
    "Immutable",
    "never change",  # followed by what that permits
    "fields are never changed",
    "only field is never changed",
    "ay be called from any thread",
    "ay be used from any thread",
    "ay be used from any number of threads",
    "ay be shared",
    "afe to use from",
    "For one thread at a time",
    "on one private asyncio event loop",
    "its threads change it",
)
"""How a docstring describes the behaviour under threads and tasks: one of these."""

NO_BEHAVIOUR = {
    "ProviderSettings": "a type of keyword arguments",
    "DiscoverySettings": "a type of keyword arguments",
    "StoreContract": "a suite of tests",
    "SharedStoreContract": "a suite of tests",
}
"""Public classes without behaviour of their own, with the reason."""

SOURCE = re.compile(r"RFC \d{4}|https://\S+")

FOLLOW_A_SOURCE = (
    # values and errors
    "AuthorizationRequest BlnkAuthError DeviceAuthorization ProtocolError Provider Refusal SignInRequired "
    "Signer StaticToken TemporarilyUnavailable Token "
    # requests to an API
    "AiohttpAuth Httpx2Auth HttpxAuth RequestsAuth Telemetry "
    # grants, sign-ins and revocation
    "OAuthClient OAuthClient.for_itself OAuthClient.for_subject OAuthClient.start_authorization "
    "OAuthClient.finish_authorization OAuthClient.authorize_interactively OAuthClient.authorize_device "
    "OAuthClient.authorize_by_exchange "
    "Provider.discover Token.from_response TokenSource.revoke"
).split()
"""What follows a standard, and so names the section. So does everything in `blnk_auth.providers`, which follows the
pages of a provider."""


def _described(value: Any) -> list[str]:
    """The docstrings of a function, or of a class, its constructor, and its bases."""
    if not inspect.isclass(value):
        return [value.__doc__ or ""]
    return [each.__doc__ or "" for each in (*value.__mro__, vars(value).get("__init__")) if each is not None]


def describes_threads(value: Any) -> bool:
    """Whether the documentation of a public name, or that of a base class, describes threads and tasks."""
    return any(phrase in " ".join(text.split()) for text in _described(value) for phrase in THREADS)


def _named(name: str) -> Any:
    """A public name, or a member of one: `Provider.discover`."""
    owner, _, member = name.partition(".")
    value = next(each for path, each in public_definitions().items() if path.rpartition(".")[2] == owner)
    return getattr(value, member) if member else value


def test_a_public_name_describes_threads_and_tasks() -> None:
    """In words that are the same everywhere, so that a reader finds them."""
    without = [name for name, value in public_definitions().items() if not describes_threads(value)]
    assert [name for name in without if name.rpartition(".")[2] not in NO_BEHAVIOUR] == []


@pytest.mark.parametrize(
    "name",
    [*FOLLOW_A_SOURCE, *(path.rpartition(".")[2] for path in public_definitions() if ".providers." in path)],
)
def test_what_follows_a_source_names_it(name: str) -> None:
    """The RFC with its section, or the page of the provider."""
    assert SOURCE.search(_named(name).__doc__ or "")


def test_what_describes_no_threads_is_seen() -> None:
    """A class without a word of it, and one whose base has it."""

    class Bare:
        """Does things."""

    class Derived(blnk_auth.Token):
        """Does more."""

    assert not describes_threads(Bare)
    assert describes_threads(Derived)


# --- that the check sees what it should ------------------------------------------------------------------------------


class Example:
    """Does things.

    Args:
        known: Seconds.
    """

    # Members are looked for in classes of the package only.
    __module__ = f"{blnk_auth.__name__}.example"

    def __init__(self, known: float, unknown: float) -> None:
        if known > unknown:
            raise ConfigurationError("too much")

    def bare(self) -> None: ...

    def incomplete(self, value: int) -> int:
        """Return a number."""
        if value:
            raise StoreError("x")
        return value

    async def aincomplete(self, value: int, further: int) -> int:
        """The same as `incomplete`, for asyncio and trio."""
        return value + further

    def listed(self) -> Iterator[str]:
        """List the names.

        Returns:
            The names.
        """
        return iter(())

    async def alisted(self) -> AsyncIterator[str]:
        """The same as `listed`, for asyncio and trio."""
        for each in self.listed():
            yield each

    async def acomplete(self, value: int, *names: str) -> int:
        """Do it, for asyncio and trio.

        Args:
            value: How many.
            *names: Whose.

        Returns:
            How many there are.
        """
        return value

    def complete(self, value: int, *names: str) -> int:
        """Do it.

        Args:
            value: How many.
            *names: Whose.

        Returns:
            How many there are.

        Raises:
            BlnkAuthError: Always.
        """
        raise StoreError("x")


ConfigurationError, StoreError = errors.ConfigurationError, errors.StoreError


@dataclasses.dataclass
class ExampleRecord:
    """Values.

    Attributes:
        known: Seconds.
    """

    known: float
    unknown: float


def test_what_is_missing_is_seen() -> None:
    """In a constructor, in methods, in a twin, and in a record; and what is complete is not objected to."""
    assert set(problems_of(Example)) == {
        "parameter unknown",
        "raises ConfigurationError",
        "bare: no docstring",
        "incomplete: parameter value",
        "incomplete: Returns: int",
        "incomplete: raises StoreError",
        "aincomplete: parameter further, which incomplete has not in this form",
    }
    assert problems_of(ExampleRecord) == ["field unknown"]


def test_a_description_that_is_written_twice_is_seen() -> None:
    """In a coroutine; and an asynchronous generator that refers to its blocking twin is not objected to."""
    assert repeats_its_twin(Example) == ["acomplete"]
