"""Keys of session tickets that all workers of a node know, so that any of them resumes a session.

They are derived from a secret that the node makes at each start and from the time, so that workers
agree on them without a word, and change twice a day. A ticket of the time before is not resumed:
its client makes a full handshake.
"""

from __future__ import annotations

import os

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from kongtx.net.openssl import TICKET_KEYS_SIZE

#: Seconds for which one set of keys is in use.
PERIOD = 12 * 3600
#: The secret's file, below C{ssl} in the prefix.
FILE = "session-tickets.key"
_SIZE = 48


def make_secret(directory: str) -> str:
    """Make the secret of a node that starts; that of its last run is forgotten.

    @return: the path of its file.
    @raise OSError: it cannot be written.
    """
    path = os.path.join(directory, FILE)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(descriptor, "wb") as stream:
        os.fchmod(descriptor, 0o600)
        stream.write(os.urandom(_SIZE))
    return path


def read_secret(directory: str) -> bytes:
    """The secret of a node; a random one, for this worker alone, where there is none."""
    try:
        with open(os.path.join(directory, FILE), "rb") as stream:
            secret = stream.read()
    except OSError:
        secret = b""
    return secret if len(secret) == _SIZE else os.urandom(_SIZE)


def keys_at(secret: bytes, now: float, purpose: str = "") -> bytes:
    """The keys in use at a time.

    @param now: seconds since 1970.
    @param purpose: sessions are resumed only where it is the same.
    """
    about = f"kongtx session tickets {int(now // PERIOD)} {purpose}".encode()
    return HKDF(hashes.SHA256(), TICKET_KEYS_SIZE, None, about).derive(secret)


def seconds_left(now: float) -> float:
    """How long the keys of a time stay in use."""
    return PERIOD - now % PERIOD
