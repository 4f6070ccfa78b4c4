"""Every error that this library raises, sorted by what the caller can do about it.

    BlnkAuthError                 the root: catch this to catch everything below
    ├── SignInRequired            a user must authorize again
    ├── TemporarilyUnavailable    try again later; the grant is untouched
    ├── ConfigurationError        fix the registration, the URL, the certificate, the parameter
    ├── StoreError                the token store cannot be read, written or locked
    │   └── Conflict              compare-and-set: another writer was first
    └── ProtocolError             the server's response is not a valid OAuth 2.0 response

Used by every module, and by users in `except` clauses. What this file promises:

* An error says what is wrong (`problem`) and what to do next (`remedy`), and never holds a secret.
* An error carries data. Nothing takes its text apart: what a program needs to know is a field.
* An error is not changed after it was made. `replace` makes a changed copy.
* An error holds plain values only, so it can be copied, pickled and compared by its fields.

`redacted` is here because it serves the same promise: an argument that is a secret does not appear in a traceback.
`import_failure` and `unavailable` are here because they make the error for an extra that is not installed;
`pickled_by_name` because every layer has values that are pickled, as errors are.
It never imports another module of this package when it is loaded.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, NoReturn, Self, TypeGuard, TypeVar, cast

if TYPE_CHECKING:
    from ._sign_in.authorization_code import AuthorizationRequest

Value = TypeVar("Value")

SignInReason = Literal[
    "missing", "refused", "expired", "no_refresh_token", "denied", "restart", "step_up", "consent_ended"
]
"""Why a user must authorize again; see `SignInRequired`."""


class BlnkAuthError(Exception):
    """The root of all errors of this library. `str(error)` joins `problem` and `remedy`.

    Args:
        problem: What is wrong, in one sentence without a full stop.
        remedy: What to do next; None where nothing can be advised.
        parameter: The name of the argument, setting or key that is wrong; None if it is no single one.
        error: The `error` code of RFC 6749 section 5.2 that the server sent; None if it sent none.
        error_description: Its `error_description`, cleaned of secrets and control characters.
        error_uri: Its `error_uri`, cleaned in the same way.
        status_code: The HTTP status of the server's response; None if there was no response.
        correlation_id: The provider's own name for the failed exchange, which its support asks for; None if it sent
            none.
    """

    def __init__(
        self,
        problem: str,
        *,
        remedy: str | None = None,
        parameter: str | None = None,
        error: str | None = None,
        error_description: str | None = None,
        error_uri: str | None = None,
        status_code: int | None = None,
        correlation_id: str | None = None,
    ) -> None:
        super().__init__(problem if remedy is None else f"{problem}; {remedy}")
        self.problem = problem
        self.remedy = remedy
        self.parameter = parameter
        self.error = error
        self.error_description = error_description
        self.error_uri = error_uri
        self.status_code = status_code
        self.correlation_id = correlation_id

    def fields(self) -> dict[str, Any]:
        """The keyword arguments that, with `problem`, build an equal error."""
        return {
            "remedy": self.remedy,
            "parameter": self.parameter,
            "error": self.error,
            "error_description": self.error_description,
            "error_uri": self.error_uri,
            "status_code": self.status_code,
            "correlation_id": self.correlation_id,
        }

    def replace(self, **changes: Any) -> Self:
        """A copy with the given fields changed, without traceback and chain: those hold other callers' frames."""
        problem: str = changes.pop("problem", self.problem)
        return type(self)(problem, **{**self.fields(), **changes})

    def __reduce__(self) -> tuple[Any, ...]:
        # An auth class raises a subclass that is also its HTTP client's error and carries the request, whose headers
        # may hold a token: what travels in a pickle is the plain error of this module.
        return partial(core_type(type(self)), **self._pickled_fields()), (self.problem,)

    def _pickled_fields(self) -> dict[str, Any]:
        return self.fields()


class SignInRequired(BlnkAuthError):
    """A user must authorize again; no retry helps.

    Args:
        problem: As for `BlnkAuthError`.
        reason: `missing` (nothing is stored for this subject), `refused` (the server ended the grant), `expired` (the
            refresh token has expired), `no_refresh_token` (the access token has expired and nothing can renew it),
            `denied` (the user refused), `restart` (this sign-in cannot be completed; begin another one), `step_up`
            (the API asks for more than the grant gives; see `scope`, `acr_values` and `max_age`), `consent_ended` (the
            provider says that the user's consent has ended).
        subject: Whose grant it is; None if that is not known.
        scope: For `step_up`: the scope to ask for, space-separated. None: not named.
        acr_values: For `step_up`: the authentication context to ask for (RFC 9470 section 3). None: not named.
        max_age: For `step_up`: the longest age of the user's authentication, in seconds. None: not named.
        authorization: A sign-in that was started already: where to send the user. None if there is none. It is in no
            pickle, `repr` or `str`, since its URL and state are for one user.
        fields: As for `BlnkAuthError`.
    """

    def __init__(
        self,
        problem: str,
        *,
        reason: SignInReason,
        subject: str | None = None,
        scope: str | None = None,
        acr_values: str | None = None,
        max_age: float | None = None,
        authorization: AuthorizationRequest | None = None,
        **fields: Any,
    ) -> None:
        super().__init__(problem, **fields)
        self.reason: SignInReason = reason
        self.subject = subject
        self.scope = scope
        self.acr_values = acr_values
        self.max_age = max_age
        self.authorization = authorization

    def fields(self) -> dict[str, Any]:
        return {
            **super().fields(),
            "reason": self.reason,
            "subject": self.subject,
            "scope": self.scope,
            "acr_values": self.acr_values,
            "max_age": self.max_age,
            "authorization": self.authorization,
        }

    def _pickled_fields(self) -> dict[str, Any]:
        return {name: value for name, value in self.fields().items() if name != "authorization"}


class TemporarilyUnavailable(BlnkAuthError):
    """The authorization server cannot answer now; the grant is untouched.

    Args:
        problem: As for `BlnkAuthError`.
        retry_after: Seconds to wait before the next attempt. None: not known.
        outcome_unknown: Whether the request may have had its effect although no response came: the server may have
            renewed, and with rotation the stored refresh token may be spent.
        fields: As for `BlnkAuthError`.
    """

    def __init__(
        self, problem: str, *, retry_after: float | None = None, outcome_unknown: bool = False, **fields: Any
    ) -> None:
        super().__init__(problem, **fields)
        self.retry_after = retry_after
        self.outcome_unknown = outcome_unknown

    def fields(self) -> dict[str, Any]:
        return {**super().fields(), "retry_after": self.retry_after, "outcome_unknown": self.outcome_unknown}


class ConfigurationError(BlnkAuthError):
    """The client registration, an endpoint, a certificate or a parameter is wrong; correct it and run again."""


class StoreError(BlnkAuthError):
    """The token store cannot be read, written or locked; what it holds is untouched."""


class Conflict(StoreError):
    """Compare-and-set failed: the stored version is not the expected one."""


class ProtocolError(BlnkAuthError):
    """The server's response is not a valid OAuth 2.0 response; the grant is untouched."""


def core_type(error_type: type[BlnkAuthError]) -> type[BlnkAuthError]:
    """The class of this module that `error_type` is or derives from."""
    return next(base for base in error_type.__mro__ if base.__module__ == __name__)


def _rebuild(  # pyright: ignore[reportUnusedFunction]  # pickles of earlier versions use it
    error_type: type[BlnkAuthError], problem: str, fields: dict[str, Any]
) -> BlnkAuthError:
    """Named in pickles of earlier versions: keep its name and its arguments."""
    return error_type(problem, **fields)


# --- what is checked before an error is raised -----------------------------------------------------------------------


def is_number(value: object) -> TypeGuard[float]:
    """Whether it is a finite number that a float can hold: an int or a float, and no bool."""
    try:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:
        return False


def is_text(value: object) -> TypeGuard[str]:
    """Whether it is a string that can be written as UTF-8: one without lone surrogates."""
    return isinstance(value, str) and (
        value.isascii() or not any("\ud800" <= character <= "\udfff" for character in value)
    )


# --- values in pickles -----------------------------------------------------------------------------------------------


PICKLED = {"pickled": True}
"""The metadata of a dataclass field that no argument sets, and that a pickle carries nevertheless."""


def pickled_by_name(cls: type[Value]) -> type[Value]:
    """A class decorator: a frozen dataclass is copied and pickled as its constructor's arguments, by name.

    So another version may add fields and reorder them. An argument that is its field's default is left out: private
    functions are among the defaults, and a pickle names public paths only. What an unpickled value is made of is
    checked as usual.
    """

    def arguments(self: Any) -> dict[str, Any]:
        given = ((each, getattr(self, each.name)) for each in fields(self) if each.init or "pickled" in each.metadata)
        return {each.name: value for each, value in given if value is not each.default}

    def take_arguments(self: Any, state: dict[str, Any] | list[Any]) -> None:
        if isinstance(state, list):
            from ._pickles import fields_of

            state = fields_of(cls.__name__, state)
        state = dict(state)
        further = {each.name: state.pop(each.name) for each in fields(self) if not each.init and each.name in state}
        self.__init__(**state)
        for name, value in further.items():
            object.__setattr__(self, name, value)

    # The decorator `dataclass` has given a frozen class its own, which list the values in the order of the fields.
    for name, method in (("__getstate__", arguments), ("__setstate__", take_arguments)):
        setattr(cls, name, method)
    return cls


def public(definition: Value) -> Value:
    """A decorator: pickles, reprs and `help` name a class or function by its public home.

    Its home is the innermost package that is public: `blnk_auth.stores` for what `blnk_auth/stores/_file.py` defines,
    and `blnk_auth` for what `blnk_auth/_sign_in/device.py` does. The home must list the name.
    """
    package = __name__.rpartition(".")[0]
    inner = definition.__module__.removeprefix(package)
    definition.__module__ = package + inner.partition("._")[0]
    return definition


class NotPickled:
    """Stands in what was unpickled for a secret that was given as such: calling it raises `ConfigurationError`.

    Args:
        parameter: The argument that held the secret.
    """

    def __init__(self, parameter: str) -> None:
        self.parameter = parameter

    def __repr__(self) -> str:
        return f"NotPickled({self.parameter!r})"

    def __call__(self) -> NoReturn:
        raise ConfigurationError(
            f"{self.parameter} was given as such, and a secret is not carried in a pickle",
            parameter=self.parameter,
            remedy=f"pass a callable as {self.parameter}, which fetches it in each process",
        )


# --- packages that an extra brings -----------------------------------------------------------------------------------


def import_failure(user: str, package: str, extra: str, error: ImportError) -> ImportError:
    """The error to raise where the optional `package` cannot be imported.

    Args:
        user: What needs the package, as the caller knows it: `RedisStore`.
        package: The package as it is imported: `redis`.
        extra: The extra of this library that installs it: `redis`.
        error: What the import raised. It decides whether the package is missing, or is installed and broken, which
            installing it again may not resolve.
    """
    if isinstance(error, ModuleNotFoundError) and error.name == package:
        problem = f"which is not installed: pip install 'blnk-auth[{extra}]'"
    else:
        problem = f"which is installed but cannot be imported ({error}): see the output of python -c 'import {package}'"
    return ImportError(f"{user} needs the package {package}, {problem}", name=error.name)


class _Unavailable(type):
    """The type of the classes that `unavailable` makes."""

    reason: ImportError

    def __init__(cls, name: str, bases: tuple[type, ...], members: dict[str, Any]) -> None:
        super().__init__(name, bases, members)
        if bases:
            cls._raise()

    def _raise(cls) -> NoReturn:
        # Another instance each time: one that is raised twice collects the tracebacks of both.
        raise ImportError(str(cls.reason), name=cls.reason.name)

    def __call__(cls, *args: object, **kwargs: object) -> NoReturn:
        cls._raise()

    def __getattr__(cls, name: str) -> NoReturn:
        # This type, because `inspect` and `pydoc` ask for attributes that a class need not have.
        raise AttributeError(str(cls.reason), name=name, obj=cls)


def unavailable(name: str, module: str, error: ImportError) -> type:
    """A class to stand for the public `name` of `module`, whose extra is not installed or is broken.

    Listing the module's names, a star import and `help` work without the extra. Calling the name or making a subclass
    of it raises `error` again, which names the extra; reading one of its attributes raises an `AttributeError` that
    does.
    """
    members = {"__doc__": str(error), "__module__": module, "reason": error.with_traceback(None)}
    return _Unavailable(name, (), members)


# --- secrets in tracebacks -------------------------------------------------------------------------------------------


class Redacted(str):
    """A string like any other, whose repr does not show it."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "<redacted>"


class RedactedBytes(bytes):
    """The same for bytes, as of a PEM file."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "<redacted>"


class RedactedDict(dict[str, Any]):
    """The same for a mapping, as a JWK."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "<redacted>"


def redacted(value: Value) -> Value:
    """The same value with a repr that does not show it: text, bytes, a mapping, or a tuple of these.

    For arguments that are secrets: tools that print the local variables of a traceback would show them otherwise.
    """
    made: Any = value
    if isinstance(value, str):
        made = Redacted(value)
    elif isinstance(value, bytes):
        made = RedactedBytes(value)
    elif isinstance(value, tuple):
        made = tuple(map(redacted, cast("tuple[Any, ...]", value)))
    elif isinstance(value, Mapping):
        made = RedactedDict(cast("Mapping[str, Any]", value))
    return cast("Value", made)
