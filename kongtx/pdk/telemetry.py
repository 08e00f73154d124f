"""C{kong.telemetry}: log records of plugins, for an exporter such as OpenTelemetry's."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import attrs

from kongtx.pdk.errors import ArgumentError

if TYPE_CHECKING:
    from kongtx.pdk.kong import Kong

#: Records that wait for an exporter; older ones are dropped.
_KEPT = 1000


@attrs.frozen
class LogRecord:
    """One record.

    @ivar time_ns: nanoseconds since the epoch.
    @ivar request_id: of the request in which it was made.
    """

    time_ns: int
    message: str | None
    attributes: Mapping[str, Any]
    request_id: str


class LogRecords:
    """The records of one worker that nobody has taken yet.

    @ivar enabled: whether somebody will: an exporter sets it, otherwise records are refused.
    """

    def __init__(self) -> None:
        self.enabled = False
        self._records: deque[LogRecord] = deque(maxlen=_KEPT)

    def add(self, record: LogRecord) -> None:
        """Keep a record."""
        self._records.append(record)

    def take(self) -> Iterator[LogRecord]:
        """The records so far, oldest first; they are kept no longer."""
        while self._records:
            yield self._records.popleft()


class Telemetry:
    """Records for an exporter."""

    __slots__ = ("_kong",)

    def __init__(self, kong: Kong) -> None:
        self._kong = kong

    def log(
        self,
        plugin_name: str,
        plugin_config: Mapping[str, Any],
        message_type: str,
        message: str | None = None,
        attributes: Mapping[str, Any] | None = None,
    ) -> bool:
        """Record something for a telemetry backend.

        @param message_type: becomes the attribute C{message.type}.
        @return: whether it was recorded: not without a plugin that exports records.
        @raise ArgumentError: an argument is of the wrong type.
        """
        for name, value, kind in (
            ("plugin_name", plugin_name, str),
            ("plugin_config", plugin_config, Mapping),
            ("message_type", message_type, str),
            ("message", message or "", str),
            ("attributes", attributes or {}, Mapping),
        ):
            if not isinstance(value, kind):
                raise ArgumentError(f"{name} {value!r}: must be a {kind.__name__}")
        records = self._kong.node.telemetry
        if not records.enabled:
            return False
        row = self._kong.row
        told = {
            **(attributes or {}),
            "message.type": message_type,
            "plugin.name": plugin_name,
            "plugin.id": row["id"],
            "plugin.instance.name": row.get("instance_name"),
        }
        request_id = self._kong.raw.request_id.decode()
        records.add(LogRecord(time.time_ns(), message, told, request_id))
        return True
