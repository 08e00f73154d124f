"""ip-restriction."""

from __future__ import annotations

from typing import Any

import pytest

from kongtx.plugins.ip_restriction.handler import IPRestriction
from kongtx.testing.plugins import PluginRunner
from kongtx.testing.request import Answer, FakeRequest


def access(client_ip: str, **config: Any) -> Answer | None:
    return PluginRunner(IPRestriction(), config).access(FakeRequest(client_ip=client_ip))


@pytest.mark.parametrize(
    ("config", "client_ip", "served"),
    [
        ({"allow": ["10.0.0.1"]}, "10.0.0.1", True),
        ({"allow": ["10.0.0.1"]}, "10.0.0.2", False),
        ({"allow": ["10.0.0.77/24"]}, "10.0.0.200", True),
        ({"allow": ["10.0.0.0/24", "10.9.0.0/16"]}, "10.9.255.1", True),
        ({"allow": ["0.0.0.0/0"]}, "10.0.0.1", True),
        ({"allow": ["0.0.0.0/0"]}, "2001:db8::1", False),
        ({"allow": ["2001:db8::/32"]}, "2001:db8:1::1", True),
        ({"deny": ["10.0.0.0/8"]}, "10.1.2.3", False),
        ({"deny": ["10.0.0.0/8"]}, "11.1.2.3", True),
        ({"deny": ["10.0.0.0/8"]}, "::ffff:10.1.2.3", False),
        ({"deny": ["::ffff:10.0.0.0/104"]}, "10.1.2.3", False),
        ({"deny": ["::ffff:10.0.0.0/104"]}, "::ffff:10.1.2.3", False),
        ({"deny": ["::ffff:10.0.0.0/104"]}, "11.1.2.3", True),
        ({"deny": ["::/0"]}, "10.1.2.3", True),
        ({"deny": ["10.0.0.5"], "allow": ["10.0.0.0/8"]}, "10.0.0.5", False),
        ({"deny": ["10.0.0.5"], "allow": ["10.0.0.0/8"]}, "10.0.0.6", True),
        ({"deny": ["10.0.0.5"], "allow": ["10.0.0.0/8"]}, "11.0.0.6", False),
        ({"deny": ["10.0.0.5"], "allow": []}, "11.0.0.6", True),
    ],
)
def test_who_is_served(config: dict[str, Any], client_ip: str, served: bool) -> None:
    assert (access(client_ip, **config) is None) is served


def test_the_refused_are_told_their_address() -> None:
    answer = access("10.0.0.1", deny=["10.0.0.1"])
    assert answer == Answer(403, b"", [], "IP address not allowed: 10.0.0.1")


def test_status_and_message_can_be_chosen() -> None:
    answer = access("10.0.0.1", deny=["10.0.0.1"], status=401, message="not you")
    assert (answer.status, answer.message) == (401, "not you")


def test_a_client_without_an_address_is_refused() -> None:
    answer = access("unix:", deny=["10.0.0.1"], status=401)
    assert (answer.status, answer.message) == (
        403,
        "Cannot identify the client IP address, unix domain sockets are not supported.",
    )
