"""Upstreams: virtual host names whose targets share the load."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kongtx.schema import (
    EntityCheck,
    Field,
    Schema,
    array,
    boolean,
    conditional,
    distinct,
    foreign,
    integer,
    number,
    record,
    string,
)
from kongtx.schema import typedefs as t
from kongtx.schema.formats import parse_address

_HASHES = ["none", "consumer", "ip", "header", "cookie", "path", "query_arg", "uri_capture"]
_PROBES = ["tcp", "http", "https", "grpc", "grpcs"]
_GOOD = [200, 201, 202, 203, 204, 205, 206, 207, 208, 226, *range(300, 309)]
_BAD = [429, 404, 500, 501, 502, 503, 504, 505]


def check_name(value: str) -> str | None:
    """A host name, not an address, without port."""
    address = parse_address(value)
    if isinstance(address, str):
        return f"Invalid name ('{value}'); must be a valid hostname"
    if address.kind != "name":
        return f"Invalid name ('{value}'); no ip addresses allowed"
    return None if address.port is None else f"Invalid name ('{value}'); no port allowed"


def _seconds(default: float) -> Field:
    return number(default=default, between=[0, 65535])


def _counter() -> Field:
    return integer(default=0, between=[0, 255])


def _statuses(codes: list[int]) -> Field:
    return array(integer(between=[100, 999]), default=codes)


def _with_default(fields: dict[str, Field]) -> Field:
    """A record whose default spells out those of its fields (decK reads it)."""
    defaults = {name: field.get("default") for name, field in fields.items()}
    return record(fields, default={k: v for k, v in defaults.items() if v is not None})


def _healthchecks() -> Field:
    passive = {
        "healthy": _with_default({"successes": _counter(), "http_statuses": _statuses(_GOOD)}),
        "unhealthy": _with_default(
            {
                "http_failures": _counter(),
                "timeouts": _counter(),
                "tcp_failures": _counter(),
                "http_statuses": _statuses([429, 500, 503]),
            }
        ),
        "type": string(default="http", one_of=_PROBES),
    }
    active = {
        "timeout": _seconds(1),
        "headers": t.headers(required=False),
        "type": string(default="http", one_of=_PROBES),
        "healthy": _with_default(
            {
                "interval": _seconds(0),
                "successes": _counter(),
                "http_statuses": _statuses([200, 302]),
            }
        ),
        "unhealthy": _with_default(
            {
                "interval": _seconds(0),
                "tcp_failures": _counter(),
                "timeouts": _counter(),
                "http_failures": _counter(),
                "http_statuses": _statuses(_BAD),
            }
        ),
        "http_path": t.path(default="/"),
        "concurrency": integer(default=10, between=[1, 2**31]),
        "https_verify_certificate": boolean(default=True, required=True),
        "https_sni": t.sni(required=False),
    }
    fields = {"passive": _with_default(passive), "active": _with_default(active)}
    default = {name: field.get("default") for name, field in fields.items()}
    fields["threshold"] = number(default=0, between=[0, 100])
    return record(fields, default=default)


def _expand_algorithm(algorithm: str | None) -> dict[str, Any]:
    if algorithm in ("least-connections", "latency"):
        return {"algorithm": algorithm, "hash_on": None}
    return {"algorithm": algorithm}


def _expand_hash_on(hash_on: str | None) -> dict[str, Any]:
    if hash_on is None:
        return {"hash_on": "none"}
    if hash_on == "none":
        return {"hash_on": hash_on, "algorithm": "round-robin"}
    return {"hash_on": hash_on, "algorithm": "consistent-hashing"}


def _needs(hash_by: str, field: str, *, when: Sequence[str]) -> list[EntityCheck]:
    match = {"match": f"^{hash_by}$"}
    return [conditional(name, match, field, {"required": True}) for name in when]


def _fallback(hash_on: str, allowed: Sequence[str]) -> EntityCheck:
    return conditional(
        "hash_on", {"match": f"^{hash_on}$"}, "hash_fallback", {"one_of": list(allowed)}
    )


def _checks() -> list[EntityCheck]:
    out = [
        *_needs("header", "hash_on_header", when=["hash_on"]),
        *_needs("header", "hash_fallback_header", when=["hash_fallback"]),
        *_needs("cookie", "hash_on_cookie", when=["hash_on", "hash_fallback"]),
        _fallback("none", ["none"]),
        _fallback("cookie", ["none"]),
        _fallback(
            "consumer", ["none", "ip", "header", "cookie", "path", "query_arg", "uri_capture"]
        ),
        _fallback(
            "ip", ["none", "consumer", "header", "cookie", "path", "query_arg", "uri_capture"]
        ),
        _fallback(
            "path", ["none", "consumer", "header", "cookie", "query_arg", "ip", "uri_capture"]
        ),
        distinct("hash_on_header", "hash_fallback_header"),
    ]
    for kind in ("query_arg", "uri_capture"):
        on, fallback = f"hash_on_{kind}", f"hash_fallback_{kind}"
        out += _needs(kind, on, when=["hash_on"])
        out += _needs(kind, fallback, when=["hash_fallback"])
        out.append(distinct(on, fallback))
    return out


def schema() -> Schema:
    """The schema of upstreams."""
    return Schema(
        "upstreams",
        {
            "id": t.uuid(),
            "created_at": t.auto_timestamp_s(),
            "name": string(required=True, unique=True, custom_validator=check_name),
            "updated_at": t.auto_timestamp_s(),
            "algorithm": string(
                default="round-robin",
                one_of=["consistent-hashing", "least-connections", "round-robin", "latency"],
            ),
            "hash_on": string(default="none", one_of=_HASHES),
            "hash_fallback": string(default="none", one_of=_HASHES),
            "hash_on_header": t.header_name(),
            "hash_fallback_header": t.header_name(),
            "hash_on_cookie": t.cookie_name(),
            "hash_on_cookie_path": t.path(default="/"),
            "hash_on_query_arg": string(len_min=1),
            "hash_fallback_query_arg": string(len_min=1),
            "hash_on_uri_capture": string(len_min=1),
            "hash_fallback_uri_capture": string(len_min=1),
            "slots": integer(default=10000, between=[10, 65536]),
            "healthchecks": _healthchecks(),
            "tags": t.tags(),
            "host_header": t.host_with_optional_port(),
            "client_certificate": foreign("certificates"),
            "use_srv_name": boolean(default=False),
        },
        endpoint_key="name",
        workspaceable=True,
        entity_checks=_checks(),
        shorthand_fields={
            "algorithm": string(func=_expand_algorithm),
            "hash_on": string(func=_expand_hash_on),
        },
    )
