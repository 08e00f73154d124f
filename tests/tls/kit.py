"""A TLS client of its own thread, and certificates of an authority of the tests."""

from __future__ import annotations

import datetime
import socket
import ssl
import tempfile
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

import attrs
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from OpenSSL import SSL
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread


def authority(number: int = 0) -> trustme.CA:
    """An authority of this run."""
    return _authority(number)


@lru_cache
def _authority(number: int) -> trustme.CA:
    return trustme.CA(organization_name=f"kongtx tests {number}")


def issued(*names: str, number: int = 0, kind: str = "ECDSA", **options: Any) -> trustme.LeafCert:
    """A certificate of an authority of this run; the same for the same arguments."""
    return _issued(names, number, kind, **options)


@lru_cache
def _issued(names: tuple[str, ...], number: int, kind: str, **options: Any) -> trustme.LeafCert:
    return authority(number).issue_cert(*names, key_type=trustme.KeyType[kind], **options)


def chain_pem(leaf: trustme.LeafCert) -> str:
    """A certificate and its chain."""
    return "".join(each.bytes().decode() for each in leaf.cert_chain_pems)


def key_pem(leaf: trustme.LeafCert) -> str:
    """A certificate's private key."""
    return leaf.private_key_pem.bytes().decode()


def ca_pem(number: int = 0) -> str:
    """An authority's own certificate."""
    return authority(number).cert_pem.bytes().decode()


def entity(leaf: trustme.LeafCert, *snis: str, **fields: Any) -> dict[str, Any]:
    """A certificate entity, as in a declarative file."""
    named = [{"name": name} for name in snis]
    return {"cert": chain_pem(leaf), "key": key_pem(leaf), "snis": named, **fields}


def stored(leaf: trustme.LeafCert, *snis: str) -> dict[str, Any]:
    """A certificate entity, as the Admin API takes it."""
    return {"cert": chain_pem(leaf), "key": key_pem(leaf), "snis": list(snis)}


@attrs.frozen
class Seen:
    """What a client saw."""

    certificate: x509.Certificate
    version: str | None
    cipher: str
    alpn: str | None
    resumed: bool
    session: Any
    status: int
    body: bytes

    @property
    def names(self) -> list[str]:
        """The DNS names in the server's certificate."""
        found = self.certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        return found.value.get_values_for_type(x509.DNSName)


def client_context(trust: int | None = None) -> ssl.SSLContext:
    """A client's context: trusts an authority of the tests, or everybody."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["http/1.1"])
    if trust is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        authority(trust).configure_trust(context)
    return context


def with_certificate(context: ssl.SSLContext, leaf: trustme.LeafCert) -> ssl.SSLContext:
    """Let a client show a certificate."""
    leaf.configure_cert(context)
    return context


def fetch(
    port: int,
    name: str | None = "localhost",
    path: str = "/",
    context: ssl.SSLContext | None = None,
    session: Any = None,
    headers: str = "",
    host: str | None = None,
) -> Seen:
    """One request over TLS; waits for its end."""
    context = context or client_context()
    with (
        socket.create_connection(("127.0.0.1", port), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname=name, session=session) as tls,
    ):
        der = tls.getpeercert(binary_form=True)
        assert der is not None
        cipher = tls.cipher()
        assert cipher is not None
        about = (tls.version(), cipher[0], tls.selected_alpn_protocol(), tls.session_reused)
        asked = f"GET {path} HTTP/1.1\r\nHost: {host or name or 'x'}\r\n{headers}"
        tls.sendall(f"{asked}Connection: close\r\n\r\n".encode())
        answer = b""
        with suppress(ssl.SSLEOFError, ssl.SSLZeroReturnError):
            while data := tls.recv(65536):
                answer += data
        head, _, body = answer.partition(b"\r\n\r\n")
        status = int(head[9:12] or b"0")
        certificate = x509.load_der_x509_certificate(der)
        return Seen(certificate, *about[:3], bool(about[3]), tls.session, status, body)


def get(*args: Any, **options: Any) -> Deferred[Seen]:
    """L{fetch} in a thread, for gateways in this process."""
    return deferToThread(fetch, *args, **options)


def port_of(url: str) -> int:
    """The port in a URL."""
    return int(url.rsplit(":", 1)[1])


def written(data: str) -> str:
    """A file with some text, for programs; below the system's directory for such."""
    with tempfile.NamedTemporaryFile("w", suffix=".pem", delete=False) as file:
        file.write(data)
    return str(Path(file.name))


def crl_pem(ca: trustme.CA, revoked: list[bytes]) -> str:
    """A list that revokes some of an authority's certificates."""
    issuer = x509.load_pem_x509_certificate(ca.cert_pem.bytes())
    key: Any = serialization.load_pem_private_key(ca.private_key_pem.bytes(), None)
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(issuer.subject)
        .last_update(now - datetime.timedelta(hours=1))
        .next_update(now + datetime.timedelta(days=1))
    )
    for each in revoked:
        serial = x509.load_pem_x509_certificate(each).serial_number
        entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(now).build()
        builder = builder.add_revoked_certificate(entry)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


def self_signed(*names: str) -> dict[str, Any]:
    """A certificate entity that no authority has signed."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(n) for n in names]), False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return {
        "cert": certificate.public_bytes(serialization.Encoding.PEM).decode(),
        "key": private.decode(),
    }


def authorities_told(port: int, name: str | None = "localhost") -> list[str]:
    """The organizations whose certificates a server says are welcome; waits for the handshake."""
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    with socket.create_connection(("127.0.0.1", port), timeout=10) as plain:
        plain.settimeout(None)
        connection = SSL.Connection(context, plain)
        if name is not None:
            connection.set_tlsext_host_name(name.encode())
        connection.set_connect_state()
        connection.do_handshake()
        return [str(each.O) for each in connection.get_client_ca_list()]
