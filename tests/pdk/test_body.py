"""Bodies by media type."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kongtx.pdk.body import make, parse
from kongtx.pdk.errors import ArgumentError, BodyError

FORM = "application/x-www-form-urlencoded"


@pytest.mark.parametrize(
    ("body", "content_type", "content"),
    [
        (b"a=1&a=2&b", FORM, {"a": ["1", "2"], "b": True}),
        (b"", FORM, {}),
        (b'{"a":[1,null]}', "application/json", {"a": [1, None]}),
        (b"[1]", "Application/JSON; charset=utf-8", [1]),
        (
            b'--X\r\nContent-Disposition: form-data; name="a"\r\n\r\none\r\n'
            b'--X\r\nContent-Disposition: form-data; name="a"\r\n\r\ntwo\r\n'
            b'--X\r\nContent-Disposition: form-data; name="f"; filename="x.bin"\r\n'
            b"Content-Type: application/octet-stream\r\n\r\n\xff\r\n--X--\r\n",
            "multipart/form-data; boundary=X",
            {"a": ["one", "two"], "f": "\udcff"},
        ),
    ],
)
def test_a_body_is_parsed_as_its_type_says(body: bytes, content_type: str, content: Any) -> None:
    assert parse(body, content_type, 100) == content


@pytest.mark.parametrize(
    ("body", "content_type", "message"),
    [
        (b"x", None, "missing content type"),
        (b"{", "application/json", "invalid json body"),
        (b'"text"', "application/json", "invalid json body"),
        (b'{"a":"\xff"}', "application/json", "invalid json body"),
        (b"x", "multipart/form-data", "unable to decode multipart body"),
        (b"no parts", "multipart/form-data; boundary=X", "unable to decode multipart body"),
        (b"x", "text/plain", "unsupported content type 'text/plain'"),
    ],
)
def test_a_body_that_is_not_what_it_claims_is_refused(
    body: bytes, content_type: str | None, message: str
) -> None:
    with pytest.raises(BodyError) as caught:
        parse(body, content_type, 100)
    assert str(caught.value) == message


PLAIN = st.text(st.characters(exclude_characters="\r\n", exclude_categories=("Cs",)), min_size=1)


@pytest.mark.parametrize("content_type", [FORM, "application/json", "multipart/form-data"])
@given(content=st.dictionaries(PLAIN.filter(lambda t: not set('"\\%') & set(t)), PLAIN))
def test_what_is_made_parses_to_itself(content_type: str, content: dict[str, str]) -> None:
    if content_type == "multipart/form-data" and any("\0" in key for key in content):
        return
    body, sent_type = make(content, content_type)
    if content or content_type != "multipart/form-data":
        assert parse(body, sent_type, 1000) == content


def test_a_list_is_made_as_json_alone() -> None:
    assert make([1, {"a": None}], "application/json") == (b'[1,{"a":null}]', "application/json")
    with pytest.raises(ArgumentError, match="made of a mapping"):
        make([1], FORM)


def test_an_unknown_type_is_refused() -> None:
    with pytest.raises(ArgumentError, match="cannot make a body of type 'text/plain'"):
        make({}, "text/plain")
