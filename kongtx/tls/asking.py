"""Which clients are asked for a certificate, by the server name that they want. Pure.

The handshake knows no route yet. A plugin that wants certificates on a route with server names
wants them from handshakes for these; on one without, from all handshakes. Kong: the same, in its
plugins tls-handshake-modifier and mtls-auth.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from kongtx.tls.names import ANY, NameIndex

Entity = Mapping[str, Any]
#: Ids of the authorities that clients are told of.
Welcome = frozenset[str] | None

_TLS = frozenset(("https", "grpcs", "tls"))


class AskedNames:
    """The server names whose clients are asked.

    @param names: by server name, the ids of the C{ca_certificates} whose certificates are
        welcome; L{None} where nobody is to be told.
    @ivar everybody: whether those that name no server, or any other, are asked as well.
    """

    __slots__ = ("_any", "_index", "everybody")

    def __init__(self, names: Mapping[str, Welcome] = MappingProxyType({})) -> None:
        wanted = {name.removesuffix("."): [welcome] for name, welcome in names.items()}
        self.everybody = ANY in wanted
        self._any = bool(wanted)
        self._index: NameIndex[list[Welcome]] = NameIndex(wanted)

    def __bool__(self) -> bool:
        """Whether any client is asked."""
        return self._any

    def asks(self, server_name: str | None) -> bool:
        """Whether the client of a handshake is asked."""
        return self.everybody or self._index.find(server_name) is not None

    def welcome(self, server_name: str | None) -> Welcome:
        """Ids of the authorities that the client is told of; L{None} to tell it of none.

        Whichever plugin the request will meet, a certificate that it takes must not be held back.
        """
        found = [welcome for (welcome,) in self._index.find_all(server_name)]
        return _together(found)


def _together(found: Iterable[Welcome]) -> Welcome:
    """What can be told where several plugins ask: nothing, if any of them tells nothing."""
    ids: set[str] = set()
    for each in found:
        if each is None:
            return None
        ids |= each
    return frozenset(ids) or None


def asked_names(
    plugins: Iterable[Entity], routes: Iterable[Entity], wanting: frozenset[str]
) -> AskedNames:
    """The server names that some plugins want client certificates for.

    @param plugins: all plugin entities.
    @param routes: all route entities.
    @param wanting: names of the plugins that want them; those whose configuration has
        C{send_ca_dn} on have C{ca_certificates}, too.
    """
    by_route: dict[str, list[Welcome]] = {}
    by_service: dict[str, list[Welcome]] = {}
    names: dict[str, list[Welcome]] = {}
    for row in plugins:
        if not row["enabled"] or row["name"] not in wanting:
            continue
        if row["route"]:
            by_route.setdefault(row["route"]["id"], []).append(_welcome(row))
        elif row["service"]:
            by_service.setdefault(row["service"]["id"], []).append(_welcome(row))
        else:
            names.setdefault(ANY, []).append(_welcome(row))
    if not by_route and not by_service and not names:
        return AskedNames()
    for route in routes:
        service = route["service"]
        asked = by_route.get(route["id"], [])
        if service:
            asked = [*asked, *by_service.get(service["id"], [])]
        if asked and not _TLS.isdisjoint(route["protocols"]):
            for name in route["snis"] or (ANY,):
                names.setdefault(name, []).extend(asked)
    return AskedNames({name: _together(asked) for name, asked in names.items()})


def _welcome(row: Entity) -> Welcome:
    config = row["config"]
    return frozenset(config["ca_certificates"]) if config.get("send_ca_dn") else None
