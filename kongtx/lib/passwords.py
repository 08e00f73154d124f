"""Passwords as hashes that are slow to guess: PBKDF2 with SHA-512, in PHC form. Pure.

The form is that of Kong's oauth2 secrets: C{$pbkdf2-sha512$i=ROUNDS,l=LENGTH$SALT$HASH}, salt and
hash in Base64 without padding.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import re
from hmac import compare_digest

import attrs

PREFIX = "$pbkdf2-"
#: What takes some tenths of a second today.
ROUNDS = 210_000
_MOST_ROUNDS = 10_000_000
_LENGTH, _SALT_LENGTH = 32, 16
_FORM = re.compile(
    r"\$pbkdf2-sha512\$i=([1-9][0-9]{0,7}),l=([1-9][0-9]?)\$([A-Za-z0-9+/]+)\$([A-Za-z0-9+/]+)"
)


@attrs.frozen
class Hash:
    """A hash taken apart."""

    rounds: int
    salt: bytes
    digest: bytes

    def matches(self, password: bytes) -> bool:
        """Whether it is of this password; takes its time either way."""
        made = hashlib.pbkdf2_hmac("sha512", password, self.salt, self.rounds, len(self.digest))
        return compare_digest(made, self.digest)


def parse(text: str) -> Hash | None:
    """The hash that a text is; L{None} if it is none, or would take too long to compare with."""
    found = _FORM.fullmatch(text)
    if found is None:
        return None
    try:
        salt, digest = (
            base64.b64decode(part + "=" * (-len(part) % 4), validate=True)
            for part in found.groups()[2:]
        )
    except binascii.Error:
        return None
    rounds, length = int(found[1]), int(found[2])
    if rounds > _MOST_ROUNDS or len(digest) != length or length < _SALT_LENGTH:
        return None
    return Hash(rounds, salt, digest)


def make(password: str, salt: bytes | None = None, rounds: int = ROUNDS) -> str:
    """The hash of a password.

    @param salt: 16 random bytes when not given.
    """
    salt = os.urandom(_SALT_LENGTH) if salt is None else salt
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, rounds, _LENGTH)
    text = [base64.b64encode(part).decode().rstrip("=") for part in (salt, digest)]
    return f"{PREFIX}sha512$i={rounds},l={_LENGTH}${text[0]}${text[1]}"
