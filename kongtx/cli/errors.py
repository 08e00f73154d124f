"""What can go wrong in a command."""

from __future__ import annotations

from kongtx.errors import KongtxError


class CommandError(KongtxError):
    """A command failed; the message is what follows C{Error:}."""
