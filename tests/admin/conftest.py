"""Fixtures of the Admin API's tests."""

from tests.admin.support import client, settings

__all__ = ["client", "settings"]
