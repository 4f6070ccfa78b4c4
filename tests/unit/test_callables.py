"""Calling a user's callable: anything that it raises becomes an error of this library that does not quote it."""

from __future__ import annotations

from typing import Any

import pytest
from support.canary.leaks import leaks
from support.errors import raises

from blnk_auth import BlnkAuthError, ConfigurationError, SignInRequired, TemporarilyUnavailable
from blnk_auth._protocol.callables import call_setting


def raising(error: BaseException) -> Any:
    def setting() -> Any:
        raise error

    return setting


def test_its_result_is_returned() -> None:
    """Unchanged."""
    assert call_setting("client_secret", lambda: "s3cret") == "s3cret"


@pytest.mark.parametrize("error", [KeyError("s3cret"), OSError("s3cret"), SystemExit("s3cret"), ZeroDivisionError()])
def test_a_failure_may_be_over_soon(error: BaseException) -> None:
    """A vault that is closed opens again; no callable ends a thread that renews. Its text may hold a secret."""
    with raises(TemporarilyUnavailable, parameter="client_secret", shows=type(error).__name__) as e:
        call_setting("client_secret", raising(error))
    assert e.value.__context__ is None
    assert leaks([str(e.value), repr(e.value)], ["s3cret"]) == []


@pytest.mark.parametrize("error", [ModuleNotFoundError("s3cret", name="vault.client"), ImportError("s3cret")])
def test_a_module_that_is_missing_does_not_come_back(error: ImportError) -> None:
    """As in an application that was bundled without it: the module is named, and nobody waits for it."""
    with raises(ConfigurationError, parameter="private_key", shows=error.name or ()) as caught:
        call_setting("private_key", raising(error))
    assert caught.value.remedy


@pytest.mark.parametrize("error", [SignInRequired("as it is", reason="refused"), ConfigurationError("as it is")])
def test_an_error_of_this_library_is_the_callables_own_word(error: BlnkAuthError) -> None:
    """Who raises one knows better."""
    with raises(type(error), problem="as it is"):
        call_setting("client_secret", raising(error))


def test_an_interruption_is_not_an_error() -> None:
    """Ctrl-C during a renewal on the caller's own thread."""
    with pytest.raises(KeyboardInterrupt):
        call_setting("client_secret", raising(KeyboardInterrupt()))
