"""Signing in from inside a request: who is asked, who waits, and what they get.

Used by the token of a protected resource (`resource_token`), where a request needs a sign-in, and by `step_up`. What
this file promises:

* Nobody is asked by surprise. Without `sign_in`, a request raises `SignInRequired`, and its `authorization` is where
  the user can be sent. It is the same for all requests that fail within five minutes, also in other processes.
* With `sign_in`, one thread of all processes that share the store asks the user. The others wait for it, and look into
  the store every two seconds at most. After `sign_in_timeout` they get `SignInRequired`.
* No lock of the grant is taken while the user is asked: a record in the store names who asks (`pending_requests`).
* A process that is killed while it asks blocks the others for 30 seconds at most. Then one of them asks.
* A sign-in that anybody finishes ends the wait of all, for example `finish_authorization` in another process.
* Cancelling a caller ends nothing. A callable that returns after the time is over still signs the user in, for the
  next request. The end of the program does not wait for the user.
* Who waits for a sign-in that the user refused is not the next one to ask.
* Nobody is asked who has signed in before the question was begun, and nobody waits for a question that was stopped, or
  that asks for less than is needed.
* After ten sign-ins within an hour nobody is asked any more, regardless of what the API rejects.

It never renews a token, and never decides whether a request needs a sign-in.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable

from .._protocol.http_messages import Package
from .._renewal.cached_token import CachedToken
from .._renewal.client_state import ClientState
from .._renewal.current_token import CurrentToken
from .._renewal.single_flight import Flight
from .._sign_in.pending_sign_ins import PENDING_LIFETIME
from ..errors import BlnkAuthError, ConfigurationError, SignInRequired, is_number, quoted
from ..stores._forks import reset_in_child
from .asking import Asking, Question, SignIn, is_asking
from .pending_requests import Asked
from .program_end import wait_in_program
from .sign_in_attempt import SignInAttempt

SIGN_IN_TIMEOUT = 300.0

_STOPPED_WITHIN = 10.0
"""Seconds after which a question that was stopped has ended, if its user has not come back."""


class RequestSignIn:
    """How requests of one source sign a user in. May be used from any thread.

    Args:
        how: None raises `SignInRequired`; "browser" opens one on this machine; a callable is called with the
            `AuthorizationRequest`, on a thread of its own, and returns the callback URL, or None for `SignInRequired`.
        timeout: Seconds that a request waits for the user, at most 600.
        wait: Waits for an event for some seconds, and returns whether it was set. Tests pass one.

    Raises:
        ConfigurationError: An argument cannot work.
    """

    def __init__(
        self,
        how: SignIn = None,
        timeout: float = SIGN_IN_TIMEOUT,
        *,
        wait: Callable[[threading.Event, float], bool] | None = None,
    ) -> None:
        if how is not None and how != "browser" and not callable(how):
            raise ConfigurationError(
                f'sign_in must be None, "browser" or a callable, not {quoted(how)}',
                parameter="sign_in",
                remedy="pass a function that gets the AuthorizationRequest and returns the callback URL",
            )
        if inspect.iscoroutinefunction(how):
            raise ConfigurationError(
                "sign_in is an async function, and it is called on a thread of its own, without an event loop",
                parameter="sign_in",
                remedy="pass a plain function; it may call asyncio.run() itself",
            )
        if not is_number(timeout) or not 0 < timeout <= PENDING_LIFETIME:
            raise ConfigurationError(
                f"sign_in_timeout must be more than 0 and at most {PENDING_LIFETIME:g} seconds, not {quoted(timeout)}",
                parameter="sign_in_timeout",
                remedy=f"pass such as {SIGN_IN_TIMEOUT:g}",
            )
        self.how: SignIn = how
        self.timeout: float = timeout
        self.wait: Callable[[threading.Event, float], bool] = wait or wait_in_program
        self.reset_after_fork()
        reset_in_child(self)

    def reset_after_fork(self) -> None:
        """Called in the child of a fork: the thread that asks does not exist here."""
        self._lock = threading.Lock()
        self._asking: Asking | None = None

    def wait_timeout(self, state: ClientState) -> float:
        """The longest that a caller waits for `sign_in`, in seconds: for the user, and for what comes before and after.

        Nothing of it is waited for in vain: `sign_in` itself ends in time.
        """
        return self.timeout + 4 * state.rules.wait_timeout

    def check_caller(self) -> None:
        """Raise the error for a request that the callable of the application makes with the token that it is to get.

        Called before a caller joins a flight that may ask a user: that caller would wait for itself.
        """
        if is_asking.get() is self:
            raise BlnkAuthError(
                "the callable passed as sign_in has made a request that needs the sign-in itself",
                remedy="let it use an HTTP client without this auth",
                parameter="sign_in",
            )

    def begin(
        self,
        current: CurrentToken,
        *,
        reason: SignInRequired,
        package: Package | None,
        scope: str | None = None,
        rejected: CachedToken | None = None,
    ) -> Flight[CachedToken]:
        """`sign_in` on a worker thread; callers who need the same share it."""
        self.check_caller()
        return current.state.sign_ins.flights.join_or_start(
            ("request sign-in", current.store_key, reason.reason, scope, reason.acr_values),
            lambda: self.sign_in(current, reason=reason, package=package, scope=scope, rejected=rejected),
            _nothing,
        )

    def sign_in(
        self,
        current: CurrentToken,
        *,
        reason: SignInRequired,
        package: Package | None,
        scope: str | None = None,
        rejected: CachedToken | None = None,
    ) -> CachedToken:
        """Have a user sign in, or wait until another thread or process has. Blocks; for a worker thread.

        Args:
            current: The current token of the grant that the request needs.
            reason: Why a sign-in is needed. Its `acr_values` and `max_age` are asked for too. With the reason
                `step_up`, the scope that was requested before is asked for again.
            package: The caller's HTTP package.
            scope: The scope to ask for, space-separated; None lets the server decide.
            rejected: The token that is not enough; None if the grant has none.

        Returns:
            A valid token of the grant, of another sign-in than before.

        Raises:
            SignInRequired: Nobody may be asked, the user refused, or nobody has signed in within `timeout`.
            StoreError: The store fails.
            Exception: What the callable of the application has raised.
        """
        asked = Asked(scope, reason.acr_values, reason.max_age)
        return SignInAttempt(self, current, reason, asked, package=package, rejected=rejected).run()

    def ask(self, wanted: Question, make: Callable[[], Asking]) -> Asking:
        """The question for this that was not answered yet; else a new one, which is begun."""
        with self._lock:
            asking = self._asking
            if asking is not None and asking.question.covers(wanted) and self._is_open(asking):
                return asking
            self._asking = asking = make()
            asking.start()
            return asking

    def _is_open(self, asking: Asking) -> bool:
        """Whether there is something to expect of a question."""
        if asking.done.is_set():
            return False
        if asking.is_stopped:
            # Its listener is being closed, unless its user has come back.
            return not self.wait(asking.done, _STOPPED_WITHIN) or asking.has_signed_in
        return True


def _nothing() -> None:
    """After a flight whose events others emit."""
