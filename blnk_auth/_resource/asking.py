"""Asking one user to sign in, on a thread of its own: with a browser on this machine, or by a callable.

Used by `request_sign_in`, which waits for it and decides who asks. What this file promises:

* The thread is a daemon: a callable that never returns does not keep the program from ending.
* The exchange of the code runs on a worker thread, as in every sign-in, so its tokens are stored in any case.
* A callable that returns late, after everybody has stopped waiting for it, still signs the user in.
* A browser that has come back gets its page, also if nobody waits any more: the store has the tokens before that.

It never reads or changes the record of who asks.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextvars import ContextVar, copy_context
from typing import Literal, NamedTuple

from .._renewal.client_state import ClientState
from .._renewal.current_token import CurrentToken
from .._sign_in.finish_authorization import finish_patiently
from .._sign_in.start_authorization import AuthorizationRequest
from .._sign_in.wanted_grant import WantedGrant
from ..errors import BlnkAuthError, ConfigurationError, SignInRequired, clear_locals, kind_of, redacted
from .pending_requests import Asked

AskUser = Callable[[AuthorizationRequest], str | None]
"""A callable of the application: gets where to send the user, and returns the callback URL, or None."""

SignIn = Literal["browser"] | AskUser | None
"""How a user is asked: not at all, with a browser on this machine, or by a callable of the application."""

is_asking: ContextVar[object] = ContextVar("blnk_auth_is_asking", default=None)
"""For whom a callable of the application runs here; None: none does."""


class Question(NamedTuple):
    """What a user is asked for.

    Attributes:
        store_key: The key of the grant.
        asked: What the sign-in asks for.
    """

    store_key: str
    asked: Asked

    def covers(self, wanted: Question) -> bool:
        """Whether the answer is what somebody needs who wants to ask `wanted`."""
        return self.store_key == wanted.store_key and self.asked.covers(wanted.asked)


class Asking:
    """One question to one user. `start` is called once; the rest from any thread.

    Args:
        question: What the user is asked for.
        work: Asks, and returns the current token of the grant.
        stop: Ends that early, as far as possible. None: nothing can.
        request: Where the user is sent; None if only `work` knows.

    Attributes:
        done: Set when it has ended.
        is_stopped: Whether it is about to end, because nobody waits for it any more.
    """

    def __init__(
        self,
        question: Question,
        work: Callable[[], CurrentToken],
        stop: Callable[[], object] | None = None,
        request: AuthorizationRequest | None = None,
    ) -> None:
        self.question: Question = question
        self.is_stopped: bool = False
        self.done: threading.Event = threading.Event()
        self.request: AuthorizationRequest | None = request
        self._work = work
        self._stop = stop
        self._signed_in: CurrentToken | None = None
        self._error: BaseException | None = None

    @classmethod
    def in_browser(cls, state: ClientState, wanted: WantedGrant, timeout: float, question: Question) -> Asking:
        """In the browser of this machine. Raises `ConfigurationError` if the redirect_uri does not fit."""
        # Its listener needs h11, which nothing else here does.
        from .._sign_in.interactive import InteractiveSignIn
        from .._sign_in.interactive_settings import InteractiveSettings

        settings = InteractiveSettings(None, timeout, True, True, None, None, None)
        interactive = InteractiveSignIn(state, wanted, settings)

        def work() -> CurrentToken:
            try:
                return interactive.run()
            except ConfigurationError as error:
                if error.parameter != "on_url":
                    raise
            raise ConfigurationError(
                "sign_in is 'browser', and no browser was opened",
                parameter="sign_in",
                remedy="pass a callable that shows the user request.url, and returns the callback URL",
            )

        return cls(question, work, interactive.stop_waiting)

    @classmethod
    def of_callable(
        cls,
        state: ClientState,
        ask: AskUser,
        request: AuthorizationRequest,
        question: Question,
        *,
        asked_for: object,
    ) -> Asking:
        """By a callable of the application. `asked_for`: what `is_asking` has while it runs."""

        def work() -> CurrentToken:
            token = is_asking.set(asked_for)
            try:
                callback_url = redacted(ask(request))
            finally:
                is_asking.reset(token)
            if callback_url is None:
                raise SignInRequired(
                    "the callable passed as sign_in has not signed the user in",
                    remedy="start it again",
                    reason="restart",
                )
            if not isinstance(callback_url, str):
                raise ConfigurationError(
                    f"the callable passed as sign_in must return the callback URL or None, not {kind_of(callback_url)}",
                    parameter="sign_in",
                    remedy="return the whole URL that the browser was redirected to",
                )
            return asyncio.run(finish_patiently(state, callback_url))

        return cls(question, work, request=request)

    def start(self) -> None:
        """Begin to ask, in the context of the caller."""
        run = copy_context().run
        threading.Thread(target=run, args=(self._run,), name="blnk-auth sign-in", daemon=True).start()

    def stop(self) -> None:
        """Called when nobody waits any more: a listener whose browser has not come back is closed.

        A callable is not interrupted.
        """
        if self._stop is not None:
            self.is_stopped = True
            self._stop()

    @property
    def has_signed_in(self) -> bool:
        """Whether it is done, and the user has signed in."""
        return self._signed_in is not None

    def result(self) -> CurrentToken:
        """The current token of the user's grant, when it is done. Raises what was raised."""
        error = self._error
        if error is not None:
            raise error.replace() if isinstance(error, BlnkAuthError) else error
        if self._signed_in is None:
            raise SignInRequired("the sign-in has not ended", reason="restart", remedy="start it again")
        return self._signed_in

    def _run(self) -> None:
        try:
            self._signed_in = self._work()
        except BaseException as error:  # noqa: BLE001 - it is raised in each waiter
            clear_locals(error)
            self._error = error
        finally:
            self.done.set()
