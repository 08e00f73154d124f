"""References to secrets are found where they may be, and nowhere else."""

from __future__ import annotations

from kongtx.plugins.schemas import full_registry
from kongtx.schema import array, map_of, record, string
from kongtx.schema.record import Record
from kongtx.schema.secrets import deprecations, references, with_secrets

KEY = "{vault://env/key}"
SECRET = Record(
    {
        "plain": string(),
        "secret": string(referenceable=True),
        "list": array(string(referenceable=True)),
        "map": map_of(string(), string(referenceable=True)),
        "nested": record({"secret": string(referenceable=True)}),
    }
)
DATA = {
    "plain": KEY,
    "secret": KEY,
    "list": ["x", KEY],
    "map": {"a": KEY, "b": "y"},
    "nested": {"secret": KEY},
}
PLUGINS = full_registry()["plugins"]


def test_references_are_found_with_their_paths() -> None:
    assert list(references(SECRET, DATA)) == [
        ("secret", KEY),
        ("list.2", KEY),
        ("map.a", KEY),
        ("nested.secret", KEY),
    ]
    assert list(references(SECRET, {"secret": None, "list": None})) == []


def test_references_are_replaced_in_a_copy() -> None:
    before = dict(DATA)
    assert with_secrets(SECRET, DATA, lambda reference: reference[13:-1]) == {
        "plain": KEY,
        "secret": "key",
        "list": ["x", "key"],
        "map": {"a": "key", "b": "y"},
        "nested": {"secret": "key"},
    }
    assert before == DATA


def test_a_plugins_references_are_those_of_its_kind() -> None:
    config = {"minute": 1, "redis": {"host": KEY, "password": KEY}}
    data = {"name": "rate-limiting", "config": config}
    assert list(references(PLUGINS, data)) == [("config.redis.password", KEY)]


def test_deprecated_fields_are_warned_of() -> None:
    data = {
        "name": "rate-limiting",
        "config": {"minute": 1, "redis_host": "h", "redis_port": None},
    }
    assert deprecations(PLUGINS, data) == [
        "rate-limiting: config.redis_host is deprecated, please use config.redis.host instead"
    ]
    old = {"name": "http-log", "config": {"queue_size": 1, "flush_timeout": 3}}
    assert deprecations(PLUGINS, old) == [
        "http-log: config.flush_timeout is deprecated, please use "
        "config.queue.max_coalescing_delay instead"
    ]
