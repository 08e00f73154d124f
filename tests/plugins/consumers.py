"""Consumers with credentials, as tests of authentication need them."""

from __future__ import annotations

from typing import Any

from kongtx.pdk.node import Node
from kongtx.testing.node import make_node

BOB = {"id": "9f2b0c7e-3b7c-4b8e-8a59-2f9a4b1f0c11", "username": "bob", "custom_id": "42"}
GUEST = {"id": "11111111-3b7c-4b8e-8a59-2f9a4b1f0c11", "username": "guest", "custom_id": None}


def credential(**fields: Any) -> dict[str, Any]:
    """A credential of Bob."""
    return {"id": "c0ffee00-3b7c-4b8e-8a59-2f9a4b1f0c11", "consumer": {"id": BOB["id"]}, **fields}


def node_with(entity: str, *rows: dict[str, Any]) -> Node:
    """A node with Bob, a guest, and these credentials."""
    return make_node({"consumers": [dict(BOB), dict(GUEST)], entity: list(rows)})
