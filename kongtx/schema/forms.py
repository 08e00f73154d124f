"""Form bodies and query strings as nested data, with the types that a schema expects.

C{parse_urlencoded} reads the text, C{decode} nests the names (C{a.b}, C{a[]}, C{a[1]},
C{a[key]}) and C{infer} turns text into numbers, booleans, lists and nulls where the schema has
them. JSON bodies need none of this.

Source: Kong: C{kong/api/arguments.lua} and C{arguments_decoder.lua}.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import unquote_plus

from kongtx.schema.errors import SchemaError
from kongtx.schema.field import Field
from kongtx.schema.schema import Schema

MAX_ARGUMENTS = 1000
_MAX_DEPTH = 64

_BAD_DOTS = re.compile(r"\A\.|\.\Z")
_ENCODED_BRACKETS = re.compile(r"%5B(.*?)%5D", re.IGNORECASE)
_PARTS = re.compile(r"(?:[^.](?:\[[^\]]*\])*)+")
_STEPS = re.compile(r"\[([^\]]*)\]")
_DECIMAL = re.compile(r"\s*[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?\s*", re.ASCII)
_HEXADECIMAL = re.compile(r"\s*[+-]?0[xX][0-9a-fA-F]+\s*")


class TooManyArguments(SchemaError):
    """More arguments than a request may have."""

    def __init__(self) -> None:
        super().__init__("Too many arguments")


def parse_urlencoded(text: str) -> dict[str, Any]:
    """Names and values of C{a=1&b=2}: a list for a repeated name, True for one without C{=}.

    @raise TooManyArguments: there are more than 1000.
    """
    pairs = [part for part in text.split("&") if part]
    if len(pairs) > MAX_ARGUMENTS:
        raise TooManyArguments
    out: dict[str, Any] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        _repeat(out, _unquote(name), _unquote(value) if equals else True)
    return out


def _unquote(text: str) -> str:
    """Percent-decoded text; what is no UTF-8 stays recognisable, for validation to refuse it."""
    return unquote_plus(text, errors="surrogateescape")


def combine_repeated(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Names and values where a repeated name has a list, as for the parts of a multipart body.

    @raise TooManyArguments: there are more than 1000.
    """
    out: dict[str, Any] = {}
    for count, (name, value) in enumerate(pairs, 1):
        if count > MAX_ARGUMENTS:
            raise TooManyArguments
        _repeat(out, name, value)
    return out


def _repeat(out: dict[str, Any], name: str, value: Any) -> None:
    if name not in out:
        out[name] = value
    elif isinstance(out[name], list):
        out[name].append(value)
    else:
        out[name] = [out[name], value]


def decode(arguments: Mapping[str, Any], *, maps: bool = True) -> dict[str, Any]:
    """Nested data for flat arguments.

    @param arguments: names to text, True, or a list of those.
    @param maps: whether C{name[key]} makes an object, as in the bodies of writes; otherwise only
        lists are made and the name is kept as it is.
    """
    out: dict[Any, Any] = {}
    for name, value in arguments.items():
        _combine(out, _nested(name, value, maps))
    return {str(key): _lists(value) for key, value in out.items()}


def _nested(raw: str, value: Any, maps: bool) -> dict[Any, Any]:
    """One argument as nested dicts; list positions are integer keys, counted from one."""
    if isinstance(value, list):
        value = dict(enumerate(value, 1))
    if _BAD_DOTS.search(raw):
        return {raw: value}
    name = _ENCODED_BRACKETS.sub(r"[\1]", raw)
    steps: list[Any] = []
    for part in _PARTS.findall(name) or [name]:
        steps += _split_brackets(part, maps)
    if len(steps) > _MAX_DEPTH:
        return {raw: value}
    if steps[-1] == "":
        # C{a[]} with several values is the list of them, not a list in a list.
        steps.pop()
        value = value if isinstance(value, dict) else {1: value}
    for step in reversed(steps):
        value = {1 if step == "" else step: value}
    nested: dict[Any, Any] = value
    return nested


def _split_brackets(part: str, maps: bool) -> list[Any]:
    """C{a[b][2][]} as C{["a", "b", 2, ""]}; the part alone when it is nothing of the kind."""
    at = part.find("[", 1)
    if at < 0:
        return [part]
    found: list[str] = _STEPS.findall(part[at:])
    if not found:
        return [part]
    steps: list[Any] = [
        int(step) if step.isascii() and step.isdigit() and len(step) < 10 else step
        for step in found
    ]
    if not maps and any(isinstance(step, str) and step for step in steps):
        return [part]
    return [part[:at], *steps]


def _combine(into: dict[Any, Any], more: Mapping[Any, Any]) -> None:
    for key, value in more.items():
        if key not in into:
            into[key] = value
            continue
        current = into[key]
        if not isinstance(current, dict):
            current = into[key] = {1: current}
        if isinstance(value, dict):
            _combine(current, value)
        else:
            current[max((k for k in current if isinstance(k, int)), default=0) + 1] = value


def _lists(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    if value and all(isinstance(key, int) for key in value):
        ordered = sorted(value)
        if ordered == list(range(1, len(ordered) + 1)):
            return [_lists(value[key]) for key in ordered]
    return {str(key): _lists(item) for key, item in value.items()}


def infer(
    data: Mapping[str, Any], schema: Schema, like: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Decoded data with the types of a schema, as far as the text allows; the rest stays as it is.

    @param data: decoded data.
    @param schema: the entity's schema.
    @param like: on updates, the stored entity, whose subschema counts when C{data} names none.
    """
    out = dict(data)
    chosen = like if like is not None and schema.subschema_name(out) is None else out
    for name, field in schema.plan(chosen).items:
        if name in out:
            out[name] = infer_value(out[name], field)
    for name, field in schema.shorthand_fields.items():
        if name in out and name not in schema.fields:
            out[name] = infer_value(out[name], field)
    if schema.ttl and isinstance(out.get("ttl"), str):
        out["ttl"] = _to_number(out["ttl"])
    return out


def infer_value(value: Any, field: Field) -> Any:
    """A value with the type of a field: empty text is null, one value may be a list of one."""
    if value == "" or value is None:
        return None
    kind = field.kind
    if kind in ("number", "integer"):
        return _to_number(value) if isinstance(value, str) else value
    if kind == "boolean":
        return {"true": True, "false": False}.get(value, value) if isinstance(value, str) else value
    if field.elements is not None:
        if not isinstance(value, (list, dict)):
            value = [value]
        if isinstance(value, list):
            return [infer_value(item, field.elements) for item in value]
        return value
    if not isinstance(value, dict):
        return value
    if kind == "foreign":
        return infer(value, field.target) if field.target is not None else value
    if field.values is not None:
        return {key: infer_value(item, field.values) for key, item in value.items()}
    if field.record is not None:
        known = {**field.record.shorthand_fields, **field.record.fields}
        return {
            key: infer_value(item, known[key]) if key in known else item
            for key, item in value.items()
        }
    return value


def _to_number(text: str) -> Any:
    if _DECIMAL.fullmatch(text):
        value = float(text)
        stripped = text.strip()
        if stripped.lstrip("+-").isdigit() and len(stripped) < 20:
            return int(stripped)
        return value
    if _HEXADECIMAL.fullmatch(text) and len(text) < 20:
        return int(text.strip(), 16)
    return text
