"""The tables of `SQLStore`, and how they differ between databases.

Used by `_sql_database` and `_sql_migrations`; `metadata` is public, for the `target_metadata` of Alembic. It promises
that keys are compared alike in every database. It never connects to one. This module needs SQLAlchemy.

Keys must be compared byte by byte. By default, MySQL treats "case" and "Case" as equal, and "trailing" and "trailing ";
PostgreSQL sorts by a language's rules. So a key is VARBINARY in MySQL, and text with the collation "C" in PostgreSQL;
both sort by code point. The key itself is the primary key: if a hash were the primary key, listing keys by prefix would
need a second index.
"""

from __future__ import annotations

from typing import Any

from ..errors import redacted
from ..errors._extras import import_failure

try:
    from sqlalchemy import BigInteger, Column, Computed, Dialect, Double, Index, Integer, MetaData, Table, Text, insert
    from sqlalchemy.dialects import mysql, postgresql, sqlite
    from sqlalchemy.ext.compiler import compiles
    from sqlalchemy.sql.compiler import DDLCompiler, SQLCompiler
    from sqlalchemy.sql.dml import Insert
    from sqlalchemy.sql.functions import FunctionElement
    from sqlalchemy.types import TypeDecorator, TypeEngine
except ImportError as error:
    raise import_failure("SQLStore", "sqlalchemy", "sql", error) from error

MYSQL = ("mysql", "mariadb")
SUPPORTED = ("postgresql", *MYSQL, "sqlite")

MAX_KEY_BYTES = 2048
"""Bytes that fit into an index entry of every supported database (PostgreSQL 2,704, InnoDB 3,072)."""


class ExactText(TypeDecorator[str]):
    """Text that is compared byte by byte, and sorted by code point."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name in MYSQL:
            return dialect.type_descriptor(mysql.VARBINARY(MAX_KEY_BYTES))
        return dialect.type_descriptor(Text(collation="C" if dialect.name == "postgresql" else None))

    def process_bind_param(self, value: str | None, dialect: Dialect) -> Any:
        return value.encode() if value is not None and dialect.name in MYSQL else value

    def process_result_value(self, value: Any, dialect: Dialect) -> str | None:
        return value.decode() if isinstance(value, bytes) else value


class RecordText(TypeDecorator[str]):
    """The JSON text of a record. SQLAlchemy's logs of parameters and rows do not show it."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name in MYSQL:
            return dialect.type_descriptor(mysql.LONGTEXT())
        return super().load_dialect_impl(dialect)

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return redacted(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:
        return redacted(value)


class Generated(Computed):
    """The expression of a generated column. It is computed when it is read, where an index can have such a column."""


@compiles(Generated)
def _compile_generated(element: Generated, compiler: DDLCompiler, **_options: Any) -> str:
    text = compiler.sql_compiler.process(element.sqltext, include_table=False, literal_binds=True)
    return f"GENERATED ALWAYS AS ({text}) {'STORED' if compiler.dialect.name == 'postgresql' else 'VIRTUAL'}"


metadata: MetaData = MetaData()
"""The tables of `SQLStore`, for the migrations of an application: Alembic's `target_metadata`."""

records = Table(
    "blnk_auth_records",
    metadata,
    Column("store_key", ExactText, primary_key=True),
    Column("version", ExactText, nullable=False),
    # JSON text, because a JSON type would round numbers and reorder members.
    Column("data", RecordText, nullable=False),
    # The end of the grant, as the record had it in the version `due_version`; NULL is never.
    Column("saved_due_at", Double),
    Column("due_version", ExactText),
    # 0 is not known: a process of an earlier version writes neither column, so the versions differ.
    Column("due_at", Double, Generated("CASE WHEN due_version = version THEN saved_due_at ELSE 0 END")),
    Index("blnk_auth_records_due", "due_at", "store_key"),
    mysql_engine="InnoDB",
    mysql_charset="utf8mb4",
)

leases = Table(
    "blnk_auth_leases",
    metadata,
    Column("store_key", ExactText, primary_key=True),
    Column("owner", ExactText, nullable=False),
    # Microseconds since 1970 in UTC, by the database's clock.
    Column("expires_at", BigInteger, nullable=False),
    mysql_engine="InnoDB",
    mysql_charset="utf8mb4",
)

schema = Table(
    "blnk_auth_schema",
    metadata,
    # There is one row, with the id 1.
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("version", Integer, nullable=False),
    mysql_engine="InnoDB",
    mysql_charset="utf8mb4",
)


class database_now(FunctionElement[int]):  # noqa: N801 - reads as the SQL function that it is
    """Microseconds since 1970 in UTC, by the database's clock, which is the same for all who share the store."""

    type = BigInteger()
    inherit_cache = True


_NOW = {
    # Not now(), which does not advance within a transaction.
    "postgresql": "CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS bigint)",
    # Not UNIX_TIMESTAMP(NOW(6)), which is an hour off once a year.
    **dict.fromkeys(MYSQL, "TIMESTAMPDIFF(MICROSECOND, '1970-01-01 00:00:00', UTC_TIMESTAMP(6))"),
    "sqlite": "CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER) * 1000",
}


@compiles(database_now)
def _compile_now(_element: database_now, compiler: SQLCompiler, **_options: Any) -> str:
    return _NOW[compiler.dialect.name]


def insert_if_missing(table: Table, dialect: str) -> Insert:
    """An INSERT that counts 0 rows, instead of failing, if the primary key exists already."""
    if dialect in MYSQL:
        # ON DUPLICATE KEY UPDATE would count 1 in either case.
        return insert(table).prefix_with("IGNORE")
    if dialect == "postgresql":
        return postgresql.insert(table).on_conflict_do_nothing()
    return sqlite.insert(table).on_conflict_do_nothing()
