"""Services: where requests go."""

from __future__ import annotations

from typing import Any

from kongtx.schema import Field, Schema, array, boolean, conditional, foreign, integer, string
from kongtx.schema import typedefs as t
from kongtx.schema.formats import parse_url

_TLS_ONLY = ("client_certificate", "tls_verify", "tls_verify_depth", "ca_certificates")
_PORTS = {"http": 80, "https": 443}


def _time_limit() -> Field:
    return integer(default=60000, between=[1, t.MAX_TIMEOUT])


def expand_url(url: str | None) -> dict[str, Any]:
    """What the C{url} shorthand stands for; a missing host or path becomes null."""
    parts = parse_url(url) if url is not None else None
    if parts is None:
        return {}
    port: Any = parts.port
    if port is not None and port.isascii() and port.isdigit() and len(port) < 20:
        port = int(port)
    protocol = parts.scheme or {80: "http", 443: "https"}.get(port, "http")
    if port is None:
        port = _PORTS.get(protocol, 80)
    return {"protocol": protocol, "host": parts.host, "port": port, "path": parts.path}


def schema() -> Schema:
    """The schema of services."""
    no_path = conditional(
        "protocol", {"one_of": ["tcp", "tls", "udp", "grpc", "grpcs"]}, "path", {"eq": None}
    )
    return Schema(
        "services",
        {
            "id": t.uuid(len_min=1),
            "created_at": t.auto_timestamp_s(),
            "updated_at": t.auto_timestamp_s(),
            "name": t.utf8_name(),
            "retries": integer(default=5, between=[0, 32767]),
            "protocol": t.protocol(required=True, default="http"),
            "host": t.host(required=True),
            "port": t.port(required=True, default=80),
            "path": t.path(),
            "connect_timeout": _time_limit(),
            "write_timeout": _time_limit(),
            "read_timeout": _time_limit(),
            "tags": t.tags(),
            "client_certificate": foreign("certificates"),
            "tls_verify": boolean(),
            "tls_verify_depth": integer(default=None, between=[0, 64]),
            "ca_certificates": array(string(uuid=True)),
            "enabled": boolean(required=True, default=True),
        },
        endpoint_key="name",
        workspaceable=True,
        entity_checks=[
            no_path,
            *(
                conditional("protocol", {"not_one_of": ["https", "tls"]}, name, {"eq": None})
                for name in _TLS_ONLY
            ),
        ],
        shorthand_fields={"url": string(func=expand_url)},
    )
