"""The configuration of ldap-auth: names and passwords checked by an LDAP server."""

from __future__ import annotations

from kongtx.schema import (
    Field,
    Subschema,
    boolean,
    conditional,
    number,
    record,
    string,
)
from kongtx.schema import typedefs as t


def _config() -> Field:
    return record(
        {
            "ldap_host": t.host(required=True),
            "ldap_port": t.port(required=True, default=389),
            "ldaps": boolean(required=True, default=False),
            "start_tls": boolean(required=True, default=False),
            "verify_ldap_host": boolean(required=True, default=False),
            "base_dn": string(required=True),
            "attribute": string(required=True),
            "cache_ttl": number(required=True, default=60),
            "hide_credentials": boolean(required=True, default=False),
            "timeout": number(default=10000),
            "keepalive": number(default=60000),
            "anonymous": string(),
            "header_type": string(default="ldap"),
            "realm": string(required=False),
        },
        entity_checks=[
            conditional(
                "ldaps",
                {"eq": True},
                "start_tls",
                {"eq": False},
                "'ldaps' and 'start_tls' cannot be enabled simultaneously",
            )
        ],
    )


def subschema() -> Subschema:
    """What plugins named ldap-auth put in place of the common fields."""
    return Subschema(
        {"consumer": t.no_consumer(), "protocols": t.protocols_http(), "config": _config()}
    )
