"""What can keep a certificate from being issued. No key is ever part of a text."""

from __future__ import annotations

from kongtx.plugins.errors import PluginError


class ACMEError(PluginError):
    """The authority, or the storage, did not do what was asked of it."""
