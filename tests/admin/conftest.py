"""Fixtures of the Admin API's tests."""

from tests.admin.support import client, node, settings, status_client, store

__all__ = ["client", "node", "settings", "status_client", "store"]
