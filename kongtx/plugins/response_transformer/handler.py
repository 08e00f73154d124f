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
from kongtx.proxy.interfaces import IRequestContext

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

    def apply(self, raw: IRequestContext) -> None:
        """Change the headers of a response.

        Whether a header is there is judged by how they were before the first of the changes.
        """
        present = raw.get_response_header
        replaced: Sequence[Header] = ()
        if self.replace:
            replaced = [each for each in self.replace if present(each[0].lower()) is not None]
        added = [each for each in self.add if present(each[0].lower()) is None]
        before = raw.response_headers[:] if self.rename else ()
        for name in self.remove:
            raw.clear_response_header(name)
        for old, new in self.rename:
            values = [value for name, value in before if name.lower() == old.lower()]
            if values:
                raw.clear_response_header(old)
                raw.clear_response_header(new)
            for value in values:
                raw.add_response_header(new, value)
        for name, value in replaced:
            raw.set_response_header(name, value)
        for name, value in added:
            raw.set_response_header(name, value)
        for name, value in self.append:
            raw.add_response_header(name, value)


@attrs.frozen
class Transformation:
    """A configuration, compiled."""

    headers: HeaderChanges
    content: ContentChanges | None


class ResponseTransformer(Plugin):
    """Changes headers, and the top level of JSON bodies."""

    name = "response-transformer"
    priority = 800
    subschema = subschema()

    def prepare(self, config: Mapping[str, Any]) -> Transformation:
        """See L{Transformation}."""
        content = ContentChanges.of(config)
        return Transformation(HeaderChanges.of(config), content if content else None)

    def idle_phases(self, what: Transformation) -> Sequence[str]:
        """Bodies pass untouched where only headers are changed."""
        return () if what.content else ("body_filter",)

    def header_filter(self, what: Transformation, kong: Kong) -> None:
        """Change the headers; a length would not be that of the changed body."""
        raw = kong.raw
        changes_body = what.content is not None and _is_json(raw)
        what.headers.apply(raw)
        if changes_body:
            raw.clear_response_header(b"content-length")

    def body_filter(self, what: Transformation, kong: Kong) -> None:
        """Gather the body, and change it once it is whole."""
        if what.content is None or not _is_json(kong.raw):
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


def _is_json(raw: IRequestContext) -> bool:
    return is_json(raw.get_response_header(b"content-type") or b"")
