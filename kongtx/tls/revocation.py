"""Whether a certificate has been revoked, by what its issuer publishes. Pure.

Lists (RFC 5280 §6.3) are judged by OpenSSL, OCSP responses (RFC 6960 §3.2) here.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import attrs
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID
from OpenSSL import crypto

from kongtx.tls.errors import TLSError

GOOD, REVOKED, UNKNOWN = "good", "revoked", "unknown"

_REVOKED_CODE = 23  # X509_V_ERR_CERT_REVOKED
#: Issuers of which some lists keep what OpenSSL made of them.
_MOST_STORES = 64
#: What clocks may differ by.
_SKEW = datetime.timedelta(minutes=5)
#: How long a response is believed that does not say until when.
_UNLIMITED = datetime.timedelta(hours=1)
_STATUSES = {ocsp.OCSPCertStatus.GOOD: GOOD, ocsp.OCSPCertStatus.REVOKED: REVOKED}


class Undecided(TLSError):
    """What was published does not tell whether a certificate has been revoked."""


@attrs.frozen
class Link:
    """A certificate, and its issuer's, which has been seen to have signed it."""

    certificate: x509.Certificate
    issuer: x509.Certificate


@attrs.frozen
class Sources:
    """Where a certificate says that its standing is told: URLs of C{http} and C{https}.

    @ivar ocsp: of responders.
    @ivar lists: of revocation lists.
    """

    ocsp: tuple[str, ...]
    lists: tuple[str, ...]


@lru_cache(maxsize=1024)
def sources_of(certificate: x509.Certificate) -> Sources:
    """Where the standing of a certificate is told; nowhere, if its extensions cannot be read."""
    try:
        extensions = certificate.extensions
    except ValueError:
        return Sources((), ())
    responders: list[Any] = []
    lists: list[Any] = []
    for each in extensions:
        value = each.value
        if isinstance(value, x509.AuthorityInformationAccess):
            kind = AuthorityInformationAccessOID.OCSP
            responders += (one.access_location for one in value if one.access_method == kind)
        elif isinstance(value, x509.CRLDistributionPoints):
            lists += (name for point in value for name in point.full_name or ())
    return Sources(_urls(responders), _urls(lists))


def _urls(names: Iterable[Any]) -> tuple[str, ...]:
    found = (each.value for each in names if isinstance(each, x509.UniformResourceIdentifier))
    wanted = (each for each in found if each.lower().startswith(("http://", "https://")))
    return tuple(each for each in wanted if each.isprintable() and " " not in each)


def load_list(data: bytes) -> x509.CertificateRevocationList:
    """A revocation list in DER or PEM form.

    @raise Undecided: it is none.
    """
    try:
        if data.lstrip().startswith(b"-----BEGIN"):
            return x509.load_pem_x509_crl(data)
        return x509.load_der_x509_crl(data)
    except ValueError:
        raise Undecided("this is no revocation list") from None


class RevocationLists:
    """Some lists, and what OpenSSL makes of them: long ones take it long to read."""

    def __init__(self, lists: Iterable[x509.CertificateRevocationList] = ()) -> None:
        self._lists = tuple(lists)
        self._stores: dict[x509.Certificate, crypto.X509Store | None] = {}

    def standing(self, link: Link) -> str:
        """What they say of a certificate; those of others, or not valid now, do not count."""
        store = self._store(link.issuer)
        if store is None:
            return UNKNOWN
        certificate = crypto.X509.from_cryptography(link.certificate)
        try:
            crypto.X509StoreContext(store, certificate).verify_certificate()
        except crypto.X509StoreContextError as error:
            return REVOKED if error.errors and error.errors[0] == _REVOKED_CODE else UNKNOWN
        return GOOD

    def _store(self, issuer: x509.Certificate) -> crypto.X509Store | None:
        if issuer not in self._stores:
            if len(self._stores) >= _MOST_STORES:
                self._stores.clear()
            self._stores[issuer] = self._made(issuer)
        return self._stores[issuer]

    def _made(self, issuer: x509.Certificate) -> crypto.X509Store | None:
        wanted = [each for each in self._lists if each.issuer == issuer.subject]
        if not wanted:
            return None
        store = crypto.X509Store()
        store.add_cert(crypto.X509.from_cryptography(issuer))
        for each in wanted:
            store.add_crl(each)
        store.set_flags(crypto.X509StoreFlags.CRL_CHECK | crypto.X509StoreFlags.PARTIAL_CHAIN)
        return store


def ocsp_request(link: Link) -> bytes:
    """What to ask a responder, in DER form. RFC 6960 §4.1; SHA-1 is what all of them know."""
    return _request(link).public_bytes(Encoding.DER)


def _request(link: Link) -> ocsp.OCSPRequest:
    builder = ocsp.OCSPRequestBuilder()
    # It names the issuer's key; nothing is proven by it.
    return builder.add_certificate(link.certificate, link.issuer, hashes.SHA1()).build()


def by_ocsp(link: Link, answer: bytes, now: datetime.datetime) -> str:
    """What a responder says of a certificate.

    @param answer: in DER form.
    @raise Undecided: it says nothing that can be believed.
    """
    try:
        response = ocsp.load_der_ocsp_response(answer)
        if response.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
            raise Undecided(f"the responder says {response.response_status.name.lower()}")
        if not _is_believed(response, link.issuer, now):
            raise Undecided("the response is signed by nobody whom the issuer has asked to")
        return _told(response, _request(link), now)
    except (ValueError, UnsupportedAlgorithm):
        raise Undecided("the response cannot be read") from None


def _told(response: Any, request: ocsp.OCSPRequest, now: datetime.datetime) -> str:
    for each in response.responses:
        is_same = (
            each.serial_number == request.serial_number
            and each.issuer_name_hash == request.issuer_name_hash
            and each.issuer_key_hash == request.issuer_key_hash
        )
        if not is_same:
            continue
        begin = each.this_update_utc
        end = each.next_update_utc or begin + _UNLIMITED
        if not begin - _SKEW <= now <= end + _SKEW:
            raise Undecided("the response is not of this time")
        return _STATUSES.get(each.certificate_status, UNKNOWN)
    raise Undecided("the response is about another certificate")


def _is_believed(response: Any, issuer: x509.Certificate, now: datetime.datetime) -> bool:
    """Whether the issuer, or whom it has delegated this to, has signed. RFC 6960 §4.2.2.2."""
    for signer in (issuer, *response.certificates):
        if not _is_named(signer, response) or not _has_signed(signer, response):
            continue
        if signer == issuer or _is_delegate(signer, issuer, now):
            return True
    return False


def _is_named(signer: x509.Certificate, response: Any) -> bool:
    if response.responder_name is not None:
        return bool(signer.subject == response.responder_name)
    key = x509.SubjectKeyIdentifier.from_public_key(signer.public_key())
    return bool(key.digest == response.responder_key_hash)


def _is_delegate(
    signer: x509.Certificate, issuer: x509.Certificate, now: datetime.datetime
) -> bool:
    try:
        signer.verify_directly_issued_by(issuer)
        usage = signer.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except (ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound):
        return False
    is_valid = signer.not_valid_before_utc <= now <= signer.not_valid_after_utc
    return is_valid and ExtendedKeyUsageOID.OCSP_SIGNING in usage


def _has_signed(signer: x509.Certificate, response: Any) -> bool:
    key: Any = signer.public_key()
    signature, text = response.signature, response.tbs_response_bytes
    try:
        if isinstance(key, rsa.RSAPublicKey):
            key.verify(signature, text, padding.PKCS1v15(), response.signature_hash_algorithm)
        elif isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(signature, text, ec.ECDSA(response.signature_hash_algorithm))
        elif isinstance(key, ed25519.Ed25519PublicKey | ed448.Ed448PublicKey):
            key.verify(signature, text)
        else:
            return False
    except InvalidSignature:
        return False
    return True
