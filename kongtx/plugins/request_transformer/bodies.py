"""Changing the content of bodies: JSON objects, forms, and multipart forms. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import attrs
import multipart

from kongtx.pdk.body import FORM, JSON, MULTIPART
from kongtx.pdk.text import arguments_to_mapping, encode, encode_arguments, parse_arguments
from kongtx.plugins.jsonbody import NotJSON, dump, load, printable

_NAME = re.compile(r"""(;\s*name=)("(?:\\.|[^"\\])*"|[^;\s]*)""", re.IGNORECASE)


@attrs.frozen
class Changes:
    """What to do to a body, its values rendered for one request."""

    remove: Sequence[str] = ()
    rename: Sequence[tuple[str, str]] = ()
    replace: Sequence[tuple[str, str]] = ()
    add: Sequence[tuple[str, str]] = ()
    append: Sequence[tuple[str, str]] = ()


def changed(body: bytes, content_type: str, changes: Changes) -> bytes | None:
    """A body after some changes; L{None} if it stays as it is.

    An empty body has nothing to remove, rename or replace.
    """
    if not body:
        changes = Changes(add=changes.add, append=changes.append)
    lower = content_type.lower()
    if JSON in lower:
        return _json(body, changes)
    if MULTIPART in lower:
        return _multipart(body, content_type, changes)
    return _form(body, changes) if FORM in lower else None


def present(value: Any) -> bool:
    """Whether a value counts as being there."""
    return value is not None and value is not False


def append_value(values: dict[str, Any], name: str, value: str) -> None:
    """Put one more value beside those of a name; what is neither text nor a list gives way."""
    old = values.get(name)
    if isinstance(old, list):
        old.append(value)
    else:
        values[name] = [old, value] if isinstance(old, str) else [value]


def rename(values: dict[str, Any], old: str, new: str) -> bool:
    """Give a value another name, if it is there."""
    if old == new or not present(values.get(old)):
        return False
    values[new] = values.pop(old)
    return True


def _json(body: bytes, changes: Changes) -> bytes | None:
    values: Any = {}
    if body:
        try:
            values = load(body)
        except NotJSON:
            return None
    if not isinstance(values, dict):
        return None
    # A null of JSON is there, unlike a name that is missing.
    marked = {name: _NULL if value is None else value for name, value in values.items()}
    if not change(marked, _printable(changes)):
        return None
    return dump({name: None if value is _NULL else value for name, value in marked.items()})


_NULL = object()


def _printable(changes: Changes) -> Changes:
    return Changes(
        changes.remove,
        *(
            [(printable(name), printable(value)) for name, value in pairs]
            for pairs in (changes.rename, changes.replace, changes.add, changes.append)
        ),
    )


def _form(body: bytes, changes: Changes) -> bytes | None:
    arguments = parse_arguments(body)
    values: dict[str, Any] = arguments_to_mapping(arguments, len(arguments))
    return encode_arguments(values) if change(values, changes) else None


def change(values: dict[str, Any], changes: Changes) -> bool:
    """Change values by their names: remove, rename, replace, add, append; whether that did any."""
    done = bool(changes.remove)
    for name in changes.remove:
        values.pop(name, None)
    for old, new in changes.rename:
        done |= rename(values, old, new)
    for name, value in changes.replace:
        if present(values.get(name)):
            values[name] = value
            done = True
    for name, value in changes.add:
        if not present(values.get(name)):
            values[name] = value
            done = True
    for name, value in changes.append:
        append_value(values, name, value)
        done = True
    return done


@attrs.define
class _Part:
    name: str
    headers: list[tuple[str, str]]
    body: bytes

    @classmethod
    def simple(cls, name: str, value: str) -> _Part:
        return cls(name, [("Content-Disposition", f"form-data; name={_quoted(name)}")], _raw(value))

    def renamed(self, name: str) -> _Part:
        """The same part, with a file's name and type, under another name."""
        headers = [
            (key, _NAME.sub(lambda found: found[1] + _quoted(name), value, 1))
            if key.lower() == "content-disposition"
            else (key, value)
            for key, value in self.headers
        ]
        return _Part(name, headers, self.body)


def _multipart(body: bytes, content_type: str, changes: Changes) -> bytes | None:
    boundary = multipart.parse_options_header(content_type)[1].get("boundary", "")
    if not boundary:
        return None
    try:
        parts = _parts(body, boundary) if body else []
    except multipart.MultipartError:
        return None
    after = _changed_parts(parts, changes)
    return None if after is None else _written(after, boundary)


def _changed_parts(parts: list[_Part], changes: Changes) -> list[_Part] | None:
    done = bool(changes.remove)
    for old, new in changes.rename:
        if old != new and any(part.name == old for part in parts):
            kept = [part for part in parts if part.name != new]
            parts = [part.renamed(new) if part.name == old else part for part in kept]
            done = True
    parts = [part for part in parts if part.name not in changes.remove]
    for name, value in changes.replace:
        if any(part.name == name for part in parts):
            parts = [part for part in parts if part.name != name] + [_Part.simple(name, value)]
            done = True
    for name, value in changes.add:
        if all(part.name != name for part in parts):
            parts = [*parts, _Part.simple(name, value)]
            done = True
    return parts if done else None


def _parts(body: bytes, boundary: str) -> list[_Part]:
    parts: list[_Part] = []
    pieces: list[bytes] = []
    with multipart.PushMultipartParser(boundary, max_segment_count=10_000) as parser:
        for event in [*parser.parse(body), *parser.parse(b"")]:
            if event is None:
                parts[-1].body = b"".join(pieces)
                pieces = []
            elif isinstance(event, multipart.MultipartSegment):
                parts.append(_Part(event.name, list(event.headerlist), b""))
            else:
                pieces.append(bytes(event))
    return parts


def _written(parts: Sequence[_Part], boundary: str) -> bytes:
    out = []
    for part in parts:
        head = "".join(f"{name}: {value}\r\n" for name, value in part.headers)
        out += [b"--", boundary.encode(), b"\r\n", _raw(head), b"\r\n", part.body, b"\r\n"]
    out += [b"--", boundary.encode(), b"--\r\n"]
    return b"".join(out)


def _quoted(name: str) -> str:
    escaped = name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
    return f'"{escaped}"'


def _raw(text: str) -> bytes:
    return encode(text)
