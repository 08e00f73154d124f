"""tls-metadata-headers: upstreams are told of the client's certificate.

The headers mean something only if nobody else can send them, so the client's own copies never pass,
whether it has a certificate or not.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

import attrs

from kongtx.http.lines import HeaderBlock
from kongtx.pdk.kong import Kong
from kongtx.pdk.text import header_value
from kongtx.plugins.base import Plugin
from kongtx.plugins.tls_metadata_headers.schema import HEADERS, subschema
from kongtx.tls.peer import facts_of

#: RFC 9440 §2: the client's certificate, and the others that it sent.
CLIENT_CERT, CLIENT_CERT_CHAIN = b"Client-Cert", b"Client-Cert-Chain"


@attrs.frozen
class _Prepared:
    """Header names in bytes, in the order of L{HEADERS}; and all that are stripped, lower case."""

    injects: bool
    rfc9440: bool
    names: tuple[bytes, ...]
    stripped: frozenset[bytes]


class TLSMetadataHeaders(Plugin):
    """Tells upstreams of the client's certificate; believes nothing that is in it."""

    name = "tls-metadata-headers"
    priority = 996
    subschema = subschema()

    def prepare(self, config: Mapping[str, Any]) -> _Prepared:
        """The names of the headers."""
        names = tuple(config[field].encode() for field in HEADERS)
        stripped = {name.lower() for name in (*names, CLIENT_CERT, CLIENT_CERT_CHAIN)}
        return _Prepared(
            bool(config["inject_client_cert_details"]),
            config["rfc9440"],
            names,
            frozenset(stripped),
        )

    def access(self, prepared: _Prepared, kong: Kong) -> None:
        """Replace the client's headers by what is known."""
        headers: list[tuple[bytes, bytes]] = []
        if prepared.injects or prepared.rfc9440:
            chain = kong.client.tls.get_chain_der()
            if not chain:
                kong.log.debug("the client has presented no certificate")
            elif prepared.injects:
                headers += zip(prepared.names, _details(chain[0]), strict=True)
            if chain and prepared.rfc9440:
                headers += structured(chain)
        strip_headers(kong, prepared.stripped, headers)


def strip_headers(
    kong: Kong, names: frozenset[bytes], headers: Sequence[tuple[bytes, bytes]]
) -> None:
    """Remove the client's own copies of some headers, and set others.

    Many servers take C{_} in names for C{-}, so copies with either go.
    """
    written = {name.lower() for name, _ in kong.raw.headers if b"_" in name}
    alike = {name for name in written if name.replace(b"_", b"-") in names}
    kong.raw.replace_headers(names | alike if alike else names, HeaderBlock(headers))


def _details(der: bytes) -> list[bytes]:
    facts = facts_of(der)
    values = (
        quote(facts.pem, safe=""),
        facts.serial,
        facts.issuer,
        facts.subject,
        facts.fingerprint,
    )
    return [
        header_value(name.encode(), value.encode())
        for name, value in zip(HEADERS.values(), values, strict=True)
    ]


def structured(chain: Sequence[bytes]) -> list[tuple[bytes, bytes]]:
    """The headers of RFC 9440: byte sequences (RFC 8941 §3.3.5)."""
    leaf, *others = (b":%b:" % base64.b64encode(each) for each in chain)
    headers = [(CLIENT_CERT, leaf)]
    if others:
        headers.append((CLIENT_CERT_CHAIN, b", ".join(others)))
    return headers
