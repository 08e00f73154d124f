"""Answers become bytes."""

from __future__ import annotations

from types import MappingProxyType

import pytest

from kongtx.admin.answers import Answer, for_store_error
from kongtx.db import errors


@pytest.mark.parametrize(
    ("body", "payload"),
    [
        (None, b""),
        (b"raw", b"raw"),
        ({"a": [1, None, "\u00e9"]}, b'{"a":[1,null,"\xc3\xa9"]}'),
        (MappingProxyType({"a": frozenset("b")}), b'{"a":["b"]}'),
        ({"a": "\ud800"}, b'{"a":"?"}'),
    ],
)
def test_a_body_is_compact_json(body: object, payload: bytes) -> None:
    assert Answer(200, body).payload() == payload


def test_what_json_cannot_say_is_a_mistake() -> None:
    with pytest.raises(TypeError, match="no JSON"):
        Answer(200, {"a": object()}).payload()


def test_the_gateways_own_faults_have_no_details() -> None:
    assert for_store_error(errors.DatabaseError("disk full")) is None
    assert for_store_error(errors.TransformationError("x")) is None
