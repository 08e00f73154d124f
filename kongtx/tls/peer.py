"""What a client's certificate says, and whether it can be believed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import pairwise, starmap

import attrs
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from OpenSSL import crypto

from kongtx.tls.errors import UnusableAuthority
from kongtx.tls.revocation import REVOKED, UNKNOWN, Link, RevocationLists

#: How revocations are looked at.
SKIP, IGNORE_CA_ERROR, STRICT = "SKIP", "IGNORE_CA_ERROR", "STRICT"

#: OpenSSL's words for a certificate that has been revoked, and for one that may have been.
WHY_REVOKED = "certificate revoked"
WHY_UNDECIDED = "unable to get certificate CRL"


@attrs.frozen
class CertificateFacts:
    """A certificate in words.

    @ivar serial: in upper-case hexadecimal, as nginx writes it.
    @ivar issuer: the distinguished name (RFC 4514).
    @ivar fingerprint: SHA-1 of the DER, in hexadecimal, as nginx writes it.
    @ivar common_names: of the subject, the most specific first.
    @ivar alternative_names: DNS names, mail addresses, URIs and addresses, in the certificate's
        order of each kind.
    """

    pem: str
    serial: str
    issuer: str
    subject: str
    fingerprint: str
    common_names: tuple[str, ...]
    alternative_names: tuple[str, ...]


@lru_cache(maxsize=128)
def facts_of(der: bytes) -> CertificateFacts:
    """Read a certificate.

    @raise ValueError: it cannot be read.
    """
    certificate = x509.load_der_x509_certificate(der)
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    serial = f"{certificate.serial_number:X}"
    return CertificateFacts(
        pem=certificate.public_bytes(Encoding.PEM).decode(),
        serial=serial.zfill(len(serial) + len(serial) % 2),
        issuer=_one_line(certificate.issuer.rfc4514_string()),
        subject=_one_line(certificate.subject.rfc4514_string()),
        fingerprint=certificate.fingerprint(hashes.SHA1()).hex(),
        common_names=tuple(str(name.value) for name in reversed(names)),
        alternative_names=_alternative_names(certificate),
    )


def _one_line(name: str) -> str:
    """A name whose control characters are written as RFC 4514 §2.4 allows."""
    return "".join(f"\\{ord(each):02X}" if each < " " or each == "\x7f" else each for each in name)


def _alternative_names(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    kinds = (x509.DNSName, x509.RFC822Name, x509.UniformResourceIdentifier, x509.IPAddress)
    return tuple(_one_line(str(name.value)) for name in found if isinstance(name, kinds))


@attrs.frozen
class Authorities:
    """Whom a certificate must lead to, and what they have revoked.

    @ivar certificates: PEM texts of trusted authorities.
    @ivar revocations: PEM texts of certificate revocation lists.
    @ivar mode: L{SKIP}, L{IGNORE_CA_ERROR} (lists count where there is a valid one) or L{STRICT}
        (there must be one for each certificate below an authority).
    @ivar allows_partial: whether an authority that is not self-signed can be the end of the way.
    """

    certificates: tuple[str, ...]
    revocations: tuple[str, ...] = ()
    mode: str = IGNORE_CA_ERROR
    allows_partial: bool = False


@attrs.frozen
class Verdict:
    """What comes of verifying a certificate.

    @ivar why: it is not believed; L{None} if it is.
    @ivar authorities: fingerprints (SHA-256) of those that it leads to, the nearest first.
    @ivar undecided: what may have been revoked for all that the lists tell; with L{STRICT} that is
        why the certificate is not believed, unless somebody else knows more.
    """

    why: str | None
    authorities: tuple[bytes, ...] = ()
    undecided: tuple[Link, ...] = ()


def fingerprint_of(pem: str) -> bytes:
    """What L{Verdict.authorities} has for a certificate in PEM form.

    @raise ValueError: it cannot be read.
    """
    return x509.load_pem_x509_certificate(pem.encode()).fingerprint(hashes.SHA256())


def refusal_of(chain: Sequence[bytes], authorities: Authorities) -> str | None:
    """Why a client's certificate is not believed, as L{verdict_of}; L{None} if it is."""
    return verdict_of(chain, authorities).why


def verdict_of(chain: Sequence[bytes], authorities: Authorities) -> Verdict:
    """Whether a client's certificate is believed, and why.

    @param chain: certificates in DER: the client's, and what it sent to prove it.
    @raise UnusableAuthority: an authority's certificate or list cannot be read.
    """
    try:
        leaf, *others = (x509.load_der_x509_certificate(each) for each in chain)
        if not _is_for_clients(leaf):
            return Verdict("unsuitable certificate purpose")
    except ValueError:
        return Verdict("unreadable certificate")
    try:
        found = _verified(leaf, others, authorities)
    except crypto.X509StoreContextError as error:
        return Verdict(str(error))
    above = tuple(each.fingerprint(hashes.SHA256()) for each in found[1:])
    if authorities.mode == SKIP:
        return Verdict(None, above)
    lists = _lists(authorities.revocations)
    links = list(starmap(Link, pairwise(found)))
    standings = [lists.standing(link) for link in links]
    if REVOKED in standings:
        return Verdict(WHY_REVOKED, above)
    undecided = tuple(link for link, told in zip(links, standings, strict=True) if told == UNKNOWN)
    why = WHY_UNDECIDED if undecided and authorities.mode == STRICT else None
    return Verdict(why, above, undecided)


def _is_for_clients(certificate: x509.Certificate) -> bool:
    try:
        usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return True
    wanted = (ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE)
    return any(each in wanted for each in usage)


def _verified(
    leaf: x509.Certificate, others: Iterable[x509.Certificate], authorities: Authorities
) -> list[x509.Certificate]:
    """The certificates from the client's to one of the authorities, whatever has been revoked.

    @raise crypto.X509StoreContextError: there are none.
    """
    store = _store(authorities.certificates, authorities.allows_partial)
    wrapped = [crypto.X509.from_cryptography(each) for each in (leaf, *others)]
    found = crypto.X509StoreContext(store, wrapped[0], wrapped[1:]).get_verified_chain()
    return [each.to_cryptography() for each in found]


@lru_cache(maxsize=64)
def _store(certificates: tuple[str, ...], allows_partial: bool) -> crypto.X509Store:
    store = crypto.X509Store()
    try:
        for text in certificates:
            for each in x509.load_pem_x509_certificates(text.encode()):
                store.add_cert(crypto.X509.from_cryptography(each))
    except (ValueError, crypto.Error):
        raise UnusableAuthority("an authority's certificate cannot be read") from None
    if allows_partial:
        store.set_flags(crypto.X509StoreFlags.PARTIAL_CHAIN)
    return store


@lru_cache(maxsize=64)
def _lists(texts: tuple[str, ...]) -> RevocationLists:
    try:
        return RevocationLists(x509.load_pem_x509_crl(text.encode()) for text in texts)
    except ValueError:
        raise UnusableAuthority("a revocation list cannot be read") from None


def check_revocations(text: str) -> str | None:
    """What is wrong with a certificate revocation list in PEM form."""
    try:
        x509.load_pem_x509_crl(text.encode())
    except ValueError:
        return "invalid certificate revocation list"
    return None
