"""The configuration of key-auth: a client shows a key in a header, in the query or in the body."""

from __future__ import annotations

from kongtx.schema import Field, Subschema, array, boolean, record, string
from kongtx.schema import typedefs as t


def _config() -> Field:
    return record(
        {
            "key_names": array(t.header_name(), required=True, default=["apikey"]),
            "hide_credentials": boolean(required=True, default=False),
            "anonymous": string(),
            "key_in_header": boolean(required=True, default=True),
            "key_in_query": boolean(required=True, default=True),
            "key_in_body": boolean(required=True, default=False),
            "run_on_preflight": boolean(required=True, default=True),
            "realm": string(required=False),
        }
    )


def subschema() -> Subschema:
    """What plugins named key-auth put in place of the common fields."""
    return Subschema(
        {"consumer": t.no_consumer(), "protocols": t.protocols_http(), "config": _config()}
    )
