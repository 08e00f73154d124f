"""Routes: which requests a service gets. The fields allowed depend on the protocols."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from kongtx.entities.options import EntityOptions
from kongtx.schema import (
    EntityCheck,
    Field,
    Schema,
    Subschema,
    boolean,
    conditional,
    conditional_at_least_one_of,
    custom_check,
    foreign,
    integer,
    set_of,
    string,
)
from kongtx.schema import typedefs as t

_MATCHERS = ("methods", "hosts", "paths", "headers", "snis", "sources", "destinations")
_BUILT_FROM = (
    *("id", "protocols", "snis", "sources", "destinations", "methods", "hosts", "paths"),
    *("headers", "expression", "regex_priority", "priority"),
)
_FAILED = "Router Expression failed validation: "
_STREAM = ("tcp", "tls", "udp", "tls_passthrough")


def schema(options: EntityOptions) -> Schema:
    """The schema of routes, for a router flavor."""
    fields = _fields(options)
    checks = [
        conditional(
            "protocols",
            {"elements": string(not_one_of=["grpcs", "https", "tls", "tls_passthrough"])},
            "snis",
            {"len_eq": 0},
            "'snis' can only be set when 'protocols' is 'grpcs', 'https', 'tls' or "
            "'tls_passthrough'",
        ),
        custom_check(["path_handling"], lambda route: None),
    ]
    if options.router_flavor != "traditional":
        checks.append(
            custom_check(
                _BUILT_FROM,
                lambda route: check_route(route, options.check_expression),
                run_with_missing_fields=True,
            )
        )
    made = Schema(
        "routes",
        fields,
        endpoint_key="name",
        workspaceable=True,
        subschema_key="protocols",
        entity_checks=checks,
    )
    for name, subschema in _subschemas(options).items():
        made.add_subschema(name, subschema)
    return made


def _fields(options: EntityOptions) -> dict[str, Field]:
    server_name = t.sni() if options.router_flavor == "traditional" else t.wildcard_host()
    not_host = t.header_name(
        match_none=[
            {
                "pattern": "^[Hh][Oo][Ss][Tt]$",
                "err": "cannot contain 'host' header, which must be specified in the 'hosts' "
                "attribute",
            }
        ]
    )
    fields = {
        "id": t.uuid(),
        "created_at": t.auto_timestamp_s(),
        "updated_at": t.auto_timestamp_s(),
        "name": t.utf8_name(),
        "protocols": set_of(
            t.protocol(),
            len_min=1,
            required=True,
            mutually_exclusive_subsets=[
                ["http", "https"],
                ["tcp", "tls", "udp"],
                ["tls_passthrough"],
                ["grpc", "grpcs"],
            ],
            default=["http", "https"],
        ),
        "https_redirect_status_code": integer(
            one_of=[426, 301, 302, 307, 308], default=426, required=True
        ),
        "strip_path": boolean(required=True, default=True),
        "preserve_host": boolean(required=True, default=False),
        "request_buffering": boolean(required=True, default=True),
        "response_buffering": boolean(required=True, default=True),
        "tags": t.tags(),
        "service": foreign("services"),
        "snis": set_of(server_name),
        "sources": t.addresses(),
        "destinations": t.addresses(),
        "methods": t.methods(),
        "hosts": t.hosts(),
        "paths": t.router_paths(options.check_regex),
        "headers": t.headers(not_host),
        "regex_priority": integer(default=0),
        "path_handling": string(default="v0", one_of=["v0", "v1"]),
    }
    if options.router_flavor == "expressions":
        fields["expression"] = string()
        fields["priority"] = integer(between=[0, 2**46 - 1], required=True, default=0)
    return fields


def check_route(
    route: Mapping[str, Any], build: Callable[[Mapping[str, Any]], str | None]
) -> str | None:
    """What keeps the router from building a route.

    @param route: the fields that the router reads.
    @param build: says why a route cannot be compiled.
    """
    expression = route.get("expression") is not None
    others = any(route.get(name) for name in _MATCHERS)
    if not expression and not others:
        return None
    if expression and others:
        return (
            f"{_FAILED}cannot set 'expression' with 'methods', 'hosts', 'paths', 'headers', "
            "'snis', 'sources' or 'destinations' simultaneously"
        )
    if expression and route.get("regex_priority"):
        return f"{_FAILED}cannot set 'regex_priority' with 'expression' simultaneously"
    if others and route.get("priority"):
        return (
            f"{_FAILED}cannot set 'priority' with 'methods', 'hosts', 'paths', 'headers', "
            "'snis', 'sources' or 'destinations' simultaneously"
        )
    error = build(route)
    return None if error is None else f"{_FAILED}{error}"


def _refused(field: Field, name: str, protocols: str) -> Field:
    return field.extend(eq=None, err=f"cannot set '{name}' when 'protocols' is {protocols}")


def _one_of(match: Any, names: Sequence[str], error: str, **more: Any) -> EntityCheck:
    return conditional_at_least_one_of(
        if_field="protocols",
        if_match=match,
        then_at_least_one_of=list(names),
        then_err=error,
        **more,
    )


def _subschemas(options: EntityOptions) -> dict[str, Subschema]:
    expressions = options.router_flavor == "expressions"
    extra = ["expression"] if expressions else []
    http = _http(extra, refuse_addresses=not expressions)
    grpc = _grpc(extra, refuse_addresses=not expressions)
    stream = _stream(extra, options)
    return {
        "http": http,
        "https": http,
        **dict.fromkeys(_STREAM, stream),
        "grpc": grpc,
        "grpcs": grpc,
    }


def _addresses(protocols: str) -> dict[str, Field]:
    return {name: _refused(t.addresses(), name, protocols) for name in ("sources", "destinations")}


def _http(extra: list[str], *, refuse_addresses: bool) -> Subschema:
    names = ["methods", "hosts", "headers", "paths"]
    return Subschema(
        _addresses("'http' or 'https'") if refuse_addresses else {},
        entity_checks=[
            _one_of(
                {"contains": "https"},
                [*names, "snis", *extra],
                "must set one of %s when 'protocols' is 'https'",
                else_match={"contains": "http"},
                else_then_at_least_one_of=[*names, *extra],
                else_then_err="must set one of %s when 'protocols' is 'http'",
            )
        ],
    )


def _grpc(extra: list[str], *, refuse_addresses: bool) -> Subschema:
    names = ["hosts", "headers", "paths"]
    protocols = "'grpc' or 'grpcs'"
    return Subschema(
        {
            "strip_path": boolean(
                required=True,
                default=False,
                ne=True,
                err=f"cannot set 'strip_path' when 'protocols' is {protocols}",
            ),
            "methods": _refused(t.methods(), "methods", protocols),
            **(_addresses(protocols) if refuse_addresses else {}),
        },
        entity_checks=[
            _one_of(
                {"contains": "grpcs"},
                [*names, "snis", *extra],
                "must set one of %s when 'protocols' is 'grpcs'",
                else_match={"contains": "grpc"},
                else_then_at_least_one_of=[*names, *extra],
                else_then_err="must set one of %s when 'protocols' is 'grpc'",
            )
        ],
    )


def _stream(extra: list[str], options: EntityOptions) -> Subschema:
    protocols = "'tcp', 'tls', 'tls_passthrough' or 'udp'"
    refused = {
        "methods": t.methods(),
        "hosts": t.hosts(),
        "paths": t.router_paths(options.check_regex),
        "headers": t.headers(),
    }
    return Subschema(
        {name: _refused(field, name, protocols) for name, field in refused.items()},
        entity_checks=[
            _one_of(
                {"elements": string(one_of=["tcp", "tls", "udp"])},
                ["sources", "destinations", "snis", *extra],
                "must set one of %s when 'protocols' is 'tcp', 'tls' or 'udp'",
            ),
            _one_of(
                {"elements": string(one_of=["tls_passthrough"])},
                ["snis", *extra],
                "must set snis when 'protocols' is 'tls_passthrough'",
            ),
        ],
    )
