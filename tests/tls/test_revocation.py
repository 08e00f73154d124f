"""What the answers of authorities say of a certificate, and which are not believed."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID

from kongtx.tls.revocation import (
    GOOD,
    REVOKED,
    UNKNOWN,
    Link,
    RevocationLists,
    Undecided,
    by_ocsp,
    load_list,
    ocsp_request,
    sources_of,
)
from tests.plugins.mtls_auth.issuers import DAY, NOW, certificate_of, issue, key_of
from tests.tls.kit import authority, crl_pem

CA = authority()
OTHER = authority(1)
LEAF = issue(CA, "client.test", ocsp="http://ocsp.test/", crl="HTTP://crl.test/list")
LINK = Link(LEAF.certificate, certificate_of(CA))
SIGNER = issue(CA, "ocsp.test", usage=ExtendedKeyUsageOID.OCSP_SIGNING)
STATUSES = {
    GOOD: ocsp.OCSPCertStatus.GOOD,
    REVOKED: ocsp.OCSPCertStatus.REVOKED,
    UNKNOWN: ocsp.OCSPCertStatus.UNKNOWN,
}


def response(
    status: str = GOOD,
    *,
    of: Link = LINK,
    certificate: x509.Certificate = LINK.issuer,
    key: Any = None,
    begin: datetime.datetime = NOW - DAY,
    end: datetime.datetime | None = NOW + DAY,
    encoding: ocsp.OCSPResponderEncoding = ocsp.OCSPResponderEncoding.HASH,
) -> bytes:
    """A response that says something of a certificate; signed by the issuer, if by nobody else."""
    revoked = NOW - DAY if status == REVOKED else None
    builder = (
        ocsp.OCSPResponseBuilder()
        .add_response(
            of.certificate, of.issuer, hashes.SHA1(), STATUSES[status], begin, end, revoked, None
        )
        .responder_id(encoding, certificate)
    )
    if certificate != LINK.issuer:
        builder = builder.certificates([certificate])
    signed = builder.sign(key or key_of(CA), hashes.SHA256())
    return signed.public_bytes(Encoding.DER)


def test_a_certificate_says_where_it_is_told() -> None:
    found = sources_of(LEAF.certificate)
    assert (found.ocsp, found.lists) == (("http://ocsp.test/",), ("HTTP://crl.test/list",))
    for url in ("ldap://crl.test/", "http://crl.test/a b", "file:///etc/passwd"):
        assert sources_of(issue(CA, "x.test", crl=url).certificate).lists == ()


@pytest.mark.parametrize("status", [GOOD, REVOKED, UNKNOWN])
@pytest.mark.parametrize("encoding", list(ocsp.OCSPResponderEncoding))
def test_the_issuers_response_is_believed(
    status: str, encoding: ocsp.OCSPResponderEncoding
) -> None:
    assert by_ocsp(LINK, response(status, encoding=encoding), NOW) == status


def test_so_is_that_of_its_delegate() -> None:
    told = response(REVOKED, certificate=SIGNER.certificate, key=SIGNER.key)
    assert by_ocsp(LINK, told, NOW) == REVOKED


STRANGER = issue(OTHER, "ocsp.test", usage=ExtendedKeyUsageOID.OCSP_SIGNING)
OLD = issue(CA, "ocsp.test", usage=ExtendedKeyUsageOID.OCSP_SIGNING, until=NOW - DAY)
GENUINE = response()
FORGED = GENUINE[:-1] + bytes([GENUINE[-1] ^ 1])  # the end is the signature's
UNBELIEVED = "the response is signed by nobody whom the issuer has asked to"
REFUSES = ocsp.OCSPResponseBuilder.build_unsuccessful(ocsp.OCSPResponseStatus.TRY_LATER)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"nonsense", "the response cannot be read"),
        (REFUSES.public_bytes(Encoding.DER), "the responder says try_later"),
        (FORGED, UNBELIEVED),
        (response(certificate=LEAF.certificate, key=LEAF.key), UNBELIEVED),
        (response(certificate=STRANGER.certificate, key=STRANGER.key), UNBELIEVED),
        (response(certificate=OLD.certificate, key=OLD.key), UNBELIEVED),
        (
            response(of=Link(SIGNER.certificate, LINK.issuer)),
            "the response is about another certificate",
        ),
        (response(begin=NOW + DAY, end=NOW + 2 * DAY), "the response is not of this time"),
        (response(begin=NOW - 2 * DAY, end=NOW - DAY), "the response is not of this time"),
        (response(begin=NOW - DAY, end=None), "the response is not of this time"),
    ],
)
def test_what_cannot_be_believed_decides_nothing(answer: bytes, why: str) -> None:
    with pytest.raises(Undecided) as refused:
        by_ocsp(LINK, answer, NOW)
    assert str(refused.value) == why


def test_the_question_names_the_certificate() -> None:
    asked = ocsp.load_der_ocsp_request(ocsp_request(LINK))
    assert asked.serial_number == LEAF.certificate.serial_number


def listed(ca: trustme.CA, *leaves: Any) -> x509.CertificateRevocationList:
    pems = [leaf.certificate.public_bytes(Encoding.PEM) for leaf in leaves]
    return load_list(crl_pem(ca, pems).encode())


def test_lists_of_the_issuer_count() -> None:
    assert RevocationLists([listed(CA)]).standing(LINK) == GOOD
    assert RevocationLists([listed(OTHER), listed(CA, LEAF)]).standing(LINK) == REVOKED
    assert RevocationLists([listed(OTHER, LEAF)]).standing(LINK) == UNKNOWN
    assert RevocationLists([]).standing(LINK) == UNKNOWN
    der = listed(CA, LEAF).public_bytes(Encoding.DER)
    assert RevocationLists([load_list(der)]).standing(LINK) == REVOKED


def test_a_list_that_the_issuer_has_not_signed_does_not_count() -> None:
    forged = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(LINK.issuer.subject)
        .last_update(NOW - DAY)
        .next_update(NOW + DAY)
        .sign(key_of(OTHER), hashes.SHA256())
    )
    assert RevocationLists([forged]).standing(LINK) == UNKNOWN


def test_a_list_of_yesterday_does_not_count() -> None:
    old = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(LINK.issuer.subject)
        .last_update(NOW - 2 * DAY)
        .next_update(NOW - DAY)
        .sign(key_of(CA), hashes.SHA256())
    )
    assert RevocationLists([old]).standing(LINK) == UNKNOWN


def test_what_is_no_list_is_told() -> None:
    for data in (b"nonsense", b"-----BEGIN X509 CRL-----"):
        with pytest.raises(Undecided):
            load_list(data)
