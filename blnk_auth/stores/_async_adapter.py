"""Stores whose methods are coroutines, used as if they were not.

Used wherever a store is accepted. A renewal is blocking code on a thread of its own (that is what makes it safe from
cancellation), so it can wait for a coroutine that runs elsewhere: on one private asyncio event loop, in a daemon thread
that starts with the first call and serves every asynchronous store of the process. It is never the caller's loop, which
may be blocked, closed or not asyncio's. So what the store opens belongs to that loop: let it connect when it is first
called, not when it is made, and share its connections with no other code.

Each call is bounded: one that takes longer than 30 seconds is cancelled and raises `StoreError`. Nothing that a store
raises ends the loop. After a fork the child gets a loop of its own; make the store again there if it keeps connections.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Generator, Iterator
from concurrent.futures import CancelledError, Future
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

from ..errors import ConfigurationError, StoreError
from ..errors._pickling import public
from ._forks import reset_in_child
from ._token_store import Record, TokenStore, Version

if TYPE_CHECKING:
    import asyncio

Result = TypeVar("Result")

CALL_SECONDS = 30.0
"""How long one call of an asynchronous store may take."""

_PAGE = 500
_AWAITED = ("load", "save", "delete")
_VERBS = (*_AWAITED, "lock", "keys")


@public
class AsyncTokenStore(Protocol):
    """`TokenStore` in `async def`. Each method promises what the one of the same name promises there.

    Every coroutine runs on one private event loop, never on that of the caller.
    """

    async def load(self, key: str) -> Record | None:
        """Read one record; see `TokenStore.load`."""
        ...

    async def save(self, key: str, data: dict[str, Any], *, expected: Version | None) -> Version:
        """Replace one version of a record by another; see `TokenStore.save`."""
        ...

    async def delete(self, key: str) -> None:
        """Remove a record; see `TokenStore.delete`."""
        ...

    def lock(self, key: str, *, timeout: float) -> AbstractAsyncContextManager[None]:
        """Exclude every other user of this store from `key`; see `TokenStore.lock`."""
        ...

    def keys(self, prefix: str = "") -> AsyncIterator[str]:
        """The stored keys that begin with `prefix`, in ascending order; see `TokenStore.keys`."""
        ...


def as_token_store(store: TokenStore | AsyncTokenStore, parameter: str = "store") -> TokenStore:
    """`store` itself if its methods block, an `AsyncStoreAdapter` if they are coroutines.

    Raises `ConfigurationError`, naming `parameter`, if it is not a store, or if only some of its methods are
    coroutines.
    """
    if isinstance(store, type):
        raise ConfigurationError(
            f"{parameter} is the class {store.__name__}", parameter=parameter, remedy=f"make one: {store.__name__}(...)"
        )
    missing = [verb for verb in _VERBS if not callable(getattr(store, verb, None))]
    if missing:
        raise ConfigurationError(
            f"{parameter} must have {', '.join(_VERBS[:-1])} and {_VERBS[-1]}: this {type(store).__name__} has no "
            f"{' and no '.join(missing)}",
            parameter=parameter,
            remedy="give a store, such as SQLiteStore(path)",
        )
    asynchronous = [verb for verb in _AWAITED if inspect.iscoroutinefunction(getattr(store, verb))]
    if len(asynchronous) not in (0, len(_AWAITED)):
        raise ConfigurationError(
            f"{parameter}: only {' and '.join(asynchronous)} of its methods is async",
            parameter=parameter,
            remedy=f"write {', '.join(_AWAITED)} all with async def, or all without",
        )
    return AsyncStoreAdapter(cast("AsyncTokenStore", store)) if asynchronous else cast("TokenStore", store)


class AsyncStoreAdapter:
    """A `TokenStore` in front of an `AsyncTokenStore`. Safe to use from many threads, but not by its own coroutines."""

    def __init__(self, store: AsyncTokenStore, *, call_seconds: float = CALL_SECONDS) -> None:
        self._store = store
        self._call_seconds = call_seconds

    def __repr__(self) -> str:
        return f"AsyncStoreAdapter({self._store!r})"

    def load(self, key: str) -> Record | None:
        """Read one record; see `TokenStore.load`."""
        return self._run(self._store.load(key))

    def save(self, key: str, data: dict[str, Any], *, expected: Version | None) -> Version:
        """Replace one version of a record by another; see `TokenStore.save`."""
        return self._run(self._store.save(key, data, expected=expected))

    def delete(self, key: str) -> None:
        """Remove a record; see `TokenStore.delete`."""
        self._run(self._store.delete(key))

    @contextmanager
    def lock(self, key: str, *, timeout: float) -> Generator[None]:
        """The store's own lock, entered and left by one task: a lock may belong to the task that took it."""
        lock = _TaskLock(self._store.lock(key, timeout=timeout), self._call_seconds)
        lock.enter(max(timeout, 0.0) + self._call_seconds)
        try:
            yield
        finally:
            lock.leave()

    def keys(self, prefix: str = "") -> Iterator[str]:
        """The stored keys that begin with `prefix`, in ascending order; see `TokenStore.keys`."""
        found = self._store.keys(prefix)
        try:
            while page := self._run(_next_page(found)):
                yield from page
        finally:
            closing = getattr(found, "aclose", None)
            if closing is not None:
                self._run(closing())

    def _run(self, coroutine: Coroutine[Any, Any, Result]) -> Result:
        return run(coroutine, self._call_seconds)


class _TaskLock:
    """A lock that a task of the private loop has on behalf of a thread."""

    def __init__(self, lock: AbstractAsyncContextManager[None], call_seconds: float) -> None:
        self._lock = lock
        self._call_seconds = call_seconds
        self._entered: Future[None] = Future()
        self._leave: Callable[[], object] = _do_nothing

    def enter(self, timeout: float) -> None:
        """Raises what the lock raises on entry, or `StoreError` if it does neither for `timeout` seconds."""
        self._done = submit(self._hold())
        # It fails before it is entered, or is entered.
        self._done.add_done_callback(self._pass_on)
        try:
            self._entered.result(timeout)
        except TimeoutError:
            self._done.cancel()
            raise _took_too_long(timeout) from None

    def leave(self) -> None:
        """Raises what the lock raises on leaving."""
        self._leave()
        _result(self._done, self._call_seconds)

    async def _hold(self) -> None:
        import asyncio

        over = asyncio.Event()
        loop = asyncio.get_running_loop()
        self._leave = lambda: loop.call_soon_threadsafe(over.set)
        async with self._lock:
            self._entered.set_result(None)
            await over.wait()

    def _pass_on(self, done: Future[None]) -> None:
        if not self._entered.done():
            self._entered.set_exception(_cancelled() if done.cancelled() else done.exception())


class _LoopThread:
    """The private event loop, made when first wanted."""

    def __init__(self) -> None:
        self.reset_after_fork()
        reset_in_child(self)

    def reset_after_fork(self) -> None:
        """Called in the child of a fork, which has the parent's loop but not the thread that runs it."""
        self._starting = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def loop(self) -> asyncio.AbstractEventLoop:
        """The running loop. Raises `StoreError` on its own thread, which would wait for itself for ever."""
        import asyncio

        with self._starting:
            if self._thread is threading.current_thread():
                raise StoreError(
                    "an asynchronous store was called, as if it were a blocking one, by its own coroutine",
                    remedy="call its own method there, and await it",
                )
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=self._loop.run_forever, name="blnk-auth stores", daemon=True)
                self._thread.start()
            return self._loop


_loop_thread = _LoopThread()


def submit(coroutine: Coroutine[Any, Any, Result]) -> Future[Result]:
    """Start a coroutine on the private loop."""
    import asyncio

    try:
        loop = _loop_thread.loop()
    except BaseException:
        coroutine.close()
        raise
    return asyncio.run_coroutine_threadsafe(_contained(coroutine), loop)


async def _contained(coroutine: Coroutine[Any, Any, Result]) -> Result:
    """The coroutine's result. `KeyboardInterrupt` and `SystemExit` become `StoreError`: asyncio lets them end the
    loop.
    """
    try:
        return await coroutine
    except (KeyboardInterrupt, SystemExit) as error:
        name = type(error).__name__
    raise StoreError(f"the asynchronous store raised {name}")


def run(coroutine: Coroutine[Any, Any, Result], seconds: float = CALL_SECONDS) -> Result:
    """The result of a coroutine that runs on the private loop. Raises `StoreError` after so long without one."""
    return _result(submit(coroutine), seconds)


def _result(future: Future[Result], seconds: float) -> Result:
    try:
        return future.result(seconds)
    except TimeoutError:
        if future.done():
            # The coroutine's own.
            raise
        future.cancel()
        raise _took_too_long(seconds) from None
    except CancelledError:
        raise _cancelled() from None


async def _next_page(found: AsyncIterator[str]) -> list[str]:
    page: list[str] = []
    async for key in found:
        page.append(key)
        if len(page) == _PAGE:
            break
    return page


def _took_too_long(seconds: float) -> StoreError:
    return StoreError(
        f"the asynchronous store has not answered within {seconds:g} s",
        remedy="see that what it talks to is reachable, and that it uses its connections on no other event loop",
    )


def _cancelled() -> StoreError:
    return StoreError("the asynchronous store's call was cancelled", remedy="try again")


def _do_nothing() -> None:
    """There is nothing to leave yet."""
