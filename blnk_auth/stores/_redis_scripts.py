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

# KEYS: the record, and the index unless that is in another slot. ARGV: '' or '=' and the expected version; the new
# version; the data; '' or the time when the record may be removed; what begins its entries; its score. If the stored
# version is already the new one, the reply to the first attempt was lost. `pcall`, since the record is saved already.
SAVE = Script("""
local version = redis.call('HGET', KEYS[1], 'version')
if version == ARGV[2] then return 1 end
if (version and '=' .. version or '') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'version', ARGV[2], 'data', ARGV[3])
if ARGV[4] == '' then redis.call('PERSIST', KEYS[1]) else redis.call('PEXPIREAT', KEYS[1], ARGV[4]) end
if KEYS[2] then
  if version then redis.pcall('ZREM', KEYS[2], ARGV[5] .. version) end
  redis.pcall('ZADD', KEYS[2], ARGV[6], ARGV[5] .. ARGV[2])
end
return 1
""")

# The versions of many records. What is not a record has none.
VERSIONS = Script("""
local found = {}
for i, record in ipairs(KEYS) do
  local version = redis.pcall('HGET', record, 'version')
  found[i] = type(version) == 'string' and version or false
end
return found
""")

# KEYS: the record, its lock, and the index unless that is in another slot. ARGV: the owner that must still have the
# lock, or '' if no lock is needed; what begins its entries.
DELETE = Script("""
if ARGV[1] ~= '' and redis.call('GET', KEYS[2]) ~= ARGV[1] then return 0 end
local version = redis.call('HGET', KEYS[1], 'version')
redis.call('DEL', KEYS[1])
if KEYS[3] and version then redis.pcall('ZREM', KEYS[3], ARGV[2] .. version) end
return 1
""")

# In a cluster, after SAVE. ARGV: the entry of the version that was replaced, or ''; the new entry and its score.
MOVE_DUE = Script("""
if ARGV[1] ~= '' then redis.call('ZREM', KEYS[1], ARGV[1]) end
return redis.call('ZADD', KEYS[1], ARGV[3], ARGV[2])
""")

# ARGV: 'NX' to leave the entries that exist, or ''; then scores and entries. Returns how many are new.
ADD_DUE = Script("""
local added = 0
for i = 2, #ARGV, 2 do
  if ARGV[1] == '' then added = added + redis.call('ZADD', KEYS[1], ARGV[i], ARGV[i + 1])
  else added = added + redis.call('ZADD', KEYS[1], ARGV[1], ARGV[i], ARGV[i + 1]) end
end
return added
""")

# ARGV: an entry that does not describe its record; the entry that would, or '' if there is no record. Returns whether
# there was none, so that the record is not found elsewhere.
MEND_DUE = Script("""
redis.call('ZREM', KEYS[1], ARGV[1])
if ARGV[2] == '' then return 0 end
return redis.call('ZADD', KEYS[1], 'NX', 0, ARGV[2])
""")

# ARGV: the score and the key after which to begin, or '' twice; the score before which to end; how many; the prefix of
# their keys. Returns the entries with their scores, and the last one that was looked at unless the end was reached.
# Among equal scores the place of a key is found by halving. Lua itself compares by the rules of a language, so bytes
# are compared one by one.
FIND_DUE = Script("""
local function key_of(member) return string.match(member, '^(.*)%z') or member end
local function is_above(a, b)
  for i = 1, math.min(#a, #b) do
    local x, y = string.byte(a, i), string.byte(b, i)
    if x ~= y then return x > y end
  end
  return #a > #b
end
local rank = 0
if ARGV[1] ~= '' then
  rank = redis.call('ZCOUNT', KEYS[1], '-inf', '(' .. ARGV[1])
  local last = rank + redis.call('ZCOUNT', KEYS[1], ARGV[1], ARGV[1])
  while rank < last do
    local middle = math.floor((rank + last) / 2)
    if is_above(key_of(redis.call('ZRANGE', KEYS[1], middle, middle)[1]), ARGV[2]) then last = middle
    else rank = middle + 1 end
  end
end
local before, wanted, prefix = tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[5]
local found, place = {}, false
for _ = 1, 20 do
  local page = redis.call('ZRANGE', KEYS[1], rank, rank + 499, 'WITHSCORES')
  for i = 1, #page, 2 do
    if tonumber(page[i + 1]) >= before then return {found, false} end
    place = {page[i], page[i + 1]}
    if string.sub(page[i], 1, #prefix) == prefix then
      found[#found + 1] = page[i]
      found[#found + 1] = page[i + 1]
      if #found == 2 * wanted then return {found, place} end
    end
  end
  if #page < 1000 then return {found, false} end
  rank = rank + 500
end
return {found, place}
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
