"""What can go wrong on the event bus."""

from __future__ import annotations

from kongtx.errors import KongtxError


class EventsError(KongtxError):
    """The event bus could not do what was asked."""


class PayloadError(EventsError):
    """An event's name or data cannot travel: too long, or not JSON."""


class PieceError(EventsError):
    """The other end sent pieces that belong to nothing, or more than is allowed."""


class BusFullError(EventsError):
    """The broker has been away for so long that no further event can wait for it."""


class BusClosedError(EventsError):
    """The bus was stopped before the broker took the event or answered the call."""


class CallError(EventsError):
    """The other end refused a call, failed in it, or does not know it."""
