"""A signed token taken apart and checked (RFC 7515, RFC 7519), with Kong's words. Pure."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Collection, Mapping
from typing import Any

import attrs
import msgspec
from jwt.algorithms import Algorithm, get_default_algorithms
from jwt.exceptions import InvalidKeyError

from kongtx.errors import KongtxError

_ALGORITHMS: dict[str, Algorithm] = {
    name: algorithm for name, algorithm in get_default_algorithms().items() if name != "none"
}


class BadToken(KongtxError):
    """A token that is none; the message is for the client."""


@attrs.frozen
class Token:
    """The parts of a token; nothing of it has been verified.

    @ivar signed: the bytes that the signature is of.
    """

    header: Mapping[str, Any]
    claims: Mapping[str, Any]
    signed: bytes
    signature: bytes

    @property
    def algorithm(self) -> str:
        """As the header says."""
        return str(self.header["alg"])


def parse(text: str) -> Token:
    """Take a token apart.

    @raise BadToken: if it is not of three parts, or one of them is not what it must be.
    """
    parts = text.split(".")
    if len(parts) != 3:
        raise BadToken("Bad token; invalid JSON")
    header, claims = (_object(part) for part in parts[:2])
    if not isinstance(header, dict):
        raise BadToken("Bad token; invalid JSON")
    if header.get("alg") not in _ALGORITHMS:
        raise BadToken("Bad token; invalid alg")
    if not isinstance(claims, dict):
        raise BadToken("Bad token; invalid claims")
    signature = decode_base64(parts[2])
    if not signature:
        raise BadToken("Bad token; invalid signature")
    return Token(header, claims, f"{parts[0]}.{parts[1]}".encode("ascii"), signature)


def verifies(token: Token, key: str | bytes) -> bool:
    """Whether the signature is of this key: a shared secret, or a public key as PEM.

    @raise BadToken: if the key does not fit the algorithm.
    """
    algorithm = _ALGORITHMS[token.algorithm]
    try:
        prepared = algorithm.prepare_key(key)
    except (InvalidKeyError, ValueError, TypeError):
        raise BadToken("Invalid key/secret") from None
    return bool(algorithm.verify(token.signed, prepared, token.signature))


def claim_errors(
    claims: Mapping[str, Any], verify: Collection[str], now: float, maximum_expiration: float
) -> dict[str, str]:
    """What is wrong with the registered claims, by claim; empty if nothing is.

    @param verify: C{exp}, C{nbf}, both or none.
    @param now: seconds since the epoch.
    @param maximum_expiration: the longest time until C{exp}, in seconds; 0 for any.
    """
    errors: dict[str, str] = {}
    for name in verify:
        value = claims.get(name)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            errors[name] = "must be a number"
        elif name == "exp" and value <= now:
            errors[name] = "token expired"
        elif name == "nbf" and value > now:
            errors[name] = "token not valid yet"
    if not errors and maximum_expiration > 0:
        expires = claims.get("exp")
        if not isinstance(expires, (int, float)) or expires - now > maximum_expiration:
            errors["exp"] = "exceeds maximum allowed expiration"
    return errors


def decode_base64(text: str) -> bytes | None:
    """Base64 with the URL's alphabet and no padding (RFC 7515 §2); L{None} if it is none."""
    try:
        raw = text.encode("ascii")
        return base64.b64decode(raw + b"=" * (-len(raw) % 4), b"-_", validate=True)
    except (UnicodeEncodeError, binascii.Error):
        return None


def _object(part: str) -> Any:
    raw = decode_base64(part)
    try:
        return msgspec.json.decode(raw or b"")
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise BadToken("Bad token; invalid JSON") from None
