"""TLS to upstreams: which certificate is shown to them, and how theirs is verified.

What a request asks for (C{kong.service.set_tls_*}) comes before the service's fields, these before
the upstream's, and these before the configuration's. Kong: kong/runloop/upstream_ssl.lua.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from ipaddress import ip_address
from typing import Any

import attrs
from zope.interface import implementer

from kongtx.errors import KongtxError
from kongtx.http.targets import parse_authority
from kongtx.net.tls import connect_tls
from kongtx.proxy.interfaces import ITLSConnector
from kongtx.tls.client import ClientMaterial, ClientSettings
from kongtx.tls.errors import TLSError
from kongtx.tls.pairs import Pair


@attrs.frozen(cache_hash=True)
class UpstreamIdentity:
    """What connections to one peer must agree in to be exchanged for each other.

    @ivar server_name: the name to ask for and to verify; empty: none.
    """

    server_name: str
    settings: ClientSettings


def host_of(authority: bytes) -> str:
    """The host in a Host header, without port and brackets; empty if there is none."""
    parsed = parse_authority(authority)
    return "" if parsed is None else parsed[0].decode("ascii").strip("[]")


def server_name_of(host: bytes) -> str:
    """The name to ask an upstream for (RFC 6066 §3): without port; empty for addresses."""
    name = host_of(host)
    try:
        ip_address(name)
    except ValueError:
        return name
    return ""


@implementer(ITLSConnector)
class UpstreamTLS:
    """Connects to upstreams as services, upstreams and plugins say.

    @param material: the certificates there are.
    """

    def __init__(self, reactor: Any, material: ClientMaterial) -> None:
        self._reactor = reactor
        self._material = material

    def identity(
        self,
        service: Mapping[str, Any],
        server_name: bytes,
        overrides: Mapping[str, Any] | None,
        upstream_certificate: Mapping[str, Any] | None = None,
    ) -> Hashable:
        """See L{ITLSConnector}."""
        wanted = {**service, **overrides} if overrides else service
        settings = self._settings(wanted, upstream_certificate)
        self._material.context(settings)
        # A verified address is checked against the addresses in the certificate.
        name = host_of(server_name) if settings.verify else server_name_of(server_name)
        if settings.verify and not name:
            raise TLSError("there is no host name to verify")
        return UpstreamIdentity(name, settings)

    def _settings(
        self, wanted: Mapping[str, Any], upstream_certificate: Mapping[str, Any] | None
    ) -> ClientSettings:
        material = self._material
        pair = self._pair(wanted.get("client_certificate") or upstream_certificate)
        alpn = ("h2",) if wanted.get("protocol") == "grpcs" else ()
        if not wanted.get("tls_verify"):
            return ClientSettings(pair, alpn=alpn)
        depth = wanted.get("tls_verify_depth")
        keys = wanted.get("ca_certificates")
        return ClientSettings(
            pair,
            True,
            material.depth if depth is None else int(depth),
            None if keys is None else material.authorities_of(keys),
            alpn,
        )

    def _pair(self, certificate: Any) -> Pair | None:
        if certificate is None:
            return self._material.pair
        if isinstance(certificate, Pair):
            return certificate
        try:
            return self._material.pair_of(certificate["id"])
        except TLSError:
            raise
        except KongtxError as error:
            raise TLSError(f"certificate {certificate['id']}: {error}") from None

    def connect(
        self, address: str, port: int, identity: Hashable, factory: Any, timeout: float
    ) -> None:
        """See L{ITLSConnector}."""
        assert isinstance(identity, UpstreamIdentity)
        context = self._material.context(identity.settings)
        connect_tls(self._reactor, address, port, factory, context, identity.server_name, timeout)


def unverified_tls(reactor: Any) -> UpstreamTLS:
    """A connector that takes whatever certificate an upstream shows, as Kong does by default."""
    return UpstreamTLS(reactor, ClientMaterial(str))
