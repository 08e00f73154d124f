"""Custom fields of log entries."""

from __future__ import annotations

from typing import Any

import pytest

from kongtx.pdk.kong import kong_of
from kongtx.plugins.custom_fields import CustomFieldError, compile_field
from kongtx.testing.node import make_node
from kongtx.testing.request import FakeRequest


@pytest.mark.parametrize(
    ("body", "value"),
    [
        ("return nil", None),
        ("return true;", True),
        (" return 'text' ", "text"),
        ("return -1.5", -1.5),
        ("return 12", 12),
        ('return kong.request.get_header("x-key")', "k"),
        ("return kong.request.get_query_arg('a')", "1"),
        ("return kong.request.get_method()", "GET"),
        ("return kong.router.get_route().name", "r"),
        ("return kong.router.get_service().name", None),
        ("return kong.client.get_consumer().username", "bob"),
    ],
)
def test_what_is_understood(body: str, value: Any) -> None:
    request = FakeRequest(
        phase="log",
        target=b"/?a=1",
        headers=[(b"x-key", b"k")],
        route={"name": "r"},
        consumer={"id": "c", "username": "bob"},
    )
    assert compile_field(body)(kong_of(request, make_node())) == value


@pytest.mark.parametrize(
    "body",
    [
        "",
        "return",
        "return os.execute('x')",
        "return kong.service.set_target('h', 1)",
        "local x = 1; return x",
        "return 'a' .. 'b'",
    ],
)
def test_what_is_not_understood_is_told(body: str) -> None:
    with pytest.raises(CustomFieldError, match="is Lua that kongtx does not run; it can be"):
        compile_field(body)
