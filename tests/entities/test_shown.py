"""What ``/schemas`` shows of each entity is what Kong shows: clients compute defaults from it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kongtx.entities import CORE, core_registry
from kongtx.entities.credentials import PLUGIN_ENTITIES
from kongtx.entities.vaults import env
from kongtx.schema import Schema

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


#: Kong keeps these counters too, but in a table that has no schema; and the credentials are those
#: of a plugin that its open-source edition does not have.
OURS = ("response_ratelimiting_metrics", "mtls_auth_credentials")


def credentials() -> dict[str, Schema]:
    schemas = [schema for make in PLUGIN_ENTITIES.values() for schema in make()]
    return {schema.name: schema for schema in schemas if schema.name not in OURS}


@pytest.mark.parametrize("name", sorted(credentials()))
def test_a_plugins_entity_is_shown_as_kong_shows_it(name: str) -> None:
    assert credentials()[name].to_schema_json() == EXPECTED[name]


def test_every_entity_that_kong_shows_is_there() -> None:
    assert sorted([*CORE, *credentials()]) == sorted(EXPECTED)


def test_the_env_vault_is_shown_as_kong_shows_it() -> None:
    assert env().to_schema_json() == json.loads((DATA / "vault-env.json").read_text())
