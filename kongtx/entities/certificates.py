"""Certificates with their keys, and the certificates of authorities."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from kongtx.entities.options import EntityOptions
from kongtx.schema import (
    Schema,
    Transformation,
    array,
    custom_check,
    foreign,
    mutually_required,
    string,
)
from kongtx.schema import typedefs as t
from kongtx.schema.keys import (
    certificate_digest,
    certificate_matches_key,
    check_ca_certificate,
    key_kind,
)

_SAME_KIND = (
    "certificate and alternative certificate need to have different type (e.g. RSA and ECDSA), "
    "the provided certificates were both of the same type"
)


def _key_matches(cert: str, key: str, error: str) -> Callable[[Mapping[str, Any]], str | None]:
    def check(entity: Mapping[str, Any]) -> str | None:
        if entity[cert] is None or entity[key] is None:
            return None
        return None if certificate_matches_key(entity[cert], entity[key]) else error

    return check


def _kinds_differ(entity: Mapping[str, Any]) -> str | None:
    cert, alternative = entity["cert"], entity["cert_alt"]
    if cert is None or alternative is None:
        return None
    return _SAME_KIND if key_kind(cert) == key_kind(alternative) else None


def certificates() -> Schema:
    """The schema of certificates.

    C{snis} is no column: the Admin API keeps it as rows of C{snis}.
    """
    return Schema(
        "certificates",
        {
            "id": t.uuid(),
            "created_at": t.auto_timestamp_s(),
            "updated_at": t.auto_timestamp_s(),
            "cert": t.certificate(required=True, referenceable=True),
            "key": t.key(required=True, referenceable=True, encrypted=True),
            "cert_alt": t.certificate(required=False, referenceable=True),
            "key_alt": t.key(required=False, referenceable=True, encrypted=True),
            "tags": t.tags(),
            "snis": array(t.wildcard_host(), required=False, transient=True),
        },
        workspaceable=True,
        entity_checks=[
            mutually_required("cert_alt", "key_alt"),
            custom_check(
                ["cert", "key"], _key_matches("cert", "key", "certificate does not match key")
            ),
            custom_check(
                ["cert_alt", "key_alt"],
                _key_matches("cert_alt", "key_alt", "alternative certificate does not match key"),
            ),
            custom_check(["cert", "cert_alt"], _kinds_differ),
        ],
    )


def snis() -> Schema:
    """The schema of SNIs: the server names for which a certificate is shown."""
    return Schema(
        "snis",
        {
            "id": t.uuid(),
            "name": t.wildcard_host(required=True, unique=True, unique_across_ws=True),
            "created_at": t.auto_timestamp_s(),
            "updated_at": t.auto_timestamp_s(),
            "tags": t.tags(),
            "certificate": foreign("certificates", required=True),
        },
        endpoint_key="name",
        workspaceable=True,
    )


def ca_certificates(options: EntityOptions) -> Schema:
    """The schema of authorities' certificates; C{cert_digest} is computed on writes."""
    return Schema(
        "ca_certificates",
        {
            "id": t.uuid(),
            "created_at": t.auto_timestamp_s(),
            "updated_at": t.auto_timestamp_s(),
            "cert": t.certificate(required=True),
            "cert_digest": string(unique=True),
            "tags": t.tags(),
        },
        entity_checks=[
            custom_check(
                ["cert"], lambda entity: check_ca_certificate(entity["cert"], options.clock())
            )
        ],
        transformations=[
            Transformation(
                inputs=("cert",), on_write=lambda cert: {"cert_digest": certificate_digest(cert)}
            )
        ],
    )
