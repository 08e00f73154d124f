"""tls-metadata-headers without a gateway."""

from __future__ import annotations

import base64
import ssl
from typing import Any
from urllib.parse import unquote

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from kongtx.plugins.tls_metadata_headers import plugin
from kongtx.testing.plugins import PluginRunner
from kongtx.testing.request import FakeConnection, FakeRequest
from tests.tls.kit import authority, issued


class Transport:
    """One whose client has shown some certificates."""

    def __init__(self, *chain: bytes) -> None:
        self.chain = list(chain)

    def get_peer_chain_der(self) -> list[bytes]:
        return self.chain


def der(pem: Any) -> bytes:
    return ssl.PEM_cert_to_DER_cert(pem.bytes().decode())


LEAF = der(issued("client.test", common_name="Client, the first").cert_chain_pems[0])
CA = der(authority().cert_pem)
NAMES = ["X-Client-Cert", "X-Client-Cert-Serial", "X-Client-Cert-Issuer-DN"]
NAMES += ["X-Client-Cert-Subject-DN", "X-Client-Cert-Fingerprint"]
FORGED = [(name.encode(), b"forged") for name in (*NAMES, "Client-Cert", "Client-Cert-Chain")]


def run(headers: list[tuple[bytes, bytes]], *chain: bytes, **config: Any) -> FakeRequest:
    request = FakeRequest(headers=list(headers), connection=FakeConnection(is_tls=True))
    request.connection.transport = Transport(*chain)
    assert PluginRunner(plugin, config).access(request) is None
    return request


def test_nothing_is_told_by_default_and_no_copy_passes() -> None:
    assert run([(b"X-Other", b"1"), *FORGED], LEAF).headers == [(b"X-Other", b"1")]


def test_what_the_certificate_says_replaces_the_clients_own_copies() -> None:
    request = run(FORGED, LEAF, CA, inject_client_cert_details=True)
    told = {name.decode(): value.decode() for name, value in request.headers}
    certificate = x509.load_der_x509_certificate(LEAF)
    assert list(told) == NAMES
    pem = unquote(told["X-Client-Cert"])
    assert ssl.PEM_cert_to_DER_cert(pem) == LEAF
    assert int(told["X-Client-Cert-Serial"], 16) == certificate.serial_number
    assert told["X-Client-Cert-Issuer-DN"] == certificate.issuer.rfc4514_string()
    assert told["X-Client-Cert-Subject-DN"].startswith("CN=Client\\, the first")
    assert told["X-Client-Cert-Fingerprint"] == certificate.fingerprint(hashes.SHA1()).hex()


def test_a_client_without_certificate_forges_none() -> None:
    config = {"inject_client_cert_details": True, "rfc9440": True}
    assert run(FORGED, **config).headers == []


def test_names_with_underscores_are_the_same_to_many_servers() -> None:
    forged = [(b"X_Client_Cert", b"1"), (b"client_cert", b"2"), (b"X-Client_Cert-Serial", b"3")]
    assert run([*forged, (b"x_other", b"4")], LEAF).headers == [(b"x_other", b"4")]


def test_headers_have_other_names_if_so_configured() -> None:
    config = {"inject_client_cert_details": True, "client_cert_header_name": "X-Mine"}
    names = [name for name, _ in run([(b"x-mine", b"forged")], LEAF, **config).headers]
    assert names == [b"X-Mine", *(name.encode() for name in NAMES[1:])]


@pytest.mark.parametrize("chain", [(LEAF,), (LEAF, CA), (LEAF, CA, CA)])
def test_the_standard_headers_hold_the_certificates_as_byte_sequences(
    chain: tuple[bytes, ...],
) -> None:
    request = run(FORGED, *chain, rfc9440=True)
    encoded = [f":{base64.b64encode(each).decode()}:" for each in chain]
    expected = [(b"Client-Cert", encoded[0].encode())]
    if chain[1:]:
        expected.append((b"Client-Cert-Chain", ", ".join(encoded[1:]).encode()))
    assert request.headers == expected
