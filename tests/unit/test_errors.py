"""Errors: one tree, plain fields, and copies that carry nothing along."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable

import httpx
import pytest
import requests

from blnk_auth import (
    BlnkAuthError,
    ConfigurationError,
    ProtocolError,
    SignInRequired,
    StoreError,
    TemporarilyUnavailable,
)
from blnk_auth._request.client_errors import as_client_error
from blnk_auth.errors import Conflict, core_type

TOLD = {"error": "invalid_grant", "error_description": "gone", "error_uri": "https://as.test/e", "status_code": 400}
ERRORS = [
    BlnkAuthError("m", **TOLD),
    SignInRequired("m", reason="refused", subject="alice", **TOLD),
    TemporarilyUnavailable("m", retry_after=7.0, **TOLD),
    ConfigurationError("m", **TOLD),
    StoreError("m"),
    Conflict("m"),
    ProtocolError("m", **TOLD),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_all_are_caught_by_the_root_and_read_as_their_message(error: BlnkAuthError) -> None:
    """`except BlnkAuthError` catches everything; str is the message."""
    assert isinstance(error, BlnkAuthError)
    assert str(error) == error.problem == "m"


def test_fields_that_were_not_given_are_empty() -> None:
    """Nobody has to ask whether an attribute is there."""
    error = SignInRequired("m", reason="missing")
    assert (error.error, error.error_description, error.error_uri, error.status_code, error.subject) == (None,) * 5
    assert TemporarilyUnavailable("m").retry_after is None


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("again", [lambda e: pickle.loads(pickle.dumps(e)), copy.copy, copy.deepcopy])
def test_a_copy_is_equal_in_type_and_fields_and_has_no_history(error: BlnkAuthError, again: object) -> None:
    """Through a pickle, a copy, or for each waiter: neither traceback nor chain comes along."""
    assert callable(again)
    try:
        raise error from ValueError("cause")
    except BlnkAuthError as raised:
        made = again(raised)
    assert type(made) is type(error)
    assert (str(made), made.fields()) == (str(error), error.fields())
    assert (made.__traceback__, made.__cause__, made.__context__) == (None, None, None)


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize(
    "made",
    [
        lambda error: error,
        lambda error: error.replace(status_code=404),
        copy.copy,
        copy.deepcopy,
        lambda error: pickle.loads(pickle.dumps(error)),
    ],
    ids=["plain", "replaced", "copied", "deeply copied", "pickled"],
)
def test_args_str_and_repr_agree(error: BlnkAuthError, made: Callable[[BlnkAuthError], BlnkAuthError]) -> None:
    """Problem and remedy, however the error was made: no log shows another message than the error has."""
    shown = made(error.replace(remedy="do"))
    assert (shown.problem, str(shown)) == ("m", "m; do")
    assert shown.args == (str(shown),)
    assert repr(shown) == f"{type(error).__name__}({str(shown)!r})"


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_a_converted_error_is_pickled_as_itself(error: BlnkAuthError) -> None:
    """The request that a shell attaches may carry a token, so it does not enter a pickle (F56)."""
    request = httpx.Request("GET", "https://api.test", headers={"Authorization": "Bearer at-of-alice"})
    converted = as_client_error(error, request, request_error=httpx.RequestError, transport_error=httpx.TransportError)
    pickled = pickle.dumps(converted)
    assert b"at-of-alice" not in pickled
    restored = pickle.loads(pickled)
    assert type(restored) is type(error)
    assert restored.fields() == error.fields()


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_only_what_may_heal_is_a_transport_error(error: BlnkAuthError) -> None:
    """Retry wrappers repeat `TemporarilyUnavailable` and nothing else; `except` clauses of each client still work."""
    heals = isinstance(error, TemporarilyUnavailable)
    for request, request_error, transport_error in (
        (httpx.Request("GET", "https://api.test"), httpx.RequestError, httpx.TransportError),
        (requests.Request("GET", "https://api.test").prepare(), requests.RequestException, requests.ConnectionError),
    ):
        converted = as_client_error(error, request, request_error=request_error, transport_error=transport_error)
        assert isinstance(converted, type(error))
        assert isinstance(converted, request_error)
        assert isinstance(converted, transport_error) is heals
        assert converted.request is request  # type: ignore[attr-defined]
        assert (str(converted), converted.fields()) == (str(error), error.fields())
        assert core_type(type(converted)) is type(error)
