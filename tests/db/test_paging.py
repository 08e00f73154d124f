"""Offsets lead back to where they were made."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kongtx.db.errors import InvalidOffsetError
from kongtx.db.paging import decode_offset, encode_offset, storable

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))


@given(st.lists(texts, min_size=1, max_size=4))
def test_an_offset_is_decoded_to_what_it_was_made_of(key: list[str]) -> None:
    offset = encode_offset(key)
    assert "=" not in offset
    assert decode_offset(offset, len(key)) == key
    assert json.loads(base64.b64decode(offset + "=" * (-len(offset) % 4))) == key


@given(st.text() | st.binary().map(lambda raw: base64.b64encode(raw).decode()))
def test_any_other_text_is_refused_or_harmless(text: str) -> None:
    try:
        key = decode_offset(text, 1)
    except InvalidOffsetError:
        return
    assert len(key) == 1
    assert storable(key[0])


def test_an_offset_of_another_kind_of_page_is_refused() -> None:
    with pytest.raises(InvalidOffsetError):
        decode_offset(encode_offset(["a", "b"]), 1)
