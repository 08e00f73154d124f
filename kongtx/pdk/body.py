"""Parsing and making bodies by their media type. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import multipart

from kongtx.pdk.errors import ArgumentError, BodyError
from kongtx.pdk.text import (
    arguments_to_mapping,
    decode,
    encode,
    encode_arguments,
    gather,
    parse_arguments,
)

FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data"
JSON = "application/json"


def media_type(content_type: str | None) -> str:
    """The media type of a Content-Type, lower case and without parameters; empty without one."""
    return (content_type or "").partition(";")[0].strip().lower()


def parse(body: bytes, content_type: str | None, limit: int) -> Any:
    """A body's content: a mapping of arguments, or what the JSON says.

    @param limit: how many arguments are looked at.
    @raise BodyError: with Kong's wording.
    """
    kind = media_type(content_type)
    if not kind:
        raise BodyError("missing content type")
    if kind == FORM:
        return arguments_to_mapping(parse_arguments(body), limit)
    if kind == JSON:
        try:
            value = msgspec.json.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise BodyError("invalid json body") from None
        if not isinstance(value, (dict, list)):
            raise BodyError("invalid json body")
        return value
    if kind == MULTIPART:
        return _parse_multipart(body, content_type or "", limit)
    raise BodyError(f"unsupported content type '{content_type}'")


def make(content: Mapping[str, Any] | list[Any], content_type: str) -> tuple[bytes, str]:
    """A body of some content, and the Content-Type that goes with it.

    @raise ArgumentError: if there is no way to write it in that type.
    """
    kind = media_type(content_type)
    if kind == JSON:
        return msgspec.json.encode(content), content_type
    if not isinstance(content, Mapping):
        raise ArgumentError(f"a body of type {kind!r} is made of a mapping, not of {content!r}")
    if kind == FORM:
        return encode_arguments(content), content_type
    if kind == MULTIPART:
        return _make_multipart(content, content_type)
    raise ArgumentError(
        f"cannot make a body of type {content_type!r}: it must be {FORM}, {JSON} or {MULTIPART}"
    )


def _boundary(content_type: str) -> str:
    _, options = multipart.parse_options_header(content_type)
    return str(options.get("boundary", ""))


def _parse_multipart(body: bytes, content_type: str, limit: int) -> dict[str, Any]:
    boundary = _boundary(content_type)
    if not boundary:
        raise BodyError("unable to decode multipart body")
    content: dict[str, Any] = {}
    name, value = "", bytearray()
    try:
        with multipart.PushMultipartParser(boundary, max_segment_count=limit) as parser:
            for event in [*parser.parse(body), *parser.parse(b"")]:
                if event is None:
                    gather(content, name, decode(bytes(value)))
                elif isinstance(event, multipart.MultipartSegment):
                    name, value = event.name, bytearray()
                else:
                    value += event
    except multipart.MultipartError:
        raise BodyError("unable to decode multipart body") from None
    return content


def _make_multipart(content: Mapping[str, Any], content_type: str) -> tuple[bytes, str]:
    boundary = _boundary(content_type)
    if not boundary:
        boundary = "8fd84e9444e3946c"
        content_type = f"{MULTIPART}; boundary={boundary}"
    lines: list[bytes] = []
    for name in sorted(content):
        value = content[name]
        for each in value if isinstance(value, (list, tuple)) else (value,):
            quoted = name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
            lines += [
                b"--" + boundary.encode(),
                b'Content-Disposition: form-data; name="' + encode(quoted) + b'"',
                b"",
                encode(each if isinstance(each, (str, bytes)) else str(each)),
            ]
    lines += [b"--" + boundary.encode() + b"--", b""]
    return b"\r\n".join(lines), content_type
