"""Changing JSON objects as configured. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import attrs
import msgspec

from kongtx.plugins.jsonbody import dump, load

Pairs = Sequence[tuple[str, Any]]


def split(entry: str) -> tuple[str, str]:
    """Name and value of C{name:value}; colons right after the name are not of the value."""
    name, _, value = entry.partition(":")
    return name, value.lstrip(":")


@attrs.frozen
class ContentChanges:
    """What to do to the top level of an object, in this order."""

    remove: Sequence[str]
    rename: Sequence[tuple[str, str]]
    replace: Pairs
    add: Pairs
    append: Pairs

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> ContentChanges:
        """Those of a configuration."""
        renamed = (split(entry) for entry in config["rename"]["json"])
        return cls(
            [split(entry)[0] for entry in config["remove"]["json"]],
            [(old, new) for old, new in renamed if new],
            *(_typed(config[action]) for action in ("replace", "add", "append")),
        )

    def __bool__(self) -> bool:
        return any((self.remove, self.rename, self.replace, self.add, self.append))

    def apply(self, body: bytes) -> bytes:
        """A body after the changes; one that holds no object stays as it is.

        @raise NotJSON: if it holds no JSON.
        """
        content = load(body)
        if not isinstance(content, dict):
            return body
        self._change(content)
        return dump(content)

    def _change(self, content: dict[str, Any]) -> None:
        for name in self.remove:
            content.pop(name, None)
        for old, new in self.rename:
            if old in content:
                content[new] = content.pop(old)
        for name, value in self.replace:
            if content.get(name, False) is not False:
                content[name] = value
        for name, value in self.add:
            if content.get(name, False) is False:
                content[name] = value
        for name, value in self.append:
            old_value = content.get(name)
            if isinstance(old_value, list):
                old_value.append(value)
            else:
                content[name] = [old_value, value] if isinstance(old_value, str) else [value]


def _typed(config: Mapping[str, Any]) -> Pairs:
    """Names and values, each of the type at its place in C{json_types}; text without one."""
    types: list[str] = list(config["json_types"])
    pairs = []
    for index, entry in enumerate(config["json"]):
        name, text = split(entry)
        value = _cast(text, types[index] if index < len(types) else "string")
        if value is not None:
            pairs.append((name, value))
    return pairs


def _cast(text: str, kind: str) -> Any:
    """A value of a type; L{None} for what is no number."""
    if kind == "boolean":
        return text == "true"
    if kind != "number":
        return text
    try:
        number = msgspec.json.decode(text)
    except msgspec.DecodeError:
        return None
    return number if isinstance(number, (int, float)) and not isinstance(number, bool) else None


@lru_cache(maxsize=256)
def is_json(content_type: bytes) -> bool:
    """Whether a Content-Type is C{application/json}, or an application's with C{+json}."""
    for value in content_type.lower().split(b","):
        kind, _, subtype = value.partition(b";")[0].strip().partition(b"/")
        if kind == b"application" and (subtype == b"json" or subtype.endswith(b"+json")):
            return True
    return False
