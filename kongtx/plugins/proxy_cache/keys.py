"""Under which key a response is kept: what decides that two requests are the same. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

import attrs
import msgspec

from kongtx.pdk.kong import Kong
from kongtx.pdk.text import arguments_to_mapping, parse_arguments


@attrs.frozen
class KeyMaker:
    """Makes keys: 64 hexadecimal digits.

    @ivar parameters: the arguments that count; all of them if empty.
    @ivar headers: the headers that count, in lower case.
    """

    parameters: Sequence[str]
    headers: Sequence[str]
    ignore_case: bool

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> KeyMaker:
        """That of a configuration."""
        headers = [name.lower().replace("_", "-") for name in config["vary_headers"] or ()]
        return cls(config["vary_query_params"] or (), headers, bool(config["ignore_uri_case"]))

    def key(self, kong: Kong) -> str:
        """The key of a request: its consumer, route, method, path, arguments and headers."""
        raw = kong.raw
        path = raw.raw_path.lower() if self.ignore_case else raw.raw_path
        parts = (
            raw.consumer["id"] if raw.consumer else None,
            raw.route["id"] if raw.route else None,
            raw.raw_method,
            path,
            self._arguments(raw.query),
            self._headers(kong),
        )
        return sha256(msgspec.msgpack.encode(parts)).hexdigest()

    def _arguments(self, query: bytes) -> list[tuple[bytes, list[bytes]]]:
        if not query:
            return []
        arguments = parse_arguments(query)
        values = arguments_to_mapping(arguments, len(arguments))
        names = self.parameters or sorted(values)
        return [(_octets(name), _sorted(values[name])) for name in names if name in values]

    def _headers(self, kong: Kong) -> list[tuple[str, list[bytes]]]:
        found = []
        for name in self.headers:
            values = [value for key, value in kong.raw.headers if key == name.encode()]
            if values:
                found.append((name, sorted(values)))
        return found


def _sorted(value: Any) -> list[bytes]:
    values = value if isinstance(value, list) else [value]
    return sorted(b"" if each is True else b"=" + _octets(each) for each in values)


def _octets(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
