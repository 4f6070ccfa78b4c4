"""Where tokens are kept: every store, and what authors of stores import.

Used by users who choose a store, and by authors who write one. It promises that every name can be imported even if the
package that a store needs is not installed: that package is imported when the store is made. It never imports a module
before one of its names is first used (PEP 562).

* `_token_store`: the protocol of a store, and helpers for authors. `_simple`: a base class. `_async_adapter`: stores in
  `async def`.
* `_memory`, `_file`, `_sqlite`, `_sql`, `_redis`, `_keyring`, `_key_value`, `_encrypted`: one store each. A module
  whose name begins with the same word is a part of that store: `_sqlite_file` is a part of `_sqlite`. `_sealing` is a
  part of `_encrypted`, `_psycopg_deadline` of `_sql`, and `_system_keyring` of `_keyring`.
* `_due`: finding the grants that are due, and the protocol of the stores that have an index of them.
* `_calls`: how the rest of the library calls any store. `_copying`, `_self_checking`: `copy_store` and `check_store`.
  `_urls`: a store by its URL.
* `_durable_file`, `_private_file`: files that survive a crash, and who may read them. `_disk_room`: room for one more
  record. `_process_lock`, `_key_locks`, `_lease`: locks between processes, threads and hosts. `_forks`: what must be
  done before and after a fork. `_timer`: the one thread that acts when something is due.
* `_store_handle`, `_record_text`, `_entry_names`, `_pages`, `_server_url`: what several stores share.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._async_adapter import AsyncTokenStore
    from ._copying import CheckReport, CopyReport, check_store, copy_store
    from ._due import DueEntry, DueStore, saved_due_at
    from ._encrypted import EncryptedStore
    from ._file import FileStore
    from ._key_value import KeyValueStore
    from ._keyring import KeyringStore
    from ._memory import MemoryStore
    from ._redis import RedisStore
    from ._self_checking import SelfChecking, Unreadable
    from ._simple import SimpleStore
    from ._sql import SQLStore
    from ._sql_schema import metadata
    from ._sqlite import SQLiteStore
    from ._token_store import (
        Record,
        TokenStore,
        Version,
        conflict,
        from_json,
        new_version,
        to_json,
        unreadable,
    )
    from ._urls import open_store

__all__ = [
    "AsyncTokenStore",
    "CheckReport",
    "CopyReport",
    "DueEntry",
    "DueStore",
    "EncryptedStore",
    "FileStore",
    "KeyValueStore",
    "KeyringStore",
    "MemoryStore",
    "Record",
    "RedisStore",
    "SQLStore",
    "SQLiteStore",
    "SelfChecking",
    "SimpleStore",
    "TokenStore",
    "Unreadable",
    "Version",
    "check_store",
    "conflict",
    "copy_store",
    "from_json",
    "metadata",
    "new_version",
    "open_store",
    "saved_due_at",
    "to_json",
    "unreadable",
]

_HOME = {
    "AsyncTokenStore": "_async_adapter",
    "CheckReport": "_copying",
    "CopyReport": "_copying",
    "DueEntry": "_due",
    "DueStore": "_due",
    "EncryptedStore": "_encrypted",
    "FileStore": "_file",
    "KeyValueStore": "_key_value",
    "KeyringStore": "_keyring",
    "MemoryStore": "_memory",
    "Record": "_token_store",
    "RedisStore": "_redis",
    "SQLStore": "_sql",
    "SQLiteStore": "_sqlite",
    "SelfChecking": "_self_checking",
    "SimpleStore": "_simple",
    "TokenStore": "_token_store",
    "Unreadable": "_self_checking",
    "Version": "_token_store",
    "check_store": "_copying",
    "conflict": "_token_store",
    "copy_store": "_copying",
    "from_json": "_token_store",
    "metadata": "_sql_schema",
    "new_version": "_token_store",
    "open_store": "_urls",
    "saved_due_at": "_due",
    "to_json": "_token_store",
    "unreadable": "_token_store",
}


def __getattr__(name: str) -> Any:
    from ..errors._extras import public_name

    return public_name(name, __name__, _HOME)


def __dir__() -> list[str]:
    return sorted(__all__)
