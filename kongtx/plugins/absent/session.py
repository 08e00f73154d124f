"""The configuration of session: browser sessions in a cookie or the database."""

from __future__ import annotations

import base64
import secrets
from typing import Any

from kongtx.plugins.typedefs import moved
from kongtx.schema import Field, Subschema, boolean, number, record, set_of, string
from kongtx.schema import typedefs as t


def _random_secret() -> str:
    return base64.b64encode(secrets.token_bytes(32)).decode()


def _expand_idle_time(value: float | None) -> dict[str, Any]:
    return {"idling_timeout": value or 0}


def _expand_nothing(value: Any) -> dict[str, Any]:
    """Sessions are renewed when they need to be."""
    return {}


def _expand_same_site(value: str | None) -> dict[str, Any]:
    return {"cookie_same_site": "Lax" if value == "off" else value}


def _config() -> Field:
    return record(
        {
            "secret": string(
                default=_random_secret(), required=False, referenceable=True, encrypted=True
            ),
            "storage": string(default="cookie", one_of=["cookie", "kong"]),
            "audience": string(default="default"),
            "idling_timeout": number(default=900),
            "rolling_timeout": number(default=3600),
            "absolute_timeout": number(default=86400),
            "stale_ttl": number(default=10),
            "cookie_name": string(default="session"),
            "cookie_path": string(default="/"),
            "cookie_domain": string(),
            "cookie_same_site": string(
                default="Strict", one_of=["Strict", "Lax", "None", "Default"]
            ),
            "cookie_http_only": boolean(default=True),
            "cookie_secure": boolean(default=True),
            "remember": boolean(default=False),
            "remember_cookie_name": string(default="remember"),
            "remember_rolling_timeout": number(default=604800),
            "remember_absolute_timeout": number(default=2592000),
            "response_headers": set_of(
                string(
                    one_of=[
                        "id",
                        "audience",
                        "subject",
                        "timeout",
                        "idling-timeout",
                        "rolling-timeout",
                        "absolute-timeout",
                    ]
                )
            ),
            "request_headers": set_of(
                string(
                    one_of=[
                        "id",
                        "audience",
                        "subject",
                        "timeout",
                        "idling-timeout",
                        "rolling-timeout",
                        "absolute-timeout",
                    ]
                )
            ),
            "read_body_for_logout": boolean(default=False),
            "logout_methods": set_of(
                string(one_of=["GET", "POST", "DELETE"]), default=["POST", "DELETE"]
            ),
            "logout_query_arg": string(default="session_logout"),
            "logout_post_arg": string(default="session_logout"),
        },
        shorthand_fields={
            "cookie_lifetime": number(func=moved(["rolling_timeout"])),
            "cookie_idletime": number(func=_expand_idle_time),
            "cookie_renew": number(func=_expand_nothing),
            "cookie_discard": number(func=moved(["stale_ttl"])),
            "cookie_samesite": string(func=_expand_same_site),
            "cookie_httponly": boolean(func=moved(["cookie_http_only"])),
            "cookie_persistent": boolean(func=moved(["remember"])),
        },
    )


def subschema() -> Subschema:
    """What plugins named session put in place of the common fields."""
    return Subschema({"consumer": t.no_consumer(), "protocols": t.protocols(), "config": _config()})
