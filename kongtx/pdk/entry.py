"""The log entry of a request (Kong: C{kong.log.serialize}). Pure."""

from __future__ import annotations

from typing import Any

from kongtx.entities import DEFAULT_WORKSPACE
from kongtx.pdk.errors import ArgumentError
from kongtx.pdk.node import Node
from kongtx.pdk.text import arguments_to_mapping, decode, headers_to_mapping, parse_arguments
from kongtx.proxy.interfaces import IRequestContext, ITry

Entry = dict[str, Any]

_ALL = 1000
_SECRET = ("authorization", "proxy-authorization")


def http_entry(request: IRequestContext, node: Node) -> Entry:
    """Everything a log plugin tells of one HTTP request; what is absent is left out."""
    entry: Entry = {
        "request": _request(request, node),
        "upstream_uri": _upstream_uri(request),
        "upstream_status": _upstream_status(request),
        "response": {
            "status": request.status,
            "headers": headers_to_mapping(request.response_headers, _ALL),
            "size": request.response_size,
        },
        "latencies": {
            "request": request.total_ms,
            "kong": max(0, request.proxy_latency_ms),
            "proxy": request.upstream_latency_ms,
            "receive": request.receive_ms,
        },
        "client_ip": request.client_ip,
        "started_at": int(request.started * 1000),
        "source": "upstream" if request.response_source == "service" else "kong",
        "workspace": DEFAULT_WORKSPACE,
        "workspace_name": "default",
    }
    for name, entity in (
        ("route", request.route),
        ("service", request.service),
        ("consumer", request.consumer),
    ):
        if entity is not None:
            entry[name] = dict(entity)
    if request.credential is not None:
        # Kong: not even credentials have this flat field, but those that plugins make up may.
        names = ("id", "consumer_id")
        entry["authenticated_entity"] = {
            name: request.credential[name] for name in names if name in request.credential
        }
    if request.tries:
        entry["tries"] = [_try(each) for each in request.tries]
    return entry


def add_value(entry: Entry, key: str, value: Any, mode: str) -> None:
    """Set, add, replace or (with L{None}) remove one value; dots in the key nest.

    @raise ArgumentError: if something on the way is not a mapping.
    """
    *above, last = key.split(".")
    at = entry
    for name in above:
        inner = at.get(name)
        if inner is None:
            if mode == "replace" or value is None:
                return
            inner = at[name] = {}
        elif not isinstance(inner, dict):
            raise ArgumentError(f"log entry: {name!r} in {key!r} is {inner!r}, not an object")
        at = inner
    present = at.get(last) is not None
    if mode == "set" or (mode == "add") != present:
        if value is None:
            at.pop(last, None)
        else:
            at[last] = value


def _request(request: IRequestContext, node: Node) -> Entry:
    headers = headers_to_mapping(request.headers, _ALL)
    for name in _SECRET:
        if name in headers:
            headers[name] = "REDACTED"
    scheme, host = request.scheme.decode(), request.host.decode("latin-1")
    port = node.forwarded_port(request.connection.local[1])
    target = decode(request.target)
    query = request.target.partition(b"?")[2]
    entry: Entry = {
        "id": request.request_id.decode(),
        "uri": target,
        "url": f"{scheme}://{host}:{port}{target}",
        "querystring": arguments_to_mapping(parse_arguments(query), _ALL),
        "method": request.raw_method.decode("latin-1"),
        "headers": headers,
        "size": request.request_size,
    }
    if request.connection.is_tls:
        entry["tls"] = _tls(request)
    return entry


def _tls(request: IRequestContext) -> Entry:
    """Version, cipher and outcome of the client's certificate, as far as the transport tells."""
    entry: Entry = {"client_verify": request.plugin_data.get("tls.client_verify", "NONE")}
    transport = request.connection.transport
    for name, method in (("version", "get_tls_version"), ("cipher", "get_cipher")):
        tell = getattr(transport, method, None)
        if tell is not None:
            entry[name] = tell()
    return entry


def _upstream_uri(request: IRequestContext) -> str:
    if not request.tries:
        return ""
    query = b"?" + request.query if request.query else b""
    return decode(request.upstream_path + query)


def _upstream_status(request: IRequestContext) -> str:
    if not request.tries:
        return ""
    codes = [each.code for each in request.tries if each.state and each.code]
    if request.upstream_status and (not codes or not request.tries[-1].state):
        codes.append(request.upstream_status)
    return ", ".join(str(code) for code in codes)


def _try(attempt: ITry) -> Entry:
    entry: Entry = {
        "balancer_start": int(attempt.started * 1000),
        "balancer_start_ns": int(attempt.started * 1_000_000_000),
        "balancer_latency": attempt.balancer_ms,
        "balancer_latency_ns": attempt.balancer_ms * 1_000_000,
        "ip": attempt.address,
        "port": attempt.port,
    }
    if attempt.state:
        entry["state"] = attempt.state
        entry["code"] = attempt.code
    return entry
