"""The signature of a request: its header and what it is of. Pure."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Callable, Sequence

import attrs

ALGORITHMS = {
    "hmac-sha1": hashlib.sha1,
    "hmac-sha256": hashlib.sha256,
    "hmac-sha384": hashlib.sha384,
    "hmac-sha512": hashlib.sha512,
}

_HEADER = re.compile(
    r'\s*[Hh]mac\s+username="(?P<username>[^"]+)"\s*,\s*algorithm="(?P<algorithm>[^"]+)"\s*,'
    r'\s*headers="(?P<headers>[^"]*)"\s*,\s*signature="(?P<signature>[^"]+)"\s*'
)


@attrs.frozen
class Signature:
    """What an Authorization header says.

    @ivar headers: the names of what was signed, as written.
    """

    username: str
    algorithm: str
    headers: Sequence[str]
    signature: bytes


def parse(value: str | None) -> Signature | None:
    """The signature in a header's value; L{None} if there is none."""
    found = _HEADER.fullmatch(value or "")
    if found is None:
        return None
    try:
        signature = base64.b64decode(found["signature"], validate=True)
    except (binascii.Error, ValueError):
        signature = b""
    names = found["headers"].split(" ")
    return Signature(found["username"], found["algorithm"], names, signature)


def signing_text(
    names: Sequence[str],
    header: Callable[[str], bytes | None],
    method: bytes,
    target: bytes,
    version: bytes,
) -> bytes:
    """The text that is signed: a line for each name.

    @param header: the first value of a header.
    @param target: as received, with its query.
    """
    lines = []
    for name in names:
        value = header(name)
        if value is not None:
            line = name.encode() + b": " + value
        elif name == "@request-target":
            line = b"@request-target: " + method.lower() + b" " + target
        elif name == "request-line":
            line = b"%s %s HTTP/%s" % (method, target, b"2.0" if version == b"2" else version)
        else:
            line = name.encode() + b":"
        lines.append(line)
    return b"\n".join(lines)


def is_signed(signature: Signature, text: bytes, secret: str) -> bool:
    """Whether the signature is of this text and secret; takes the same time either way."""
    made = hmac.new(secret.encode(), text, ALGORITHMS[signature.algorithm]).digest()
    return hmac.compare_digest(made, signature.signature)


def digest(body: bytes) -> bytes:
    """The Digest header of a body."""
    return b"SHA-256=" + base64.b64encode(hashlib.sha256(body).digest())
