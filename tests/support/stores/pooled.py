"""A SQLStore behind PgBouncer, importable in other processes: made as in the guide."""

from __future__ import annotations

from sqlalchemy import create_engine

from blnk_auth.stores import SQLStore


class PooledStore(SQLStore):
    """Closes its SQLAlchemy engine too: it is not shared."""

    def __init__(self, url: str, prepare_threshold: int | None) -> None:
        limits = {"connect_timeout": 5, "tcp_user_timeout": 10_000}
        arguments = {"prepare_threshold": prepare_threshold, **limits}
        self.engine = create_engine(url, hide_parameters=True, connect_args=arguments, pool_size=2)
        super().__init__(self.engine)

    def close(self) -> None:
        super().close()
        self.engine.dispose()


def open_through_pooler(url: str, prepare_threshold: int | None = None) -> PooledStore:
    """No prepared statements: the pooler gives each transaction another connection."""
    return PooledStore(url, prepare_threshold)
