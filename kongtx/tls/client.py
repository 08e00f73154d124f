"""Contexts for connections to upstreams: what is shown to them, and what is asked of them."""

from __future__ import annotations

import ssl
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import attrs

from kongtx.conf.syntax import pem
from kongtx.net import openssl
from kongtx.tls.certificates import pairs_of
from kongtx.tls.contexts import limit_protocols
from kongtx.tls.errors import UnusableAuthority, UnusableCertificate
from kongtx.tls.pairs import Pair, load_pair

Entity = Mapping[str, Any]

#: Contexts that stay ready for use.
READY = 500
#: Server names whose last session is kept by a context.
_SESSIONS = 256


@attrs.frozen(cache_hash=True)
class ClientSettings:
    """What connections must agree in to share a context.

    @ivar pair: the client certificate to show, if the server asks.
    @ivar verify: whether the server's certificate and name are verified.
    @ivar depth: how many certificates may stand between the server's and a trusted one.
    @ivar authorities: PEM texts of the trusted ones; L{None} for those of the configuration.
    @ivar alpn: protocols to offer.
    """

    pair: Pair | None = None
    verify: bool = False
    depth: int = 1
    authorities: tuple[str, ...] | None = None
    alpn: tuple[str, ...] = ()


class ResumingContext(ssl.SSLContext):
    """A client's context that resumes the last session with each server name."""

    _last: OrderedDict[str, Any]

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        """As the base class; with the session of the last connection to that server."""
        name = str(server_hostname or "")
        if session is None and name:
            before = self._last.pop(name, None)
            # With TLS 1.3 the session to resume comes some time after the handshake.
            session = None if before is None else _session_of(before)
        made = super().wrap_bio(incoming, outgoing, server_side, server_hostname, session)
        if name:
            self._last[name] = made
            if len(self._last) > _SESSIONS:
                self._last.popitem(last=False)
        return made


def _session_of(connection: Any) -> Any:
    """The session of a connection; L{None} if it has none, as its handshake has failed."""
    try:
        return connection.session
    except ValueError:
        return None


def client_context(
    settings: ClientSettings,
    trusted: Iterable[str] = (),
    protocols: Iterable[str] = ("TLSv1.2", "TLSv1.3"),
) -> ssl.SSLContext:
    """A context for connections to upstreams.

    Names are verified by OpenSSL itself (RFC 9525: subject alternative names, addresses too).

    @param trusted: the configuration's authorities: paths or PEM texts.
    @raise TLSError: a certificate cannot be used.
    """
    context = ResumingContext(ssl.PROTOCOL_TLS_CLIENT)
    context._last = OrderedDict()
    limit_protocols(context, protocols)
    if settings.verify:
        _trust(context, settings, trusted)
        if openssl.is_supported():
            openssl.set_verify_depth(context, settings.depth)
    else:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if settings.alpn:
        context.set_alpn_protocols(list(settings.alpn))
    if settings.pair is not None:
        load_pair(context, settings.pair)
    return context


def _trust(context: ssl.SSLContext, settings: ClientSettings, trusted: Iterable[str]) -> None:
    given = trusted if settings.authorities is None else settings.authorities
    for each in given:
        try:
            if pem.is_text(each):
                context.load_verify_locations(cadata=each)
            else:
                context.load_verify_locations(cafile=each)
        except (OSError, ssl.SSLError, ValueError):
            raise UnusableAuthority(
                "certificates of trusted authorities cannot be loaded from "
                + ("PEM text" if pem.is_text(each) else each)
            ) from None


class ClientMaterial:
    """The store's certificates as upstreams meet them, and the contexts made of them.

    @param resolve: gives what a vault reference stands for.
    @param trusted: the configuration's authorities: paths or PEM texts.
    @param pair: the configuration's client certificate (C{client_ssl}).
    @param depth: the configuration's (C{lua_ssl_verify_depth}).
    """

    def __init__(
        self,
        resolve: Callable[[str], str],
        trusted: Sequence[str] = (),
        protocols: Sequence[str] = ("TLSv1.2", "TLSv1.3"),
        pair: Pair | None = None,
        depth: int = 1,
    ) -> None:
        self.pair = pair
        self.depth = depth
        self._resolve = resolve
        self._trusted = tuple(trusted)
        self._protocols = tuple(protocols)
        self._certificates: Mapping[str, Entity] = {}
        self._authorities: Mapping[str, Entity] = {}
        self._contexts: OrderedDict[ClientSettings, ssl.SSLContext] = OrderedDict()

    def update(self, certificates: Mapping[str, Entity], authorities: Mapping[str, Entity]) -> None:
        """Take over what the store has now: certificates and C{ca_certificates} by id."""
        self._certificates = dict(certificates)
        self._authorities = dict(authorities)

    def pair_of(self, key: str) -> Pair:
        """The client certificate of an entity.

        @raise TLSError: there is none of that id.
        @raise KongtxError: a vault reference stands for nothing.
        """
        row = self._certificates.get(key)
        if row is None:
            raise UnusableCertificate(f"certificate {key} does not exist")
        return pairs_of(row, self._resolve)[0]

    def authorities_of(self, keys: Iterable[str]) -> tuple[str, ...]:
        """PEM texts of some C{ca_certificates}.

        @raise UnusableAuthority: there is none of some id.
        """
        texts = []
        for key in keys:
            row = self._authorities.get(key)
            if row is None:
                raise UnusableAuthority(f"CA certificate {key} does not exist")
            texts.append(str(row["cert"]))
        return tuple(texts)

    def context(self, settings: ClientSettings) -> ssl.SSLContext:
        """The context for some settings.

        @raise TLSError: a certificate cannot be used.
        """
        context = self._contexts.get(settings)
        if context is None:
            context = client_context(settings, self._trusted, self._protocols)
            self._contexts[settings] = context
            if len(self._contexts) > READY:
                self._contexts.popitem(last=False)
        else:
            self._contexts.move_to_end(settings)
        return context

    def probe_context(
        self, upstream: Entity, verify: bool, protocols: Sequence[str] = ()
    ) -> ssl.SSLContext:
        """The context for the health checks of an upstream.

        @param upstream: the upstream entity.
        @param protocols: to offer by ALPN.
        @raise TLSError: its certificate cannot be used.
        """
        certificate = upstream.get("client_certificate")
        pair = self.pair if certificate is None else self.pair_of(certificate["id"])
        return self.context(ClientSettings(pair, verify, self.depth, None, tuple(protocols)))
