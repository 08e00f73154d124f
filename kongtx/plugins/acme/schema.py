"""The configuration of acme: certificates from Let's Encrypt and other authorities."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kongtx.plugins.typedefs import deprecated, moved, redis
from kongtx.schema import (
    Field,
    Subschema,
    boolean,
    conditional,
    custom_check,
    integer,
    number,
    record,
    string,
)
from kongtx.schema import typedefs as t

_RESERVED = ("kong_acme:renew_config:", "kong_acme:renew_last_run", "kong_acme:cert_key:")


def _check_namespace(value: str) -> str | None:
    for word in _RESERVED:
        if value.startswith(word):
            return f"namespace can't be prefixed with reserved word: {word}"
    return None


def _check_storage(entity: Mapping[str, Any], dbless: bool) -> str | None:
    if dbless and entity["config"]["storage"] == "kong":
        return '"kong" storage can\'t be used with dbless mode'
    return None


def _renamed(kind: Field, old: str, *path: str) -> Field:
    prefix = "config.storage_config.redis"
    return kind.extend(
        func=moved(path),
        deprecation=deprecated("acme", f"{prefix}.{old}", f"{prefix}.{'.'.join(path)}", path=path),
    )


def _redis() -> Field:
    extra = record(
        {
            "namespace": string(
                required=True, default="", len_min=0, custom_validator=_check_namespace
            ),
            "scan_count": number(required=False, default=10),
        }
    )
    return redis(
        {"extra_options": extra},
        shorthand_fields={
            "auth": _renamed(string(len_min=0), "auth", "password"),
            "ssl_server_name": _renamed(string(), "ssl_server_name", "server_name"),
            "namespace": _renamed(string(len_min=0), "namespace", "extra_options", "namespace"),
            "scan_count": _renamed(integer(), "scan_count", "extra_options", "scan_count"),
        },
    )


def _config() -> Field:
    return record(
        {
            "account_email": string(
                required=True, match="%w*%p*@+%w*%.?%w*", referenceable=True, encrypted=True
            ),
            "account_key": record(
                {"key_id": string(required=True), "key_set": string()}, required=False
            ),
            "api_uri": t.url(default="https://acme-v02.api.letsencrypt.org/directory"),
            "tos_accepted": boolean(default=False),
            "eab_kid": string(referenceable=True, encrypted=True),
            "eab_hmac_key": string(referenceable=True, encrypted=True),
            "cert_type": string(default="rsa", one_of=["rsa", "ecc"]),
            "rsa_key_size": number(default=4096, one_of=[2048, 3072, 4096]),
            "renew_threshold_days": number(default=14),
            "domains": t.hosts(),
            "allow_any_domain": boolean(default=False),
            "fail_backoff_minutes": number(default=5),
            "storage": string(default="shm", one_of=["kong", "shm", "redis", "consul", "vault"]),
            "storage_config": record(
                {
                    "shm": record({"shm_name": string(default="kong")}),
                    "kong": record({}),
                    "redis": _redis(),
                    "consul": record(
                        {
                            "https": boolean(default=False),
                            "host": t.host(),
                            "port": t.port(),
                            "kv_path": string(),
                            "timeout": number(),
                            "token": string(referenceable=True),
                        }
                    ),
                    "vault": record(
                        {
                            "https": boolean(default=False),
                            "host": t.host(),
                            "port": t.port(),
                            "kv_path": string(),
                            "timeout": number(),
                            "token": string(referenceable=True),
                            "tls_verify": boolean(default=True),
                            "tls_server_name": string(),
                            "auth_method": string(default="token", one_of=["token", "kubernetes"]),
                            "auth_path": string(),
                            "auth_role": string(),
                            "jwt_path": string(),
                        }
                    ),
                }
            ),
            "preferred_chain": string(),
            "enable_ipv4_common_name": boolean(default=True),
        }
    )


def subschema(*, dbless: bool = False) -> Subschema:
    """What plugins named acme put in place of the common fields."""
    return Subschema(
        {
            "consumer": t.no_consumer(),
            "service": t.no_service(),
            "route": t.no_route(),
            "protocols": t.protocols_http(),
            "config": _config(),
        },
        entity_checks=[
            conditional(
                "config.api_uri",
                {
                    "one_of": [
                        "https://acme-v02.api.letsencrypt.org",
                        "https://acme-staging-v02.api.letsencrypt.org",
                    ]
                },
                "config.tos_accepted",
                {"eq": True},
                "terms of service must be accepted, see https://letsencrypt.org/repository/",
            ),
            conditional(
                "config.storage",
                {"eq": "redis"},
                "config.storage_config.redis.host",
                {"required": True},
            ),
            conditional(
                "config.storage",
                {"eq": "redis"},
                "config.storage_config.redis.port",
                {"required": True},
            ),
            custom_check(["config.storage"], lambda entity: _check_storage(entity, dbless)),
        ],
    )
