"""A bus in one process that delivers at once, as L{IEventBus}es do in the end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, succeed
from zope.interface import implementer

from kongtx.events.interfaces import IEventBus


@implementer(IEventBus)
class DirectBus:
    def __init__(self) -> None:
        self.published: list[tuple[str, str, Any]] = []
        self.local: list[tuple[str, str, Any]] = []
        self._subscribers: list[tuple[str, str | None, Callable[..., object]]] = []

    def publish(
        self, channel: str, event: str, data: Any = None, unique: str | None = None
    ) -> Deferred[None]:
        self.published.append((channel, event, data))
        for to_channel, to_event, callback in list(self._subscribers):
            if to_channel == channel and to_event in (None, event):
                callback(data, channel, event, 0)
        return succeed(None)

    def publish_local(self, channel: str, event: str, data: Any = None) -> None:
        self.local.append((channel, event, data))

    def subscribe(
        self,
        channel: str,
        event: str | None,
        callback: Callable[[Any, str, str, int], object],
        weak: bool = False,
    ) -> Callable[[], None]:
        entry = (channel, event, callback)
        self._subscribers.append(entry)
        return lambda: self._subscribers.remove(entry)
