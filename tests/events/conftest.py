"""Fixtures of the event bus's tests."""

import pytest
from twisted.logger import globalLogPublisher


@pytest.fixture
def caplog_twisted():
    """The events that are logged during a test."""
    logged = []
    globalLogPublisher.addObserver(logged.append)
    yield logged
    globalLogPublisher.removeObserver(logged.append)
