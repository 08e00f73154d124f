"""Keys and sets of keys, for plugins that sign or verify."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kongtx.schema import (
    Field,
    Schema,
    at_least_one_of,
    custom_check,
    foreign,
    is_reference,
    mutually_exclusive,
    record,
    string,
)
from kongtx.schema import typedefs as t
from kongtx.schema.keys import check_jwk, is_private_key, is_public_key, public_key


def check_pem(pair: Mapping[str, Any]) -> str | None:
    """A pair of keys in PEM form, of which one may be missing."""
    public, private = pair.get("public_key"), pair.get("private_key")
    if is_reference(public) or is_reference(private):
        return None
    if public is not None and not is_public_key(public):
        return "could not load public key"
    if private is not None and not is_private_key(private):
        return "could not load private key"
    if public is not None and private is not None and public_key(public) != public_key(private):
        return "public key does not match private key"
    return None


def _pem() -> Field:
    return record(
        {
            "private_key": string(required=False, referenceable=True, encrypted=True),
            "public_key": string(required=False, referenceable=True),
        },
        required=False,
        entity_checks=[at_least_one_of("private_key", "public_key")],
        custom_validator=check_pem,
    )


def _check_formats(key: Mapping[str, Any]) -> str | None:
    jwk = key["jwk"]
    return check_jwk(jwk, key["kid"]) if isinstance(jwk, str) else None


def keys() -> Schema:
    """The schema of keys."""
    return Schema(
        "keys",
        {
            "id": t.uuid(),
            "set": foreign("key_sets", required=False, on_delete="cascade"),
            "name": string(required=False, unique=True),
            "kid": string(required=True, unique=False),
            "jwk": string(referenceable=True, encrypted=True),
            "pem": _pem(),
            "tags": t.tags(),
            "created_at": t.auto_timestamp_s(),
            "updated_at": t.auto_timestamp_s(),
        },
        endpoint_key="name",
        cache_key=["kid", "set"],
        workspaceable=True,
        entity_checks=[
            mutually_exclusive("jwk", "pem"),
            at_least_one_of("jwk", "pem"),
            custom_check(["jwk", "pem", "kid"], _check_formats),
        ],
    )


def key_sets() -> Schema:
    """The schema of sets of keys."""
    return Schema(
        "key_sets",
        {
            "id": t.uuid(),
            "name": string(required=False, unique=True),
            "tags": t.tags(),
            "created_at": t.auto_timestamp_s(),
            "updated_at": t.auto_timestamp_s(),
        },
        endpoint_key="name",
        admin_path="key-sets",
        workspaceable=True,
    )
