"""Changing bodies."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kongtx.plugins.request_transformer.bodies import Changes, changed

JSON = "application/json; charset=utf-8"
FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data; boundary=xx"


@pytest.mark.parametrize(
    ("body", "changes", "expected"),
    [
        ({"a": 1, "b": 2}, Changes(remove=["a", "c"]), {"b": 2}),
        ({"a": 1}, Changes(rename=[("a", "b"), ("c", "d")]), {"b": 1}),
        ({"a": 1, "b": 2}, Changes(rename=[("a", "b")]), {"b": 1}),
        ({"a": None}, Changes(rename=[("a", "b")]), {"b": None}),
        ({"a": 1}, Changes(replace=[("a", "x"), ("b", "y")]), {"a": "x"}),
        ({"a": 1}, Changes(add=[("a", "x"), ("b", "y")]), {"a": 1, "b": "y"}),
        ({"a": False}, Changes(add=[("a", "x")]), {"a": "x"}),
        ({"a": None}, Changes(replace=[("a", "x")]), {"a": "x"}),
        (
            {"a": "1", "b": ["1"], "c": 1},
            Changes(append=[("a", "2"), ("b", "2"), ("c", "2"), ("d", "2")]),
            {"a": ["1", "2"], "b": ["1", "2"], "c": ["2"], "d": ["2"]},
        ),
        (
            {"a": "1", "b": "2"},
            Changes(["a"], [("b", "a")], [("a", "x")], [("b", "y")], [("a", "z")]),
            {"a": ["x", "z"], "b": "y"},
        ),
    ],
)
def test_json_is_changed(body: Any, changes: Changes, expected: Any) -> None:
    after = changed(json.dumps(body).encode(), JSON, changes)
    assert json.loads(after or b"") == expected


@pytest.mark.parametrize(
    ("body", "changes"),
    [
        (b"{", Changes(add=[("a", "b")])),
        (b"[1]", Changes(add=[("a", "b")])),
        (b"null", Changes(add=[("a", "b")])),
        (b'{"a":1}', Changes(replace=[("b", "x")])),
        (b'{"a":1}', Changes(add=[("a", "x")])),
        (b'{"a":false}', Changes(replace=[("a", "x")], rename=[("a", "b")])),
        (b"", Changes(["a"], [("a", "b")], [("a", "x")])),
    ],
)
def test_some_bodies_stay_as_they_are(body: bytes, changes: Changes) -> None:
    assert changed(body, JSON, changes) is None


def test_numbers_stay_as_they_were_written() -> None:
    body = b'{"a":1e400,"b":1.10,"c":1}'
    assert changed(body, JSON, Changes(remove=["c"])) == b'{"a":1e400,"b":1.10}'


def test_octets_that_are_no_text_are_replaced_in_json() -> None:
    after = changed(b"{}", JSON, Changes(add=[("a", "x\udcff")]))
    assert json.loads(after or b"") == {"a": "x\N{REPLACEMENT CHARACTER}"}
    assert changed(b"", FORM, Changes(add=[("a", "x\udcff")])) == b"a=x%FF"


def test_an_empty_body_can_be_added_to() -> None:
    assert changed(b"", JSON, Changes(add=[("a", "1")])) == b'{"a":"1"}'
    assert changed(b"", FORM, Changes(add=[("a", "1")], append=[("a", "2")])) == b"a=1&a=2"


def test_other_types_stay_as_they_are() -> None:
    assert changed(b"a=1", "text/plain", Changes(remove=["a"])) is None


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (Changes(remove=["a"]), b"b=2&b=3&c"),
        (Changes(rename=[("b", "d")]), b"a=1&c&d=2&d=3"),
        (Changes(replace=[("b", "x y"), ("z", "1")]), b"a=1&b=x%20y&c"),
        (Changes(add=[("a", "x"), ("e", "x")]), b"a=1&b=2&b=3&c&e=x"),
        (Changes(append=[("a", "x"), ("c", "x")]), b"a=1&a=x&b=2&b=3&c=x"),
    ],
)
def test_a_form_is_changed(changes: Changes, expected: bytes) -> None:
    assert changed(b"a=1&b=2&b=3&c", FORM, changes) == expected


FILE = (
    b'--xx\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n'
    b'--xx\r\nContent-Disposition: form-data; name="f"; filename="name=x.bin"\r\n'
    b"Content-Type: application/octet-stream\r\n\r\n\x00\xff\r\n\r\n"
    b"--xx--\r\n"
)


def test_parts_are_changed_and_files_stay_whole() -> None:
    changes = Changes(
        ["gone"], [("f", "g"), ("x", "y")], [("a", "2"), ("x", "1")], [("a", "3"), ("b", "\xe4")]
    )
    assert changed(FILE, MULTIPART, changes) == (
        b'--xx\r\nContent-Disposition: form-data; name="g"; filename="name=x.bin"\r\n'
        b"Content-Type: application/octet-stream\r\n\r\n\x00\xff\r\n\r\n"
        b'--xx\r\nContent-Disposition: form-data; name="a"\r\n\r\n2\r\n'
        b'--xx\r\nContent-Disposition: form-data; name="b"\r\n\r\n\xc3\xa4\r\n'
        b"--xx--\r\n"
    )


def test_parts_are_removed_and_cannot_be_appended() -> None:
    after = changed(FILE, MULTIPART, Changes(["f"], append=[("a", "2")]))
    assert after == (b'--xx\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n--xx--\r\n')
    assert changed(FILE, MULTIPART, Changes(append=[("a", "2")])) is None


@pytest.mark.parametrize("kind", ["multipart/form-data", MULTIPART])
def test_a_broken_form_stays_as_it_is(kind: str) -> None:
    assert changed(b"no parts", kind, Changes(add=[("a", "1")])) is None
