"""Every error that this library raises, sorted by what the caller can do about it.

    BlnkAuthError                 the root: catch this to catch everything below
    ├── SignInRequired            a user must authorize again
    ├── TemporarilyUnavailable    try again later; the grant is untouched
    ├── ConfigurationError        fix the registration, the URL, the certificate, the parameter
    ├── StoreError                the token store cannot be read, written or locked
    │   └── Conflict              compare-and-set: another writer was first
    └── ProtocolError             the server's response is not a valid OAuth 2.0 response

Used by every module, and by users in `except` clauses. What this file promises:

* An error states what is wrong (`problem`) and what to do next (`remedy`), and never holds a secret.
* Both are one short, printable line, regardless of what they quote: nobody can forge a line of a log.
* An error carries data. Nothing takes its text apart: what a program needs to know is a field.
* An error is not changed after it was made. `replace` makes a changed copy.
* An error holds plain values only, so it can be copied, pickled and compared by its fields.

The files beside this one serve the same promises: what a value is (`_checks`), how large it is (`_json_size`), what a
traceback shows (`_tracebacks`), what a pickle names (`_pickling`), and which package is missing (`_extras`). The last
two are imported from there, since an auth class needs neither. Nothing here imports another module of this package when
it is loaded.
"""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, NoReturn, Self

from ._checks import is_bool as is_bool
from ._checks import is_number as is_number
from ._checks import is_text as is_text
from ._checks import kind_of as kind_of
from ._checks import on_one_line as on_one_line
from ._checks import quoted as quoted
from ._tracebacks import Redacted as Redacted
from ._tracebacks import clear_locals as clear_locals
from ._tracebacks import clears_locals as clears_locals
from ._tracebacks import constructor_clears_locals as constructor_clears_locals
from ._tracebacks import redacted as redacted

if TYPE_CHECKING:
    import blnk_auth
else:
    # Annotations name its types, which it loads when they are used: `typing.get_type_hints` finds them by it.
    blnk_auth = sys.modules[__name__.rpartition(".")[0]]

__all__ = [
    "BlnkAuthError",
    "ConfigurationError",
    "Conflict",
    "NotPickled",
    "ProtocolError",
    "SignInReason",
    "SignInRequired",
    "StoreError",
    "TemporarilyUnavailable",
]

SignInReason = Literal[
    "missing", "refused", "expired", "no_refresh_token", "denied", "restart", "step_up", "consent_ended"
]
"""Why a user must authorize again; see `SignInRequired`."""


class BlnkAuthError(Exception):
    """The root of all errors of this library. `str(error)` joins `problem` and `remedy`.

    Its fields are never changed. Raising an error adds to its traceback, so to raise one on several threads, raise a
    copy from `replace()` on each. `error`, `error_description` and `error_uri` are those of RFC 6749 section 5.2.

    Args:
        problem: What is wrong, in one sentence without a full stop.
        remedy: What to do next; None where nothing can be advised.
        parameter: The name of the argument, setting or key that is wrong; None if it is not a single one.
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
        # In a damaged pickle they may be of any type.
        problem, remedy = on_one_line(str(problem)), None if remedy is None else on_one_line(str(remedy))
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
        """The fields of the error, by name, so that a changed copy or an equal error can be made.

        Returns:
            The keyword arguments that, with `problem`, make an equal error.
        """
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
        """A changed copy, since an error is never changed after it was made.

        It has no traceback and no chain, since those refer to the frames of other callers.

        Args:
            **changes: The fields to change, by name; `problem` is one of them.

        Returns:
            The copy, of the same class.
        """
        problem: str = changes.pop("problem", self.problem)
        return type(self)(problem, **{**self.fields(), **changes})

    def __reduce__(self) -> tuple[Any, ...]:
        # An auth class raises a subclass that is also its HTTP client's error and has the request, whose headers may
        # contain a token. So a pickle contains the plain error of this module.
        return partial(core_type(type(self)), **self._pickled_fields()), (self.problem,)

    def _pickled_fields(self) -> dict[str, Any]:
        return self.fields()


class SignInRequired(BlnkAuthError):
    """A user must authorize again; no retry helps.

    The reasons:

    * `missing`: nothing is stored for this subject.
    * `refused`: the server ended the grant.
    * `expired`: the refresh token has expired.
    * `no_refresh_token`: the access token has expired and nothing can renew it.
    * `denied`: the user refused.
    * `restart`: this sign-in cannot be completed; begin another one.
    * `step_up`: the API asks for more than the grant gives; see `scope`, `acr_values` and `max_age`.
    * `consent_ended`: the provider reports that the user's consent has ended.

    Args:
        problem: What is wrong, in one sentence without a full stop.
        reason: Why, as above.
        subject: Whose grant it is; None if that is not known.
        scope: For `step_up`: the scope to ask for, space-separated. None: not named.
        acr_values: For `step_up`: the authentication context to ask for (RFC 9470 section 3). None: not named.
        max_age: For `step_up`: the longest age of the user's authentication, in seconds. None: not named.
        authorization: A sign-in that was started already: where to send the user. None if there is none. It is in no
            pickle, `repr` or `str`, since its URL and state are for one user.
        **fields: The further fields of every `BlnkAuthError`.
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
        authorization: blnk_auth.AuthorizationRequest | None = None,
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

    `retry_after` comes from the header of RFC 9110 section 10.2.3, where the server sends it.

    Args:
        problem: What is wrong, in one sentence without a full stop.
        retry_after: Seconds to wait before the next attempt. None: not known.
        outcome_unknown: Whether the request may have succeeded although no response was received. The server may then
            have issued a new pair and, if it rotates, have invalidated the stored refresh token.
        **fields: The further fields of every `BlnkAuthError`.
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
    """The token store cannot be read, written or locked; its records are untouched.

    Args:
        problem: What is wrong, in one sentence without a full stop.
        key: The store key, if one record is the problem: it is damaged, or another process has written it. None if the
            failure is not about one record: the server is down.
        **fields: The further fields of every `BlnkAuthError`.
    """

    def __init__(self, problem: str, *, key: str | None = None, **fields: Any) -> None:
        super().__init__(problem, **fields)
        self.key = key

    def fields(self) -> dict[str, Any]:
        return {**super().fields(), "key": self.key}


class Conflict(StoreError):
    """Compare-and-set failed: the stored version is not the expected one."""


class ProtocolError(BlnkAuthError):
    """The server's response is not a valid OAuth 2.0 response; the grant is untouched.

    Valid responses are those of RFC 6749 sections 4.1.2, 5.1 and 5.2.
    """


def core_type(error_type: type[BlnkAuthError]) -> type[BlnkAuthError]:
    """The class of this module that `error_type` is or derives from."""
    return next(base for base in error_type.__mro__ if base.__module__ == __name__)


def _rebuild(  # pyright: ignore[reportUnusedFunction]  # pickles of earlier versions use it
    error_type: type[BlnkAuthError], problem: str, fields: dict[str, Any]
) -> BlnkAuthError:
    """Named in pickles of earlier versions: keep its name and its arguments."""
    from ._pickling import unpickles

    return unpickles(error_type)(problem, **fields)


class NotPickled:
    """Replaces, in an unpickled object, a secret that was passed as text. Calling it raises `ConfigurationError`.

    Its only field is never changed, so it may be shared between threads and tasks.

    Args:
        parameter: The argument that the secret was passed as.
    """

    def __init__(self, parameter: str) -> None:
        self.parameter = parameter

    def __repr__(self) -> str:
        return f"NotPickled({self.parameter!r})"

    def __call__(self) -> NoReturn:
        raise ConfigurationError(
            f"{self.parameter} was passed as a string, and pickles contain no secrets",
            parameter=self.parameter,
            remedy=f"pass a callable as {self.parameter}, which fetches it in each process",
        )
