"""What the proxy asks of a router."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from zope.interface import Attribute, Interface


class IRouteRequest(Interface):
    """The facts of a request that routes can match on; read, never written.

    The data plane's own request object provides this; nothing is copied for the router's sake.
    """

    scheme: bytes = Attribute("``bytes``: ``b'http'`` or ``b'https'``, as this connection is.")
    method: bytes = Attribute("``bytes``: the method as received.")
    host: bytes = Attribute(
        "``bytes``: the Host header, lower case, without its port; may be empty."
    )
    host_port: int = Attribute("``int``: the Host header's port, else the listener's own port.")
    path: bytes = Attribute("``bytes``: the normalised path, without query.")
    query: bytes = Attribute("``bytes``: what follows the first ``?``, without it.")
    headers: list[tuple[bytes, bytes]] = Attribute(
        "``list[tuple[bytes, bytes]]``: lower-case names and values, as received."
    )
    sni: bytes = Attribute("``bytes``: the TLS server name, lower case; empty without one.")
    source: tuple[str, int] = Attribute("``tuple[str, int]``: the client's address and port.")
    destination: tuple[str, int] = Attribute(
        "``tuple[str, int]``: the listener's address and port."
    )


class IMatch(Interface):
    """A route that matched, with what follows from how it matched; immutable and shared."""

    route: Mapping[str, Any] = Attribute(
        "``Mapping``: the route entity, as the Admin API shows it."
    )
    service: Mapping[str, Any] | None = Attribute("``Mapping | None``: the route's service entity.")
    upstream_path: bytes = Attribute(
        "``bytes``: the path to ask of the upstream, without query; still to be escaped."
    )
    prefix: bytes = Attribute("``bytes``: the path prefix that was stripped; empty if none was.")
    captures: tuple[Sequence[bytes], Mapping[str, bytes]] = Attribute(
        "``tuple[Sequence[bytes], Mapping[str, bytes]]``: regex groups."
    )


class IRouter(Interface):
    """An immutable set of routes. Pure: no reactor, no clock, no I/O."""

    def match(request: IRouteRequest) -> IMatch | None:
        """Find the route of a request.

        @return: an L{IMatch}, or L{None} when no route matches.
        """
