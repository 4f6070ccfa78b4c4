"""Signing in from a program that runs where the user is (RFC 8252): a browser, a loopback listener, a pasted URL.

Used by `OAuthClient.authorize_interactively`. It runs on a worker thread with its own event loop, so it works alike for
a blocking caller, asyncio and trio. It promises:

1. A request ends the sign-in only if it is a GET for the right path and a loopback host, with our `state` (compared in
   constant time), the right `iss`, and a code or an error. Only the first such request counts. Every other request is
   answered and has no effect, even a browser's prefetch.
2. The same checks apply to a pasted URL, but it may have any host and path.
3. The listener never uses an address other than loopback. It is closed when the sign-in ends, and also on Ctrl-C or
   cancellation at any moment.
4. If the provider requires pushed requests (RFC 9126), the address that is shown does not expire before the sign-in
   does: it is one of the listener, and the request is pushed when the browser opens it. A pasted URL may come from a
   browser on another machine, which cannot reach the listener; so with `pasted` the request is pushed immediately.
"""

from __future__ import annotations

import asyncio
import hmac
import os
import secrets
import socket
import sys
import threading
import webbrowser
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from .._protocol.origins import is_loopback
from .._renewal.client_state import ClientState
from .._renewal.current_token import CurrentToken
from .._renewal.single_flight import Flight
from ..errors import (
    BlnkAuthError,
    ConfigurationError,
    ProtocolError,
    SignInRequired,
    redacted,
)
from ..events import Event
from .callback_url import check_callback, no_state, parse_callback
from .finish_authorization import finish_patiently
from .interactive_settings import InteractiveSettings, is_loopback_uri
from .listener_address import Address, host_and_port, is_prefetch
from .loopback import Request, Response, listen, listen_on_first, serve
from .page import Page, Result, page, redirect, refusal
from .start_authorization import AuthorizationStart
from .wanted_grant import WantedGrant

_LINGER = 3.0
"""Seconds in which the browser is expected to ask for the page that ends the sign-in."""

_DONE = "/done/"
_BEGIN = "/begin/"

_MOST_BEGINNINGS = 10
"""How often the address that is shown may be opened. Each time a request is pushed."""


class InteractiveSignIn:
    """One interactive sign-in, to be run once.

    Args:
        state: The state of the client.
        wanted: The grant that the user is asked for.
        settings: The checked arguments of `OAuthClient.authorize_interactively`.

    Raises:
        ConfigurationError: The client's redirect_uri does not fit the settings.
    """

    def __init__(self, state: ClientState, wanted: WantedGrant, settings: InteractiveSettings) -> None:
        self._state = state
        self._wanted = wanted
        self._settings = settings
        self._redirect_uri = settings.checked_redirect_uri(state.redirect_uri)
        # Seconds in addition to the timeout: for the start, the code exchange, and the browser's request for its page.
        self._patience = settings.timeout + 2 * state.rules.wait_timeout + state.policy.request_deadline + 2 * _LINGER
        self._stopped = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._main: asyncio.Task[CurrentToken] | None = None
        self._address: Address | None = None
        self._expected_states: list[str] = []
        # Nobody can guess it, so no page of another site can make the client push requests.
        self._begin_path = _BEGIN + secrets.token_urlsafe(16)
        self._problem = ""
        self._awaited_pages = 0

    def run(self) -> CurrentToken:
        """Block until the user has signed in. Ctrl-C closes the listener; an exchange under way is still saved."""
        # The worker is started inside the `try`, so that Ctrl-C between its start and the wait also stops it.
        try:
            return self._launch().wait(self._patience)
        finally:
            self.stop()

    async def arun(self) -> CurrentToken:
        """The same for a task of asyncio or trio; cancelling it closes the listener."""
        try:
            return await self._launch().wait_async(self._patience)
        finally:
            self.stop()

    def _launch(self) -> Flight[CurrentToken]:
        return self._state.operations.begin(self._work)

    def stop(self) -> None:
        """End it, and close the listener. An exchange under way is still saved. May be called from any thread."""
        self._stopped = True
        if self._loop is not None and self._main is not None:
            # A RuntimeError means that the loop has ended already.
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._main.cancel)

    def stop_waiting(self) -> None:
        """End it if the browser has not come back. One that has still gets its page. May be called from any thread."""
        if self._loop is None:
            self.stop()
        else:
            self._in_loop(self._stop_unless_returned)

    def _stop_unless_returned(self) -> None:
        if not self._stopped and not self._callback.done():
            self.stop()

    def _work(self, _events: list[Event]) -> CurrentToken:
        listening = self._listen()
        try:
            return asyncio.run(self._attend(listening))
        except asyncio.CancelledError:
            raise _unfinished("the sign-in was stopped") from None
        finally:
            for each in listening:
                each.close()

    def _listen(self) -> list[socket.socket]:
        if self._stopped or not (self._settings.listen and is_loopback_uri(self._redirect_uri)):
            return []
        parts = urlsplit(self._redirect_uri)
        host = str(parts.hostname)
        port = parts.port if self._settings.port is None else self._settings.port
        usual = self._state.sign_ins.loopback_ports if port is None else ()
        listening = listen_on_first(host, usual) or listen(host, port or 0)
        self._address = Address(host, int(listening[0].getsockname()[1]), parts.path or "/", parts.query)
        return listening

    async def _attend(self, listening: list[socket.socket]) -> CurrentToken:
        self._loop, self._main = asyncio.get_running_loop(), asyncio.current_task()
        if self._stopped:
            raise asyncio.CancelledError
        self._callback: asyncio.Future[str] = self._loop.create_future()
        self._result: asyncio.Future[Result] = self._loop.create_future()
        self._shown = asyncio.Event()
        redirect_uri = self._redirect_uri if self._address is None else self._address.redirect_uri
        self._start = AuthorizationStart(self._state, self._wanted, redirect_uri)
        url = await (self._later(self._address) if self._address and self._pushes_later() else self._begin())
        server = asyncio.create_task(serve(listening, self._respond))
        server.add_done_callback(self._server_ended)
        try:
            self._on_a_thread(self._show_url, url)
            return await self._conclude(await self._first_callback())
        finally:
            server.cancel()
            await asyncio.wait({server})

    def _pushes_later(self) -> bool:
        return self._state.provider.requires_pushed_authorization_requests and self._settings.pasted is None

    async def _later(self, address: Address) -> str:
        """The address of the listener at which the sign-in begins. What cannot work is raised now."""
        await self._start.acheck()
        return address.url(self._begin_path)

    async def _begin(self) -> str:
        """Begin a sign-in, and return the URL at the server. Each opened tab has a `state` of its own."""
        request = await self._start.arun()
        self._expected_states.append(request.state)
        return request.url

    async def _first_callback(self) -> str:
        try:
            async with asyncio.timeout(self._settings.timeout):
                return await self._callback
        except TimeoutError:
            raise _unfinished(f"nobody has completed the sign-in within {self._settings.timeout:g} seconds") from None

    async def _conclude(self, callback_url: str) -> CurrentToken:
        try:
            current = await finish_patiently(self._state, callback_url)
            self._result.set_result("success")
        except BlnkAuthError as error:
            self._problem = str(error)
            denied = isinstance(error, SignInRequired) and error.reason == "denied"
            self._result.set_result("denied" if denied else "failed")
            raise
        finally:
            if not self._result.done():
                self._result.set_result("failed")
            await self._wait_for_the_browser()
        return current

    async def _wait_for_the_browser(self) -> None:
        """Wait until the browser has fetched its page, because the listener is closed afterwards."""
        if self._awaited_pages and not self._stopped:
            with suppress(TimeoutError):
                async with asyncio.timeout(_LINGER):
                    await self._shown.wait()

    # --- what may end it -----------------------------------------------------------------------------------------

    def _check(self, callback_url: str) -> None:
        """Raise a `BlnkAuthError` unless this is the authorization response to this sign-in."""
        callback = parse_callback(callback_url)
        if callback.state is None and callback.error is not None:
            check_callback(callback, self._state.provider)
            raise no_state(callback).replace(remedy="start the sign-in again")
        # The state is checked before anything else in the URL is used. As bytes, because compare_digest refuses strings
        # that are not ASCII.
        given = (callback.state or "").encode("utf-8", "surrogatepass")
        if not any(hmac.compare_digest(given, each.encode()) for each in self._expected_states):
            raise ProtocolError(
                "callback_url belongs to another sign-in (its state is not the one that was sent)",
                parameter="callback_url",
                remedy="finish the sign-in that was started last",
            )
        check_callback(callback, self._state.provider)

    def _accept(self, callback_url: str) -> None:
        """End the wait, if this is the first callback."""
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

    async def _respond(self, request: Request) -> Response:
        path, address = request.target.partition("?")[0], self._address
        host, port = host_and_port(request.host)
        if address is None or not is_loopback(host):
            # DNS rebinding: a page of another site, whose name was made to point here, would send that name as the
            # host.
            return refusal(421, "Nothing here for this host.")
        if port != address.port:
            return self._page("wrong_address", f"{port} instead of {address.port}")
        if request.method != "GET":
            return refusal(405, "Only GET.", allow="GET")
        if is_prefetch(request.headers):
            # A prefetch does not use up the last page: it is for the request that the user makes.
            return refusal(503, "Not before the user asks for it.")
        if path.startswith(_BEGIN) and hmac.compare_digest(path.encode(), self._begin_path.encode()):
            return await self._respond_with_the_server()
        if path != address.path:
            return self._last_page(path)
        callback_url = redacted(f"{address.redirect_uri.partition('?')[0]}?{request.target.partition('?')[2]}")
        return await self._respond_to_callback(callback_url)

    async def _respond_with_the_server(self) -> Response:
        """Push the request, now that the user is here, and send the browser to the server."""
        if self._callback.done() or not self._pushes_later() or len(self._expected_states) >= _MOST_BEGINNINGS:
            return self._page("invalid_link")
        try:
            return redirect(await self._begin())
        except BlnkAuthError as error:
            failure = error.replace()
        shown = self._page("not_begun", str(failure))
        if self._expected_states:
            # The user may be at the server in another tab.
            return shown
        # The browser gets its page first, unless it has left.
        asyncio.get_running_loop().call_later(_LINGER, self._give_up, failure)
        return Response(shown.status, shown.headers, shown.body, lambda: self._give_up(failure))

    async def _respond_to_callback(self, callback_url: str) -> Response:
        try:
            self._check(callback_url)
        except SignInRequired as error:
            return self._page("no_state", error.problem)
        except BlnkAuthError:
            return self._page("invalid_link")
        self._awaited_pages += 1
        # A second callback gets the same page as the first, and does nothing.
        self._accept(callback_url)
        return redirect(_DONE + await asyncio.shield(self._result))

    def _last_page(self, path: str) -> Response:
        if not self._result.done() or path != _DONE + self._result.result():
            return refusal(404, "Nothing here.")
        result = self._result.result()
        shown = self._page(result, self._problem if result == "failed" else "")
        return Response(shown.status, shown.headers, shown.body, self._count_shown)

    def _page(self, which: Page, problem: str = "") -> Response:
        return page(which, provider=self._state.provider.display_name, problem=problem)

    def _count_shown(self) -> None:
        self._awaited_pages -= 1
        if self._awaited_pages <= 0:
            self._shown.set()

    # --- the user ------------------------------------------------------------------------------------------------

    def _on_a_thread(self, work: Callable[..., None], *args: Any) -> None:
        """Run work that may block for ever, such as reading a terminal, on a daemon thread: it does not delay exit."""

        def report_failure() -> None:
            try:
                work(*args)
            except Exception as error:  # noqa: BLE001 - callables of the user's; raised where they wait
                self._in_loop(self._give_up, error)

        threading.Thread(target=report_failure, name="blnk-auth sign-in", daemon=True).start()

    def _in_loop(self, call: Callable[..., object], *args: Any) -> None:
        # A RuntimeError means that the sign-in has ended and its loop is closed.
        with suppress(RuntimeError):
            if self._loop is not None:
                self._loop.call_soon_threadsafe(call, *args)

    def _show_url(self, url: str) -> None:
        if self._settings.on_url is not None:
            self._settings.on_url(url)
        if self._settings.pasted is not None:
            self._on_a_thread(self._read_pasted)
        opened = self._settings.open_browser and _opened_in_browser(url)
        if not opened and self._settings.on_url is None:
            raise ConfigurationError(
                "on_url is missing, and no browser was opened",
                parameter="on_url",
                remedy="pass on_url=print (or another callable) to show the user the address to open",
            )

    def _read_pasted(self) -> None:
        with suppress(EOFError):
            for line in self._settings.pasted_lines():
                if line.strip() and self._try_pasted(redacted(line.strip())):
                    return
        if self._address is None:
            raise _unfinished("the input ended before a callback URL was pasted")

    def _try_pasted(self, line: str) -> bool:
        try:
            self._check(line)
        except BlnkAuthError as error:
            if self._settings.on_problem is not None:
                self._settings.on_problem(str(error))
            return False
        self._in_loop(self._accept, line)
        return True


def _opened_in_browser(url: str) -> bool:
    # Without a screen, only a text browser could open, in the terminal in which the user is asked to paste.
    has_screen = sys.platform in ("win32", "darwin") or any(map(os.environ.get, ("DISPLAY", "WAYLAND_DISPLAY")))
    return (has_screen or "BROWSER" in os.environ) and webbrowser.open(url)


def _unfinished(problem: str) -> SignInRequired:
    return SignInRequired(problem, remedy="start it again", reason="restart")
