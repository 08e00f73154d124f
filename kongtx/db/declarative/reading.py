"""Text of a declarative configuration as data: JSON or YAML.

YAML is built from libyaml's events directly: several times faster than PyYAML's constructor, and
strict about what makes no sense here: duplicate keys, unknown tags, endless aliases.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from typing import Any

import yaml
from yaml.events import (
    AliasEvent,
    DocumentEndEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from kongtx.db.declarative.errors import DeclarativeError

MAX_DEPTH = 100
MAX_NODES = 50_000_000
_FAILED = "failed parsing declarative configuration"
_TAG = "tag:yaml.org,2002:"
#: YAML 1.1 types of plain scalars. Dates stay text, as they do in Kong.
_RESOLVERS: dict[str, list[tuple[str, re.Pattern[str]]]] = {
    first: [(tag, pattern) for tag, pattern in found if not tag.endswith("timestamp")]
    for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def content_hash(text: str | bytes) -> str:
    """The MD5 that names a configuration's text; no protection against anything."""
    data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def read(text: str | bytes, filename: str | None = None) -> dict[str, Any]:
    """The document that a text holds.

    @param text: JSON or YAML, in UTF-8.
    @param filename: its extension says which; without a name JSON is tried first, then YAML.
    @raise DeclarativeError: it could not be read, or is no mapping.
    """
    as_json = filename is None or filename.endswith("json")
    as_yaml = filename is None or re.search(r"ya?ml\Z", filename) is not None
    if not as_json and not as_yaml:
        raise _refused(f"unknown file type: {filename}. (Accepted types: json, yaml)")
    try:
        decoded = text.decode("utf-8-sig") if isinstance(text, bytes) else text
    except UnicodeDecodeError as error:
        raise _refused(f"{_FAILED}: invalid UTF-8 at byte {error.start + 1}") from None
    problem = "expected an object"
    for wanted, parse in ((as_json, _parse_json), (as_yaml, parse_yaml)):
        if wanted:
            try:
                document = parse(decoded)
            except (ValueError, yaml.YAMLError, RecursionError) as error:
                problem = " ".join(str(error).split())
            else:
                if isinstance(document, dict):
                    return document
                problem = "expected an object"
    raise _refused(f"{_FAILED}: {problem}")


def _refused(text: str) -> DeclarativeError:
    return DeclarativeError({"error": text})


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    out = dict(pairs)
    if len(out) != len(pairs):
        names = [name for name, _ in pairs]
        repeated = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"duplicate key '{repeated}'")
    return out


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON number")


def _parse_json(text: str) -> Any:
    document = json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant)
    check_depth(document)
    return document


def check_depth(document: Any) -> None:
    """Refuse data that is nested so deeply that no configuration could be.

    @raise ValueError: it is nested more than 100 levels deep.
    """
    level = [document]
    for _ in range(MAX_DEPTH + 1):
        level = [
            inner
            for item in level
            if isinstance(item, (dict, list))
            for inner in (item.values() if isinstance(item, dict) else item)
            if isinstance(inner, (dict, list))
        ]
        if not level:
            return
    raise ValueError(f"nested more than {MAX_DEPTH} levels deep")


class _Collection:
    """A list or mapping that is being read."""

    __slots__ = ("anchor", "items", "key", "merged", "started")

    def __init__(self, items: Any, anchor: str | None, started: int) -> None:
        self.items = items
        self.anchor = anchor
        self.started = started  # nodes read before it, to know its size
        self.key: Any = _NO_KEY
        self.merged: list[dict[Any, Any]] = []


_NO_KEY = object()
_MERGE = object()


def parse_yaml(text: str) -> Any:
    """The first document of a YAML text; None when there is none.

    @raise ValueError: it is refused (see the module).
    @raise yaml.YAMLError: it is not YAML.
    """
    loader = yaml.CSafeLoader(text)
    try:
        return _Builder().build(loader.get_event)
    finally:
        loader.dispose()


class _Builder:
    """Makes data of events."""

    def __init__(self) -> None:
        self._stack: list[_Collection] = []
        self._anchors: dict[str, tuple[Any, int]] = {}
        self._scalars: dict[str, Any] = {}
        self._nodes = 0
        self._root: Any = None

    def build(self, next_event: Callable[[], Any]) -> Any:
        while True:
            event = next_event()
            kind = event.__class__
            if kind is ScalarEvent:
                self._nodes += 1
                value = self._scalar(event)
                if event.anchor:
                    self._anchors[event.anchor] = (value, 1)
                self._add(value)
            elif kind is MappingStartEvent:
                self._open(event, {}, f"{_TAG}map")
            elif kind is SequenceStartEvent:
                self._open(event, [], f"{_TAG}seq")
            elif kind is MappingEndEvent or kind is SequenceEndEvent:
                self._close()
            elif kind is AliasEvent:
                self._alias(event.anchor)
            elif kind is DocumentEndEvent:
                return self._root
            elif event is None:
                return None

    def _open(self, event: Any, items: Any, tag: str) -> None:
        if event.tag not in (None, "!", tag):
            raise ValueError(f"unsupported tag '{event.tag}'")
        if len(self._stack) >= MAX_DEPTH:
            raise ValueError(f"nested more than {MAX_DEPTH} levels deep")
        self._nodes += 1
        self._stack.append(_Collection(items, event.anchor, self._nodes))

    def _close(self) -> None:
        done = self._stack.pop()
        for merged in done.merged:
            for key, value in merged.items():
                done.items.setdefault(key, value)
        if done.anchor:
            self._anchors[done.anchor] = (done.items, self._nodes - done.started + 1)
        self._add(done.items)

    def _alias(self, anchor: str) -> None:
        if anchor not in self._anchors:
            raise ValueError(f"alias '{anchor}' refers to nothing before it")
        value, size = self._anchors[anchor]
        self._nodes += size
        if self._nodes > MAX_NODES:
            raise ValueError("aliases make the document too large")
        self._add(value)

    def _add(self, value: Any) -> None:
        if not self._stack:
            self._root = value
            return
        into = self._stack[-1]
        if into.items.__class__ is list:
            into.items.append(value)
        elif into.key is _NO_KEY:
            self._key(into, value)
        elif into.key is _MERGE:
            into.key = _NO_KEY
            into.merged += self._mergeable(value)
        else:
            into.items[into.key] = value
            into.key = _NO_KEY

    @staticmethod
    def _key(into: _Collection, key: Any) -> None:
        if isinstance(key, (dict, list)):
            raise ValueError("a key must be a scalar")
        if key is not _MERGE and key in into.items:
            raise ValueError(f"duplicate key '{key}'")
        into.key = key

    @staticmethod
    def _mergeable(value: Any) -> list[dict[Any, Any]]:
        values = value if isinstance(value, list) else [value]
        if not all(isinstance(item, dict) for item in values):
            raise ValueError("'<<' merges mappings only")
        return values

    def _scalar(self, event: Any) -> Any:
        text: str = event.value
        if event.tag is None or event.tag == "!":
            if not event.implicit[0]:  # quoted, or said to be text
                return text
            known = self._scalars
            if text in known:
                return known[text]
            value = known[text] = self._plain(text)
            return value
        if event.tag == f"{_TAG}str":
            return text
        if event.tag in _CONSTRUCTORS:
            return _construct(event.tag, text)
        raise ValueError(f"unsupported tag '{event.tag}'")

    def _plain(self, text: str) -> Any:
        for tag, pattern in _RESOLVERS.get(text[:1], ()):
            if pattern.match(text):
                if tag == f"{_TAG}merge":
                    return _MERGE if self._expects_key() else text
                return _construct(tag, text)
        return text

    def _expects_key(self) -> bool:
        if not self._stack:
            return False
        into = self._stack[-1]
        return into.items.__class__ is dict and into.key is _NO_KEY


_CONSTRUCTORS = {
    f"{_TAG}null": yaml.SafeLoader.construct_yaml_null,
    f"{_TAG}bool": yaml.SafeLoader.construct_yaml_bool,
    f"{_TAG}int": yaml.SafeLoader.construct_yaml_int,
    f"{_TAG}float": yaml.SafeLoader.construct_yaml_float,
}
_MAKER = yaml.SafeLoader("")


def _construct(tag: str, text: str) -> Any:
    constructor = _CONSTRUCTORS.get(tag)
    if constructor is None:
        return text
    try:
        return constructor(_MAKER, yaml.ScalarNode(tag, text))
    except KeyError:
        raise ValueError(f"'{text}' is not a {tag.rpartition(':')[2]}") from None
