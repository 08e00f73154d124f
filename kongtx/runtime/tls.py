"""TLS of one worker: the contexts of its listeners, in step with the snapshot."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from kongtx.conf import Configuration
from kongtx.net import openssl
from kongtx.runtime.certificates import client_pair, configured_pairs
from kongtx.runtime.errors import ListenError
from kongtx.runtime.listeners import Listener
from kongtx.runtime.snapshot import Rows
from kongtx.tls.asking import AskedNames, asked_names
from kongtx.tls.certificates import ServerCertificates
from kongtx.tls.client import ClientMaterial
from kongtx.tls.contexts import server_context
from kongtx.tls.errors import TLSError
from kongtx.tls.handshake import Handshake
from kongtx.tls.listening import CertificateChooser, Hook, SharedTickets
from kongtx.tls.pairs import Pair
from kongtx.tls.tickets import read_secret

#: What is spoken over TLS; HTTP/2 comes first where a listener has it.
ALPN = ("http/1.1",)


def client_material(conf: Configuration, resolve: Callable[[str], str]) -> ClientMaterial:
    """What upstreams are shown, and what is asked of them, as far as the configuration says.

    @param resolve: gives what a vault reference stands for.
    @raise ListenError: C{client_ssl_cert} or its key cannot be read.
    """
    try:
        pair = client_pair(conf)
    except OSError as error:
        raise ListenError(f"client_ssl_cert: {error}") from error
    return ClientMaterial(
        resolve,
        conf.lua_ssl_trusted_certificate,
        conf.lua_ssl_protocols.split(),
        pair,
        conf.lua_ssl_verify_depth,
    )


class ListenerTLS:
    """Makes the contexts of a worker's listeners.

    @param resolve: gives what a vault reference stands for.
    @param wanting: names of the plugins that want to see client certificates.
    @ivar certificates: of the store, for proxy listeners.
    @ivar hooks: called in each handshake of a proxy listener.
    """

    def __init__(
        self,
        conf: Configuration,
        clock: Any,
        resolve: Callable[[str], str],
        wanting: frozenset[str] = frozenset(),
    ) -> None:
        self._conf = conf
        self._policy = conf.tls_policy
        make = partial(server_context, self._policy, alpn=ALPN)
        self.certificates = ServerCertificates(make, resolve)
        self.hooks: list[Hook] = [self._ask]
        self._wanting = wanting
        self._asked = AskedNames()
        self._tickets: SharedTickets | None = None
        if self._policy.has_session_tickets and openssl.is_supported():
            secret = read_secret(conf.prefixed("ssl"))
            self._tickets = SharedTickets(secret, self._policy.session_timeout_s, clock)

    def context_for(self, listener: Listener) -> ssl.SSLContext | None:
        """What a listener speaks TLS with; L{None} if it does not.

        @raise ListenError: its certificate cannot be used.
        """
        if not listener.listen.ssl:
            return None
        try:
            pairs: Sequence[Pair] = configured_pairs(self._conf, listener.kind)
            context = server_context(self._policy, pairs, ALPN)
        except (TLSError, OSError) as error:
            raise ListenError(
                f"cannot speak TLS on {listener.listen.address} ({listener.kind}_listen): {error}"
            ) from error
        if listener.kind == "proxy":
            context.sni_callback = CertificateChooser(self.certificates, self.hooks)
        if self._tickets is not None:
            self._tickets.add(context)
        return context

    def update(self, rows: Rows, touched: Mapping[str, set[str]]) -> None:
        """Follow the snapshot: what changed in the store is seen by the next handshake."""
        if touched["vaults"]:
            self.certificates.forget()
        if touched["certificates"] or touched["snis"]:
            self.certificates.update(
                rows["certificates"], rows["snis"].values(), touched["certificates"]
            )

        if touched["plugins"] or touched["routes"]:
            plugins, routes = rows["plugins"].values(), rows["routes"].values()
            self._asked = asked_names(plugins, routes, self._wanting)

    def _ask(self, handshake: Handshake) -> None:
        if self._asked.asks(handshake.server_name):
            handshake.request_client_certificate()

    def stop(self) -> None:
        """Change ticket keys no more."""
        if self._tickets is not None:
            self._tickets.stop()
