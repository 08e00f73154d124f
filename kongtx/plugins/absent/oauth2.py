"""The configuration of oauth2: the gateway as an OAuth 2.0 authorisation server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kongtx.schema import (
    Field,
    Subschema,
    array,
    boolean,
    conditional,
    number,
    record,
    string,
)
from kongtx.schema import typedefs as t

_FLOWS = (
    "enable_authorization_code",
    "enable_implicit_grant",
    "enable_client_credentials",
    "enable_password_grant",
)


def _check_flows(config: Mapping[str, Any]) -> str | None:
    if any(config.get(flow) for flow in _FLOWS):
        return None
    return f"at least one of these fields must be true: {', '.join(_FLOWS)}"


def _config() -> Field:
    return record(
        {
            "scopes": array(string()),
            "mandatory_scope": boolean(required=True, default=False),
            "provision_key": string(required=True, unique=True, auto=True, encrypted=True),
            "token_expiration": number(required=True, default=7200),
            "enable_authorization_code": boolean(required=True, default=False),
            "enable_implicit_grant": boolean(required=True, default=False),
            "enable_client_credentials": boolean(required=True, default=False),
            "enable_password_grant": boolean(required=True, default=False),
            "hide_credentials": boolean(required=True, default=False),
            "accept_http_if_already_terminated": boolean(required=True, default=False),
            "anonymous": string(),
            "global_credentials": boolean(required=True, default=False),
            "auth_header_name": string(default="authorization"),
            "refresh_token_ttl": number(required=True, default=1209600, between=[0, 100000000]),
            "reuse_refresh_token": boolean(required=True, default=False),
            "pkce": string(required=False, default="lax", one_of=["none", "lax", "strict"]),
            "realm": string(required=False),
        },
        entity_checks=[conditional("mandatory_scope", {"eq": True}, "scopes", {"required": True})],
        custom_validator=_check_flows,
    )


def subschema() -> Subschema:
    """What plugins named oauth2 put in place of the common fields."""
    return Subschema(
        {"consumer": t.no_consumer(), "protocols": t.protocols_http(), "config": _config()}
    )
