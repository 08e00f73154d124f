"""The connector that a configuration names."""

from __future__ import annotations

from typing import Any

from kongtx.conf import Configuration
from kongtx.db.errors import DatabaseError
from kongtx.db.interfaces import IConnector
from kongtx.db.off import OffConnector
from kongtx.db.sqlite import SQLiteConnector


def make_connector(conf: Configuration, reactor: Any) -> IConnector:
    """The database of a node, not yet started.

    @param reactor: one with threads.
    @raise DatabaseError: what the database needs is not installed.
    """
    if conf.database == "off":
        return OffConnector(
            conf.prefixed(conf.lmdb_environment_path), reactor, conf.lmdb_map_size_bytes
        )
    if conf.database == "sqlite":
        return SQLiteConnector(conf.prefixed(conf.sqlite_path), reactor)
    if conf.database == "postgres":
        return _make_postgres(conf, reactor)
    return _make_cassandra(conf, reactor)


def _make_postgres(conf: Configuration, reactor: Any) -> IConnector:
    try:
        # Its driver is there only for those who want it.
        from kongtx.db import postgres  # noqa: PLC0415
    except ImportError as error:
        raise DatabaseError(
            f"database = postgres needs more packages (pip install kongtx[postgres]): {error}"
        ) from error
    return postgres.connector_of(conf, reactor)


def _make_cassandra(conf: Configuration, reactor: Any) -> IConnector:
    try:
        from kongtx.db import cassandra  # noqa: PLC0415 - as above
    except ImportError as error:
        raise DatabaseError(
            f"database = cassandra needs more packages (pip install kongtx[cassandra]): {error}"
        ) from error
    return cassandra.CassandraConnector(cassandra.Settings.of(conf), reactor)
