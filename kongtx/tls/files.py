"""Files for OpenSSL that are on no disk."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def as_file(data: bytes) -> Iterator[str]:
    """A path to read some bytes from: OpenSSL, as Python offers it, reads keys from files only."""
    descriptor = os.memfd_create("kongtx-tls", os.MFD_CLOEXEC)
    try:
        with open(descriptor, "wb", closefd=False) as stream:
            stream.write(data)
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)
