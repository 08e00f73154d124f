"""The configuration of mtls-auth: a client shows a certificate of a chosen authority."""

from __future__ import annotations

from kongtx.plugins.typedefs import protocols_tls
from kongtx.schema import (
    Field,
    Subschema,
    array,
    boolean,
    mutually_required,
    number,
    record,
    string,
)
from kongtx.schema import typedefs as t
from kongtx.tls.peer import IGNORE_CA_ERROR, SKIP, STRICT, check_revocations


def _config() -> Field:
    by = string(one_of=["username", "custom_id"])
    return record(
        {
            "anonymous": string(),
            "consumer_by": array(by, required=True, default=["username", "custom_id"]),
            "default_consumer": string(),
            "ca_certificates": array(string(uuid=True), required=True, len_min=1),
            "crls": array(string(custom_validator=check_revocations), required=True, default=[]),
            "skip_consumer_lookup": boolean(required=True, default=False),
            "allow_partial_chain": boolean(required=True, default=False),
            "authenticated_group_by": string(required=True, one_of=["CN", "DN"], default="CN"),
            "revocation_check_mode": string(
                required=True, one_of=[SKIP, IGNORE_CA_ERROR, STRICT], default=IGNORE_CA_ERROR
            ),
            "cache_ttl": number(required=True, default=60),
            "cert_cache_ttl": number(required=True, default=60000, between=[0, 86_400_000]),
            "http_timeout": number(required=True, default=30000, gt=0),
            "http_proxy_host": t.host(),
            "http_proxy_port": t.port(),
            "send_ca_dn": boolean(required=True, default=False),
        }
    )


def subschema() -> Subschema:
    """What plugins named mtls-auth put in place of the common fields."""
    return Subschema(
        {"consumer": t.no_consumer(), "protocols": protocols_tls(), "config": _config()},
        entity_checks=[mutually_required("config.http_proxy_host", "config.http_proxy_port")],
    )
