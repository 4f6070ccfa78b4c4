"""Makes stores whose methods are coroutines usable by blocking code.

Used wherever a store is accepted. A renewal is blocking code on its own thread, so that no caller can cancel it. That
thread waits for the store's coroutines, which run on one private asyncio event loop, in a daemon thread. The first call
starts the daemon thread, whose loop serves every asynchronous store of the process. The caller's loop is never used: it
may be blocked, closed or not asyncio's. Connections that the store opens belong to the private loop. So a store must
connect when it is first called, not when it is made, and must not share its connections with other code.

It promises that a call that takes longer than 30 seconds is cancelled and raises `StoreError`. An error that a store
raises never stops the loop. After a fork the child gets a new loop; if the store keeps connections, make a new store
there.
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
_METHODS = (*_AWAITED, "lock", "keys")


@public
class AsyncTokenStore(Protocol):
    """`TokenStore` in `async def`, accepted wherever a store is.

    Every coroutine runs on one private asyncio event loop, never on the caller's loop. Several coroutines may run at
    the same time. A coroutine that takes longer than 30 seconds is cancelled, and the caller gets a `StoreError`. Open
    connections in the first call, not when the store is made, and do not use them on another loop.
    """

    async def load(self, key: str) -> Record | None:
        """Read one record.

        Args:
            key: Whose record it is.

        Returns:
            The record under `key`, or None if there is none.

        Raises:
            StoreError: The record cannot be read, or is damaged. A damaged record must not be reported as missing.
        """
        ...

    async def save(self, key: str, data: dict[str, Any], *, expected: Version | None) -> Version:
        """Replace one version of a record by another. When it returns, the record is as durable as the store is.

        Args:
            key: Whose record it is.
            data: A JSON object. It must not be changed.
            expected: The version to replace. None: the key must not exist yet.

        Returns:
            The version of what was written.

        Raises:
            Conflict: The stored version is another one. Nothing was written.
            StoreError: The record cannot be written, or it is unknown whether it was written.
        """
        ...

    async def delete(self, key: str) -> None:
        """Remove a record, damaged or not. If there is none, nothing happens.

        Args:
            key: Whose record it is.

        Raises:
            StoreError: The record cannot be removed.
        """
        ...

    def lock(self, key: str, *, timeout: float) -> AbstractAsyncContextManager[None]:
        """Exclude every other user of this store from `key` while the context is open. Not re-entrant.

        Args:
            key: Whose lock it is. It needs no record.
            timeout: Seconds to wait for the lock at most, counted from entering the context. 0 or less: do not wait.

        Returns:
            An asynchronous context manager. One task enters and leaves it.

        Raises:
            StoreError: On entering, if the lock is not free in time; on leaving, if it was lost meanwhile.
        """
        ...

    def keys(self, prefix: str = "") -> AsyncIterator[str]:
        """List keys.

        Args:
            prefix: What the keys begin with. The default, an empty text, lists all.

        Returns:
            The stored keys that begin with `prefix`, in ascending order of their code points.

        Raises:
            StoreError: The keys cannot be listed. It may be raised during the iteration.
        """
        ...


def as_token_store(store: TokenStore | AsyncTokenStore, parameter: str = "store") -> TokenStore:
    """`store` itself if its methods block, an `AsyncStoreAdapter` if they are coroutines.

    Raises `ConfigurationError`, naming `parameter`, if it is not a store, or if only some of its methods are
    coroutines.
    """
    if isinstance(store, type):
        raise ConfigurationError(
            f"{parameter} must be a store, not the class {store.__name__}",
            parameter=parameter,
            remedy=f"make an instance: {store.__name__}(...)",
        )
    missing = [method for method in _METHODS if not callable(getattr(store, method, None))]
    if missing:
        raise ConfigurationError(
            f"{parameter} must have {', '.join(_METHODS[:-1])} and {_METHODS[-1]}: this {type(store).__name__} has no "
            f"{' and no '.join(missing)}",
            parameter=parameter,
            remedy="pass a store, such as SQLiteStore(path)",
        )
    asynchronous = [method for method in _AWAITED if inspect.iscoroutinefunction(getattr(store, method))]
    if len(asynchronous) not in (0, len(_AWAITED)):
        raise ConfigurationError(
            f"{parameter}: some methods are async ({', '.join(asynchronous)}) and others are not",
            parameter=parameter,
            remedy=f"write {', '.join(_AWAITED)} all with async def, or all without",
        )
    return AsyncStoreAdapter(cast("AsyncTokenStore", store)) if asynchronous else cast("TokenStore", store)


class AsyncStoreAdapter(TokenStore):
    """A `TokenStore` in front of an `AsyncTokenStore`.

    Safe to use from many threads, but not from the store's own coroutines.
    """

    def __init__(self, store: AsyncTokenStore, *, call_seconds: float = CALL_SECONDS) -> None:
        self._store = store
        self._call_seconds = call_seconds

    def __repr__(self) -> str:
        return f"AsyncStoreAdapter({self._store!r})"

    def load(self, key: str) -> Record | None:
        return self._run(self._store.load(key))

    def save(self, key: str, data: dict[str, Any], *, expected: Version | None) -> Version:
        return self._run(self._store.save(key, data, expected=expected))

    def delete(self, key: str) -> None:
        self._run(self._store.delete(key))

    @contextmanager
    def lock(self, key: str, *, timeout: float) -> Generator[None]:
        # One task enters and leaves the lock, because a lock may belong to the task that took it.
        lock = _TaskLock(self._store.lock(key, timeout=timeout), self._call_seconds)
        lock.enter(max(timeout, 0.0) + self._call_seconds)
        try:
            yield
        finally:
            lock.leave()

    def keys(self, prefix: str = "") -> Iterator[str]:
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
        """Take the lock. Raises the lock's own error, or `StoreError` after `timeout` seconds."""
        self._done = submit(self._hold())
        # If the lock fails before it is taken, `_entered` gets its error, and the wait below ends.
        self._done.add_done_callback(self._pass_on)
        try:
            self._entered.result(timeout)
        except TimeoutError:
            self._done.cancel()
            raise _took_too_long(timeout) from None

    def leave(self) -> None:
        """Release the lock. Raises the lock's own error."""
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
    """The private event loop, made by the first call."""

    def __init__(self) -> None:
        self.reset_after_fork()
        reset_in_child(self)

    def reset_after_fork(self) -> None:
        """Called in the child of a fork. The child has the parent's loop, but not the thread that runs it."""
        self._starting = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def loop(self) -> asyncio.AbstractEventLoop:
        """The running loop. Raises `StoreError` on the loop's own thread, which would wait for itself for ever."""
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


_made: dict[str, _LoopThread] = {}


def shared_loop_thread() -> _LoopThread:
    """The private loop of this process. It is made at first use: a program may patch `threading` after its imports."""
    # In one step, so that two threads get the same.
    return _made.get("one") or _made.setdefault("one", _LoopThread())


def submit(coroutine: Coroutine[Any, Any, Result]) -> Future[Result]:
    """Start a coroutine on the private loop."""
    import asyncio

    try:
        loop = shared_loop_thread().loop()
    except BaseException:
        coroutine.close()
        raise
    return asyncio.run_coroutine_threadsafe(_contained(coroutine), loop)


async def _contained(coroutine: Coroutine[Any, Any, Result]) -> Result:
    """The coroutine's result. `KeyboardInterrupt` and `SystemExit`, which would end the loop, become `StoreError`."""
    try:
        return await coroutine
    except (KeyboardInterrupt, SystemExit) as error:
        name = type(error).__name__
    raise StoreError(
        f"the asynchronous store raised {name}", remedy="correct the store: it must raise StoreError instead"
    )


def run(coroutine: Coroutine[Any, Any, Result], seconds: float = CALL_SECONDS) -> Result:
    """The result of a coroutine that runs on the private loop. Raises `StoreError` after `seconds` without a result."""
    return _result(submit(coroutine), seconds)


def _result(future: Future[Result], seconds: float) -> Result:
    try:
        return future.result(seconds)
    except TimeoutError:
        if future.done():
            # The coroutine itself raised this TimeoutError.
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
        remedy="check that its server can be reached, and that it uses its connections on no other event loop",
    )


def _cancelled() -> StoreError:
    return StoreError("the asynchronous store's call was cancelled", remedy="try again")


def _do_nothing() -> None:
    """Does nothing: the lock has not been entered yet."""
