"""What `RedisStore` has the server do: Lua scripts, each atomic and one round trip, and what their errors mean.

Every script may be run again after its answer was lost, as redis-py does by itself, and then has the same result.
An error tells the server's error code and no more of an answer, because some answers quote the arguments: tokens.
"""

from __future__ import annotations

import hashlib
from typing import Any, cast

import redis
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

from ..errors import StoreError

Client = redis.Redis | RedisCluster


class Script:
    """A Lua script and the name under which a server that has seen it knows it."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.sha = hashlib.sha1(text.encode()).hexdigest()  # noqa: S324 - the name that EVALSHA wants


# A script, because a cluster client with read_from_replicas asks a replica for HMGET, which may be a pair behind.
LOAD = Script("return redis.call('HMGET', KEYS[1], 'version', 'data')")

# ARGV: '' or '=' and the expected version; the new version; the data; '' or the time when the record may vanish.
SAVE = Script("""
local version = redis.call('HGET', KEYS[1], 'version')
if version == ARGV[2] then return 1 end -- done already: the answer to the first attempt was lost
if (version and '=' .. version or '') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'version', ARGV[2], 'data', ARGV[3])
if ARGV[4] == '' then redis.call('PERSIST', KEYS[1]) else redis.call('PEXPIREAT', KEYS[1], ARGV[4]) end
return 1
""")

# KEYS: the record and its lock. ARGV: the owner who must still hold the lock, '' if none need.
DELETE = Script("""
if ARGV[1] ~= '' and redis.call('GET', KEYS[2]) ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[1])
return 1
""")

# ARGV of the three below: the owner, the lease in milliseconds.
TAKE = Script("""
local owner = redis.call('GET', KEYS[1])
if owner and owner ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
""")
RENEW = Script("""
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
""")
GIVE_BACK = Script("""
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
""")

_SCAN_COUNT = 1000

_SIGN_IN = "check the user and the password in the url"
_OTHER = "look into the server's log for the cause"
_CONNECT = "check that the server runs and that the url leads to it"
_WRONG_CLIENT = "the server is part of a cluster; give a redis.cluster.RedisCluster client"
_REMEDIES: dict[str | type[RedisError], str] = {
    # redis-py has classes for some of the server's error codes and strips those; the other codes begin the text.
    MovedError: _WRONG_CLIENT,
    AskError: _WRONG_CLIENT,
    ClusterCrossSlotError: _WRONG_CLIENT,
    ClusterDownError: "the cluster has no master for this key; wait for its fail-over, or repair it",
    NoPermissionError: "allow the user EVAL, EVALSHA, SCAN and what the scripts call, on keys that begin with {",
    OutOfMemoryError: "the server's memory is full; raise maxmemory",
    ReadOnlyError: "the server is a replica; lead to the master, with Sentinel by master_for()",
    "MISCONF": "the server cannot write its snapshot; look into its log and at its disk",
    "NOREPLICAS": "too few replicas are in step for min-replicas-to-write; look at them",
    "WRONGTYPE": "a key of another program has this name; choose another namespace",
}


class Server:
    """A server or cluster, as a runner of scripts. `name` says in messages which one. Safe to use from many threads."""

    def __init__(self, client: Client, name: str) -> None:
        self.client = client
        self._name = name

    def run(self, done: str, script: Script, keys: list[bytes], *args: str | int) -> Any:
        """What a script returns. Raises `StoreError`; `done` completes "cannot be ..." in its message."""
        try:
            return self._evaluate(script, keys, args)
        except (RedisError, RedisClusterException) as error:
            problem = _judge(error)
        # Outside of the except clause, or our error would hang on to that one and its frames, with the arguments.
        raise StoreError(f"{self._name} cannot be {done}: {problem}")

    def scan(self, pattern: bytes) -> set[bytes | str]:
        """The names of the keys that match a glob pattern, of a cluster those of every master. Raises `StoreError`."""
        try:
            # A set, because SCAN may give a key twice.
            return set(cast("Any", self.client).scan_iter(match=pattern, count=_SCAN_COUNT))
        except (RedisError, RedisClusterException) as error:
            problem = _judge(error)
        raise StoreError(f"{self._name} cannot be read: {problem}")

    def _evaluate(self, script: Script, keys: list[bytes], args: tuple[str | int, ...]) -> Any:
        try:
            return self.client.evalsha(script.sha, len(keys), *keys, *args)
        except NoScriptError:
            # A server that restarted or took over has not seen it; EVAL shows it.
            return self.client.eval(script.text, len(keys), *keys, *args)


def _judge(error: RedisError | RedisClusterException) -> str:
    """What is wrong and what to do, without a secret."""
    text = str(error)
    if isinstance(error, AuthenticationError):
        return f"{text}; {_SIGN_IN}"
    if isinstance(error, ResponseError):
        code = text.partition(" ")[0]
        remedy = _REMEDIES.get(type(error)) or _REMEDIES.get(code, _OTHER)
        # The code in capitals is the server's; any other first word is part of a sentence.
        return f"{type(error).__name__}{f' {code}' if code.isupper() else ''}; {remedy}"
    return f"{text or type(error).__name__}; {_CONNECT}"
