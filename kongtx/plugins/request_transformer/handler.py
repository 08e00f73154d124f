"""request-transformer: requests are changed on their way to the upstream."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import attrs

from kongtx.lib.deferred import then
from kongtx.pdk.body import FORM, JSON, MULTIPART
from kongtx.pdk.errors import ArgumentError
from kongtx.pdk.kong import Kong
from kongtx.pdk.text import (
    Arguments,
    arguments_to_mapping,
    encode,
    encode_arguments,
    gather,
    parse_arguments,
)
from kongtx.plugins.base import Plugin
from kongtx.plugins.request_transformer.bodies import Changes, change, changed
from kongtx.plugins.request_transformer.headers import HeaderChanges
from kongtx.plugins.request_transformer.schema import subschema
from kongtx.plugins.request_transformer.template import Template, TemplateError, compile_template

_BODY_METHODS = frozenset(("GET", "HEAD", "TRACE"))
_PATH_SAFE = ((b"?", b"%3F"), (b"#", b"%23"))

Pairs = Sequence[tuple[str, Template]]


@attrs.frozen
class Steps:
    """What is to be done to the headers, the arguments or the body."""

    remove: Sequence[str]
    rename: Pairs
    replace: Pairs
    add: Pairs
    append: Pairs

    @classmethod
    def of(cls, config: Mapping[str, Any], part: str) -> Steps:
        """Those that a configuration has for a part of requests."""
        removed = [split(entry)[0] for entry in config["remove"][part]]
        return cls(
            removed,
            *(
                _templates(config[action][part])
                for action in ("rename", "replace", "add", "append")
            ),
        )

    def __bool__(self) -> bool:
        return any((self.remove, self.rename, self.replace, self.add, self.append))

    @property
    def dynamic(self) -> bool:
        """Whether what is to be done depends on the request."""
        pairs = (*self.rename, *self.replace, *self.add, *self.append)
        return any(template.dynamic for _, template in pairs)

    def rendered(self, values: Values) -> Changes:
        """The same, for one request."""
        return Changes(
            self.remove,
            *(
                [(name, values.render(template)) for name, template in pairs]
                for pairs in (self.rename, self.replace, self.add, self.append)
            ),
        )


@attrs.frozen
class Transformation:
    """A configuration, compiled."""

    method: str | None
    uri: Template | None
    headers: Steps
    query: Steps | None
    body: Steps | None
    #: What is done to the headers of every request alike; L{None} if that has to be found out.
    constant: HeaderChanges | None


def split(entry: str) -> tuple[str, str]:
    """Name and value of C{name:value}; colons right after the name are not of the value."""
    name, _, value = entry.partition(":")
    return name, value.lstrip(":")


def _templates(entries: Iterable[str]) -> Pairs:
    pairs = (split(entry) for entry in entries)
    return [(name, compile_template(value)) for name, value in pairs if value]


class Values:
    """What templates of one request can look up; each part is read when it is first needed."""

    def __init__(self, kong: Kong) -> None:
        self._kong = kong
        self._known: dict[str, Any] = {}

    def render(self, template: Template) -> str:
        """A template's text for this request."""
        if template.dynamic and self._kong.configuration.untrusted_lua == "off":
            raise TemplateError(
                "loading of untrusted Lua code disabled because 'untrusted_lua' config option is "
                "set to 'off'"
            )
        return template.render(self)

    def __call__(self, name: str) -> Any:
        if name not in self._known:
            self._known[name] = self._read(name)
        return self._known[name]

    def _read(self, name: str) -> Any:
        if name == "headers":
            return Headers(self._kong.request.get_headers())
        if name == "query_params":
            return query_of(self._kong)
        if name == "uri_captures":
            unnamed, named = self._kong.request.get_uri_captures()
            return {**dict(enumerate(unnamed, 1)), **named}
        return self._kong.ctx.shared if name == "shared" else None


class Headers(dict[str, Any]):
    """Headers by name in any case, C{_} taken as C{-}."""

    def get(self, name: Any, default: Any = None) -> Any:
        return super().get(str(name).lower().replace("_", "-"), default)


class RequestTransformer(Plugin):
    """Changes path, method, headers, body and arguments, in this order."""

    name = "request-transformer"
    priority = 801
    subschema = subschema()

    def prepare(self, config: Mapping[str, Any]) -> Transformation | HeaderChanges:
        """See L{Transformation}; of one that changes constant headers alone, only these."""
        uri = config["replace"]["uri"]
        headers = Steps.of(config, "headers")
        what = Transformation(
            method=config["http_method"],
            uri=compile_template(uri) if uri else None,
            headers=headers,
            query=Steps.of(config, "querystring") or None,
            body=Steps.of(config, "body") or None,
            constant=_constant(headers),
        )
        others = (what.method, what.uri, what.query, what.body)
        return what if what.constant is None or any(others) else what.constant

    def access(self, what: Transformation | HeaderChanges, kong: Kong) -> Any:
        """Change the request."""
        if isinstance(what, HeaderChanges):
            return what.apply(kong.raw)
        values = Values(kong)
        if what.uri is not None:
            _set_path(values.render(what.uri), kong)
        merges = False
        if what.method is not None:
            kong.service.request.set_method(what.method)
            merges = what.method in _BODY_METHODS and _content_type(kong, (FORM,)) is not None
        if merges:
            return then(kong.request.get_raw_body(), self._merge, what, values, kong)
        return self._go_on(what, values, kong)

    def _merge(self, body: bytes, what: Transformation, values: Values, kong: Kong) -> Any:
        """Move a form into the query, as the method has no use for a body."""
        form = parse_arguments(body)
        if form:
            query = query_of(kong)
            for argument in form:
                gather(query, argument.name, argument.value)
            kong.raw.query = encode_arguments(query)
        return self._go_on(what, values, kong)

    def _go_on(self, what: Transformation, values: Values, kong: Kong) -> Any:
        headers = what.constant
        if headers is None:
            headers = HeaderChanges.of(what.headers.rendered(values))
        headers.apply(kong.raw)
        if what.body is not None:
            content_type = _content_type(kong, (JSON, MULTIPART, FORM))
            if content_type is not None:
                body = kong.request.get_raw_body()
                return then(body, self._transform_body, content_type, what, values, kong)
        return _transform_query(what, values, kong)

    def _transform_body(
        self, body: bytes, content_type: str, what: Transformation, values: Values, kong: Kong
    ) -> None:
        assert what.body is not None
        after = changed(body, content_type, what.body.rendered(values))
        if after is not None:
            kong.raw.upstream_body = after
        _transform_query(what, values, kong)


def query_of(kong: Kong) -> Arguments:
    """All arguments of the query."""
    arguments = parse_arguments(kong.raw.query)
    return arguments_to_mapping(arguments, len(arguments))


def _content_type(kong: Kong, kinds: Iterable[str]) -> str | None:
    """The request's Content-Type, if it is of one of these kinds."""
    content_type = kong.request.get_header("content-type") or ""
    return content_type if any(kind in content_type.lower() for kind in kinds) else None


def _set_path(path: str, kong: Kong) -> None:
    raw = encode(path)
    if not raw.startswith(b"/"):
        raise TemplateError(f"the upstream's path {path!r} must start with /")
    for octet, escaped in _PATH_SAFE:
        raw = raw.replace(octet, escaped)
    kong.raw.upstream_path = raw


def _constant(headers: Steps) -> HeaderChanges | None:
    """The changes of headers, if they are the same for all requests."""
    if headers.dynamic:
        return None
    pairs = (headers.rename, headers.replace, headers.add, headers.append)
    texts = ([(name, template.source) for name, template in each] for each in pairs)
    try:
        return HeaderChanges.of(Changes(headers.remove, *texts))
    except (ArgumentError, UnicodeError):
        return None  # each request tells


def _transform_query(what: Transformation, values: Values, kong: Kong) -> None:
    if what.query is None:
        return
    changes = what.query.rendered(values)
    query = {
        name: list(value) if isinstance(value, list) else value
        for name, value in values("query_params").items()
    }
    change(query, changes)
    kong.raw.query = encode_arguments(query)
