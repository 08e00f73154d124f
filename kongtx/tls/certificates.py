"""The certificates that clients are shown, by server name, in step with the store."""

from __future__ import annotations

import ssl
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from twisted.logger import Logger

from kongtx.errors import KongtxError
from kongtx.tls.errors import TLSError
from kongtx.tls.names import NameIndex
from kongtx.tls.pairs import Pair

Entity = Mapping[str, Any]

#: So many certificates stay ready for use; others are made ready at their next handshake.
READY = 2000
_FIELDS = (("cert", "key"), ("cert_alt", "key_alt"))


def pairs_of(certificate: Entity, resolve: Callable[[str], str]) -> list[Pair]:
    """The RSA and ECDSA pairs of a certificate entity.

    @param resolve: gives what a vault reference stands for.
    @raise KongtxError: a reference stands for nothing.
    """
    pairs = []
    what = f"certificate {certificate['id']}"
    for chain, key in _FIELDS:
        if certificate.get(chain) and certificate.get(key):
            text = _resolved(certificate[chain], resolve)
            pairs.append(Pair(text, _resolved(certificate[key], resolve), what))
    return pairs


def _resolved(text: str, resolve: Callable[[str], str]) -> str:
    return resolve(text) if text.startswith("{vault://") else text


class ServerCertificates:
    """The certificates of the store, each with its context once it is needed.

    @param make: makes the context that shows some pairs.
    @param resolve: gives what a vault reference stands for.
    """

    _log = Logger()

    def __init__(
        self,
        make: Callable[[Sequence[Pair]], ssl.SSLContext],
        resolve: Callable[[str], str],
    ) -> None:
        self._make = make
        self._resolve = resolve
        self._rows: Mapping[str, Entity] = {}
        self._index: NameIndex[str] = NameIndex({})
        self._contexts: OrderedDict[str, ssl.SSLContext] = OrderedDict()
        self._others: dict[str, ssl.SSLContext] = {}

    def show(self, name: str, pair: Pair | None) -> None:
        """Show a certificate that is not of the store, where the store has none for its name.

        @param pair: L{None} to show it no more.
        @raise UnusableCertificate: it cannot be used.
        """
        if pair is None:
            self._others.pop(name, None)
        else:
            self._others[name] = self._make([pair])

    def update(
        self, certificates: Mapping[str, Entity], snis: Iterable[Entity], touched: Iterable[str]
    ) -> None:
        """Take over what the store has now; the next handshake sees it.

        @param certificates: all of them, by id.
        @param snis: all of them.
        @param touched: ids of the certificates that may have changed.
        """
        self._rows = dict(certificates)
        self._index = NameIndex({sni["name"]: sni["certificate"]["id"] for sni in snis})
        for key in touched:
            self._contexts.pop(key, None)

    def forget(self) -> None:
        """Make all contexts anew: what vault references stand for may have changed."""
        self._contexts.clear()

    def find(self, server_name: str | None) -> ssl.SSLContext | None:
        """The context for a server name; L{None} for the default one.

        @raise TLSError: the certificate for the name cannot be used.
        """
        key = self._index.find(server_name)
        if key is None:
            return self._others.get(server_name) if self._others and server_name else None
        context = self._contexts.get(key)
        if context is not None:
            self._contexts.move_to_end(key)
            return context
        return self._make_ready(key, server_name)

    def _make_ready(self, key: str, server_name: str | None) -> ssl.SSLContext:
        row = self._rows.get(key)
        if row is None:
            raise TLSError(f"no certificate {key}, to which the SNI for {server_name} belongs")
        try:
            context = self._make(pairs_of(row, self._resolve))
        except TLSError:
            raise
        except KongtxError as error:
            raise TLSError(f"certificate {key}: {error}") from None
        self._contexts[key] = context
        if len(self._contexts) > READY:
            self._contexts.popitem(last=False)
        return context
