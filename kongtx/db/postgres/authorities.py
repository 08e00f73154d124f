"""The certificates that may sign the server's, as the one file that libpq reads."""

from __future__ import annotations

import os
from collections.abc import Sequence

from kongtx.conf.syntax import pem
from kongtx.db.errors import DatabaseError


def authorities_file(trusted: Sequence[str]) -> str | None:
    """A file with all of them.

    @param trusted: paths and PEM texts.
    @return: L{None} if there are none. A single file is taken as it is, so that its next content
        serves the next connection; several are put together in memory for as long as the process
        lives.
    @raise DatabaseError: one cannot be read.
    """
    if not trusted:
        return None
    if len(trusted) == 1 and not pem.is_text(trusted[0]):
        return trusted[0]
    try:
        text = b"\n".join(pem.read(value) for value in trusted)
    except OSError as error:
        raise DatabaseError(f"lua_ssl_trusted_certificate: {error}") from error
    descriptor = os.memfd_create("kongtx-postgres-authorities")
    os.write(descriptor, text)
    return f"/proc/self/fd/{descriptor}"
