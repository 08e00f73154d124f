"""The default database: one SQLite file under the prefix."""

from kongtx.db.sqlite.connector import SQLiteConnector

__all__ = ["SQLiteConnector"]
