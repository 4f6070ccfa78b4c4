"""The client of the server or cluster that a `RedisStore` uses, and the meaning of its errors.

Used by `RedisStore`, when a store is made: this module needs redis-py. It promises that every call ends within bounded
time. Its errors contain the server's error code and never the rest of a reply, because some replies quote the
arguments, and so the tokens.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, cast
from urllib.parse import urlsplit

import redis
from redis.backoff import ExponentialWithJitterBackoff
from redis.cluster import RedisCluster
from redis.exceptions import (
    AskError,
    AuthenticationError,
    ClusterCrossSlotError,
    ClusterDownError,
    MovedError,
    NoPermissionError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisClusterException,
    RedisError,
    ResponseError,
)
from redis.retry import Retry

from ..errors import ConfigurationError, StoreError
from ._forks import reset_in_child
from ._redis_scripts import VERSIONS, Script
from ._server_url import may_hold_password

Client = redis.Redis | RedisCluster

_CONNECT_SECONDS = 3.0
_READ_SECONDS = 3.0
_RETRIES = 2
"""How long a client made from a URL waits for a connection and for a reply, and how often it tries again: an
unreachable server is reported after ten seconds."""

_ERRORS = (RedisError, RedisClusterException, UnicodeDecodeError)
"""`UnicodeDecodeError` comes from a user's client that decodes replies; it quotes the reply."""

_SCAN_COUNT = 1000
_NO_EVICTION = "noeviction"

_inherited: list[object] = []
"""Clients of the parent process. They are kept, because collecting them would close the parent's connections."""

_SIGN_IN = "check the user and the password in the url"
_OTHER = "read the server's log for the cause"
_CONNECT = "check that the server runs and that the url leads to it"
_NOT_TEXT = "a record was changed by another program: restore it from a backup, or delete it and sign in again"
_WRONG_CLIENT = "the server is part of a cluster; give a redis.cluster.RedisCluster client"
_REMEDIES: dict[str | type[RedisError], str] = {
    # For some error codes redis-py has classes, and removes the code from the text. All other codes begin the text.
    MovedError: _WRONG_CLIENT,
    AskError: _WRONG_CLIENT,
    ClusterCrossSlotError: _WRONG_CLIENT,
    ClusterDownError: "the cluster has no master for this key; wait for its fail-over, or repair it",
    NoPermissionError: "allow the user EVAL, EVALSHA, SCAN and what the scripts call, on keys that begin with {",
    OutOfMemoryError: "the server's memory is full; raise maxmemory",
    ReadOnlyError: "the server is a replica; lead to the master, with Sentinel by master_for()",
    "MISCONF": "the server cannot write its snapshot; check its log and its disk",
    "NOREPLICAS": "too few replicas are up to date for min-replicas-to-write; check the replicas",
    "WRONGTYPE": "a key of another program has this name; choose another namespace",
}


class Server:
    """A server or cluster, as a runner of scripts. Safe to use from many threads.

    `name` identifies the store in messages. Raises `ConfigurationError`, naming the parameter `url_or_client`.
    """

    def __init__(self, url_or_client: str | Client, namespace: str) -> None:
        self.url: str | None = url_or_client if isinstance(url_or_client, str) else None
        self.client: Client = _client_of(url_or_client)
        self.is_cluster: bool = isinstance(self.client, RedisCluster)
        where = type(self.client).__name__ if self.url is None else _without_secrets(self.url)
        self.name: str = f"RedisStore({where!r}, namespace={namespace!r})"
        reset_in_child(self)

    def close(self) -> None:
        """Close idle connections, unless the client is the user's."""
        if self.url is not None:
            self.client.close()

    def run(
        self, done: str, script: Script, keys: list[bytes], *args: str | int | bytes, index: bytes | None = None
    ) -> Any:
        """Run a script and return its result. Raises `StoreError`; `done` completes "cannot be ..." in its message.

        `index`: one more key, which is left out in a cluster, where it is in another slot.
        """
        try:
            try:
                if index is not None and not self.is_cluster:
                    try:
                        return self._evaluate(script, [*keys, index], args)
                    except ClusterCrossSlotError:
                        # A plain client, at a server that has all slots of a cluster.
                        self.is_cluster = True
                return self._evaluate(script, keys, args)
            except ReadOnlyError:
                if isinstance(self.client, RedisCluster):
                    raise
                # A master that was demoted keeps its connections: a new connection may lead to the current master.
                self.client.connection_pool.disconnect(inuse_connections=False)
                return self._evaluate(script, keys, args)
        except _ERRORS as error:
            problem, remedy = _judge(error)
        # Raised outside of the except clause, so that it is not chained to an error whose frames have the arguments.
        raise StoreError(f"{self.name} cannot be {done}: {problem}", remedy=remedy)

    def scan(self, pattern: bytes) -> set[bytes | str]:
        """The names of the keys that match a glob pattern, in a cluster from every master. Raises `StoreError`."""
        try:
            # A set, because SCAN may give a key twice.
            return set(cast("Any", self.client).scan_iter(match=pattern, count=_SCAN_COUNT))
        except _ERRORS as error:
            problem, remedy = _judge(error)
        raise StoreError(f"{self.name} cannot be read: {problem}", remedy=remedy)

    def scan_pages(self, pattern: bytes, count: int = _SCAN_COUNT) -> Iterator[list[bytes | str]]:
        """The same names, for each reply of the server. A name may come twice. Raises `StoreError`."""
        cursor = 0
        names: Iterator[bytes | str] = iter(())
        try:
            if isinstance(self.client, RedisCluster):
                names = cast("Any", self.client).scan_iter(match=pattern, count=count)
                while page := list(itertools.islice(names, count)):
                    yield page
                return
            while True:
                cursor, found = cast("Any", self.client).scan(cursor, match=pattern, count=count)
                yield found
                if not cursor:
                    return
        except _ERRORS as error:
            problem, remedy = _judge(error)
        raise StoreError(f"{self.name} cannot be read: {problem}", remedy=remedy)

    def versions(self, records: list[bytes]) -> list[str | None]:
        """The versions of these records, in one round trip to each server; None for one that is missing."""
        try:
            replies = self._versions(records)
        except _ERRORS as error:
            problem, remedy = _judge(error)
        else:
            # What another program has stored under such a name is not a record.
            return [_version(reply) for reply in replies]
        raise StoreError(f"{self.name} cannot be read: {problem}", remedy=remedy)

    def _versions(self, records: list[bytes]) -> list[Any]:
        if not records:
            return []
        if not self.is_cluster:
            try:
                return cast("list[Any]", self._evaluate(VERSIONS, records, ()))
            except ClusterCrossSlotError:
                self.is_cluster = True
        pipeline: Any = cast("Any", self.client).pipeline(transaction=False)
        for record in records:
            pipeline.hget(record, "version")
        return cast("list[Any]", pipeline.execute(raise_on_error=False))

    def eviction_policy(self) -> str | None:
        """What the server does when its memory is full; None if it does not allow the question."""
        try:
            memory: Any = cast("Any", self.client).info("memory")
        except _ERRORS:
            return None
        # A cluster returns one reply for each node.
        nodes: list[Any] = [each for each in memory.values() if isinstance(each, dict)] or [memory]
        evicting = [str(node.get("maxmemory_policy")) for node in nodes if node.get("maxmemory")]
        return next((policy for policy in evicting if policy != _NO_EVICTION), _NO_EVICTION)

    def _evaluate(self, script: Script, keys: list[bytes], args: tuple[str | int | bytes, ...]) -> Any:
        try:
            return self.client.evalsha(script.sha, len(keys), *keys, *args)
        except NoScriptError:
            # A server that restarted or took over does not have the script in its cache; EVAL sends it.
            return self.client.eval(script.text, len(keys), *keys, *args)

    def reset_after_fork(self) -> None:
        """Called in a forked child, which must neither use nor close its parent's connections.

        redis-py has code for this too, but waits for ever if another thread was using the pool during the fork.
        """
        if self.url is not None:
            _inherited.append(self.client)
            self.client = _client_of(self.url)


def _version(reply: Any) -> str | None:
    if isinstance(reply, Exception) and not isinstance(reply, ResponseError):
        raise reply
    if isinstance(reply, bytes):
        return reply.decode("utf-8", "replace")
    return reply if isinstance(reply, str) else None


def _client_of(url_or_client: str | Client) -> Client:
    if isinstance(url_or_client, redis.Redis | RedisCluster):
        return url_or_client
    if not isinstance(url_or_client, str):
        raise ConfigurationError(
            "url_or_client must be a URL, a redis.Redis or a redis.cluster.RedisCluster, not "
            f"{type(url_or_client).__module__}.{type(url_or_client).__name__}",
            parameter="url_or_client",
            remedy="an asynchronous client is not needed: stores are called on a worker thread",
        )
    retry = Retry(ExponentialWithJitterBackoff(base=0.05, cap=0.5), _RETRIES)
    limits = {"socket_connect_timeout": _CONNECT_SECONDS, "socket_timeout": _READ_SECONDS, "retry": retry}
    with suppress(ValueError, TypeError):
        # Limits in the URL have precedence.
        return cast("Client", cast("Any", redis.Redis).from_url(url_or_client, **limits))
    # Raised outside of the except clause, because that error may quote a part of the password.
    raise ConfigurationError(
        "url_or_client must be a Redis URL, or a client",
        parameter="url_or_client",
        remedy=(
            "write it as 'redis://user:password@host:6379/0'; characters of the password that mean something in a URL "
            "must be percent-encoded"
        ),
    )


def _without_secrets(url: str) -> str:
    parts = urlsplit(url)
    # Without the query, which may contain a password too. So may the path, if one URL was pasted into another.
    path = "" if may_hold_password(parts.path) else parts.path
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{path}"


def _judge(error: RedisError | RedisClusterException | UnicodeDecodeError) -> tuple[str, str]:
    """What is wrong and what to do, without a secret."""
    if isinstance(error, UnicodeDecodeError):
        return "the server's reply is not UTF-8", _NOT_TEXT
    text = str(error)
    if isinstance(error, AuthenticationError):
        return text, _SIGN_IN
    if isinstance(error, ResponseError):
        code = text.partition(" ")[0]
        remedy = _REMEDIES.get(type(error)) or _REMEDIES.get(code, _OTHER)
        # A first word in capitals is the server's error code; any other first word is part of a sentence.
        return f"{type(error).__name__}{f' {code}' if code.isupper() else ''}", remedy
    return text or type(error).__name__, _CONNECT
