"""The life of an entity: inserted, replaced, changed, read."""

from __future__ import annotations

from typing import Any

import pytest

from kongtx.schema import (
    Context,
    DefinitionError,
    Schema,
    SchemaRegistry,
    SchemaViolation,
    Subschema,
    Transformation,
    array,
    at_least_one_of,
    boolean,
    conditional,
    foreign,
    integer,
    map_of,
    number,
    record,
    set_of,
    string,
)

ID = "9748f662-7711-4a90-8186-dc02f10eb0f5"
NOW = 1485523507.4461


def context(now: float = NOW) -> Context:
    return Context(now=now, new_id=lambda: ID, new_secret=lambda: "s" * 32)


def services() -> Schema:
    return Schema(
        "services",
        {
            "id": string(uuid=True, auto=True),
            "created_at": integer(timestamp=True, auto=True),
            "updated_at": integer(timestamp=True, auto=True),
            "name": string(unique=True),
            "retries": integer(default=5, between=[0, 32767]),
            "protocol": string(default="http", required=True, one_of=["http", "https"]),
            "host": string(required=True),
            "tags": set_of(string(required=True)),
            "health": record({"active": record({"count": integer(default=1)}), "on": boolean()}),
            "paths": array(string(starts_with="/")),
        },
        endpoint_key="name",
        workspaceable=True,
        entity_checks=[conditional("protocol", {"eq": "http"}, "paths", {"eq": None})],
        shorthand_fields={
            "url": string(func=lambda url: {"host": url, "protocol": "https"}),
        },
    )


def plugins() -> Schema:
    return Schema(
        "plugins",
        {
            "id": string(uuid=True, auto=True),
            "name": string(required=True),
            "service": foreign("services", on_delete="cascade"),
            "config": record({}, abstract=True),
        },
        cache_key=["name", "service"],
        workspaceable=True,
        subschema_key="name",
        subschema_error="plugin '%s' not enabled",
    )


def minute_limit() -> Subschema:
    return Subschema(
        {
            "config": record(
                {
                    "minute": integer(gt=0),
                    "hour": integer(gt=0),
                    "redis": record(
                        {"host": string(), "port": integer(default=6379)},
                    ),
                },
                shorthand_fields={
                    "redis_host": string(
                        func=lambda host: {"redis": {"host": host}},
                        deprecation={
                            "message": "use redis.host",
                            "replaced_with": [{"path": ["redis", "host"]}],
                        },
                    )
                },
            )
        },
        entity_checks=[at_least_one_of("config.minute", "config.hour")],
    )


@pytest.fixture
def registry() -> SchemaRegistry:
    made = SchemaRegistry([services(), plugins()])
    made.register_plugin("limit", minute_limit())
    return made


def violation(schema: Schema, data: dict[str, Any]) -> SchemaViolation:
    with pytest.raises(SchemaViolation) as caught:
        schema.process_insert(data, context())
    return caught.value


def test_an_insert_fills_in_everything_that_was_not_sent() -> None:
    assert services().process_insert({"host": "example.com"}, context()) == {
        "id": ID,
        "created_at": 1485523507,
        "updated_at": 1485523507,
        "name": None,
        "retries": 5,
        "protocol": "http",
        "host": "example.com",
        "tags": None,
        "health": {"active": {"count": 1}, "on": None},
        "paths": None,
    }


def test_null_replaces_a_default_of_a_field_that_is_not_required() -> None:
    assert services().process_insert({"host": "a", "retries": None}, context())["retries"] is None


def test_all_errors_are_reported_at_once_in_the_shape_of_the_entity() -> None:
    error = violation(
        services(),
        {
            "retries": "5",
            "tags": ["good", 1],
            "paths": ["/a", "b", "/c"],
            "health": {"active": {"count": 1.5}},
            "nope": None,
        },
    )
    assert error.fields == {
        "retries": "expected an integer",
        "host": "required field missing",
        "tags": [None, "expected a string"],
        "paths": "value must be null",
        "health": {"active": {"count": "expected an integer"}},
        "nope": "unknown field",
        "@entity": ["failed conditional validation given value of field 'protocol'"],
    }
    assert error.message == (
        "7 schema violations (failed conditional validation given value of field 'protocol'; "
        'health.active: {\n  count = "expected an integer"\n}; '
        "host: required field missing; nope: unknown field; paths: value must be null; "
        "retries: expected an integer; tags.2: expected a string)"
    )


def test_one_error_makes_a_short_message() -> None:
    assert violation(services(), {}).to_dict() == {
        "code": 2,
        "name": "schema violation",
        "message": "schema violation (host: required field missing)",
        "fields": {"host": "required field missing"},
    }


def test_a_shorthand_replaces_what_it_stands_for() -> None:
    made = services().process_insert({"url": "example.com", "host": "other"}, context())
    assert (made["host"], made["protocol"], "url" in made) == ("example.com", "https", False)


def test_errors_of_shorthands_are_reported_alone() -> None:
    assert violation(services(), {"url": 1, "nope": 1}).fields == {"url": "expected a string"}


def test_sets_lose_repeated_elements_and_keep_their_order() -> None:
    made = services().process_insert({"host": "a", "tags": ["b", "a", "b"]}, context())
    assert made["tags"] == ["b", "a"]


def test_an_update_merges_records_deeply_and_replaces_lists() -> None:
    stored = services().process_insert(
        {"url": "a", "tags": ["x"], "health": {"on": True}}, context()
    )
    changed = services().process_update(
        {"tags": ["y"], "health": {"active": {"count": 3}}}, stored, context(NOW + 10)
    )
    assert changed == {
        **stored,
        "updated_at": 1485523517,
        "tags": ["y"],
        "health": {"active": {"count": 3}, "on": True},
    }


def test_an_update_validates_the_merged_entity() -> None:
    stored = services().process_insert({"url": "a"}, context())
    with pytest.raises(SchemaViolation) as caught:
        services().process_update({"paths": ["/"], "protocol": "http"}, stored, context())
    assert caught.value.fields == {
        "paths": "value must be null",
        "@entity": ["failed conditional validation given value of field 'protocol'"],
    }


def test_an_unknown_kind_stops_the_validation(registry: SchemaRegistry) -> None:
    assert violation(registry["plugins"], {"name": "x", "nope": 1}).fields == {
        "name": "plugin 'x' not enabled"
    }
    assert violation(registry["plugins"], {"nope": 1}).fields == {"name": "required field missing"}


def test_a_plugins_config_follows_its_subschema(registry: SchemaRegistry) -> None:
    made = registry["plugins"].process_insert({"name": "limit", "config": {"hour": 1}}, context())
    assert made["config"] == {"minute": None, "hour": 1, "redis": {"host": None, "port": 6379}}
    assert violation(registry["plugins"], {"name": "limit"}).fields == {
        "@entity": [
            "at least one of these fields must be non-empty: 'config.minute', 'config.hour'"
        ]
    }


def test_deprecated_fields_are_accepted_and_shown_again_on_reads(registry: SchemaRegistry) -> None:
    schema = registry["plugins"]
    made = schema.process_insert(
        {"name": "limit", "config": {"hour": 1, "redis_host": "h"}}, context()
    )
    assert made["config"]["redis"] == {"host": "h", "port": 6379}
    assert schema.read(made)["config"] == {**made["config"], "redis_host": "h"}
    assert schema.process_update({"config": {"hour": 2}}, schema.read(made), context()) == {
        **made,
        "config": {**made["config"], "hour": 2},
    }


def test_a_deprecated_field_may_not_contradict_its_replacement(registry: SchemaRegistry) -> None:
    error = violation(
        registry["plugins"],
        {"name": "limit", "config": {"hour": 1, "redis_host": "a", "redis": {"host": "b"}}},
    )
    assert error.fields == {
        "redis_host": "both deprecated and new field are used but their values mismatch: "
        "redis_host = a vs redis.host = b"
    }


@pytest.mark.parametrize(
    ("value", "error"),
    [
        (ID, {"id": "missing primary key"}),
        ({"id": "x"}, {"id": "expected a valid UUID"}),
        ({"name": 3}, {"name": "expected a string"}),
        ({}, {"id": "missing primary key"}),
    ],
)
def test_a_foreign_field_is_an_object_with_the_parents_key(
    registry: SchemaRegistry, value: Any, error: Any
) -> None:
    found = violation(
        registry["plugins"], {"name": "limit", "config": {"hour": 1}, "service": value}
    )
    assert found.fields == {"service": error}


def test_a_foreign_field_keeps_only_the_primary_key(registry: SchemaRegistry) -> None:
    made = registry["plugins"].process_insert(
        {"name": "limit", "config": {"hour": 1}, "service": {"id": ID.upper(), "name": "x"}},
        context(),
    )
    assert made["service"] == {"id": ID}


def test_foreign_names_are_listed_for_the_store_to_look_up(registry: SchemaRegistry) -> None:
    (lookup,) = registry["plugins"].foreign_lookups({"service": {"name": "users"}})
    assert (lookup.field, lookup.entity, lookup.candidates) == (
        "service",
        "services",
        (("name", "users"),),
    )
    assert registry["plugins"].foreign_lookups({"service": {"id": ID, "name": "users"}}) == []


def test_cache_keys_join_the_key_fields_and_the_workspace(registry: SchemaRegistry) -> None:
    plugin = {"id": ID, "name": "limit", "service": {"id": "s"}}
    assert registry["plugins"].cache_key_of(plugin, "w") == "plugins:limit:s::::w"
    assert registry["services"].cache_key_of({"id": ID}) == f"services:{ID}:::::"


def test_parents_come_before_children(registry: SchemaRegistry) -> None:
    assert list(registry) == ["services", "plugins"]
    (reference,) = registry.references_to("services")
    assert (reference.child.name, reference.field, reference.on_delete) == (
        "plugins",
        "service",
        "cascade",
    )


def test_definitions_that_cannot_be_are_refused(registry: SchemaRegistry) -> None:
    with pytest.raises(DefinitionError, match="already registered"):
        registry.register(services())
    with pytest.raises(DefinitionError, match="invalid foreign entity: nothing"):
        registry.register(Schema("x", {"id": string(), "y": foreign("nothing")}))
    with pytest.raises(DefinitionError, match="cannot create a new field"):
        registry["plugins"].add_subschema("p", Subschema({"extra": string()}))
    with pytest.raises(DefinitionError, match="cannot have subschemas"):
        registry["services"].add_subschema("p", Subschema({}))


def hashing() -> Schema:
    return Schema(
        "secrets",
        {"id": string(uuid=True, auto=True), "secret": string(), "owner": record({"id": string()})},
        transformations=[
            Transformation(
                on_write=lambda secret, owner: {"secret": f"{secret}+{owner}"},
                inputs=("secret",),
                needs=("owner.id",),
            )
        ],
    )


def test_transformations_run_on_what_was_sent() -> None:
    made = hashing().process_insert({"secret": "s", "owner": {"id": "o"}}, context())
    assert made["secret"] == "s+o"
    same = hashing().process_update({"owner": {"id": "o"}}, made, context())
    assert same["secret"] == "s+o"
    raw = hashing().process_insert(
        {"secret": "s", "owner": {"id": "o"}}, context(), transform=False
    )
    assert raw["secret"] == "s"


def test_a_transformation_needs_its_inputs_sent_together() -> None:
    made = hashing().process_insert({"secret": "s", "owner": {"id": "o"}}, context())
    with pytest.raises(SchemaViolation) as caught:
        hashing().process_update({"secret": "t"}, made, context())
    assert caught.value.fields["@entity"] == [
        "all or none of these fields must be set: 'secret', 'owner.id'"
    ]


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("a\0b", "invalid value: must not contain a null byte"),
        ("é\0", "invalid value: must not contain a null byte"),
        ("é\ud800", "invalid utf-8 character sequence detected at position 3"),
        ("", "length must be at least 1"),
    ],
)
def test_text_that_no_database_could_keep_is_refused(text: str, error: str) -> None:
    assert violation(services(), {"host": text}).fields == {"host": error}


def renamed() -> Schema:
    def old(*paths: tuple[str, ...]) -> Any:
        def expand(value: Any) -> dict[str, Any]:
            out: dict[str, Any] = {}
            for first, *rest in paths:
                out[first] = {rest[0]: value} if rest else value
            return out

        return string(
            func=expand,
            deprecation={"message": "old", "replaced_with": [{"path": list(p)} for p in paths]},
        )

    def upper(value: Any) -> dict[str, Any]:
        return {"new_e": value and value.upper()}

    def lower(data: Any) -> Any:
        return data.get("new_e") and data["new_e"].lower()

    return Schema(
        "renamed",
        {
            "id": string(),
            "new_a": string(),
            "new_b": record({"x": string()}),
            "new_c": string(default="abc", required=True),
            "new_d1": string(),
            "new_d2": string(),
            "new_e": string(),
        },
        shorthand_fields={
            "old_a": old(("new_a",)),
            "old_b": old(("new_b", "x")),
            "old_c": old(("new_c",)),
            "old_d": old(("new_d1",), ("new_d2",)),
            "old_e": string(
                func=upper,
                deprecation={
                    "message": "old",
                    "replaced_with": [{"path": ["new_e"], "reverse": lower}],
                },
            ),
        },
    )


NOTHING = {"id": None, "new_d1": None, "new_d2": None, "new_e": None}


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (
            {"old_a": "1", "new_a": "1", "old_b": "2", "new_b": {"x": "2"}},
            {**NOTHING, "new_a": "1", "new_b": {"x": "2"}, "new_c": "abc"},
        ),
        (
            {"old_c": "3", "old_d": "4", "new_a": "1"},
            {
                **NOTHING,
                "new_a": "1",
                "new_b": {"x": None},
                "new_c": "3",
                "new_d1": "4",
                "new_d2": "4",
            },
        ),
        (
            {"old_a": "1", "new_a": None, "old_b": "2", "new_b": {"x": None}},
            {**NOTHING, "new_a": "1", "new_b": {"x": "2"}, "new_c": "abc"},
        ),
        (
            {
                "old_a": None,
                "new_a": "1",
                "old_b": None,
                "new_b": {"x": "2"},
                "old_c": None,
                "new_c": "3",
            },
            {**NOTHING, "new_a": "1", "new_b": {"x": "2"}, "new_c": "3"},
        ),
        (
            {"old_a": None, "old_b": None, "old_d": None, "old_e": "e"},
            {**NOTHING, "new_a": None, "new_b": {"x": None}, "new_c": "abc", "new_e": "E"},
        ),
    ],
)
def test_old_names_yield_to_new_ones(data: Any, expected: Any) -> None:
    assert renamed().process_insert(data, context()) == expected


def test_old_names_may_not_contradict_new_ones() -> None:
    data = {
        "old_a": "x", "new_a": "1",
        "old_b": "x", "new_b": {"x": "2"},
        "old_c": "abc", "new_c": "not-abc",
        "old_d": "4", "new_d1": "4", "new_d2": "5",
        "old_e": "x", "new_e": "E",
    }  # fmt: skip
    text = "both deprecated and new field are used but their values mismatch: "
    assert violation(renamed(), data).fields == {
        "old_a": f"{text}old_a = x vs new_a = 1",
        "old_b": f"{text}old_b = x vs new_b.x = 2",
        "old_c": f"{text}old_c = abc vs new_c = not-abc",
        "old_d": f"{text}old_d = 4 vs new_d2 = 5",
        "old_e": f"{text}old_e = x vs new_e = e",
    }


def test_reads_show_new_values_under_old_names() -> None:
    made = renamed().process_insert({"new_b": {"x": "2"}, "new_e": "E"}, context())
    shown = renamed().read(made)
    assert {name: shown[name] for name in shown if name.startswith("old")} == {
        "old_a": None,
        "old_b": "2",
        "old_c": "abc",
        "old_d": None,
        "old_e": "e",
    }
    assert renamed().hide_shorthands(shown) == made


def test_an_immutable_field_cannot_be_changed() -> None:
    schema = Schema(
        "fixed", {"id": string(immutable=True), "list": array(string(), immutable=True)}
    )
    stored = {"id": "a", "list": ["x", "y"]}
    assert schema.process_update({"id": "a", "list": ["y", "x"]}, stored, context())["id"] == "a"
    with pytest.raises(SchemaViolation) as caught:
        schema.process_update({"id": "b", "list": ["y"]}, stored, context())
    assert caught.value.fields == {
        "id": "immutable field cannot be updated",
        "list": "immutable field cannot be updated",
    }


def test_a_plugin_may_become_another_one(registry: SchemaRegistry) -> None:
    schema = registry["plugins"]
    registry.register_plugin("other", Subschema({"config": record({"a": integer(default=1)})}))
    limit = schema.process_insert({"name": "limit", "config": {"hour": 1}}, context())
    changed = schema.process_update({"name": "other", "config": {"a": 2}}, limit, context())
    assert changed["name"] == "other"
    assert changed["config"] == {"a": 2}


def test_a_time_of_change_is_ignored_wherever_it_is_sent() -> None:
    schema = Schema("x", {"id": string(), "r": record({"a": integer()})})
    made = schema.process_insert({"updated_at": 1, "r": {"a": 1, "updated_at": 2}}, context())
    assert made == {"id": None, "r": {"a": 1}}
    assert schema.process_update({"updated_at": 1}, made, context()) == made


def test_an_entity_in_the_place_of_a_reference_is_checked_as_one(registry: SchemaRegistry) -> None:
    found = violation(
        registry["plugins"],
        {"name": "limit", "config": {"hour": 1}, "service": {"host": "h", "health": {"on": 1}}},
    )
    assert found.fields == {"service": {"health": {"on": "expected a boolean"}}}


def test_whole_numbers_are_integers_wherever_they_are() -> None:
    schema = Schema(
        "x",
        {
            "id": string(),
            "one": integer(),
            "many": array(integer()),
            "named": map_of(string(), number()),
        },
    )
    made = schema.process_insert(
        {"one": 1.0, "many": [2.0], "named": {"a": 3.0, "b": 0.5}}, context()
    )
    assert repr(made) == "{'id': None, 'one': 1, 'many': [2], 'named': {'a': 3, 'b': 0.5}}"


def test_names_that_no_field_can_have_are_refused() -> None:
    fields = violation(services(), {"host": "a", "@entity": 1, "\ud800": 1, 10**400: 1}).fields
    assert fields == {
        "@entity": ["@entity: unknown field"],
        "?": "unknown field",
        "inf": "unknown field",
    }
