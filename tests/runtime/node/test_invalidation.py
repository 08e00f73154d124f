"""What a change makes wrong elsewhere."""

from __future__ import annotations

from typing import Any

import pytest

from kongtx.db.store import ChangeEvent, table_of
from kongtx.db.writes import Change
from kongtx.plugins.schemas import full_registry
from kongtx.runtime.node.invalidation import (
    CHANGES_AT_ONCE,
    ENTITIES_CHANNEL,
    Effects,
    announcer,
    is_cached,
)

REGISTRY = full_registry()


def event_of(change: Change) -> ChangeEvent:
    return ChangeEvent("update", change.table.name, change.new or {}, change.old)


def changed(name: str, new: dict[str, Any], old: dict[str, Any] | None = None) -> Change:
    return Change(table_of(REGISTRY[name]), new, old)


def test_the_entity_and_its_keys_before_and_after_are_told() -> None:
    old = {"id": "1", "key": "before"}
    [event] = announcer(REGISTRY, event_of, 2.0)(
        [changed("keyauth_credentials", {"id": "1", "key": "after"}, old)]
    )
    assert (event.channel, event.delay) == (ENTITIES_CHANNEL, 2.0)
    assert Effects.parse(event.data) == Effects(
        [("keyauth_credentials", "1")],
        ["keyauth_credentials:after:::::", "keyauth_credentials:before:::::"],
    )


def test_many_changes_are_told_in_parts() -> None:
    changes = [
        changed("services", {"id": str(number)}) for number in range(2 * CHANGES_AT_ONCE + 1)
    ]
    told = announcer(REGISTRY, event_of)(changes)
    counts = [len(Effects.parse(event.data).changed) for event in told]
    assert counts == [CHANGES_AT_ONCE, CHANGES_AT_ONCE, 1]


@pytest.mark.parametrize("name", ["ratelimiting_metrics", "response_ratelimiting_metrics"])
def test_what_nobody_holds_is_not_told(name: str) -> None:
    assert not is_cached(REGISTRY[name])
    assert announcer(REGISTRY, event_of)([changed(name, {})]) == []
