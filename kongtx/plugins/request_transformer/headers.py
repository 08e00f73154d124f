"""Changing the headers of requests; on the hot path."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import attrs

from kongtx.pdk.errors import ArgumentError
from kongtx.pdk.text import encode, header_value
from kongtx.plugins.request_transformer.bodies import Changes
from kongtx.proxy.interfaces import IRequestContext

#: A header: its name in lower case, its name as it is sent, and its value.
Header = tuple[bytes, bytes, bytes]


@attrs.frozen
class HeaderChanges:
    """What to do to the headers, in this order, each name and value as it is sent.

    @ivar host: what goes upstream as Host instead; L{None}: what goes otherwise.
    """

    remove: Sequence[bytes]
    rename: Sequence[tuple[bytes, bytes]]
    replace: Sequence[Header]
    add: Sequence[Header]
    append: Sequence[Header]
    host: bytes | None

    @classmethod
    def of(cls, changes: Changes) -> HeaderChanges:
        """Changes for one request, or for all of them.

        @raise ArgumentError: a value would break the Host header.
        """
        host = [header_value(name, value) for name, value in changes.replace if _is_host(name)]
        return cls(
            remove=[name.lower().encode() for name in changes.remove if not _is_host(name)],
            rename=[
                (old.encode(), new.encode())
                for old, new in changes.rename
                if old != new and not _is_host(old)
            ],
            replace=_headers(changes.replace),
            add=_headers(changes.add),
            append=_headers(changes.append),
            host=host[-1] if host else None,
        )

    def apply(self, raw: IRequestContext) -> None:
        """Change the headers of a request."""
        for lower in self.remove:
            raw.clear_header(lower)
        for old, new in self.rename:
            _rename(old, new, raw)
        if self.host is not None:
            raw.upstream_host = self.host
        for lower, name, value in self.replace:
            if raw.get_header(lower) is not None:
                raw.set_header(name, value)
        for lower, name, value in self.add:
            if raw.get_header(lower) is None:
                raw.add_header(name, value)
        for _, name, value in self.append:
            raw.add_header(name, value)


def _headers(pairs: Iterable[tuple[str, str]]) -> list[Header]:
    return [
        (name.lower().encode(), name.encode(), _value(name, value))
        for name, value in pairs
        if not _is_host(name)
    ]


def _value(name: str, value: str) -> bytes:
    try:
        return header_value(name, value)
    except ArgumentError:
        return encode(value)  # which the request refuses, should it come to that


def _rename(old: bytes, new: bytes, raw: IRequestContext) -> None:
    wanted = old.lower()
    values = [value for name, value in raw.headers if name == wanted]
    if not values:
        return
    raw.clear_header(wanted)
    if new.lower() == b"host":
        raw.upstream_host = values[0]
        return
    raw.clear_header(new.lower())
    for value in values:
        raw.add_header(new, value)


def _is_host(name: str) -> bool:
    return name.lower() == "host"
