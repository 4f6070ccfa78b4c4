"""The Lua scripts that `RedisStore` runs on the server, each atomic and one round trip.

Used by `RedisStore`. Every script promises the same result when it is run again after its reply was lost, as redis-py
does by itself. This module never imports redis-py.
"""

from __future__ import annotations

import hashlib


class Script:
    """A Lua script, and the hash under which the server has cached it."""

    def __init__(self, text: str) -> None:
        self.text: str = text
        self.sha: str = hashlib.sha1(text.encode()).hexdigest()  # noqa: S324 - the name that EVALSHA wants


# A script, because a cluster client with read_from_replicas sends HMGET to a replica, which may still have an older
# pair.
LOAD = Script("return redis.call('HMGET', KEYS[1], 'version', 'data')")

# ARGV: '' or '=' and the expected version; the new version; the data; '' or the time when the record may be removed. If
# the stored version is already the new one, the reply to the first attempt was lost.
SAVE = Script("""
local version = redis.call('HGET', KEYS[1], 'version')
if version == ARGV[2] then return 1 end
if (version and '=' .. version or '') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'version', ARGV[2], 'data', ARGV[3])
if ARGV[4] == '' then redis.call('PERSIST', KEYS[1]) else redis.call('PEXPIREAT', KEYS[1], ARGV[4]) end
return 1
""")

# KEYS: the record and its lock. ARGV: the owner that must still have the lock, or '' if no lock is needed.
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
