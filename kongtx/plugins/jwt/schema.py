"""The configuration of jwt: a client shows a JSON Web Token."""

from __future__ import annotations

from kongtx.schema import (
    Field,
    Subschema,
    boolean,
    conditional,
    number,
    record,
    set_of,
    string,
)
from kongtx.schema import typedefs as t


def _config() -> Field:
    return record(
        {
            "uri_param_names": set_of(string(), default=["jwt"]),
            "cookie_names": set_of(string(), default=[]),
            "key_claim_name": string(default="iss"),
            "secret_is_base64": boolean(required=True, default=False),
            "claims_to_verify": set_of(string(one_of=["exp", "nbf"])),
            "anonymous": string(),
            "run_on_preflight": boolean(required=True, default=True),
            "maximum_expiration": number(default=0, between=[0, 31536000]),
            "header_names": set_of(string(), default=["authorization"]),
            "realm": string(required=False),
        }
    )


def subschema() -> Subschema:
    """What plugins named jwt put in place of the common fields."""
    return Subschema(
        {"consumer": t.no_consumer(), "protocols": t.protocols_http(), "config": _config()},
        entity_checks=[
            conditional(
                "config.maximum_expiration",
                {"gt": 0},
                "config.claims_to_verify",
                {"contains": "exp"},
            )
        ],
    )
