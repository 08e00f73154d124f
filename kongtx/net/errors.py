"""Errors of the network layer."""

from __future__ import annotations

from kongtx.errors import KongtxError


class NetworkError(KongtxError):
    """Something about a listener, a connection or what came over it."""
