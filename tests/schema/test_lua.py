"""Lua's patterns and Penlight's way of writing tables, as clients see them."""

from __future__ import annotations

from typing import Any

import pytest

from kongtx.schema import lua


@pytest.mark.parametrize(
    ("pattern", "good", "bad"),
    [
        ("^%u+$", ["GET", "M"], ["get", "GET1", "", "É"]),
        ("^%*%.", ["*.a"], ["a.*", "x*."]),
        ("%.%*$", ["a.*"], ["a.*b"]),
        ("^[^*]*$", ["a.b", ""], ["*"]),
        ("^[^*]*%*?[^*]*$", ["*.a", "a"], ["**"]),
        ("^[a-z][a-z%d-]-[a-z%d]+$", ["ab", "a-1", "my-vault"], ["a-", "1a", "A"]),
        ("^[%a_-][%a%d_-]*$", ["a1", "-x", "_"], ["1a", "a b"]),
        ("%w*%p*@+%w*%.?%w*", ["a@b.c", "@"], ["ab"]),
        ("^%d+[%.%d]*$", ["3", "3.9.1"], ["x3", ".1"]),
        ("^[^*&%%\\`]+$", ["/tmp/x"], ["a%b", "a`", "a\\b"]),
        ("//", ["a//b"], ["a/b"]),
        ("a.c", ["abc", "a\nc"], ["ac"]),
        ("[]]", ["]"], ["["]),
        ("[%]x]", ["]", "x"], ["y"]),
        ("%S%D%W", ["aa-"], ["a1-"]),
        ("a$b", ["a$b"], ["ab"]),
        ("^[Cc][Oo]%-[Ll]$", ["co-L"], ["coL"]),
    ],
)
def test_a_pattern_matches_as_in_lua(pattern: str, good: list[str], bad: list[str]) -> None:
    compiled = lua.compile_pattern(pattern)
    assert [text for text in good if not compiled.search(text)] == []
    assert [text for text in bad if compiled.search(text)] == []


@pytest.mark.parametrize("pattern", ["[a", "a%"])
def test_a_malformed_pattern_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match="malformed pattern"):
        lua.compile_pattern(pattern)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"id": "x"}, '{id="x"}'),
        ({"b": 1, "a": True, "c": None}, "{a=true,b=1,c=null}"),
        ({"service": {"id": "x"}, "name": "n"}, '{name="n",service={id="x"}}'),
        ([1, "a", [2]], '{1,"a",{2}}'),
        ([None, "x", None, "y"], '{[2]="x",[4]="y"}'),
        (["x", None, "y"], '{"x",[3]="y"}'),
        ({"a-b": 1, "end": 2, "1x": 3}, '{["1x"]=3,["a-b"]=1,["end"]=2}'),
        ({}, "{}"),
        ({"a": 1.5, "b": 2.0, "c": 1e15}, "{a=1.5,b=2,c=1e+15}"),
        ('say "hi"\\', '"say \\"hi\\"\\\\"'),
        ("two\nlines", "[[two\nlines]]"),
        ("\nx", "[[\n\nx]]"),
        ("[[x]]", "[=[[[x]]]=]"),
        ("a\r\n", '"a\\r\\\n"'),
    ],
)
def test_a_value_is_written_on_one_line(value: Any, expected: str) -> None:
    assert lua.inline(value) == expected


def test_a_value_is_written_on_several_lines() -> None:
    assert lua.pretty({"a": {"b": "x"}, "c": [1]}) == (
        '{\n  a = {\n    b = "x"\n  },\n  c = {\n    1\n  }\n}'
    )
