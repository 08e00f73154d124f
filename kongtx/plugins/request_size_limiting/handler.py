"""request-size-limiting: no request's body is longer than allowed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twisted.python.failure import Failure

from kongtx.pdk.kong import Kong
from kongtx.plugins.base import Plugin
from kongtx.plugins.request_size_limiting.schema import subschema
from kongtx.proxy.interfaces import BodyTooLarge

_UNITS = {"megabytes": 1024 * 1024, "kilobytes": 1024, "bytes": 1}


class RequestSizeLimiting(Plugin):
    """Refuses large bodies by the length they announce, else by the length they have."""

    name = "request-size-limiting"
    priority = 951
    subschema = subschema()

    def prepare(self, config: Mapping[str, Any]) -> tuple[int, bool]:
        """The limit in bytes, and whether a length has to be announced."""
        size = config["allowed_payload_size"]
        limit = (128 if size is None else size) * _UNITS[config["size_unit"]]
        return limit, config["require_content_length"]

    def access(self, settings: tuple[int, bool], kong: Kong) -> Any:
        """Refuse the request, or let it pass."""
        limit, announced = settings
        raw = kong.raw
        length = raw.get_header(b"content-length")
        if length is not None and length.isdigit():
            _check(int(length), limit, kong)
            return None
        if announced and raw.get_header(b"transfer-encoding") != b"chunked":
            kong.response.error(411, "A valid Content-Length header is required")
        try:
            body = raw.read_body(max(limit, 1))
        except BodyTooLarge:
            return _refuse(kong)
        if isinstance(body, bytes):
            return _check(len(body), limit, kong)
        return body.addCallbacks(
            lambda read: _check(len(read), limit, kong), _too_large, errbackArgs=(kong,)
        )


def _check(length: int, limit: int, kong: Kong) -> None:
    if length > limit:
        _refuse(kong)


def _too_large(failure: Failure, kong: Kong) -> None:
    failure.trap(BodyTooLarge)
    _refuse(kong)


def _refuse(kong: Kong) -> None:
    expected = (kong.raw.get_header(b"expect") or b"").strip().lower()
    status = 417 if expected == b"100-continue" else 413
    kong.response.error(status, "Request size limit exceeded")
