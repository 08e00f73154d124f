"""Text becomes data, or an error that says why not."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from kongtx.db.declarative import DeclarativeError, read
from kongtx.db.declarative.migration import migrate_path
from kongtx.db.declarative.reading import parse_yaml


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: 1", {"a": 1}),
        (
            "a: '1'\nb: 1.5\nc: true\nd: no\ne: ~\nf:\n",
            {"a": "1", "b": 1.5, "c": True, "d": False, "e": None, "f": None},
        ),
        ("a: [x, {b: y}]", {"a": ["x", {"b": "y"}]}),
        ("a: 2020-01-02\n", {"a": "2020-01-02"}),
        ("a: 0x1F\nb: 1_000\nc: .5\nd: 1e3\n", {"a": 31, "b": 1000, "c": 0.5, "d": "1e3"}),
        ("a: !!str 1\nb: !!int '7'\n", {"a": "1", "b": 7}),
        (
            "base: &b {x: 1, y: 2}\na:\n  <<: *b\n  y: 3\n",
            {"base": {"x": 1, "y": 2}, "a": {"x": 1, "y": 3}},
        ),
        ("a: &l [1, 2]\nb: *l\n", {"a": [1, 2], "b": [1, 2]}),
        ("a: |\n  x\n  y\n", {"a": "x\ny\n"}),
        ("a: é\n", {"a": "é"}),
        ("# only\na: b # comment\n---\nsecond: document\n", {"a": "b"}),
        ("2: a\ntrue: b\n", {2: "a", True: "b"}),
        ("a: '<<'\n'<<': x\n", {"a": "<<", "<<": "x"}),
    ],
)
def test_yaml_is_read(text: str, expected: dict[Any, Any]) -> None:
    assert read(text) == expected


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=10),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text("abc<", min_size=1, max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(json_values)
def test_yaml_is_read_as_pyyaml_reads_it(value: Any) -> None:
    for dumper in (yaml.SafeDumper, yaml.CSafeDumper):
        text = yaml.dump(value, Dumper=dumper)
        assert parse_yaml(text) == yaml.safe_load(text) == value


def reason(text: str | bytes, filename: str | None = None) -> str:
    with pytest.raises(DeclarativeError) as caught:
        read(text, filename)
    (error,) = caught.value.fields.values()
    return str(error)


FAILED = "failed parsing declarative configuration: "


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("text", "expected an object"),
        ("[1, 2]", "expected an object"),
        ("", "expected an object"),
        ("a: 1\na: 2\n", "duplicate key 'a'"),
        ("a: *b\n", "alias 'b' refers to nothing before it"),
        ("a: &a [*a]\n", "alias 'a' refers to nothing before it"),
        (
            "a: !!python/object:os.system x\n",
            "unsupported tag 'tag:yaml.org,2002:python/object:os.system'",
        ),
        ("a: !secret x\n", "unsupported tag '!secret'"),
        ("a: !!binary aGk=\n", "unsupported tag 'tag:yaml.org,2002:binary'"),
        ("? [a]\n: b\n", "a key must be a scalar"),
        ("<<: 1\n", "'<<' merges mappings only"),
        ("a: " + "[" * 101 + "]" * 101, "nested more than 100 levels deep"),
        ("a: !!bool maybe\n", "'maybe' is not a bool"),
        (b"a: \xff\n", "invalid UTF-8 at byte 4"),
    ],
)
def test_what_is_no_configuration_is_refused(text: str | bytes, error: str) -> None:
    assert reason(text) == FAILED + error


def test_a_syntax_error_says_where() -> None:
    assert reason("a: [1\nb: 2\n").startswith(FAILED)
    assert "line 2" in reason("a: [1\nb: 2\n")


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ('{"a": 1, "a": 2}', "duplicate key 'a'"),
        ('{"a": NaN}', "NaN is not a JSON number"),
        ('{"a": ', "Expecting value: line 1 column 7 (char 6)"),
        ('"x"', "expected an object"),
        ('{"a": ' * 102 + "1" + "}" * 102, "nested more than 100 levels deep"),
        (
            "[" * 100_000,
            "maximum recursion depth exceeded while decoding a JSON array from a unicode string",
        ),
    ],
)
def test_json_is_strict(text: str, error: str) -> None:
    assert reason(text, "kong.json") == FAILED + error


def test_the_extension_says_what_a_file_is() -> None:
    assert read('{"a": 1}', "kong.json") == {"a": 1}
    assert read("a: 1", "kong.yml") == read("a: 1", "kong.yaml") == {"a": 1}
    assert reason("a: 1", "kong.toml") == (
        "unknown file type: kong.toml. (Accepted types: json, yaml)"
    )
    assert reason("a: 1", "kong.json").startswith(FAILED)


def test_aliases_cannot_fill_the_memory() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    assert reason("\n".join(lines)) == FAILED + "aliases make the document too large"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/a", "/a"),
        ("/a//b/../c", "/a/c"),
        ("/%7Ea%2f", "/~a%2F"),
        ("/a(b)", "~/a(b)"),
        ("/a(%2e)", r"~/a(\.)"),
        ("/a(%2f%61)", "~/a(%2Fa)"),
        ("/é", "~/é"),
    ],
)
def test_paths_of_old_formats(path: str, expected: str) -> None:
    assert migrate_path(path) == expected
