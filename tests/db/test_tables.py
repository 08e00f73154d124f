"""What connectors know of schemas."""

from __future__ import annotations

from kongtx.db.store import catalogue_of, table_of
from kongtx.db.tables import Reference, Table, index_text, key_text
from kongtx.plugins.schemas import full_registry

REGISTRY = full_registry()


def test_plugins_are_unique_by_name_and_scope() -> None:
    assert table_of(REGISTRY["plugins"]) == Table(
        name="plugins",
        unique=("instance_name",),
        together=("name", "route", "service", "consumer"),
        references=(
            Reference("route", "routes", cascade=True),
            Reference("service", "services", cascade=True),
            Reference("consumer", "consumers", cascade=True),
        ),
        tagged=True,
    )


def test_services_hold_their_certificate() -> None:
    table = table_of(REGISTRY["services"])
    assert table.references == (Reference("client_certificate", "certificates"),)
    assert (table.unique, table.together, table.expires) == (("name",), (), False)


def test_keys_expire() -> None:
    assert table_of(REGISTRY["keyauth_credentials"]).expires


def test_parents_come_first() -> None:
    names = [table.name for table in catalogue_of(REGISTRY.values()).parents_first()]
    assert "tags" not in names
    for table in catalogue_of(REGISTRY.values()):
        for reference in table.references:
            assert names.index(reference.parent) < names.index(table.name)


def test_keys_and_index_values_are_texts() -> None:
    table = Table("t", key=("a", "b"), together=("c", "d"))
    assert table.key_of({"a": "x", "b": 1}) == '["x", 1]'
    assert table.together_of({"c": {"id": "y"}}) == '["y", null]'
    assert Table("u").together_of({}) is None
    assert (key_text(["x"]), key_text([1])) == ("x", "[1]")
    assert [index_text(value) for value in (None, "x", 1, True, {"id": "y"}, {"id": None})] == [
        None,
        "x",
        "1",
        "true",
        "y",
        None,
    ]
