"""The configuration of hmac-auth: a client signs its requests with a shared secret."""

from __future__ import annotations

from kongtx.schema import Field, Subschema, array, boolean, number, record, string
from kongtx.schema import typedefs as t


def _config() -> Field:
    return record(
        {
            "hide_credentials": boolean(required=True, default=False),
            "clock_skew": number(default=300, gt=0),
            "anonymous": string(),
            "validate_request_body": boolean(required=True, default=False),
            "enforce_headers": array(string(), default=[]),
            "algorithms": array(
                string(one_of=["hmac-sha1", "hmac-sha256", "hmac-sha384", "hmac-sha512"]),
                default=["hmac-sha1", "hmac-sha256", "hmac-sha384", "hmac-sha512"],
            ),
            "realm": string(required=False),
        }
    )


def subschema() -> Subschema:
    """What plugins named hmac-auth put in place of the common fields."""
    return Subschema(
        {"consumer": t.no_consumer(), "protocols": t.protocols_http(), "config": _config()}
    )
