"""What can go wrong with health checks."""

from __future__ import annotations

from kongtx.errors import KongtxError


class HealthError(KongtxError):
    """A status cannot be set or told; the message is what the Admin API answers (status 400)."""
