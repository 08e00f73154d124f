"""PostgreSQL, for nodes that share a database; all that knows of its driver is in here."""

from kongtx.db.postgres.connector import PostgresConnector
from kongtx.db.postgres.made import connector_of
from kongtx.db.postgres.settings import Endpoint

__all__ = ["Endpoint", "PostgresConnector", "connector_of"]
