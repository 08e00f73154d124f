"""acl."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from kongtx.plugins.acl.handler import ACL
from kongtx.testing.plugins import PluginRunner
from kongtx.testing.request import Answer, FakeRequest
from tests.plugins.consumers import BOB, GUEST, credential, node_with

FORBIDDEN = (403, "You cannot consume this service")
UNKNOWN = (401, "Unauthorized")


def access(request: FakeRequest, **config: Any) -> tuple[int, str | None] | None:
    node = node_with("acls", credential(group="b"), credential(group="a"))
    answer: Answer | None = PluginRunner(ACL(), config, node).access(request)
    return answer and (answer.status, answer.message)


@pytest.mark.parametrize(
    ("consumer", "credential_", "groups", "config", "outcome"),
    [
        (None, None, None, {"allow": ["a"]}, UNKNOWN),
        (None, {"id": "c"}, None, {"allow": ["a"]}, FORBIDDEN),
        (None, None, ["a"], {"allow": ["a"]}, None),
        (None, None, ["z"], {"allow": ["a"]}, FORBIDDEN),
        (None, None, ["a"], {"deny": ["a"]}, FORBIDDEN),
        (None, None, ["z"], {"deny": ["a"]}, None),
        (BOB, {"id": "c"}, None, {"allow": ["a"]}, None),
        (BOB, {"id": "c"}, None, {"allow": ["z"]}, FORBIDDEN),
        (BOB, {"id": "c"}, None, {"deny": ["b", "z"]}, FORBIDDEN),
        (BOB, {"id": "c"}, None, {"deny": ["z"]}, None),
        (BOB, {"id": "c"}, ["z"], {"allow": ["a"]}, None),
        (BOB, {"id": "c"}, ["z"], {"allow": ["z"], "always_use_authenticated_groups": True}, None),
        (GUEST, None, ["a"], {"allow": ["a"]}, None),
        (GUEST, None, None, {"allow": ["a"]}, UNKNOWN),
        (GUEST, {"id": "c"}, None, {"allow": ["a"]}, FORBIDDEN),
        (GUEST, None, None, {"deny": ["a"]}, None),
    ],
)
def test_who_may_pass(
    consumer: Any,
    credential_: Any,
    groups: Sequence[str] | None,
    config: dict[str, Any],
    outcome: tuple[int, str] | None,
) -> None:
    one = FakeRequest(consumer=consumer, credential=credential_, authenticated_groups=groups)
    assert access(one, **config) == outcome


def test_the_upstream_is_told_all_groups() -> None:
    one = FakeRequest(consumer=BOB, credential={"id": "c"})
    assert access(one, allow=["a"]) is None
    assert one.get_header(b"x-consumer-groups") == b"a, b"
    one = FakeRequest(authenticated_groups=["x", "a"])
    assert access(one, allow=["a"]) is None
    assert one.get_header(b"x-authenticated-groups") == b"x, a"


def test_groups_are_hidden_if_so_configured() -> None:
    one = FakeRequest(
        consumer=BOB, credential={"id": "c"}, headers=[(b"x-consumer-groups", b"spoofed")]
    )
    assert access(one, allow=["a"], hide_groups_header=True) is None
    assert one.get_header(b"x-consumer-groups") is None


def test_groups_that_other_plugins_shared_come_first() -> None:
    one = FakeRequest(shared={"authenticated_groups": ["a"]}, authenticated_groups=["z"])
    assert access(one, allow=["a"]) is None
