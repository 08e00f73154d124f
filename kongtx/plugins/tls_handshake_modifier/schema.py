"""The configuration of tls-handshake-modifier: clients are asked for a certificate."""

from __future__ import annotations

from kongtx.plugins.typedefs import protocols_tls
from kongtx.schema import Field, Subschema, record, string
from kongtx.schema import typedefs as t


def _config() -> Field:
    return record({"tls_client_certificate": string(default="REQUEST", one_of=["REQUEST"])})


def subschema() -> Subschema:
    """What plugins named tls-handshake-modifier put in place of the common fields."""
    return Subschema(
        {"consumer": t.no_consumer(), "protocols": protocols_tls(), "config": _config()}
    )
