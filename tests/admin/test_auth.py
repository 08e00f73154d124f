"""An Admin API that everyone can reach is warned of."""

from __future__ import annotations

import pytest
from twisted.logger import LogEvent, globalLogPublisher

from kongtx.admin.auth import warn_when_open
from kongtx.admin.settings import AdminSettings


@pytest.mark.parametrize(
    ("addresses", "settings", "mutual_tls", "warned"),
    [
        (["127.0.0.1", "::1", "[::1]", "localhost"], AdminSettings(), False, False),
        (["0.0.0.0"], AdminSettings(), False, True),
        (["127.0.0.1", "::"], AdminSettings(), False, True),
        (["gateway.example.com"], AdminSettings(), False, True),
        (["0.0.0.0"], AdminSettings(), True, False),
        (["0.0.0.0"], AdminSettings(auth="basic", users={"a": "b"}), False, False),
        ([], AdminSettings(), False, False),
    ],
)
def test_it_is_warned_when_nothing_protects(
    addresses: list[str], settings: AdminSettings, mutual_tls: bool, warned: bool
) -> None:
    seen: list[LogEvent] = []
    globalLogPublisher.addObserver(seen.append)
    try:
        assert warn_when_open(settings, addresses, mutual_tls) is warned
    finally:
        globalLogPublisher.removeObserver(seen.append)
    levels = [event["log_level"].name for event in seen if "addresses" in event]
    assert levels == (["warn"] if warned else [])


def test_secrets_are_not_shown() -> None:
    settings = AdminSettings(users={"user": "hidden"}, tokens={"ci": "hidden"})
    assert "hidden" not in repr(settings)
