"""A null where the schema allows one does not keep a node from starting."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from kongtx.plugins.discovery import bundled_names, load
from kongtx.schema.errors import SchemaViolation
from kongtx.testing.plugins import PluginRunner

#: What a configuration needs at least; of other plugins nothing.
NEEDED: Mapping[str, dict[str, Any]] = {
    "acl": {"allow": ["a"]},
    "acme": {"account_email": "a@b.test"},
    "file-log": {"path": "/dev/null"},
    "http-log": {"http_endpoint": "http://localhost"},
    "ip-restriction": {"allow": ["10.0.0.1"]},
    "mtls-auth": {"ca_certificates": ["5b9d0cb0-1b5f-4f83-8e2c-0f5c3c3f7a10"]},
    "proxy-cache": {"strategy": "memory"},
    "rate-limiting": {"minute": 1},
    "redirect": {"location": "https://a.test"},
    "response-ratelimiting": {"limits": {"a": {"minute": 1}}},
    "tcp-log": {"host": "localhost", "port": 1},
    "udp-log": {"host": "localhost", "port": 1},
}


def paths(config: Mapping[str, Any], above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The places of all fields, those of records after the record."""
    for name, value in config.items():
        yield (*above, name)
        if isinstance(value, Mapping):
            yield from paths(value, (*above, name))


def with_null(config: Mapping[str, Any], path: tuple[str, ...]) -> dict[str, Any]:
    """The configuration with a null in one place."""
    name, *rest = path
    inner = with_null(config.get(name) or {}, tuple(rest)) if rest else None
    return {**config, name: inner}


@pytest.mark.parametrize("name", bundled_names())
def test_a_null_is_refused_or_prepared_for(name: str) -> None:
    plugin = load([name])[name]
    needed = NEEDED.get(name, {})
    try:
        whole = PluginRunner(plugin, needed).bound.row["config"]
    except SchemaViolation as error:
        pytest.skip(f"what it needs at least has to be added to NEEDED: {error}")
    for path in paths(whole):
        try:
            runner = PluginRunner(plugin, with_null(needed, path))
        except SchemaViolation:
            continue
        assert runner.bound.name == name


def test_a_log_plugin_takes_the_default_in_place_of_a_null() -> None:
    config = {"host": "127.0.0.1", "port": 1, "timeout": None, "keepalive": None}
    prepared = PluginRunner(load(["tcp-log"])["tcp-log"], config).bound.config.config
    assert (prepared["timeout"], prepared["keepalive"]) == (10000, 60000)
