"""correlation-id: each request gets an identifier that goes with it to the upstream."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import count
from typing import Any

import attrs

from kongtx.lib.ids import uuid4
from kongtx.pdk.kong import Kong
from kongtx.plugins.base import Plugin
from kongtx.plugins.correlation_id.schema import subschema
from kongtx.proxy.interfaces import IRequestContext


@attrs.frozen
class Settings:
    """A configuration, as it is used.

    @ivar name: the header's name as it is sent; L{key} is the same in lower case.
    @ivar generate: makes an identifier for a request.
    """

    name: bytes
    key: bytes
    generate: Callable[[IRequestContext], bytes]
    echo: bool


class CorrelationID(Plugin):
    """Keeps the identifier that a request brings, or makes one.

    @param now: seconds since the epoch.
    """

    name = "correlation-id"
    priority = 100_001
    subschema = subschema()

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self.init_worker(None)

    def init_worker(self, node: Any) -> None:
        """Begin to count."""
        self._prefix = f"{uuid4()}#".encode()
        self._numbers = count(1)

    def prepare(self, config: Mapping[str, Any]) -> Settings:
        """See L{Settings}."""
        generators: dict[str, Callable[[IRequestContext], bytes]] = {
            "uuid": lambda _: uuid4().encode(),
            "uuid#counter": lambda _: b"%b%d" % (self._prefix, next(self._numbers)),
            "tracker": self._track,
        }
        name = (config["header_name"] or "Kong-Request-ID").encode()
        return Settings(
            name, name.lower(), generators[config["generator"]], config["echo_downstream"]
        )

    def idle_phases(self, settings: Settings) -> Sequence[str]:
        """Responses pass untouched unless clients are told."""
        return () if settings.echo else ("header_filter",)

    def access(self, settings: Settings, kong: Kong) -> None:
        """See that the request has an identifier."""
        raw = kong.raw
        known = raw.get_header(settings.key)
        if not known:
            known = settings.generate(raw)
            raw.set_header(settings.name, known)
        raw.log_values.append(("correlation_id", known.decode("latin-1"), "set"))
        if settings.echo:
            raw.plugin_data[self.name] = known

    def header_filter(self, settings: Settings, kong: Kong) -> None:
        """Tell the client, if so configured; also what was answered before access."""
        raw = kong.raw
        known = (
            raw.plugin_data.get(self.name) or raw.get_header(settings.key) or settings.generate(raw)
        )
        raw.set_response_header(settings.name, known)

    def _track(self, request: IRequestContext) -> bytes:
        """Where and when: the listener, the process, the connection and its request, the time."""
        connection = request.connection
        address, port = connection.local
        return (
            f"{address}-{port}-{os.getpid()}-{connection.serial}-{connection.requests}"
            f"-{self._now():.3f}"
        ).encode()
