"""response-transformer: responses are changed on their way to the client."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import attrs

from kongtx.pdk.kong import Kong
from kongtx.pdk.text import header_name, header_value
from kongtx.plugins.base import Plugin
from kongtx.plugins.jsonbody import NotJSON
from kongtx.plugins.response_transformer.content import ContentChanges, is_json, split
from kongtx.plugins.response_transformer.schema import subschema

Header = tuple[bytes, bytes]


@attrs.frozen
class HeaderChanges:
    """What to do to the headers, in this order; pairs are of names and values to send."""

    remove: Sequence[bytes]
    rename: Sequence[Header]
    replace: Sequence[Header]
    add: Sequence[Header]
    append: Sequence[Header]

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> HeaderChanges:
        """Those of a configuration."""
        return cls(
            [split(entry)[0].lower().encode() for entry in config["remove"]["headers"]],
            *(
                _pairs(config[action]["headers"])
                for action in ("rename", "replace", "add", "append")
            ),
        )

    def __bool__(self) -> bool:
        return any((self.remove, self.rename, self.replace, self.add, self.append))

    def apply(self, before: Sequence[Header]) -> list[Header]:
        """The headers after the changes.

        Whether a header is there is judged by how they were before the first of them.
        """
        present = {name.lower() for name, _ in before}
        headers = _without(before, *self.remove) if self.remove else list(before)
        for old, new in self.rename:
            if old.lower() in present:
                values = [value for name, value in before if name.lower() == old.lower()]
                headers = _without(headers, old.lower(), new.lower())
                headers += [(new, value) for value in values]
        for name, value in self.replace:
            if name.lower() in present:
                headers = [*_without(headers, name.lower()), (name, value)]
        for name, value in self.add:
            if name.lower() not in present:
                headers = [*_without(headers, name.lower()), (name, value)]
        return [*headers, *self.append]


@attrs.frozen
class Transformation:
    """A configuration, compiled."""

    headers: HeaderChanges
    content: ContentChanges


class ResponseTransformer(Plugin):
    """Changes headers, and the top level of JSON bodies."""

    name = "response-transformer"
    priority = 800
    subschema = subschema()

    def prepare(self, config: Mapping[str, Any]) -> Transformation:
        """See L{Transformation}."""
        return Transformation(HeaderChanges.of(config), ContentChanges.of(config))

    def idle_phases(self, what: Transformation) -> Sequence[str]:
        """Bodies pass untouched where only headers are changed."""
        return () if what.content else ("body_filter",)

    def header_filter(self, what: Transformation, kong: Kong) -> None:
        """Change the headers; a length would not be that of the changed body."""
        raw = kong.raw
        changes_body = bool(what.content) and is_json(_content_type(raw.response_headers))
        if what.headers:
            raw.response_headers = what.headers.apply(raw.response_headers)
        if changes_body:
            raw.response_headers = _without(raw.response_headers, b"content-length")

    def body_filter(self, what: Transformation, kong: Kong) -> None:
        """Gather the body, and change it once it is whole."""
        if not what.content or not is_json(_content_type(kong.raw.response_headers)):
            return
        body = kong.response.get_raw_body()
        if body is None:
            return
        try:
            kong.response.set_raw_body(what.content.apply(body))
        except NotJSON as error:
            kong.log.warn("body transform failed: {reason}", reason=str(error))


def _pairs(entries: Iterable[str]) -> list[Header]:
    pairs = (split(entry) for entry in entries)
    return [(header_name(name), header_value(name, value)) for name, value in pairs if value]


def _without(headers: Iterable[Header], *names: bytes) -> list[Header]:
    return [header for header in headers if header[0].lower() not in names]


def _content_type(headers: Iterable[Header]) -> bytes:
    return next((value for name, value in headers if name.lower() == b"content-type"), b"")
