"""Changing JSON objects."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kongtx.plugins.jsonbody import NotJSON
from kongtx.plugins.response_transformer.content import ContentChanges, is_json


def changes(**config: dict[str, list[str]]) -> ContentChanges:
    full = {
        action: {"json": [], "json_types": [], **config.get(action, {})}
        for action in ("remove", "rename", "replace", "add", "append")
    }
    return ContentChanges.of(full)


@pytest.mark.parametrize(
    ("config", "before", "expected"),
    [
        ({"remove": {"json": ["a", "none"]}}, {"a": 1, "b": 2}, {"b": 2}),
        ({"rename": {"json": ["a:c", "none:d"]}}, {"a": None, "b": 2}, {"b": 2, "c": None}),
        ({"rename": {"json": ["a:b"]}}, {"a": 1, "b": 2}, {"b": 1}),
        (
            {"replace": {"json": ["a:x", "none:x", "f:x", "n:x"]}},
            {"a": 1, "f": False, "n": None},
            {"a": "x", "f": False, "n": "x"},
        ),
        (
            {"add": {"json": ["a:x", "b:x:y", "f:x"]}},
            {"a": 1, "f": False},
            {"a": 1, "b": "x:y", "f": "x"},
        ),
        (
            {"append": {"json": ["a:x", "b:x", "c:x", "d:x"]}},
            {"a": "1", "b": [1], "c": 1},
            {"a": ["1", "x"], "b": [1, "x"], "c": ["x"], "d": ["x"]},
        ),
        (
            {
                "add": {
                    "json": ["i:1", "f:-1.5", "t:true", "n:false", "w:yes", "x:one", "s:2", "d:3"],
                    "json_types": [
                        *["number", "number", "boolean", "boolean", "boolean", "number", "string"]
                    ],
                }
            },
            {},
            {"i": 1, "f": -1.5, "t": True, "n": False, "w": False, "s": "2", "d": "3"},
        ),
        ({"add": {"json": ['q:say "hi"/there']}}, {}, {"q": 'say "hi"/there'}),
        (
            {
                "remove": {"json": ["a"]},
                "rename": {"json": ["b:a"]},
                "replace": {"json": ["a:r"]},
                "add": {"json": ["b:n"]},
                "append": {"json": ["b:z"]},
            },
            {"a": 1, "b": 2},
            {"a": "r", "b": ["n", "z"]},
        ),
    ],
)
def test_an_object_is_changed(config: Any, before: Any, expected: Any) -> None:
    after = changes(**config).apply(json.dumps(before).encode())
    assert json.loads(after) == expected


@pytest.mark.parametrize("body", [b"[1]", b'"text"', b"null"])
def test_what_is_no_object_stays(body: bytes) -> None:
    assert changes(add={"json": ["a:1"]}).apply(body) == body


def test_what_is_not_changed_stays_as_it_was_written() -> None:
    body = b'{"a":1e400,"b":[1.10,123456789012345678901234567890],"c":{"d":-0.0}}'
    assert changes(remove={"json": ["x"]}).apply(body) == body


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"{} x"])
def test_what_is_no_json_is_an_error(body: bytes) -> None:
    with pytest.raises(NotJSON):
        changes(add={"json": ["a:1"]}).apply(body)


@pytest.mark.parametrize(
    ("content_type", "expected"),
    [
        (b"application/json", True),
        (b"Application/JSON; charset=utf-8", True),
        (b"application/problem+json", True),
        (b"text/html, application/json", True),
        (b"text/json", False),
        (b"application/jsonlines", False),
        (b"application/x+json+zip", False),
        (b"", False),
    ],
)
def test_which_types_are_json(content_type: bytes, expected: bool) -> None:
    assert is_json(content_type) is expected
