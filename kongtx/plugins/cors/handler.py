"""cors: pages of other origins may call the service from a browser."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from functools import lru_cache
from typing import Any

import attrs

from kongtx.http.lines import HeaderBlock
from kongtx.pdk.kong import Kong
from kongtx.pdk.text import header_value
from kongtx.plugins.base import Plugin
from kongtx.plugins.cors.origins import Origins
from kongtx.plugins.cors.schema import subschema

Header = tuple[bytes, bytes]

_ORIGIN = b"Access-Control-Allow-Origin"
_CREDENTIALS = (b"Access-Control-Allow-Credentials", b"true")
_VARY = (b"Vary", b"Origin")
_ALL_METHODS = b"GET,HEAD,PUT,PATCH,POST,DELETE,OPTIONS,TRACE,CONNECT"


@attrs.frozen
class Settings:
    """A configuration, and the headers that follow from it alone.

    @ivar preflight: those of every answer to a preflight request.
    @ivar any_headers: whether a preflight is allowed whatever headers it asks for.
    @ivar response: gives, for the origin of any other request, the names of the headers that its
        response must not have from elsewhere, and the headers that it gets.
    """

    config: Mapping[str, Any]
    origins: Origins
    preflight: Sequence[Header]
    any_headers: bool
    response: Callable[[bytes | None], tuple[Set[bytes], HeaderBlock]]


class CORS(Plugin):
    """Answers preflight requests, and tells browsers which pages may read responses."""

    name = "cors"
    priority = 2000
    subschema = subschema()

    def prepare(self, config: Mapping[str, Any]) -> Settings:
        """See L{Settings}."""
        preflight = []
        if config["headers"]:
            preflight.append((b"Access-Control-Allow-Headers", _joined(config["headers"])))
        preflight.append((b"Access-Control-Allow-Methods", _methods(config)))
        if config["max_age"] is not None:
            age = header_value("max_age", config["max_age"])
            preflight.append((b"Access-Control-Max-Age", age))
        response = []
        if config["exposed_headers"]:
            exposed = _joined(config["exposed_headers"])
            response.append((b"Access-Control-Expose-Headers", exposed))
        origins = Origins(config["origins"])

        @lru_cache(maxsize=1024)
        def response_to(origin: bytes | None) -> tuple[Set[bytes], HeaderBlock]:
            block = HeaderBlock([*_shared_with(origins, config, origin), *response])
            return block.fields.keys() - {b"vary"} | {_ORIGIN.lower()}, block

        return Settings(config, origins, preflight, not config["headers"], response_to)

    def access(self, settings: Settings, kong: Kong) -> None:
        """Answer a preflight request (Fetch standard, §3.2.2)."""
        raw = kong.raw
        if raw.raw_method != b"OPTIONS":
            return
        origin = raw.get_header(b"origin")
        if origin is None or raw.get_header(b"access-control-request-method") is None:
            return
        kong.ctx.plugin["preflight"] = True
        config = settings.config
        if config["preflight_continue"]:
            return
        headers = [*_shared_with(settings.origins, config, origin), *settings.preflight]
        wanted = raw.get_header(b"access-control-request-headers")
        if settings.any_headers and wanted is not None:
            headers.append((b"Access-Control-Allow-Headers", wanted))
        private = raw.get_header(b"access-control-request-private-network")
        if config["private_network"] and private == b"true":
            headers.append((b"Access-Control-Allow-Private-Network", b"true"))
        raw.exit(200, b"", headers)

    def header_filter(self, settings: Settings, kong: Kong) -> None:
        """Say who may read the response, instead of what the upstream says of it."""
        raw = kong.raw
        if raw.raw_method == b"OPTIONS" and kong.ctx.plugin.get("preflight"):
            return
        names, headers = settings.response(raw.get_header(b"origin"))
        raw.replace_response_headers(names, headers)


def _shared_with(origins: Origins, config: Mapping[str, Any], origin: bytes | None) -> list[Header]:
    """Whether a page of this origin may read the response, and of which others."""
    allowed = origins.allowed(origin)
    headers = [_VARY] if allowed.varies else []
    value = allowed.origin
    if config["credentials"]:
        # Browsers do not take "*" for an answer to credentials.
        if allowed.everyone and origin is not None:
            value = origin
            headers = [_VARY]
        if not allowed.everyone or origin is not None:
            headers.append(_CREDENTIALS)
    if value is not None:
        headers.append((_ORIGIN, value))
    return headers


def _methods(config: Mapping[str, Any]) -> bytes:
    return _ALL_METHODS if config["methods"] is None else _joined(config["methods"])


def _joined(values: Sequence[str]) -> bytes:
    return ",".join(values).encode()
