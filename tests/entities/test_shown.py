"""What ``/schemas`` shows of each entity is what Kong shows: clients compute defaults from it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kongtx.entities import CORE, core_registry
from kongtx.entities.vaults import env

DATA = Path(__file__).parents[1] / "data" / "schemas"
EXPECTED: dict[str, Any] = json.loads((DATA / "entities.json").read_text())


@pytest.mark.parametrize("name", CORE)
def test_a_core_entity_is_shown_as_kong_shows_it(name: str) -> None:
    shown = core_registry()[name].to_schema_json()
    expected = EXPECTED[name]
    names = [next(iter(field)) for field in expected["fields"]]
    assert [next(iter(field)) for field in shown["fields"]] == names
    for ours, theirs in zip(shown["fields"], expected["fields"], strict=True):
        assert ours == theirs
    assert shown == expected


def test_the_env_vault_is_shown_as_kong_shows_it() -> None:
    assert env().to_schema_json() == json.loads((DATA / "vault-env.json").read_text())
