"""Who wants which event. No I/O."""

from __future__ import annotations

import inspect
import weakref
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, ensureDeferred
from twisted.logger import Logger

#: C{callback(data, channel, event, worker_id)}
Callback = Callable[[Any, str, str, int], object]

log = Logger()


class _Subscription:
    __slots__ = ("resolve",)

    def __init__(self, resolve: Callable[[], Callback | None]) -> None:
        self.resolve = resolve


def _strong(callback: Callback) -> Callable[[], Callback | None]:
    return lambda: callback


def _weak(callback: Callback) -> Callable[[], Callback | None]:
    if inspect.ismethod(callback):
        return weakref.WeakMethod(callback)
    return weakref.ref(callback)


class Subscriptions:
    """The callbacks of one process, by channel and event."""

    def __init__(self) -> None:
        self._by_event: dict[tuple[str, str | None], list[_Subscription]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._by_event.values()))

    def add(
        self, channel: str, event: str | None, callback: Callback, weak: bool = False
    ) -> Callable[[], None]:
        """Keep a callback.

        @param event: its name, or L{None} for every event of the channel.
        @param weak: hold no reference that keeps the callback, or the object it is bound to, alive.
        @return: a function that forgets the callback; calling it again does nothing.
        """
        entry = _Subscription((_weak if weak else _strong)(callback))
        self._by_event.setdefault((channel, event), []).append(entry)

        def unsubscribe() -> None:
            self._remove(channel, event, entry)

        return unsubscribe

    def _remove(self, channel: str, event: str | None, entry: _Subscription) -> None:
        entries = self._by_event.get((channel, event), [])
        if entry in entries:
            entries.remove(entry)
        if not entries:
            self._by_event.pop((channel, event), None)

    def wants(self, channel: str, event: str) -> bool:
        """Whether anyone would hear this event."""
        return (channel, event) in self._by_event or (channel, None) in self._by_event

    def dispatch(self, data: Any, channel: str, event: str, worker_id: int) -> None:
        """Call everyone who wants an event: first those who named it, then the channel's.

        A callback that fails is logged and harms no other.
        """
        for name in (event, None):
            for entry in tuple(self._by_event.get((channel, name), ())):
                callback = entry.resolve()
                if callback is None:
                    self._remove(channel, name, entry)
                else:
                    _call(callback, data, channel, event, worker_id)


def _call(callback: Callback, data: Any, channel: str, event: str, worker_id: int) -> None:
    try:
        result = callback(data, channel, event, worker_id)
    except Exception:
        log.failure(
            "a subscriber of event {event} on channel {channel} failed",
            channel=channel,
            event=event,
        )
        return
    if inspect.iscoroutine(result):
        result = ensureDeferred(result)
    if isinstance(result, Deferred):
        result.addErrback(
            lambda failure: log.failure(
                "a subscriber of event {event} on channel {channel} failed",
                failure=failure,
                channel=channel,
                event=event,
            )
        )
