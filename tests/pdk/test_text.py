"""Between bytes and text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kongtx.pdk.errors import ArgumentError
from kongtx.pdk.text import (
    arguments_to_mapping,
    decode,
    encode,
    encode_arguments,
    header_name,
    header_value,
    headers_to_mapping,
    parse_arguments,
)


@pytest.mark.parametrize(
    ("query", "mapping"),
    [
        (b"", {}),
        (b"a=1&b=2", {"a": "1", "b": "2"}),
        (b"a=1&a=2&a=3", {"a": ["1", "2", "3"]}),
        (b"a&b=", {"a": True, "b": ""}),
        (b"&&a=1&&", {"a": "1"}),
        (b"a%20b=c+d%26", {"a b": "c d&"}),
        (b"a=b=c", {"a": "b=c"}),
        (b"=x", {"": "x"}),
        (b"a=%zz%4", {"a": "%zz%4"}),
        (b"a=%ff", {"a": "\udcff"}),
        ("ü=ä".encode(), {"ü": "ä"}),
    ],
)
def test_arguments_are_parsed(query: bytes, mapping: dict[str, object]) -> None:
    assert arguments_to_mapping(parse_arguments(query), 100) == mapping


def test_only_so_many_arguments_are_looked_at() -> None:
    assert arguments_to_mapping(parse_arguments(b"a=1&b=2&a=3"), 2) == {"a": "1", "b": "2"}


@given(
    st.dictionaries(
        st.text(min_size=1),
        st.one_of(
            st.text(), st.just(True), st.lists(st.one_of(st.text(), st.just(True)), min_size=2)
        ),
    )
)
def test_arguments_that_are_encoded_parse_to_themselves(mapping: dict[str, object]) -> None:
    assert arguments_to_mapping(parse_arguments(encode_arguments(mapping)), 10**6) == mapping


def test_encoded_arguments_are_sorted_and_false_is_left_out() -> None:
    assert encode_arguments({"b": 2, "a": [True, "x y"], "c": False, "d": 1.5}) == (
        b"a&a=x%20y&b=2&d=1.5"
    )


def test_an_argument_of_another_type_is_refused() -> None:
    with pytest.raises(ArgumentError, match="argument 'a': must be text"):
        encode_arguments({"a": {}})


@given(st.binary())
def test_any_bytes_survive_as_text(raw: bytes) -> None:
    assert encode(decode(raw)) == raw


def test_repeated_headers_become_a_list_and_names_lower_case() -> None:
    headers = [(b"X-A", b"1"), (b"x-a", b"2"), (b"X-B", b"\xe9"), (b"late", b"")]
    assert headers_to_mapping(headers, 3) == {"x-a": ["1", "2"], "x-b": "é"}


@pytest.mark.parametrize(
    ("value", "raw"),
    [
        ("text", b"text"),
        (b"\xff", b"\xff"),
        ("é", b"\xe9"),
        ("€", b"\xe2\x82\xac"),
        (12, b"12"),
        (1.5, b"1.5"),
        (True, b"true"),
        (False, b"false"),
        (" padded\t", b"padded"),
    ],
)
def test_header_values_become_bytes(value: object, raw: bytes) -> None:
    assert header_value("x", value) == raw  # type: ignore[arg-type]


@pytest.mark.parametrize("value", ["a\r\nSet-Cookie: x", "a\nb", "a\0b", None, {}])
def test_header_values_that_would_break_the_header_are_refused(value: object) -> None:
    with pytest.raises(ArgumentError, match="header 'x-name'"):
        header_value("x-name", value)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["", "a b", "a:b", "ä", "a\r\n", b"a\x00"])
def test_header_names_must_be_tokens(name: str | bytes) -> None:
    with pytest.raises(ArgumentError, match="must be a token"):
        header_name(name)
