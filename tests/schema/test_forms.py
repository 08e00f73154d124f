"""Form bodies become nested data with the types of a schema."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kongtx.entities import core_registry
from kongtx.schema import Subschema, array, boolean, integer, map_of, record, string
from kongtx.schema.forms import (
    TooManyArguments,
    combine_repeated,
    decode,
    infer,
    parse_urlencoded,
)

REGISTRY = core_registry()
REGISTRY.register_plugin(
    "transform",
    Subschema(
        {
            "config": record(
                {
                    "minute": integer(),
                    "hide": boolean(),
                    "add": record(
                        {"headers": array(string()), "counts": map_of(string(), integer())}
                    ),
                },
                shorthand_fields={"old": integer(func=lambda value: {"minute": value})},
            )
        }
    ),
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a=1&b=x%20y&c=d+e", {"a": "1", "b": "x y", "c": "d e"}),
        ("a=1&a=2&a=3", {"a": ["1", "2", "3"]}),
        ("a&b=&&", {"a": True, "b": ""}),
        ("a=b=c", {"a": "b=c"}),
        ("%C3%A9=%C3%A9", {"é": "é"}),
        ("", {}),
    ],
)
def test_url_encoded_text_is_parsed(text: str, expected: dict[str, Any]) -> None:
    assert parse_urlencoded(text) == expected


def test_more_than_a_thousand_arguments_are_refused() -> None:
    assert len(parse_urlencoded("&".join(f"a{n}=1" for n in range(1000)))) == 1000
    with pytest.raises(TooManyArguments):
        parse_urlencoded("&".join(f"a{n}=1" for n in range(1001)))
    with pytest.raises(TooManyArguments):
        combine_repeated([("a", "1")] * 1001)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"service.id": "X"}, {"service": {"id": "X"}}),
        ({"config.a.b": "1", "config.a.c": "2"}, {"config": {"a": {"b": "1", "c": "2"}}}),
        ({"hosts[]": ["a", "b"]}, {"hosts": ["a", "b"]}),
        ({"hosts[]": "a"}, {"hosts": ["a"]}),
        ({"hosts[1]": "a", "hosts[2]": "b"}, {"hosts": ["a", "b"]}),
        ({"hosts[2]": "b", "hosts[1]": "a"}, {"hosts": ["a", "b"]}),
        ({"hosts[2]": "b"}, {"hosts": {"2": "b"}}),
        ({"hosts": ["a", "b"]}, {"hosts": ["a", "b"]}),
        ({"headers[x-foo]": "1"}, {"headers": {"x-foo": "1"}}),
        ({"headers%5Bx-foo%5D": "1"}, {"headers": {"x-foo": "1"}}),
        ({"headers[x-foo][]": ["1", "2"]}, {"headers": {"x-foo": ["1", "2"]}}),
        ({"headers[x-foo][1]": "1"}, {"headers": {"x-foo": ["1"]}}),
        ({"config.add.headers[1]": "a:b"}, {"config": {"add": {"headers": ["a:b"]}}}),
        ({"a[b.c]": "1"}, {"a": {"b.c": "1"}}),
        (
            {"sources[1].ip": "::1", "sources[1].port": "1"},
            {"sources": [{"ip": "::1", "port": "1"}]},
        ),
        ({".a": "1", "b.": "2"}, {".a": "1", "b.": "2"}),
        ({"a[": "1"}, {"a[": "1"}),
    ],
)
def test_names_nest(arguments: dict[str, Any], expected: dict[str, Any]) -> None:
    assert decode(arguments) == expected


def test_brackets_with_names_are_no_maps_in_queries() -> None:
    assert decode({"size[gt]": "1", "tags[]": ["a", "b"]}, maps=False) == {
        "size[gt]": "1",
        "tags": ["a", "b"],
    }


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({"port": "80", "retries": "0x10"}, {"port": 80, "retries": 16}),
        ({"port": "many"}, {"port": "many"}),
        ({"port": "1.5"}, {"port": 1.5}),
        ({"name": ""}, {"name": None}),
        ({"enabled": "true", "tls_verify": "false"}, {"enabled": True, "tls_verify": False}),
        ({"enabled": "1"}, {"enabled": "1"}),
        ({"tags": "a"}, {"tags": ["a"]}),
        ({"client_certificate": {"id": "x"}}, {"client_certificate": {"id": "x"}}),
        ({"unknown": "1"}, {"unknown": "1"}),
    ],
)
def test_text_takes_the_types_of_the_schema(data: dict[str, Any], expected: dict[str, Any]) -> None:
    assert infer(data, REGISTRY["services"]) == expected


def test_a_plugins_config_takes_the_types_of_its_schema() -> None:
    data = {
        "name": "transform",
        "config": {
            "minute": "5",
            "hide": "true",
            "old": "6",
            "add": {"headers": "a:b", "counts": {"a": "1"}},
        },
    }
    typed = {
        "minute": 5,
        "hide": True,
        "old": 6,
        "add": {"headers": ["a:b"], "counts": {"a": 1}},
    }
    assert infer(data, REGISTRY["plugins"])["config"] == typed
    del data["name"]
    assert infer(data, REGISTRY["plugins"])["config"] == data["config"]
    assert infer(data, REGISTRY["plugins"], {"name": "transform"})["config"] == typed


@given(st.dictionaries(st.text("ab.[]1%5BD", max_size=12), st.text("ab", max_size=2), max_size=5))
def test_any_names_give_json_like_data(arguments: dict[str, str]) -> None:
    def is_json(value: Any) -> bool:
        if isinstance(value, dict):
            return all(isinstance(key, str) and is_json(item) for key, item in value.items())
        if isinstance(value, list):
            return all(map(is_json, value))
        return isinstance(value, str)

    assert is_json(decode(arguments))
