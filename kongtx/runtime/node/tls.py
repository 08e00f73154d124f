"""TLS of one worker: the contexts of its listeners, in step with the snapshot."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from twisted.logger import Logger
from zope.interface import implementer

from kongtx.conf import Configuration
from kongtx.errors import KongtxError
from kongtx.net import openssl
from kongtx.runtime.certificates import client_pair, configured_pairs
from kongtx.runtime.errors import ListenError
from kongtx.runtime.listeners import Listener
from kongtx.runtime.node.snapshot import Rows
from kongtx.tls.asking import AskedNames, Welcome, asked_names
from kongtx.tls.certificates import ServerCertificates, pairs_of
from kongtx.tls.client import ClientMaterial
from kongtx.tls.clients import ClientVerification
from kongtx.tls.contexts import server_context
from kongtx.tls.errors import TLSError
from kongtx.tls.expiry import CertificateInUse
from kongtx.tls.handshake import Handshake, authority_names
from kongtx.tls.interfaces import IServerNames
from kongtx.tls.listening import CertificateChooser, Hook, SharedTickets
from kongtx.tls.pairs import Pair
from kongtx.tls.tickets import read_secret
from kongtx.tls.validation import Validations

#: What is spoken over TLS, the best first: with and without HTTP/2.
HTTP2_ALPN = ("h2", "http/1.1")
ALPN = ("http/1.1",)

log = Logger()


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


@implementer(IServerNames)
class ListenerTLS:
    """Makes the contexts of a worker's listeners.

    @param resolve: gives what a vault reference stands for.
    @param wanting: names of the plugins that want to see client certificates.
    @ivar certificates: of the store, for proxy listeners, by the protocols to agree on.
    @ivar hooks: called in each handshake of a proxy listener; see L{set_hook}.
    @ivar validations: what authorities look for that validate names at proxy listeners.
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
        self._resolve = resolve
        clients = ClientVerification.of(conf, "proxy")
        make = partial(server_context, self._policy, clients=clients)
        self.certificates = {
            alpn: ServerCertificates(partial(make, alpn=alpn), resolve)
            for alpn in (ALPN, HTTP2_ALPN)
        }
        self.hooks: list[Hook] = []
        self.validations = Validations()
        self._of_plugins: dict[str, Pair] = {}
        self._wanting = wanting
        self._asked = AskedNames()
        self._welcome: dict[frozenset[str], openssl.AuthorityNames] = {}
        self._listeners: list[Listener] = []
        self._rows: Rows = {}
        self._tickets: SharedTickets | None = None
        if not openssl.is_supported():
            log.warn(
                "this Python's ssl module is not known well enough: clients cannot be asked for "
                "certificates, workers do not share sessions, and tls_verify_depth has no effect"
            )
        elif self._policy.has_session_tickets:
            secret = read_secret(conf.prefixed("ssl"))
            self._tickets = SharedTickets(secret, self._policy.session_timeout_s, clock)

    def context_for(self, listener: Listener) -> ssl.SSLContext | None:
        """What a listener speaks TLS with; L{None} if it does not.

        @raise ListenError: its certificate cannot be used.
        """
        if not listener.listen.ssl:
            return None
        self._listeners.append(listener)
        alpn = HTTP2_ALPN if listener.kind == "proxy" and listener.listen.http2 else ALPN
        try:
            pairs: Sequence[Pair] = configured_pairs(self._conf, listener.kind)
            clients = ClientVerification.of(self._conf, listener.kind)
            context = server_context(self._policy, pairs, alpn, clients)
        except (TLSError, OSError) as error:
            raise ListenError(
                f"cannot speak TLS on {listener.listen.address} ({listener.kind}_listen): {error}"
            ) from error
        if listener.kind == "proxy":
            context.sni_callback = CertificateChooser(
                self.certificates[alpn], self.hooks, self.validations, clients
            )
            self.validations.watch(context)
        if self._tickets is not None:
            self._tickets.add(context, listener.kind)
        return context

    def show(self, name: str, pair: Pair | None) -> None:
        """See L{IServerNames.show}."""
        for certificates in self.certificates.values():
            certificates.show(name, pair)
        if pair is None:
            self._of_plugins.pop(name, None)
        else:
            self._of_plugins[name] = pair

    def prove(self, name: str, pair: Pair | None) -> None:
        """See L{IServerNames.prove}."""
        self.validations.prove(name, pair)

    def update(self, rows: Rows, touched: Mapping[str, set[str]]) -> None:
        """Follow the snapshot: what changed in the store is seen by the next handshake."""
        for certificates in self.certificates.values():
            if touched["vaults"]:
                certificates.forget()
            if touched["certificates"] or touched["snis"]:
                certificates.update(
                    rows["certificates"], rows["snis"].values(), touched["certificates"]
                )
        if touched["certificates"] or touched["ca_certificates"]:
            self._rows = rows
            self._welcome.clear()
        if touched["plugins"] or touched["routes"]:
            plugins, routes = rows["plugins"].values(), rows["routes"].values()
            self._asked = asked_names(plugins, routes, self._wanting)
            self._welcome.clear()
            self.set_hook(self._ask, bool(self._asked))

    def set_hook(self, hook: Hook, on: bool) -> None:
        """Call something in handshakes, or do so no more: most nodes need not pay for it."""
        if on is (hook in self.hooks):
            return
        if on:
            self.hooks.append(hook)
        else:
            self.hooks.remove(hook)

    def _ask(self, handshake: Handshake) -> None:
        name = handshake.server_name
        if self._asked.asks(name):
            handshake.request_client_certificate(self._names_of(self._asked.welcome(name)))

    def _names_of(self, welcome: Welcome) -> openssl.AuthorityNames | None:
        """Names of authorities as handshakes tell them; L{None} if nobody is to be named."""
        if welcome is None:
            return None
        names = self._welcome.get(welcome)
        if names is None:
            known = self._rows.get("ca_certificates", {})
            texts = [known[key]["cert"] for key in sorted(welcome) if key in known]
            names = self._welcome[welcome] = authority_names(texts)
        return names

    def in_use(
        self, failed: Callable[..., object] = lambda **_: None
    ) -> Iterator[CertificateInUse]:
        """All certificates that the node shows or trusts.

        @param failed: called with C{what} and C{error} for those that cannot be read.
        """
        yield from self._configured_in_use(failed)
        # What changes meanwhile is for the next time.
        for row in list(self._rows.get("certificates", {}).values()):
            try:
                for pair in pairs_of(row, self._resolve):
                    yield CertificateInUse("certificates", row["id"], pair.chain)
            except KongtxError as error:
                failed(what=f"certificate {row['id']}", error=str(error))
        for row in list(self._rows.get("ca_certificates", {}).values()):
            yield CertificateInUse("ca_certificates", row["id"], row["cert"])
        for name, pair in list(self._of_plugins.items()):
            yield CertificateInUse("plugin", name, pair.chain)

    def _configured_in_use(self, failed: Callable[..., object]) -> Iterator[CertificateInUse]:
        try:
            kinds = dict.fromkeys(listener.kind for listener in self._listeners)
            pairs = [pair for kind in kinds for pair in configured_pairs(self._conf, kind)]
            shown = client_pair(self._conf)
        except OSError as error:
            failed(what="a configured certificate", error=str(error))
            return
        for pair in pairs if shown is None else [*pairs, shown]:
            yield CertificateInUse("configuration", pair.what, pair.chain)

    def stop(self) -> None:
        """Change ticket keys no more."""
        if self._tickets is not None:
            self._tickets.stop()
