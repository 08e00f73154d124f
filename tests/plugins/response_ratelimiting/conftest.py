"""The places where counts are kept."""

from tests.plugins.counting.conftest import redis

__all__ = ["redis"]
