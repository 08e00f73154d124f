"""C{kong.client}: who asks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twisted.internet.defer import Deferred

from kongtx.lib.ids import is_uuid
from kongtx.pdk.client_tls import ClientTLS
from kongtx.pdk.errors import ArgumentError
from kongtx.pdk.node import Node
from kongtx.pdk.phases import ACCESS, REQUEST, ROUTED, only_in
from kongtx.proxy.interfaces import IRequestContext


class Client:
    """The client and, once it has been authenticated, its consumer."""

    __slots__ = ("_node", "_request", "_tls")

    def __init__(self, request: IRequestContext, node: Node) -> None:
        self._request = request
        self._node = node
        self._tls: ClientTLS | None = None

    @property
    def tls(self) -> ClientTLS:
        """The client's end of the TLS connection."""
        if self._tls is None:
            self._tls = ClientTLS(self._request)
        return self._tls

    @only_in(REQUEST, "client.get_ip")
    def get_ip(self) -> str:
        """The address of the connection's other end."""
        return self._request.connection.peer[0]

    @only_in(REQUEST, "client.get_port")
    def get_port(self) -> int:
        """The port of the connection's other end."""
        return self._request.connection.peer[1]

    @only_in(REQUEST, "client.get_forwarded_ip")
    def get_forwarded_ip(self) -> str:
        """The client's address, as trusted proxies tell it (C{real_ip_header})."""
        return self._request.client_ip

    @only_in(REQUEST, "client.get_forwarded_port")
    def get_forwarded_port(self) -> int:
        """The client's port, as trusted proxies tell it."""
        return self._request.client_port

    @only_in(ROUTED, "client.get_credential")
    def get_credential(self) -> Mapping[str, Any] | None:
        """The credential that authenticated the client, if one did."""
        return self._request.credential

    @only_in(ROUTED, "client.get_consumer")
    def get_consumer(self) -> Mapping[str, Any] | None:
        """The consumer that the client is, if it is known."""
        return self._request.consumer

    @only_in(ROUTED, "client.load_consumer")
    async def load_consumer(self, key: str, by_username: bool = False) -> Mapping[str, Any] | None:
        """A consumer by its id, through the cache.

        @param by_username: C{key} may be a username too.
        @raise ArgumentError: if it is no UUID and may not be a username.
        """
        if not by_username and not is_uuid(key):
            raise ArgumentError(
                f"consumer {key!r}: must be a UUID, or by_username=True for a username"
            )
        found = self._node.consumer(key, by_username)
        return await found if isinstance(found, Deferred) else found

    @only_in(frozenset({ACCESS}), "client.authenticate")
    def authenticate(
        self, consumer: Mapping[str, Any] | None, credential: Mapping[str, Any] | None
    ) -> None:
        """Say who the client is; what runs later sees it.

        @raise ArgumentError: if neither is given.
        """
        if consumer is None and credential is None:
            raise ArgumentError("either credential or consumer must be provided")
        self._request.consumer = consumer
        self._request.credential = credential

    @only_in(ROUTED, "client.get_protocol")
    def get_protocol(self, allow_terminated: bool = False) -> str:
        """C{http}, C{https}, C{grpc} or C{grpcs}, by the route and this connection.

        @param allow_terminated: TLS that a trusted proxy says it ended (X-Forwarded-Proto) counts.
        """
        request = self._request
        tls = request.scheme == b"https"
        if not tls and allow_terminated and request.trusted:
            tls = (request.get_header(b"x-forwarded-proto") or b"").lower() == b"https"
        route = request.route
        protocols = route["protocols"] if route else ()
        if "grpc" in protocols or "grpcs" in protocols:
            return "grpcs" if tls else "grpc"
        return "https" if tls else "http"
