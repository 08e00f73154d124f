"""Certificates and keys as schemas check them.

Nothing read here is ever part of an error's text.
"""

from __future__ import annotations

import base64
import datetime
import json
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa, x448, x25519

_BEGIN = "-----BEGIN CERTIFICATE-----"
_UNREADABLE = (ValueError, TypeError, UnsupportedAlgorithm)
_CURVES: dict[str, type[ec.EllipticCurve]] = {
    "P-256": ec.SECP256R1,
    "P-384": ec.SECP384R1,
    "P-521": ec.SECP521R1,
}
_OKP: dict[str, Callable[[bytes], object]] = {
    "Ed25519": ed25519.Ed25519PublicKey.from_public_bytes,
    "Ed448": ed448.Ed448PublicKey.from_public_bytes,
    "X25519": x25519.X25519PublicKey.from_public_bytes,
    "X448": x448.X448PublicKey.from_public_bytes,
}
_JWK_MEMBERS = frozenset(
    ("issuer", "kty", "use", "key_ops", "alg", "kid", "x5u", "x5c", "x5t", "x5t#S256", "k", "x")
) | frozenset(("y", "crv", "n", "e", "d", "p", "q", "dp", "dq", "qi", "oth", "r", "t"))


@lru_cache(maxsize=256)
def load_certificate(pem: str) -> x509.Certificate:
    """The first certificate of a PEM text.

    @raise ValueError: there is none that can be read.
    """
    try:
        return x509.load_pem_x509_certificate(pem.encode())
    except _UNREADABLE as error:
        raise ValueError(str(error)) from None


def check_certificate(value: str) -> str | None:
    """A certificate in PEM form."""
    try:
        load_certificate(value)
    except ValueError as error:
        return f"invalid certificate: {_first_line(error)}"
    return None


def check_key(value: str) -> str | None:
    """A private or public key in PEM form."""
    try:
        public_key(value)
    except ValueError as error:
        if isinstance(error.__cause__, TypeError):
            return "invalid key: it is encrypted, and can only be kept without passphrase"
        # The library's text may quote what it read.
        return "invalid key: could not be read as a PEM key without passphrase"
    return None


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or ["unreadable"])[0][:120]


def public_key(pem: str) -> bytes:
    """The public part, as DER, of a private or public key in PEM form.

    @raise ValueError: it cannot be read (encrypted keys included).
    """
    data = pem.encode()
    try:
        if b"PRIVATE KEY" in data:
            return _public_der(serialization.load_pem_private_key(data, None).public_key())
        return _public_der(serialization.load_pem_public_key(data))
    except _UNREADABLE as error:
        raise ValueError("unreadable key") from error


def is_public_key(pem: str) -> bool:
    """Whether text is a public key in PEM form."""
    try:
        serialization.load_pem_public_key(pem.encode())
    except _UNREADABLE:
        return False
    return True


def is_private_key(pem: str) -> bool:
    """Whether text is a private key in PEM form, without passphrase."""
    try:
        serialization.load_pem_private_key(pem.encode(), None)
    except _UNREADABLE:
        return False
    return True


def _public_der(key: Any) -> bytes:
    der: bytes = key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return der


def certificate_matches_key(certificate: str, key: str) -> bool:
    """Whether a key is the one a certificate is for; not so when either cannot be read."""
    try:
        return _public_der(load_certificate(certificate).public_key()) == public_key(key)
    except _UNREADABLE:
        return False  # keys of kinds that cannot be compared


def key_kind(certificate: str) -> str:
    """The kind of a certificate's key, as in C{RSAPublicKey}."""
    try:
        key = load_certificate(certificate).public_key()
    except _UNREADABLE:
        return "unknown"
    for kind in (
        rsa.RSAPublicKey,
        ec.EllipticCurvePublicKey,
        ed25519.Ed25519PublicKey,
        ed448.Ed448PublicKey,
        x25519.X25519PublicKey,
        x448.X448PublicKey,
    ):
        if isinstance(key, kind):
            return kind.__name__
    return key.__class__.__name__


def certificate_digest(pem: str) -> str:
    """The SHA-256 of a certificate's DER, in hexadecimal."""
    return load_certificate(pem).fingerprint(hashes.SHA256()).hex()


def check_ca_certificate(pem: str, now: float) -> str | None:
    """One certificate of an authority that has not expired at C{now} (seconds since 1970)."""
    if pem.count(_BEGIN) > 1:
        return "please submit only one certificate at a time"
    certificate = load_certificate(pem)
    moment = datetime.datetime.fromtimestamp(now, datetime.UTC)
    try:
        expired = certificate.not_valid_after_utc < moment
    except ValueError:
        expired = True
    if expired:
        return 'certificate expired, "Not After" time is in the past'
    try:
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
        is_authority = constraints.value.ca
    except (x509.ExtensionNotFound, ValueError):
        is_authority = False
    if is_authority:
        return None
    return 'certificate does not appear to be a CA because it is missing the "CA" basic constraint'


def check_jwk(text: str, kid: str | None) -> str | None:
    """A JSON Web Key (RFC 7517) whose C{kid} is the given one."""
    try:
        jwk = json.loads(text)
    except (ValueError, RecursionError):
        return "could not json decode jwk string"
    if not isinstance(jwk, dict):
        return "could not json decode jwk string"
    if jwk.get("kid") != kid:
        return "kid in jwk.kid must be equal to keys.kid"
    try:
        _load_jwk(jwk)
    except (KeyError, AttributeError, *_UNREADABLE):
        return "could not load JWK, likely not a valid key"
    unknown = sorted(set(jwk) - _JWK_MEMBERS)
    return f"Validation error: {unknown[0]}: unknown field" if unknown else None


def _load_jwk(jwk: dict[str, Any]) -> None:
    kind = jwk["kty"]
    if kind == "RSA":
        numbers = rsa.RSAPublicNumbers(_number(jwk["e"]), _number(jwk["n"]))
        numbers.public_key()
        if "d" in jwk:
            values = {name: _number(jwk[name]) for name in ("p", "q", "d", "dp", "dq", "qi")}
            rsa.RSAPrivateNumbers(
                values["p"],
                values["q"],
                values["d"],
                values["dp"],
                values["dq"],
                values["qi"],
                numbers,
            ).private_key()
    elif kind == "EC":
        curve = _CURVES[jwk["crv"]]()
        point = ec.EllipticCurvePublicNumbers(_number(jwk["x"]), _number(jwk["y"]), curve)
        point.public_key()
        if "d" in jwk:
            ec.EllipticCurvePrivateNumbers(_number(jwk["d"]), point).private_key()
    elif kind == "OKP":
        _OKP[jwk["crv"]](_bytes(jwk["x"]))
    else:
        raise ValueError(f"unsupported key type {kind}")


def _bytes(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _number(text: str) -> int:
    return int.from_bytes(_bytes(text), "big")
