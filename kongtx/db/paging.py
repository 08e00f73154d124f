"""Opaque page offsets: the key of the last row seen, in the form Kong gives them."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence
from typing import Any

import attrs

from kongtx.db.errors import InvalidOffsetError
from kongtx.db.tables import Entity


@attrs.frozen
class Tags:
    """A filter by tags: all of them, or any of them."""

    names: tuple[str, ...]
    any_of: bool = False


@attrs.frozen
class Query:
    """Which rows of a table a page is cut from, in the order of their primary keys.

    @ivar size: how many rows at most.
    @ivar offset: the C{offset} of the page before; L{None} to begin.
    @ivar reference: a foreign field and the id that it must hold.
    @ivar tags: a filter by tags.
    """

    size: int
    offset: str | None = None
    reference: tuple[str, str] | None = None
    tags: Tags | None = None


@attrs.frozen
class Page:
    """Some rows, and where the next page begins; C{offset} is L{None} after the last row."""

    rows: list[Entity]
    offset: str | None = None


def encode_offset(key: Sequence[Any]) -> str:
    """Make an offset from the values that identify the last row of a page.

    @return: base64 without padding of a JSON array, as Kong's PostgreSQL strategy makes it.
    """
    text = json.dumps(list(key), separators=(",", ":"))
    return base64.b64encode(text.encode()).decode().rstrip("=")


def decode_offset(offset: str, length: int) -> list[str]:
    """The values that an offset was made from.

    @param length: how many there must be.
    @raise InvalidOffsetError: if it was not made by L{encode_offset}.
    """
    try:
        text = base64.b64decode(offset + "=" * (-len(offset) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise InvalidOffsetError(offset, "bad base64 encoding") from None
    try:
        key = json.loads(text)
    except (ValueError, RecursionError):
        raise InvalidOffsetError(offset, "bad json encoding") from None
    if not isinstance(key, list) or len(key) != length:
        raise InvalidOffsetError(offset, "bad json encoding")
    if not all(isinstance(value, str) and storable(value) for value in key):
        raise InvalidOffsetError(offset, "bad json encoding")
    return key


def storable(text: str) -> bool:
    """Whether a text can be handed to a database: no NUL, no lone surrogate."""
    try:
        return b"\0" not in text.encode()
    except UnicodeEncodeError:
        return False
