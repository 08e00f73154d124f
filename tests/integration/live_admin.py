"""Serves an Admin API over SQLite, for clients that are other programs or other event loops.

Run as C{python -m tests.integration.live_admin DATABASE}; prints the port, and ends when its
standard input does.
"""

from __future__ import annotations

import sys

from twisted.internet import reactor
from twisted.internet.defer import ensureDeferred
from twisted.internet.protocol import Protocol
from twisted.internet.stdio import StandardIO

from kongtx.admin.settings import AdminSettings
from kongtx.admin.site import make_admin_site
from kongtx.db.sqlite import SQLiteConnector
from kongtx.db.store import Store
from tests.admin.support import FakeNode, registry


class _Parent(Protocol):
    def connectionLost(self, reason: object = None) -> None:
        if reactor.running:
            reactor.stop()


class _Node(FakeNode):
    def plugins(self) -> dict[str, tuple[str, int]]:
        return dict.fromkeys(registry()["plugins"].subschemas, ("3.9.1", 1000))


async def serve(path: str) -> None:
    """Start everything and tell the port."""
    store = Store(registry(), SQLiteConnector(path, reactor), reactor)
    await store.start()
    site = make_admin_site(store, AdminSettings(), _Node())
    port = reactor.listenTCP(0, site, interface="127.0.0.1")
    sys.stdout.write(f"{port.getHost().port}\n")
    sys.stdout.flush()
    StandardIO(_Parent())


if __name__ == "__main__":
    ensureDeferred(serve(sys.argv[1])).addErrback(lambda failure: failure.printTraceback())
    reactor.run()
