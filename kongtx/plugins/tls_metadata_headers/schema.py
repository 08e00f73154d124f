"""The configuration of tls-metadata-headers: what a client's certificate says, for upstreams."""

from __future__ import annotations

from kongtx.plugins.typedefs import protocols_tls
from kongtx.schema import Field, Subschema, boolean, record
from kongtx.schema import typedefs as t

#: The fields that name a header, with their defaults.
HEADERS = {
    "client_cert_header_name": "X-Client-Cert",
    "client_serial_header_name": "X-Client-Cert-Serial",
    "client_cert_issuer_dn_header_name": "X-Client-Cert-Issuer-DN",
    "client_cert_subject_dn_header_name": "X-Client-Cert-Subject-DN",
    "client_cert_fingerprint_header_name": "X-Client-Cert-Fingerprint",
}


def _config() -> Field:
    return record(
        {
            "inject_client_cert_details": boolean(default=False),
            **{
                field: t.header_name(required=True, default=name) for field, name in HEADERS.items()
            },
            "rfc9440": boolean(required=True, default=False),
        }
    )


def subschema() -> Subschema:
    """What plugins named tls-metadata-headers put in place of the common fields."""
    return Subschema({"protocols": protocols_tls(), "config": _config()})
