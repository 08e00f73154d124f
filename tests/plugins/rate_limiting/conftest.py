"""The places where counts are kept."""

from tests.plugins.counting.conftest import client, database, redis

__all__ = ["client", "database", "redis"]
