"""Which clients are asked for a certificate, by the server name that they want. Pure.

The handshake knows no route yet. A plugin that wants certificates on a route with server names
wants them from handshakes for these; on one without, from all handshakes. Kong: the same, in its
plugins tls-handshake-modifier and mtls-auth.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from kongtx.tls.names import ANY, NameIndex

Entity = Mapping[str, Any]

_TLS = frozenset(("https", "grpcs", "tls"))


class AskedNames:
    """The server names whose clients are asked.

    @ivar everybody: whether those that name no server, or any other, are asked as well.
    """

    __slots__ = ("_any", "_index", "everybody")

    def __init__(self, names: Iterable[str] = ()) -> None:
        wanted = {name.removesuffix("."): True for name in names}
        self.everybody = ANY in wanted
        self._any = bool(wanted)
        self._index = NameIndex(wanted)

    def __bool__(self) -> bool:
        """Whether any client is asked."""
        return self._any

    def asks(self, server_name: str | None) -> bool:
        """Whether the client of a handshake is asked."""
        return self.everybody or self._index.find(server_name) is not None


def asked_names(
    plugins: Iterable[Entity], routes: Iterable[Entity], wanting: frozenset[str]
) -> AskedNames:
    """The server names that some plugins want client certificates for.

    @param plugins: all plugin entities.
    @param routes: all route entities.
    @param wanting: names of the plugins that want them.
    """
    rows = [row for row in plugins if row["enabled"] and row["name"] in wanting]
    if not rows:
        return AskedNames()
    names: set[str] = set()
    by_route = {row["route"]["id"] for row in rows if row["route"]}
    by_service = {row["service"]["id"] for row in rows if row["service"] and not row["route"]}
    if any(not row["route"] and not row["service"] for row in rows):
        names.add(ANY)
    for route in routes:
        service = route["service"]
        concerned = route["id"] in by_route or (service and service["id"] in by_service)
        if concerned and not _TLS.isdisjoint(route["protocols"]):
            names.update(route["snis"] or (ANY,))
    return AskedNames(names)
