"""Whatever is sent is data or refused with a 4xx."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kongtx.admin.answers import AbortError
from kongtx.admin.bodies import Body, parse_body, parse_json, parse_query
from tests.admin.support import registry

KINDS = [
    None,
    "",
    "text/plain",
    "application/json",
    "application/json; charset=utf-8",
    "application/x-www-form-urlencoded",
    "multipart/form-data",
    "multipart/form-data; boundary=B",
    'multipart/form-data; boundary="B"',
    "multipart/form-data; boundary=\xff",
    "multipart/form-data; boundary=" + "b" * 300,
    "application/yaml",
]
pieces = st.sampled_from(
    [
        b"--B",
        b"--B--",
        b"\r\n",
        b"\n",
        b"Content-Disposition: form-data; name=host",
        b'Content-Disposition: form-data; name="a[b]"; filename="f"',
        b"Content-Type: text/plain; charset=nothing",
        b"=",
        b"&",
        b"host=h",
        b"a[1]",
        b"[",
        b"]",
        b".",
        b"%",
        b"%5B",
        b"%FF",
        b"\0",
        b"\xff",
        b"{",
        b"}",
        b'"a":',
    ]
)
bodies = st.binary(max_size=200) | st.lists(pieces, max_size=30).map(b"".join)


def parsed(kind: str | None, raw: bytes, yaml: bool) -> Body | int:
    """The body, or the status of its refusal."""
    try:
        return parse_body(kind, raw, yaml)
    except AbortError as error:
        return error.answer.status


@given(st.sampled_from(KINDS), bodies, st.booleans())
@example("multipart/form-data; boundary=B", b"--B\r\n\r\n\r\n--B--", False)
def test_any_body_is_data_or_refused(kind: str | None, raw: bytes, yaml: bool) -> None:
    body = parsed(kind, raw, yaml)
    if isinstance(body, int):
        assert body in (400, 415)
        return
    for name in ("services", "plugins", "routes"):
        data = body.data(registry()[name])
        assert all(isinstance(key, str) for key in data)
    assert isinstance(body.plain(), dict)


@given(st.text(max_size=200))
def test_any_query_is_data(text: str) -> None:
    assert all(isinstance(name, str) for name in parse_query(text))


json_values: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(st.text(), json_values, max_size=5))
def test_every_json_object_comes_back(value: dict[str, Any]) -> None:
    assert parse_json(json.dumps(value).encode()) == value


@pytest.mark.parametrize("raw", [b'{"a":1,"a":1}', b'{"a":{"b":1,"b":2}}', b'[{"a":1,"a":2}]'])
def test_repeated_names_are_refused_at_any_depth(raw: bytes) -> None:
    with pytest.raises(AbortError):
        parse_json(raw)
