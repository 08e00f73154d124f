"""TLS to upstreams without verification, as it is when nothing else is asked for (Kong: the same).

Verification and client certificates come with another L{ITLSConnector}.
"""

from __future__ import annotations

import ssl
from collections.abc import Hashable, Mapping
from ipaddress import ip_address
from typing import Any

from zope.interface import implementer

from kongtx.http.targets import parse_authority
from kongtx.net.tls import connect_tls
from kongtx.proxy.interfaces import ITLSConnector


def server_name_of(host: bytes) -> str:
    """The name to ask an upstream for (RFC 6066 §3): without port; empty for addresses."""
    authority = parse_authority(host)
    if authority is None:
        return ""
    name = authority[0].decode("ascii")
    try:
        ip_address(name.strip("[]"))
    except ValueError:
        return name
    return ""


@implementer(ITLSConnector)
class UnverifiedTLS:
    """Takes whatever certificate an upstream shows."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._context.check_hostname = False
        self._context.verify_mode = ssl.CERT_NONE

    def identity(
        self, service: Mapping[str, Any], server_name: bytes, overrides: Mapping[str, Any] | None
    ) -> Hashable:
        return server_name_of(server_name)

    def connect(
        self, address: str, port: int, identity: Hashable, factory: Any, timeout: float
    ) -> None:
        connect_tls(self._reactor, address, port, factory, self._context, str(identity), timeout)
