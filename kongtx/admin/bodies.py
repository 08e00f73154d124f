"""Bodies and query strings as data."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Mapping
from typing import Any

import attrs
from multipart import MultipartError, MultipartParser, parse_options_header

from kongtx.admin.answers import abort
from kongtx.schema import Schema
from kongtx.schema.forms import (
    TooManyArguments,
    combine_repeated,
    decode,
    infer,
    parse_urlencoded,
)

JSON, FORM, MULTIPART = (
    "application/json",
    "application/x-www-form-urlencoded",
    "multipart/form-data",
)
_YAML = ("application/yaml", "text/yaml")


@attrs.frozen
class Body:
    """What a client sent.

    @ivar raw: the bytes.
    @ivar kind: one of L{JSON}, L{FORM}, L{MULTIPART}, or C{""} for anything else.
    @ivar fields: JSON's object, or a form's names and texts as they were sent.
    """

    raw: bytes = b""
    kind: str = ""
    fields: Mapping[str, Any] = attrs.field(factory=dict)

    def data(self, schema: Schema, like: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The fields as an entity's data; form values take the types of the schema.

        @param like: on updates the stored entity, whose subschema counts.
        """
        if self.kind in (FORM, MULTIPART):
            return infer(decode(self.fields), schema, like)
        return dict(self.fields)

    def plain(self) -> dict[str, Any]:
        """The fields without a schema: forms are nested, their values stay text."""
        return decode(self.fields) if self.kind in (FORM, MULTIPART) else dict(self.fields)


def parse_body(content_type: str | None, raw: bytes, yaml: bool = False) -> Body:
    """Read the body of a write.

    @param yaml: whether YAML, or no type at all, is fine; the fields are then empty.
    @raise AbortError: 415 for a type that is not spoken here, 400 for what cannot be parsed.
    """
    if content_type is None:
        if raw and not yaml:
            raise abort(415, "Unsupported Media Type")
        return Body(raw)
    if content_type.startswith(JSON):
        return Body(raw, JSON, parse_json(raw))
    try:
        if content_type.startswith(FORM):
            return Body(raw, FORM, parse_urlencoded(raw.decode("utf-8", "surrogateescape")))
        if content_type.startswith(MULTIPART):
            return Body(raw, MULTIPART, _parse_multipart(content_type, raw))
    except TooManyArguments as error:
        raise abort(400, str(error)) from None
    if yaml and content_type.startswith(_YAML):
        return Body(raw)
    raise abort(415, "Unsupported Media Type")


def parse_query(text: str) -> dict[str, Any]:
    """Names and values of a query; a repeated name has a list.

    @raise AbortError: too many arguments.
    """
    try:
        return parse_urlencoded(text)
    except TooManyArguments as error:
        raise abort(400, str(error)) from None


def parse_json(raw: bytes) -> dict[str, Any]:
    """A JSON object.

    Stricter than JSON parsers are by habit: names must not repeat, and numbers must be finite,
    because what was meant cannot be known.

    @raise AbortError: 400, it is none.
    """
    try:
        found = _decoder.decode(raw.decode())
    except (ValueError, RecursionError):
        raise abort(400, "Cannot parse JSON body") from None
    if not isinstance(found, dict):
        raise abort(400, "Cannot parse JSON body")
    return found


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("repeated name")
    return found


def _refuse(text: str) -> Any:
    raise ValueError(text)


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(text)
    return number


_decoder = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_refuse, parse_float=_finite)


def _parse_multipart(content_type: str, raw: bytes) -> dict[str, Any]:
    """A form's fields; a file's content is its value."""
    if not raw:
        return {}
    boundary = parse_options_header(content_type)[1].get("boundary")
    if not boundary:
        raise abort(400, "Cannot parse multipart body: no boundary")
    pairs = []
    try:
        parser = MultipartParser(io.BytesIO(raw), boundary, memory_limit=len(raw) + 1)
        for part in parser:
            text = part.raw.decode("utf-8", "surrogateescape")
            pairs.append((part.name, text))
    except (MultipartError, ValueError, LookupError) as error:
        raise abort(400, f"Cannot parse multipart body: {error}") from None
    return combine_repeated(pairs)
