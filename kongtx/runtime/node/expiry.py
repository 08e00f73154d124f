"""Certificates that end soon are told of: at the start, once a day, and when they come."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from functools import partial

from twisted.logger import Logger

from kongtx.runtime.node.snapshot import Rows
from kongtx.runtime.node.tls import ListenerTLS
from kongtx.runtime.timers import Timers
from kongtx.tls.expiry import report_expiry

#: Seconds between two looks at the certificates' dates, and from a change to the next.
INTERVAL = 86400.0
SOON = 1.0

_ALL = "certificates: expiry"
_CHANGED = "certificates: expiry of changes"

log = Logger()


class ExpiryWatch:
    """Looks at the dates of what a node shows and trusts; one of its workers does."""

    def __init__(self, tls: ListenerTLS, timers: Timers) -> None:
        self._tls = tls
        self._timers = timers
        self._changed: set[str] = set()

    def start(self) -> None:
        """Look now, and then daily."""
        self._timers.every(_ALL, INTERVAL, self._look, first=0, scope="node")

    def follow(self, _rows: Rows, touched: Mapping[str, set[str]]) -> None:
        """Look at what has changed, once the worker has begun."""
        changed = touched["certificates"] | touched["ca_certificates"]
        if not changed or self._timers.get(_ALL) is None:
            return
        if self._timers.get(_CHANGED) is None:
            self._changed.clear()
            self._timers.after(_CHANGED, SOON, self._look_at_changed, scope="node")
        self._changed |= changed

    def _look(self) -> None:
        self.warn(datetime.now(UTC))

    def _look_at_changed(self) -> None:
        self.warn(datetime.now(UTC), self._changed)

    def warn(self, now: datetime, only: Collection[str] | None = None) -> None:
        """Log which certificates have expired or are about to, and which cannot be read.

        @param only: ids of entities; L{None} for all that the node shows or trusts.
        """
        failed = partial(log.error, "{what}: {error}")
        for each in self._tls.in_use(failed if only is None else lambda **_: None):
            if only is None or each.id in only:
                report_expiry(each.what, each.chain, now)
