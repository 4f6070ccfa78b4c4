"""A store in Redis or Valkey: shared by every host that reaches the server.

What it promises beyond `base`:

* Every verb is one Lua script and so one round trip; the server compares and sets. Lock and unlock are one each.
* The lock is a key with an owner that runs out by itself, renewed while the holder works, see `lease`.
* What belongs to one key of the store lies in one hash slot, so a cluster is as good as a single server.
* A server that cannot be reached is a `StoreError` within bounded time; nobody goes on without the lock.

What it cannot promise, because Redis does not: a fail-over, or a restart without `appendfsync always`, may bring back
the record before the last one, and forget a lock. Compare-and-set still keeps the records whole, but a refresh token
may then be spent twice. `docs/how-to/use-postgresql-or-redis.md` says which settings make that unlikely.

Keys in the server, for the key `alice` in the namespace `blnk_auth`: the hash `{blnk_auth/alice}` with the fields
`version` and `data`, and while it is locked the string `{blnk_auth/alice}:lock` with the owner's name.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, suppress
from typing import Any, Self, cast
from urllib.parse import urlsplit

from ..errors import ConfigurationError, Conflict, StoreError
from ..errors._extras import import_failure
from ._forks import reset_in_child
from ._lease import LEASE_SECONDS, LeaseLocks, checked_lease, lease_lost
from ._token_store import Record, Version, from_json, to_json

try:
    import redis
    from redis.backoff import ExponentialWithJitterBackoff
    from redis.cluster import RedisCluster
    from redis.retry import Retry

    from ._redis_scripts import DELETE, GIVE_BACK, LOAD, RENEW, SAVE, TAKE, Client, Script, Server
except ImportError as error:
    raise import_failure("RedisStore", "redis", "redis", error) from error

__all__ = ["RedisStore"]

_CONNECT_SECONDS = 3.0
_READ_SECONDS = 3.0
_RETRIES = 2
"""What a client made from a URL waits for a connection and for an answer, and how often it tries again: a dead server
is told after ten seconds."""

_inherited: list[object] = []
"""Clients of our parent process: kept, because collecting them would close what is not ours."""

_NAMESPACE = re.compile(r"[A-Za-z0-9_.:-]{1,100}")
_GLOB_CHARACTERS = re.compile(r"([*?\[\]\\^-])")
_YEAR_10000 = 253_402_300_800


class _Names:
    """What the server calls what belongs to a key of the store. The braces keep it together in one hash slot."""

    def __init__(self, namespace: str) -> None:
        self._start = f"{{{namespace}/"

    def record(self, key: str) -> bytes:
        return _encoded(f"{self._start}{key}}}")

    def lock(self, key: str) -> bytes:
        return _encoded(f"{self._start}{key}}}:lock")

    def pattern(self, prefix: str) -> bytes:
        """Matches the records whose keys begin with `prefix`, and no locks."""
        literally = _GLOB_CHARACTERS.sub(r"\\\1", prefix)
        return _encoded(f"{self._start}{literally}*}}")

    def key(self, record: bytes | str) -> str:
        return _text(record)[len(self._start) : -1]


class RedisStore:
    """Keeps tokens in the Redis or Valkey server at `url_or_client`. Safe to use from many threads, processes, hosts.

    `url_or_client`: `"redis://user:password@host:6379/0"`, `"rediss://..."` or `"unix://..."`, with time limits of a
    few seconds, or a synchronous client of redis-py of yours: `redis.Redis`, a Sentinel's `master_for(...)`, or
    `redis.cluster.RedisCluster`, which brings its own. A client that is in use during a fork may hang in the child.
    `namespace`: what all keys in the server begin with, so that several stores can share it.
    `lease`: seconds after which the lock of a crashed holder is free.
    `expire_with_refresh_token`: True lets the server remove a record once neither its refresh token nor its access
    token is valid any more. It applies to records whose refresh token has a known end and that are not encrypted.
    Connects when first used. Raises `ConfigurationError` for anything that cannot work. A pickle carries the URL,
    password included, and no records; a copy is the same store.

        client = OAuthClient(BlnkCloud(), client_id="id", store=RedisStore("redis://cache.internal:6379/0"))
    """

    def __init__(
        self,
        url_or_client: str | Client,
        *,
        namespace: str = "blnk_auth",
        lease: float = LEASE_SECONDS,
        expire_with_refresh_token: bool = False,
    ) -> None:
        if not isinstance(namespace, str) or not _NAMESPACE.fullmatch(namespace):
            raise ConfigurationError(
                f"namespace must be 1 to 100 letters, digits and characters of '_.:-', not {namespace!r}",
                parameter="namespace",
            )
        self._options = (namespace, checked_lease(lease), expire_with_refresh_token)
        self._url = url_or_client if isinstance(url_or_client, str) else None
        client = _client_of(url_or_client)
        where = type(client).__name__ if self._url is None else _without_secrets(self._url)
        self._name = f"RedisStore({where!r}, namespace={namespace!r})"
        self._server = Server(client, self._name)
        self._names = _Names(namespace)
        self._expires = expire_with_refresh_token
        self._locks = LeaseLocks(_RedisLeases(self._server, self._names, lease), lease)
        reset_in_child(self)

    def __repr__(self) -> str:
        return self._name

    def __reduce__(self) -> tuple[Any, ...]:
        if self._url is None:
            raise TypeError(
                "a RedisStore made from a client cannot be pickled, because connections cannot travel to another "
                "process; make it from a URL, or make a new one there"
            )
        return _unpickled, (self._url, *self._options)

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Close idle connections, unless the client is yours. A later use connects again."""
        if self._url is not None:
            self._server.client.close()

    def load(self, key: str) -> Record | None:
        """The record under `key`, or None. Raises `StoreError` if it cannot be read."""
        version, text = self._server.run("read", LOAD, [self._names.record(key)])
        if version is None:
            return None
        data = None if text is None else from_json(text)
        if data is None:
            raise StoreError(
                f"{self!r}: the record under key {key!r} is not a JSON object",
                remedy=(
                    f"other records are not affected. Restore it from a backup, or delete it (`delete({key!r})`) "
                    "and sign in again"
                ),
            )
        return Record(data=data, version=_text(version))

    def save(self, key: str, data: dict[str, Any], *, expected: Version | None) -> Version:
        """Replace the version `expected` (None: the key must not exist yet) and return the new version.

        As durable as the server is set up to be. Raises `Conflict` if the stored version is another, `StoreError` if it
        cannot be written. If even whether it was written is unknown, that is a `StoreError` too.
        """
        text, version = to_json(data), secrets.token_hex(8)
        condition = "" if expected is None else f"={expected}"
        end = _end_of_use(data) if self._expires else None
        if not self._server.run(
            "written", SAVE, [self._names.record(key)], condition, version, text, "" if end is None else end
        ):
            raise Conflict(f"key {key!r} was written by somebody else meanwhile", remedy="load it again, then decide")
        return version

    def delete(self, key: str) -> None:
        """Remove `key`; no error if there is none.

        Raises `StoreError`, and removes nothing, if the calling thread held the key's lock and has lost it: what is
        stored may be a successor's.
        """
        owner = self._locks.owner_here(key)
        if not self._server.run("written", DELETE, [self._names.record(key), self._names.lock(key)], owner or ""):
            raise lease_lost(key)

    def lock(self, key: str, *, timeout: float) -> AbstractContextManager[None]:
        """Exclude everyone else who shares the server and the namespace from `key` while the context is open.

        The lock of a holder that died is free once its lease has run out. Not re-entrant. Raises `StoreError` on entry
        if the lock is not had within `timeout` seconds, and on leaving if it was lost meanwhile.
        """
        return self._locks.hold(key, timeout=timeout)

    def keys(self, prefix: str = "") -> Iterator[str]:
        """The stored keys that begin with `prefix`, in ascending order. They are all read before the first is given.

        Keys written or deleted meanwhile may or may not appear.
        """
        return iter(sorted(self._names.key(name) for name in self._server.scan(self._names.pattern(prefix))))

    def reset_after_fork(self) -> None:
        """Called in a forked child: its parent's connections are not to be used, nor to be closed.

        redis-py looks after this itself, but waits for ever if another thread was at the pool during the fork.
        """
        if self._url is not None:
            _inherited.append(self._server.client)
            self._server.client = _client_of(self._url)


class _RedisLeases:
    """The leases of a store, as keys that run out by themselves."""

    def __init__(self, server: Server, names: _Names, lease: float) -> None:
        self._server = server
        self._names = names
        self._milliseconds = round(lease * 1000)

    def take(self, key: str, owner: str) -> bool:
        return self._run(TAKE, key, owner, self._milliseconds)

    def renew(self, key: str, owner: str) -> bool:
        return self._run(RENEW, key, owner, self._milliseconds)

    def give_back(self, key: str, owner: str) -> bool:
        return self._run(GIVE_BACK, key, owner)

    def whereabouts(self, key: str) -> str:
        return f"GET {self._names.lock(key).decode()!r}"

    def _run(self, script: Script, key: str, *args: str | int) -> bool:
        return bool(self._server.run("locked", script, [self._names.lock(key)], *args))


def _client_of(url_or_client: str | Client) -> Client:
    if isinstance(url_or_client, redis.Redis | RedisCluster):
        return url_or_client
    if not isinstance(url_or_client, str):
        raise ConfigurationError(
            "url_or_client must be a URL, a redis.Redis or a redis.cluster.RedisCluster, not "
            f"{type(url_or_client).__module__}.{type(url_or_client).__name__}. An asynchronous client is not needed: "
            "stores are called on a worker thread",
            parameter="url_or_client",
        )
    retry = Retry(ExponentialWithJitterBackoff(base=0.05, cap=0.5), _RETRIES)
    limits = {"socket_connect_timeout": _CONNECT_SECONDS, "socket_timeout": _READ_SECONDS, "retry": retry}
    with suppress(ValueError, TypeError):
        # What the URL says itself goes first.
        return cast("Client", cast("Any", redis.Redis).from_url(url_or_client, **limits))
    # Outside of the except clause, because that error may quote a part of the password.
    raise ConfigurationError(
        "url_or_client is no Redis URL, such as 'redis://user:password@host:6379/0'",
        parameter="url_or_client",
        remedy="characters of the password that mean something in a URL must be percent-encoded",
    )


def _without_secrets(url: str) -> str:
    parts = urlsplit(url)
    # Without the query, where a password may stand too.
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _end_of_use(data: Mapping[str, Any]) -> int | str:
    """When a record is of no use any more, in milliseconds since 1970; "" if that is not known."""
    token = data.get("token")
    if not isinstance(token, Mapping):
        return ""
    members = cast("Mapping[str, Any]", token)
    refresh_expires_at, expires_at = _time(members.get("refresh_expires_at")), _time(members.get("expires_at"))
    if refresh_expires_at is None:
        return ""
    return round(max(refresh_expires_at, expires_at or 0.0) * 1000)


def _time(value: object) -> float | None:
    """A time that Redis understands."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 < value < _YEAR_10000 else None


def _encoded(name: str) -> bytes:
    try:
        return name.encode()
    except UnicodeEncodeError:
        raise StoreError(f"key {name!r} is not valid Unicode", remedy="use another key") from None


def _text(value: bytes | str) -> str:
    """An answer as text: the user's client may decode answers or not."""
    return value.decode() if isinstance(value, bytes) else value


def _unpickled(url: str, namespace: str, lease: float, expire_with_refresh_token: bool) -> RedisStore:
    return RedisStore(url, namespace=namespace, lease=lease, expire_with_refresh_token=expire_with_refresh_token)
