"""A store in Redis or Valkey: shared by every host that reaches the server.

Used by users with several hosts. It promises, in addition to what `_token_store` promises:

* Each method runs one Lua script on the server, so it needs one round trip, and `save` is atomic. Taking and releasing
  a lock need one round trip each. In a cluster, `save` needs a second one for the index of due records.
* The lock is a key in the server that contains its owner's name and expires. It is renewed while the holder works, see
  `_lease`.
* The record and the lock of one key are in the same hash slot, so that a Redis Cluster can be used.
* If the server cannot be reached, `StoreError` is raised within bounded time. No renewal is made without the lock.

It cannot promise that every saved record stays, because Redis does not: after a fail-over, or a restart without
`appendfsync always`, an older record may be back, and a lock may be lost. No record is damaged, but a refresh token may
then be used twice. `docs/how-to/use-postgresql-or-redis.md` describes the settings that make this unlikely.

Keys in the server, for the key `alice` in the namespace `blnk_auth`: the hash `{blnk_auth/alice}` with the fields
`version` and `data`, and while it is locked the string `{blnk_auth/alice}:lock` with the owner's name. The sorted set
`{blnk_auth/}:due` is the index of due records, see `_redis_due`.

This module never imports redis-py before a store is made.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from typing import TYPE_CHECKING, Any, cast

from ..errors import ConfigurationError, StoreError, clears_locals, is_number, quoted
from ..errors._extras import NamedInAnnotations, needs_extra
from ..errors._pickling import public
from ._due import DueEntry, DueStore, saved_due_at
from ._lease import LEASE_SECONDS, LeaseLocks, checked_lease, lease_lost
from ._redis_due import DueIndex, member_of, score_of
from ._redis_scripts import DELETE, GIVE_BACK, LOAD, MOVE_DUE, RENEW, SAVE, TAKE, Script
from ._server_url import call_for, pickled_url
from ._store_handle import PickledByArguments
from ._token_store import Record, Version, conflict, from_json, new_version, to_json, unreadable

if TYPE_CHECKING:
    import redis

    from ._redis_server import Server
else:
    redis = NamedInAnnotations("redis")

__all__ = ["RedisStore"]

_NAMESPACE = re.compile(r"[A-Za-z0-9_.:-]{1,100}")
_GLOB_CHARACTERS = re.compile(r"([*?\[\]\\^-])")
_YEAR_10000 = 253_402_300_800


class _ServerKeys:
    """The keys in the server for each key of the store. The braces keep them together in one hash slot."""

    def __init__(self, namespace: str) -> None:
        self._start = f"{{{namespace}/"

    def record(self, key: str) -> bytes:
        return _encoded(f"{self._start}{key}}}")

    def lock(self, key: str) -> bytes:
        return _encoded(f"{self._start}{key}}}:lock")

    @property
    def index(self) -> bytes:
        """The sorted set of due records. No record and no lock has this name."""
        return _encoded(f"{self._start}}}:due")

    def pattern(self, prefix: str) -> bytes:
        """Matches the records whose keys begin with `prefix`, and no locks."""
        literally = _GLOB_CHARACTERS.sub(r"\\\1", prefix)
        return _encoded(f"{self._start}{literally}*}}")

    def key(self, record: bytes | str) -> str | None:
        name = _text(record)
        return None if name is None else name[len(self._start) : -1]


@public
@clears_locals
class RedisStore(PickledByArguments, DueStore):
    """Keeps tokens in a Redis or Valkey server. Safe to use from many threads, processes and hosts.

    Connects when first used. A pickle carries no records, and the URL only if it has no password. For a store that is
    passed to another process, give a callable that returns the URL. A copy is the same store.

        client = OAuthClient(BlnkCloud(), client_id="id", store=RedisStore("redis://cache.internal:6379/0"))

    What its methods do beyond `TokenStore`:

    * `save` is as durable as the server is set up to be.
    * `lock` excludes everyone who shares the server and the namespace. If a holder crashes, its lock is free once the
      lease has run out.
    * `delete` raises `StoreError` and removes nothing if the calling thread had the key's lock and has lost it, because
      the new holder of the lock may have written the record.
    * `keys` reads all keys before it returns the first. Keys written or deleted meanwhile may or may not appear.

    Args:
        url_or_client: `"redis://user:password@host:6379/0"`, `"rediss://..."` or `"unix://..."`, with time limits of a
            few seconds; or your own synchronous client of redis-py: `redis.Redis`, a Sentinel's `master_for(...)`, or
            `redis.cluster.RedisCluster`, which brings its own limits. Such a client may hang in a forked child if it
            was in use during the fork. Or a callable that returns the URL: it is called when the store is first used in
            a process.
        namespace: What all keys in the server begin with, so that several stores can share it: 1 to 100 letters, digits
            and characters of `_.:-`.
        lease: Seconds after which the lock of a crashed holder is free, from 0.1 to 86,400.
        expire_with_refresh_token: True lets the server remove a record once neither its refresh token nor its access
            token is valid any more. It applies only to records that are not encrypted, and whose refresh token expires
            at a known time.

    Raises:
        ConfigurationError: redis-py is missing, or a parameter cannot work.
    """

    def __init__(
        self,
        url_or_client: str | redis.Redis | redis.RedisCluster | Callable[[], str],
        *,
        namespace: str = "blnk_auth",
        lease: float = LEASE_SECONDS,
        expire_with_refresh_token: bool = False,
    ) -> None:
        if not isinstance(namespace, str) or not _NAMESPACE.fullmatch(namespace):
            raise ConfigurationError(
                f"namespace must be 1 to 100 letters, digits and characters of '_.:-', not {quoted(namespace)}",
                parameter="namespace",
                remedy="pass a name such as 'blnk_auth:staging', or leave it out",
            )
        self._options = {
            "namespace": namespace,
            "lease": checked_lease(lease),
            "expire_with_refresh_token": expire_with_refresh_token,
        }
        with needs_extra("redis", "redis", needed_by="RedisStore"):
            from ._redis_server import Server
        self._server_type = Server
        self._url: Callable[[], str] | None = None
        self._opened: Server | None = None
        if callable(url_or_client):
            self._url = url_or_client
        else:
            self._opened = Server(url_or_client, namespace)
        self._namespace = namespace
        self._server_keys = _ServerKeys(namespace)
        self._expires = expire_with_refresh_token
        keys = self._server_keys
        self._index = DueIndex(keys.index, keys.record, keys.key, lambda: self._server)
        self._locks = LeaseLocks(_RedisLeases(self, self._server_keys, lease), lease)

    @property
    def _server(self) -> Server:
        if self._opened is None:
            assert self._url is not None  # noqa: S101 - else it was opened when the store was made
            self._opened = self._server_type(call_for("url_or_client", self._url), self._namespace)
        return self._opened

    def __repr__(self) -> str:
        if self._opened is None:
            return f"RedisStore(url_or_client=<callable>, namespace={self._namespace!r})"
        return self._opened.name

    def _arguments(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        if self._url is not None:
            return (self._url,), self._options
        url = self._server.url
        if url is None:
            raise TypeError(
                "a RedisStore made from a client cannot be pickled, because connections cannot travel to another "
                "process; make it from a URL, or make a new one there"
            )
        return (pickled_url(url, "url_or_client"),), self._options

    def close(self) -> None:
        """Close idle connections. A client that was passed to the store is not closed.

        May be called from any thread, and repeatedly. A later use connects again.
        """
        if self._opened is not None:
            self._opened.close()

    def eviction_policy(self) -> str | None:
        """Ask the server what it does when its memory is full.

        Returns:
            Its `maxmemory-policy`; `noeviction` if its memory has no limit. With a policy that begins with `allkeys-`,
            records disappear, and their users must sign in again. None: the server did not allow the question, or could
            not be reached.

        Raises:
            StoreError: The callable given as `url_or_client` failed.
            ConfigurationError: It returned something that is not the URL of a Redis server.
        """
        return self._server.eviction_policy()

    def load(self, key: str) -> Record | None:
        version, text = self._server.run("read", LOAD, [self._server_keys.record(key)])
        if version is None:
            return None
        data, readable_version = None if text is None else from_json(text), _text(version)
        if data is not None and readable_version is not None:
            return Record(data=data, version=readable_version)
        why = "it is not a JSON object" if data is None else "its version is not text"
        raise unreadable(key, f"{why}, in {self!r}")

    def save(self, key: str, data: dict[str, Any], *, expected: Version | None) -> Version:
        text, version = to_json(data), new_version()
        condition = "" if expected is None else f"={expected}"
        end = _end_of_use(data) if self._expires else ""
        server, entry = self._server, (member_of(key, ""), score_of(saved_due_at(data)))
        record, index = self._server_keys.record(key), self._index.name
        if not server.run("written", SAVE, [record], condition, version, text, end, *entry, index=index):
            raise conflict(key)
        if server.is_cluster:
            # The record is saved: without its entry it is found by a repair.
            with suppress(StoreError):
                replaced = b"" if expected is None else member_of(key, expected)
                server.run("written", MOVE_DUE, [index], replaced, member_of(key, version), entry[1])
        return version

    def delete(self, key: str) -> None:
        owner = self._locks.owner_here(key)
        names = [self._server_keys.record(key), self._server_keys.lock(key)]
        if not self._server.run("written", DELETE, names, owner or "", member_of(key, ""), index=self._index.name):
            raise lease_lost(key)

    def lock(self, key: str, *, timeout: float) -> AbstractContextManager[None]:
        return self._locks.hold(key, timeout=timeout)

    def keys(self, prefix: str = "") -> Iterator[str]:
        found = map(self._server_keys.key, self._server.scan(self._server_keys.pattern(prefix)))
        # A name that is not text is another program's: no key of this store could be read under it.
        return iter(sorted(key for key in found if key is not None))

    def due(self, prefix: str, before: float, *, after: tuple[float, str] | None = None, limit: int) -> list[DueEntry]:
        """Find the next due records by the index, and compare the version of each entry with its record.

        The first page also looks at some 100 records, and adds those that are not in the index, unless another thread
        does so at the moment.

        Args:
            prefix: What their keys begin with.
            before: UTC epoch seconds. Records that are due at this moment or later are not returned.
            after: The `due_at` and the key of the last entry of the page before. None: the first page.
            limit: How many entries are returned at most.

        Returns:
            The entries behind `after`, ascending by (due_at, key).

        Raises:
            StoreError: The server cannot be read.
        """
        return self._index.page(prefix, before, after, limit, self._server_keys.pattern(""))

    def note_due(self, found: Sequence[tuple[str, str, float | None]]) -> None:
        self._index.add(found)

    def repair_due(self, prefix: str) -> Iterator[int]:
        """Add the records that are not in the index, because a process of an earlier version saved them, for example.

        Args:
            prefix: What the keys of the records begin with.

        Returns:
            An iterator. For each page of about 1,000 names it returns how many entries it added.

        Raises:
            StoreError: The server cannot be read. It may be raised during the iteration.
        """
        return self._index.repair(self._server_keys.pattern(prefix))


class _RedisLeases:
    """The leases of a store, as keys that expire by themselves."""

    def __init__(self, store: RedisStore, server_keys: _ServerKeys, lease: float) -> None:
        self._store = store
        self._server_keys = server_keys
        self._milliseconds = round(lease * 1000)

    def take(self, key: str, owner: str) -> bool:
        return self._run(TAKE, key, owner, self._milliseconds)

    def renew(self, key: str, owner: str) -> bool:
        return self._run(RENEW, key, owner, self._milliseconds)

    def give_back(self, key: str, owner: str) -> bool:
        return self._run(GIVE_BACK, key, owner)

    def describe(self, key: str) -> str:
        return f"GET {self._server_keys.lock(key).decode()!r}"

    def _run(self, script: Script, key: str, *args: str | int) -> bool:
        server = self._store._server  # pyright: ignore[reportPrivateUsage] - a part of it
        return bool(server.run("locked", script, [self._server_keys.lock(key)], *args))


def _end_of_use(data: Mapping[str, Any]) -> int | str:
    """When the last token of a record expires, in milliseconds since 1970; "" if that is not known."""
    token = data.get("token")
    if not isinstance(token, Mapping):
        return ""
    members = cast("Mapping[str, Any]", token)
    refresh_expires_at, expires_at = _time(members.get("refresh_expires_at")), _time(members.get("expires_at"))
    if refresh_expires_at is None:
        return ""
    return round(max(refresh_expires_at, expires_at or 0.0) * 1000)


def _time(value: object) -> float | None:
    """`value` if it is a time that Redis accepts, else None."""
    return float(value) if is_number(value) and 0 < value < _YEAR_10000 else None


def _encoded(name: str) -> bytes:
    try:
        return name.encode()
    except UnicodeEncodeError:
        raise StoreError(f"key {name!r} is not valid Unicode", remedy="use another key") from None


def _text(value: bytes | str) -> str | None:
    """A reply as text; None if it is not UTF-8. A user's client may have decoded it already."""
    if isinstance(value, str):
        return value
    with suppress(UnicodeDecodeError):
        return value.decode()
    return None
