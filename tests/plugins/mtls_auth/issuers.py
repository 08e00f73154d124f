"""Authorities that tell what they have revoked: OpenSSL's OCSP responder, and lists over HTTP."""

from __future__ import annotations

import datetime
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import attrs
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import (
    AuthorityInformationAccessOID,
    ExtendedKeyUsageOID,
    NameOID,
)

from tests.tls.conftest import free_port

NOW = datetime.datetime.now(datetime.UTC)
DAY = datetime.timedelta(days=1)


def key_of(ca: trustme.CA) -> Any:
    """An authority's private key."""
    return serialization.load_pem_private_key(ca.private_key_pem.bytes(), None)


def certificate_of(ca: trustme.CA) -> x509.Certificate:
    """An authority's own certificate."""
    return x509.load_pem_x509_certificate(ca.cert_pem.bytes())


@attrs.frozen
class Leaf:
    """A certificate with its key, which a context can show."""

    certificate: x509.Certificate
    key: Any

    @property
    def der(self) -> bytes:
        """The certificate."""
        return self.certificate.public_bytes(serialization.Encoding.DER)

    def configure_cert(self, context: Any) -> None:
        """As L{trustme.LeafCert.configure_cert}."""
        private = self.key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        pem = self.certificate.public_bytes(serialization.Encoding.PEM)
        with trustme.Blob(private + pem).tempfile() as path:
            context.load_cert_chain(path)


def issue(
    ca: trustme.CA,
    name: str,
    *,
    ocsp: str | None = None,
    crl: str | None = None,
    usage: Any = ExtendedKeyUsageOID.CLIENT_AUTH,
    until: datetime.datetime = NOW + DAY,
) -> Leaf:
    """A certificate that says where its standing is told."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(certificate_of(ca).subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - 2 * DAY)
        .not_valid_after(until)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
    )
    if ocsp is not None:
        place = x509.UniformResourceIdentifier(ocsp)
        told = x509.AccessDescription(AuthorityInformationAccessOID.OCSP, place)
        builder = builder.add_extension(x509.AuthorityInformationAccess([told]), critical=False)
    if crl is not None:
        names = [x509.UniformResourceIdentifier(crl)]
        point = x509.DistributionPoint(names, None, None, None)
        builder = builder.add_extension(x509.CRLDistributionPoints([point]), critical=False)
    return Leaf(builder.sign(key_of(ca), hashes.SHA256()), key)


class Answers(ThreadingHTTPServer):
    """Gives bytes by path; anything may be asked for by POST, and through this as a proxy.

    @ivar asked: the targets of all requests.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.bodies: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.url = f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: Answers

    def do_GET(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        self.rfile.read(length)
        self.server.asked.append(self.path)
        body = self.server.bodies.get(self.path)
        self.send_response(404 if body is None else 200)
        self.send_header("Content-Length", str(len(body or b"")))
        self.end_headers()
        self.wfile.write(body or b"")

    do_POST = do_GET

    def log_message(self, *args: object) -> None:
        """Say nothing."""


@contextmanager
def answering() -> Iterator[Answers]:
    """A server of lists."""
    with Answers() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def responder(
    folder: Path, ca: trustme.CA, port: int, standings: dict[x509.Certificate, str]
) -> Iterator[None]:
    """OpenSSL's responder for an authority, which signs itself.

    @param standings: C{V} for good and C{R} for revoked certificates.
    """
    ca.cert_pem.write_to_path(str(folder / "issuer.pem"))
    ca.private_key_pem.write_to_path(str(folder / "issuer.key"))
    lines = []
    for each, standing in standings.items():
        end = f"{each.not_valid_after_utc:%y%m%d%H%M%SZ}"
        revoked = f"{NOW:%y%m%d%H%M%SZ}" if standing == "R" else ""
        serial = f"{each.serial_number:X}"
        lines.append(
            f"{standing}\t{end}\t{revoked}\t{serial.zfill(len(serial) + len(serial) % 2)}"
            f"\tunknown\t/CN=x\n"
        )
    (folder / "index.txt").write_text("".join(lines))
    log = folder / "ocsp.log"
    options = "-index index.txt -CA issuer.pem -rsigner issuer.pem -rkey issuer.key -nmin 5"
    with log.open("wb") as output:
        process = subprocess.Popen(
            ["openssl", "ocsp", "-port", str(port), *options.split()],
            cwd=folder,
            stdout=output,
            stderr=output,
        )
    try:
        # It waits for ever for the request of a connection that was only tried.
        give_up = time.monotonic() + 10
        while "waiting for" not in log.read_text():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < give_up
            time.sleep(0.02)
        yield
    finally:
        process.terminate()
        process.wait(10)


__all__ = ["Answers", "Leaf", "answering", "free_port", "issue", "key_of", "responder"]
