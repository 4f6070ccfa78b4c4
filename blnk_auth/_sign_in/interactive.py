"""Signing in from a program that runs where the person is (RFC 8252): a browser, a loopback listener, a pasted URL.

Whoever first brings the answer to the very sign-in that is under way ends it; everything else is answered and ignored:

1. A hit counts if it is a GET for the right path and host, with our `state` (compared in constant time), the right
   `iss`, and a code or an error; and only the first one. Nothing else can end or disturb the sign-in.
2. The same holds for a pasted URL, whatever its host and path.
3. The listener lives no longer than the sign-in, on a loopback address only.

All of it runs on a worker thread with an event loop of its own, so it is the same for a blocking caller, asyncio and
trio, and no matter what those are doing.
"""

from __future__ import annotations

import asyncio
import hmac
import os
import socket
import sys
import threading
import webbrowser
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from .._protocol.origins import is_loopback
from .._renewal.single_flight import run_on_worker
from ..errors import BlnkAuthError, ConfigurationError, ProtocolError, SignInRequired, redacted
from ..provider import Provider
from ..source import TokenSource
from .authorization_code import PENDING_LIFETIME, AuthorizationRequest, Pasted, check, parse_callback
from .loopback import Answer, Request, listen, serve
from .page import Outcome, page, redirect, refusal

_LINGER = 3.0
"""Seconds in which the browser is expected to ask for the page that ends the sign-in."""

_DONE = "/done/"


@dataclass(frozen=True, slots=True)
class Address:
    """Where the browser is sent back to: a loopback redirect URI with the port of this sign-in."""

    host: str
    port: int
    path: str
    query: str

    @property
    def netloc(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def redirect_uri(self) -> str:
        return urlunsplit(("http", self.netloc, self.path, self.query, ""))


class InteractiveSignIn:
    """One sign-in, to be run once. Made by `OAuthClient.authorize_interactively`, which documents the parameters."""

    def __init__(
        self,
        *,
        provider: Provider,
        redirect_uri: str | None,
        port: int | None,
        timeout: float,
        open_browser: bool,
        listen: bool,
        pasted: Pasted | None,
        on_url: Callable[[str], object] | None,
        on_problem: Callable[[str], object] | None,
        start: Callable[[str], Awaitable[AuthorizationRequest]],
        finish: Callable[[str], Awaitable[TokenSource]],
        patience: float,
    ) -> None:
        _check_callables(pasted, on_url=on_url, on_problem=on_problem)
        _check_numbers(port, timeout)
        self._provider = provider
        if not listen and pasted is None:
            raise ConfigurationError("listen=False needs pasted=: how else could the person come back?")
        self._redirect_uri = _checked_redirect_uri(redirect_uri, pasted)
        self._listens = listen and _is_loopback_uri(self._redirect_uri)
        self._port = port
        self._timeout = timeout
        self._open_browser = open_browser
        self._pasted = pasted
        self._on_url = on_url
        self._on_problem = on_problem
        self._start = start
        self._finish = finish
        # Seconds beyond the time-out: for the exchange, and for the browser to get its page.
        self._patience = timeout + patience + 2 * _LINGER
        self._stopped = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._main: asyncio.Task[TokenSource] | None = None
        self._address: Address | None = None
        self._expected_state = ""
        self._problem = ""
        self._awaited = 0

    def run(self) -> TokenSource:
        """Block until the person has signed in. Ctrl-C closes the listener; an exchange under way is still saved."""
        flight = run_on_worker(self._work, _nothing)
        try:
            return flight.wait(self._patience)
        finally:
            self._stop()

    async def arun(self) -> TokenSource:
        """The same for a task of asyncio or trio; cancelling it closes the listener."""
        flight = run_on_worker(self._work, _nothing)
        try:
            return await flight.wait_async(self._patience)
        finally:
            self._stop()

    def _stop(self) -> None:
        self._stopped = True
        if self._loop is not None and self._main is not None:
            # A RuntimeError means that the loop has ended already.
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._main.cancel)

    def _work(self) -> TokenSource:
        listening = self._listen()
        try:
            return asyncio.run(self._attend(listening))
        except asyncio.CancelledError:
            raise _unfinished("the sign-in was stopped") from None
        finally:
            for each in listening:
                each.close()

    def _listen(self) -> list[socket.socket]:
        if not self._listens:
            return []
        parts = urlsplit(self._redirect_uri)
        host = str(parts.hostname)
        listening = listen(host, (parts.port or 0) if self._port is None else self._port)
        self._address = Address(host, int(listening[0].getsockname()[1]), parts.path or "/", parts.query)
        return listening

    async def _attend(self, listening: list[socket.socket]) -> TokenSource:
        self._loop, self._main = asyncio.get_running_loop(), asyncio.current_task()
        if self._stopped:
            raise asyncio.CancelledError
        self._callback: asyncio.Future[str] = self._loop.create_future()
        self._outcome: asyncio.Future[Outcome] = self._loop.create_future()
        self._shown = asyncio.Event()
        request = await self._start(self._redirect_uri if self._address is None else self._address.redirect_uri)
        self._expected_state = request.state
        server = asyncio.create_task(serve(listening, self._answer))
        server.add_done_callback(self._server_ended)
        try:
            self._on_a_thread(self._reach, request.url)
            return await self._conclude(await self._first_answer())
        finally:
            server.cancel()
            await asyncio.wait({server})

    async def _first_answer(self) -> str:
        try:
            async with asyncio.timeout(self._timeout):
                return await self._callback
        except TimeoutError:
            raise _unfinished(f"nobody has completed the sign-in within {self._timeout:g} seconds") from None

    async def _conclude(self, callback_url: str) -> TokenSource:
        try:
            source = await self._finish(callback_url)
            self._outcome.set_result("success")
        except BlnkAuthError as error:
            self._problem = str(error)
            denied = isinstance(error, SignInRequired) and error.reason == "denied"
            self._outcome.set_result("denied" if denied else "failed")
            raise
        finally:
            if not self._outcome.done():
                self._outcome.set_result("failed")
            await self._see_the_browser_off()
        return source

    async def _see_the_browser_off(self) -> None:
        """Give the browser the time to fetch its page: when we return, nothing listens any more."""
        if self._awaited and not self._stopped:
            with suppress(TimeoutError):
                async with asyncio.timeout(_LINGER):
                    await self._shown.wait()

    # --- what may end it -----------------------------------------------------------------------------------------

    def _judge(self, callback_url: str) -> None:
        """Raise `BlnkAuthError` unless this is the answer to this sign-in."""
        callback = parse_callback(callback_url)
        given = "" if callback.state is None else callback.state
        # Before anything else that it says is believed. As bytes: compare_digest refuses text that is not ASCII.
        if not hmac.compare_digest(given.encode("utf-8", "surrogatepass"), self._expected_state.encode()):
            raise ProtocolError("the address belongs to another sign-in (its state is not the one that was sent)")
        check(callback, self._provider)

    def _take(self, callback_url: str) -> None:
        """End the wait, if this is the first answer."""
        if not self._callback.done():
            self._callback.set_result(callback_url)

    def _give_up(self, error: BaseException) -> None:
        if not self._callback.done():
            self._callback.set_exception(error)

    def _server_ended(self, server: asyncio.Task[None]) -> None:
        error = None if server.cancelled() else server.exception()
        if error is not None:
            self._give_up(error)

    # --- the browser ---------------------------------------------------------------------------------------------

    async def _answer(self, request: Request) -> Answer:
        path, address = request.target.partition("?")[0], self._address
        if address is None or request.host.lower() != address.netloc:
            # A page of another site whose name was made to point here (DNS rebinding) would bring its own host.
            return refusal(421, "Nothing here for this host.")
        if request.method != "GET":
            return refusal(405, "Only GET.", allow="GET")
        if path != address.path:
            return self._last_page(path)
        return await self._answer_callback(
            redacted(f"{address.redirect_uri.partition('?')[0]}?{_query(request.target)}")
        )

    async def _answer_callback(self, callback_url: str) -> Answer:
        try:
            self._judge(callback_url)
        except BlnkAuthError:
            return page("stray", provider=self._provider.display_name)
        self._awaited += 1
        # A second hit is shown what came of the first, and does nothing.
        self._take(callback_url)
        return redirect(_DONE + await asyncio.shield(self._outcome))

    def _last_page(self, path: str) -> Answer:
        if not self._outcome.done() or path != _DONE + self._outcome.result():
            return refusal(404, "Nothing here.")
        outcome = self._outcome.result()
        problem = self._problem if outcome == "failed" else ""
        shown = page(outcome, provider=self._provider.display_name, problem=problem)
        return Answer(shown.status, shown.headers, shown.body, self._count_shown)

    def _count_shown(self) -> None:
        self._awaited -= 1
        if self._awaited <= 0:
            self._shown.set()

    # --- the person ----------------------------------------------------------------------------------------------

    def _on_a_thread(self, work: Callable[..., None], *args: Any) -> None:
        """Run what may block for ever, such as reading a terminal, where it can hold nobody up, not even exit."""

        def report_failure() -> None:
            try:
                work(*args)
            except Exception as error:  # noqa: BLE001 - callables of the user's; raised where they wait
                self._in_loop(self._give_up, error)

        threading.Thread(target=report_failure, name="blnk-auth sign-in", daemon=True).start()

    def _in_loop(self, call: Callable[..., object], *args: Any) -> None:
        # A RuntimeError means that the sign-in is over and its loop closed.
        with suppress(RuntimeError):
            if self._loop is not None:
                self._loop.call_soon_threadsafe(call, *args)

    def _reach(self, url: str) -> None:
        if self._on_url is not None:
            self._on_url(url)
        if self._pasted is not None:
            self._on_a_thread(self._read_pasted)
        opened = self._open_browser and _opened_in_browser(url)
        if not opened and self._on_url is None:
            raise ConfigurationError(
                "on_url is missing, and no browser was opened",
                parameter="on_url",
                remedy="pass on_url=print (or another callable) to show the person the address to open",
            )

    def _read_pasted(self) -> None:
        with suppress(EOFError):
            for line in _texts(self._pasted):
                if line.strip() and self._try_pasted(redacted(line.strip())):
                    return
        if self._address is None:
            raise _unfinished("nothing more can be pasted")

    def _try_pasted(self, text: str) -> bool:
        try:
            self._judge(text)
        except BlnkAuthError as error:
            if self._on_problem is not None:
                self._on_problem(str(error))
            return False
        self._in_loop(self._take, text)
        return True


def _query(target: str) -> str:
    return target.partition("?")[2]


def _texts(pasted: Pasted | None) -> Iterable[str]:
    return iter(pasted, None) if callable(pasted) else pasted or ()


def _check_callables(pasted: Pasted | None, **callables: Callable[[str], object] | None) -> None:
    for parameter, value in callables.items():
        if value is not None and not callable(value):
            raise ConfigurationError(f"{parameter} must be callable", parameter=parameter)
    if pasted is not None and not callable(pasted) and not isinstance(pasted, Iterable):
        raise ConfigurationError(
            "pasted must yield texts, or be a callable that returns the next text, or None", parameter="pasted"
        )


def _check_numbers(port: int | None, timeout: float) -> None:
    if port is not None and (isinstance(port, bool) or not isinstance(port, int) or not 0 <= port <= 65535):
        raise ConfigurationError(
            f"port must be a number from 0 (any free one) to 65535, not {port!r}", parameter="port"
        )
    if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not 0 <= timeout <= PENDING_LIFETIME:
        raise ConfigurationError(
            f"timeout must be from 0 to {PENDING_LIFETIME:g} seconds, since no answer is accepted after that, "
            f"not {timeout!r}",
            parameter="timeout",
        )


def _checked_redirect_uri(redirect_uri: str | None, pasted: Pasted | None) -> str:
    if redirect_uri is None:
        raise ConfigurationError(
            "redirect_uri is missing",
            parameter="redirect_uri",
            remedy=("register one such as http://127.0.0.1/callback at the provider, and give it to OAuthClient"),
        )
    if not _is_loopback_uri(redirect_uri) and pasted is None:
        raise ConfigurationError(
            "redirect_uri is not an http address of this machine, so the browser cannot come back here",
            parameter="redirect_uri",
            remedy=(
                "register one such as http://127.0.0.1/callback, or pass pasted= to let the "
                "person paste the address they are sent to"
            ),
        )
    return redirect_uri


def _is_loopback_uri(redirect_uri: str) -> bool:
    parts = urlsplit(redirect_uri)
    return parts.scheme.lower() == "http" and is_loopback(parts.hostname or "")


def _opened_in_browser(url: str) -> bool:
    # Without a screen only a text browser could open: in the terminal where the person is asked to paste.
    has_screen = sys.platform in ("win32", "darwin") or any(map(os.environ.get, ("DISPLAY", "WAYLAND_DISPLAY")))
    return (has_screen or "BROWSER" in os.environ) and webbrowser.open(url)


def _unfinished(why: str) -> SignInRequired:
    return SignInRequired(why, remedy="start it again", reason="restart")


def _nothing() -> None:
    """Nothing to tell afterwards: finishing tells its own events."""
