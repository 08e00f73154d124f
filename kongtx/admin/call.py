"""One request to the Admin API, as handlers see it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

import attrs

from kongtx.admin.bodies import Body
from kongtx.db.errors import InvalidOptionsError, InvalidSizeError
from kongtx.db.paging import Tags
from kongtx.schema import integer
from kongtx.schema.formats import check_tag
from kongtx.schema.forms import infer_value

_INTEGER = integer()


@attrs.define
class Call:
    """A request that found its endpoint.

    @ivar method: the HTTP method.
    @ivar raw: the path's parameters as they were sent; what C{next} links repeat.
    @ivar query: the query's names and values.
    @ivar body: the parsed body; empty for methods that have none.
    @ivar headers: by lower-case name.
    """

    method: str
    raw: Mapping[str, str] = attrs.field(factory=dict)
    query: Mapping[str, Any] = attrs.field(factory=dict)
    body: Body = attrs.field(factory=Body)
    headers: Mapping[str, str] = attrs.field(factory=dict)

    def parameter(self, name: str) -> str:
        """A parameter of the path, percent-decoded."""
        return unquote(self.raw[name], errors="surrogateescape")

    def first(self, name: str) -> str | None:
        """The first value of a query argument, as text; empty for one without a value."""
        value = self.query.get(name)
        if isinstance(value, list):
            value = value[0]
        return "" if value is True else value

    def size(self) -> float | None:
        """The page size asked for.

        @raise InvalidSizeError: it is no number.
        """
        text = self.first("size")
        if text is None:
            return None
        number = infer_value(text, _INTEGER)
        if not isinstance(number, (int, float)):
            raise InvalidSizeError("size must be a number")
        return number

    def tags(self) -> Tags | None:
        """The filter by tags: C{a,b} is all of them, C{a/b} any.

        @raise InvalidOptionsError: it is empty, mixes both, or has what is no tag.
        """
        text = self.first("tags")
        if text is None:
            return None
        if text == "":
            raise InvalidOptionsError({"tags": "cannot be null"})
        if not is_text(text):
            raise InvalidOptionsError({"tags": "invalid filter syntax"})
        for separator, any_of in ((",", False), ("/", True)):
            names = text.removesuffix(separator).split(separator)
            if all(check_tag(name) is None for name in names):
                return Tags(tuple(names), any_of)
        raise InvalidOptionsError({"tags": "invalid filter syntax"})


def is_text(value: str) -> bool:
    """Whether what was percent-decoded is text, and not just octets."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
