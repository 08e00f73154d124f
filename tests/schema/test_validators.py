"""Types and constraints of single fields."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kongtx.plugins.schemas import full_registry
from kongtx.schema import (
    Context,
    DefinitionError,
    Field,
    Schema,
    SchemaViolation,
    any_value,
    array,
    boolean,
    integer,
    json_value,
    map_of,
    number,
    record,
    set_of,
    string,
)

UUID = "9748f662-7711-4a90-8186-dc02f10eb0f5"


@pytest.mark.parametrize(
    ("field", "good", "bad"),
    [
        (string(), ["a", "é"], {1: "expected a string", "": "length must be at least 1"}),
        (string(len_min=0), [""], {}),
        (string(len_min=2), ["ab", "é"], {"a": "length must be at least 2"}),
        (string(len_max=2), ["é"], {"éa": "length must be at most 2"}),
        (string(len_eq=3), ["abc"], {"ab": "length must be 3"}),
        (string(uuid=True), [UUID, UUID.upper()], {UUID[1:]: "expected a valid UUID"}),
        (string(uuid=False), ["x"], {}),
        (string(one_of=["a", "b"]), ["a"], {"c": "expected one of: a, b"}),
        (string(not_one_of=["a", "b"]), ["c"], {"a": "must not be one of: a, b"}),
        (string(match="^%d+$"), ["12"], {"x": "invalid value: x"}),
        (string(not_match="%d"), ["x"], {"1": "invalid value: 1"}),
        (string(match_any={"patterns": ["^a", "b$"]}), ["ax", "xb"], {"c": "invalid value: c"}),
        (string(match_all=[{"pattern": "a", "err": "no a"}]), ["a"], {"b": "no a"}),
        (string(match_none=[{"pattern": "a", "err": "an a"}]), ["b"], {"a": "an a"}),
        (string(starts_with="/"), ["/a"], {"a": "should start with: /"}),
        (string(is_regex=True), ["a+"], {"(": "not a valid regex: ("}),
        (string(eq="a"), ["a"], {"b": "value must be a", None: "value must be a"}),
        (string(ne="a"), ["b"], {"a": "value must not be a"}),
        (string(ne=None), ["b"], {None: "value must not be null"}),
        (string(eq=None), [None], {"a": "value must be null"}),
        (string(eq=None, err="never"), [None], {"a": "never"}),
        (string(required=True), ["a"], {None: "required field missing"}),
        (string(err="bad"), ["a"], {1: "expected a string", "": "bad"}),
        (string(custom_validator=lambda v: None if v == "x" else "not x"), ["x"], {"y": "not x"}),
        (string(match="^x$", referenceable=True), ["{vault://env/a}"], {"{vault://}": None}),
        (
            integer(),
            [1, -1, 1.0, 2**63 - 1, None],
            {
                1.5: "expected an integer",
                True: "expected an integer",
                "1": "expected an integer",
                2**63: "expected an integer",
                float("inf"): "expected an integer",
            },
        ),
        (integer(gt=0), [1], {0: "value must be greater than 0"}),
        (integer(between=[1, 3]), [1, 3], {4: "value should be between 1 and 3"}),
        (integer(timestamp=True), [1], {0: "expected a valid timestamp"}),
        (integer(one_of=[8, 16]), [8], {9: "expected one of: 8, 16"}),
        (
            number(),
            [1, 1.5],
            {float("nan"): "expected a number", "1": "expected a number"},
        ),
        (number(between=[0.001, 10]), [0.5], {0: "value should be between 0 and 10"}),
        (boolean(), [True, False], {1: "expected a boolean", "true": "expected a boolean"}),
        (boolean(eq=True), [True], {False: "value must be true"}),
        (any_value(), [1, "x", True], {}),
        (json_value(json_schema={"default": {"type": ["string", "null"]}}), ["x"], {1: None}),
    ],
)
def test_scalars(field: Field, good: list[Any], bad: dict[Any, str | None]) -> None:
    assert [value for value in good if field.validate(value) is not None] == []
    for value, error in bad.items():
        found = field.validate(value)
        assert found is not None
        assert error is None or found == error


@pytest.mark.parametrize(
    ("field", "value", "error"),
    [
        (array(string()), "x", "expected an array"),
        (array(string()), {}, "expected an array"),
        (array(string()), ["a", None, 1], [None, "required field missing", "expected a string"]),
        (array(string(), len_min=1), [], "length must be at least 1"),
        (set_of(string()), 1, "expected a set"),
        (set_of(string(), contains="a"), ["b"], "expected to contain: a"),
        (map_of(string(), integer()), [], "expected a map"),
        (map_of(string(match="^x"), integer()), {"y": 1}, "invalid value: y"),
        (map_of(string(), integer()), {"y": "z"}, "expected an integer"),
        (map_of(string(), integer()), {"y": None}, "required field missing"),
        (map_of(string(), integer(), len_min=1), {}, "length must be at least 1"),
        (map_of(string(), integer()), {1: 1}, "expected a string"),
        (record({"a": integer()}), [], "expected a record"),
        (
            record({"a": integer()}),
            {"a": "x", "b": 1},
            {"a": "expected an integer", "b": "unknown field"},
        ),
        (
            record({"a": record({"b": string(required=True)}, required=True)}),
            {},
            {"a": {"b": "required field missing"}},
        ),
        (array(record({"a": string(required=True)})), [{}], [{"a": "required field missing"}]),
        (
            record({"a": integer()}, abstract=True),
            {},
            "error in schema definition: abstract field was not specialized",
        ),
    ],
)
def test_composites(field: Field, value: Any, error: Any) -> None:
    assert field.validate(value) == error


def test_elements_may_be_of_several_exclusive_sets() -> None:
    field = set_of(string(), mutually_exclusive_subsets=[["a", "b"], ["c"], ["d"]])
    assert field.validate(["a", "b", "x"]) is None
    assert field.validate(["d", "a", "c"]) == (
        "these sets are mutually exclusive: ('d'), ('a', 'b'), ('c')"
    )


@pytest.mark.parametrize(
    "make",
    [
        lambda: Field("text"),
        lambda: Field("array"),
        lambda: Field("map", keys=string()),
        lambda: Field("foreign"),
    ],
)
def test_fields_that_cannot_be_are_refused(make: Any) -> None:
    with pytest.raises(DefinitionError):
        make()


def test_a_field_is_shown_without_its_functions() -> None:
    field = record(
        {"a": array(integer(between=[0, float("inf")]), default=[])},
        shorthand_fields={"b": string(func=lambda value: {}, description="hidden")},
        custom_validator=lambda value: None,
        required=True,
    )
    assert field.to_json() == {
        "type": "record",
        "required": True,
        "fields": [
            {
                "a": {
                    "type": "array",
                    "default": [],
                    "elements": {"type": "integer", "between": [0, "inf"]},
                }
            }
        ],
        "shorthand_fields": [{"b": {"type": "string"}}],
    }


# -- properties

CONTEXT = Context(now=1.5, new_id=lambda: UUID, new_secret=lambda: "s" * 32)
scalars = st.sampled_from(
    [
        (string(default="d"), st.text(max_size=3)),
        (string(required=True), st.text("ab", max_size=2)),
        (string(one_of=["a", "b"]), st.sampled_from(["a", "b", "c"])),
        (integer(between=[0, 5], default=1), st.integers(-2, 7)),
        (number(), st.floats(-2, 2)),
        (boolean(default=True), st.booleans()),
        (string(auto=True, uuid=True), st.just(UUID)),
    ]
)


def composed(inner: Any) -> Any:
    def wrap(pair: tuple[Field, Any]) -> Any:
        field, values = pair
        return st.sampled_from(
            [
                (array(field), st.lists(values, max_size=3)),
                (set_of(field), st.lists(values, max_size=3)),
                (map_of(string(), field), st.dictionaries(st.text("xy", max_size=2), values)),
                (
                    record({"f": field, "g": integer(default=3)}),
                    st.fixed_dictionaries(
                        {}, optional={"f": values, "g": st.integers() | st.none()}
                    ),
                ),
            ]
        )

    return inner.flatmap(wrap)


fields = st.recursive(scalars, composed, max_leaves=3)
texts = st.text(st.characters(), max_size=3) | st.sampled_from(["@entity", "1:" + "9" * 5000])
wild = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(texts, inner, max_size=2),
    max_leaves=4,
)


@given(st.data())
def test_what_validates_stays_as_it_is(data: st.DataObject) -> None:
    chosen = data.draw(st.lists(fields, min_size=1, max_size=3))
    schema = Schema(
        "things", {"id": string(), **{f"f{n}": pair[0] for n, pair in enumerate(chosen)}}
    )
    sent = data.draw(
        st.fixed_dictionaries(
            {}, optional={f"f{n}": pair[1] | wild for n, pair in enumerate(chosen)}
        )
    )
    made = schema.process(sent, "insert", CONTEXT)
    errors = schema.validate(made)
    assert (not errors) or all(name in schema.fields for name in errors)
    if not errors:
        assert schema.process(made, "insert", CONTEXT) == made
        assert schema.read(made) == made
        assert schema.process_upsert(made, CONTEXT) == made
        assert schema.process_update({}, made, CONTEXT) == made


REGISTRY = full_registry()


@settings(max_examples=300)
@given(st.data())
def test_no_data_makes_an_entity_fail_in_another_way(data: st.DataObject) -> None:
    schema = REGISTRY[data.draw(st.sampled_from(sorted(REGISTRY)))]
    names = st.sampled_from([*schema.fields, "url", "x", "@entity", "\ud800"])
    sent = data.draw(st.dictionaries(names, wild, max_size=6))
    if schema.subschema_key and data.draw(st.booleans()):
        kind = data.draw(st.sampled_from(sorted(schema.subschemas)))
        sent[schema.subschema_key] = [kind] if schema.name == "routes" else kind
    with contextlib.suppress(SchemaViolation):
        made = schema.process_insert(sent, CONTEXT)
        assert schema.validate(made) == {}
