"""A router straight from the rules: every route is tried on every request. Slow on purpose.

It shares no code with the package: what it gets wrong the index will not get wrong with it.
"""

from __future__ import annotations

import re
from ipaddress import ip_address, ip_network
from typing import Any
from uuid import UUID, uuid5

_PARTS = UUID("7f145bf9-0dce-4f91-98eb-debbce4b9f6b")
_STREAM = {"tcp", "tls", "udp", "tls_passthrough"}


def decide(flavor: str, routes: list[dict[str, Any]], request: Any) -> str | None:
    """The id of the route that a request gets."""
    fitting = fits(flavor, routes, request)
    if not fitting:
        return None
    order = _traditional_order if flavor == "traditional" else _compatible_order
    return min(fitting, key=order)["id"]


def fits(flavor: str, routes: list[dict[str, Any]], request: Any) -> list[dict[str, Any]]:
    """The parts of routes that a request meets the conditions of."""
    http = request.scheme in {b"http", b"https"}
    wanted = [route for route in routes if (route["protocols"][0] not in _STREAM) == http]
    split = _traditional_parts if flavor == "traditional" else _compatible_parts
    parts = [part for route in wanted for part in split(route)]
    return [part for part in parts if _fits(flavor, part, request)]


# What makes a route fit.


def _fits(flavor: str, route: dict[str, Any], request: Any) -> bool:
    return (
        _fits_hosts(route, request)
        and _fits_paths(flavor, route, request)
        and (not route["methods"] or request.method.decode() in route["methods"])
        and _fits_headers(flavor, route, request)
        and _fits_snis(flavor, route, request)
        and request.scheme in route.get("schemes", [request.scheme])
        and _fits_peers(route["sources"], *request.source)
        and _fits_peers(route["destinations"], *request.destination)
    )


def _fits_hosts(route: dict[str, Any], request: Any) -> bool:
    if not route["hosts"]:
        return True
    for host in route["hosts"]:
        name, _, port = host.partition(":")
        if port and int(port) != request.host_port:
            continue
        pattern = re.escape(name).replace(r"\*", ".+")
        if re.fullmatch(pattern, request.host.decode()):
            return True
    return False


def _fits_paths(flavor: str, route: dict[str, Any], request: Any) -> bool:
    if not route["paths"]:
        return True
    path = request.path.decode()
    for wanted in route["paths"]:
        if not wanted.startswith("~"):
            if path[: len(wanted)] == wanted:
                return True
        elif flavor == "traditional":
            if re.match(wanted[1:], path):
                return True
        elif re.search("^" + wanted[1:], path):
            return True
    return False


def _fits_headers(flavor: str, route: dict[str, Any], request: Any) -> bool:
    for name, values in (route["headers"] or {}).items():
        sent = [
            value.decode()
            for key, value in request.headers
            if key.decode().lower().replace("_", "-") == name.lower().replace("_", "-")
        ]
        patterns = flavor != "traditional" or len(values) == 1
        if not any(_fits_value(wanted, value, patterns) for wanted in values for value in sent):
            return False
    return True


def _fits_value(wanted: str, value: str, patterns: bool) -> bool:
    if patterns and wanted.startswith("~*"):
        return re.search(wanted[2:], value, re.IGNORECASE) is not None
    return wanted.lower() == value.lower()


def _fits_snis(flavor: str, route: dict[str, Any], request: Any) -> bool:
    if not route["snis"]:
        return True
    if request.scheme == b"http":
        return True
    if flavor != "traditional" and request.scheme in {b"tcp", b"udp"}:
        return True
    for sni in route["snis"]:
        pattern = re.escape(sni.removesuffix(".")).replace(r"\*", ".*")
        if re.fullmatch(pattern, request.sni.decode()):
            return True
    return False


def _fits_peers(peers: list[dict[str, Any]] | None, address: str, port: int) -> bool:
    if not peers:
        return True
    for peer in peers:
        if peer["port"] is not None and peer["port"] != port:
            continue
        if peer["ip"] is None or ip_address(address) in ip_network(peer["ip"], strict=False):
            return True
    return False


# What makes one fitting route go before another: the lowest key wins.


def _kinds(route: dict[str, Any], *names: str) -> list[bool]:
    return [bool(route[name]) for name in names]


def _traditional_parts(route: dict[str, Any]) -> list[dict[str, Any]]:
    hosts = route["hosts"] or []
    groups = [[host for host in hosts if ":" in host], [host for host in hosts if ":" not in host]]
    parts = []
    for group in [group for group in groups if group] or [None]:
        for path in route["paths"] or [None]:
            part = {**route, "all_hosts": hosts, "hosts": group}
            parts.append({**part, "paths": None if path is None else [path]})
    if route["protocols"][0] not in _STREAM and route["snis"]:
        with_tls = [{**part, "schemes": [b"https"]} for part in parts]
        without = [
            {**part, "schemes": [b"http"], "snis": None, "lost_snis": True} for part in parts
        ]
        return with_tls + without
    return parts


def _traditional_order(route: dict[str, Any]) -> tuple[Any, ...]:
    if route["protocols"][0] in _STREAM:
        kinds = _kinds(route, "snis", "sources", "destinations")
        return (
            -sum(kinds),
            [not kind for kind in kinds],
            not _both(route["sources"]),
            not _both(route["destinations"]),
            route["created_at"],
            route["id"],
        )
    kinds = _kinds(route, "hosts", "headers", "paths", "methods", "snis")
    path = (route["paths"] or [""])[0]
    regex = path.startswith("~")
    wild = [host for host in route["all_hosts"] if "*" in host]
    return (
        -sum(kinds),
        [not kind for kind in kinds],
        "lost_snis" in route,
        not any(":" in host for host in route["hosts"] or []),
        not any(":" in host for host in wild),
        not route["hosts"] or bool(wild),
        not regex,
        -len(route["headers"] or {}),
        -route["regex_priority"] if regex else 0,
        0 if regex else -len(path),
        route["created_at"],
        route["id"],
    )


def _both(peers: list[dict[str, Any]] | None) -> bool:
    return any(peer["ip"] is not None and peer["port"] is not None for peer in peers or [])


def _compatible_parts(route: dict[str, Any]) -> list[dict[str, Any]]:
    lengths: dict[int, list[str]] = {}
    for path in route["paths"] or []:
        lengths.setdefault(0 if path.startswith("~") else len(path), []).append(path)
    if len(lengths) < 2:
        return [{**route, "key": route["id"]}]
    return [
        {**route, "paths": paths, "key": str(uuid5(_PARTS, f"{route['id']}#{number}"))}
        for number, paths in enumerate(lengths.values(), 1)
    ]


def _compatible_order(route: dict[str, Any]) -> tuple[Any, ...]:
    if route["protocols"][0] in _STREAM:
        return (
            not (route["snis"] or (route["sources"] and route["destinations"])),
            -_weight(route["sources"]),
            -_weight(route["destinations"]),
            -UUID(route["key"]).int,
        )
    kinds = _kinds(route, "hosts", "headers", "paths", "methods", "snis", "sources")
    path = (route["paths"] or [""])[0]
    regex = path.startswith("~")
    return (
        -sum(kinds),
        not route["hosts"] or any("*" in host for host in route["hosts"]),
        -len(route["headers"] or {}),
        not regex,
        -route["regex_priority"] if regex else 0,
        0 if regex else -len(path),
        -UUID(route["key"]).int,
    )


def _weight(peers: list[dict[str, Any]] | None) -> int:
    weight = 0
    for peer in peers or []:
        if peer["ip"] is not None:
            weight |= 1 if "/" in peer["ip"] else 8
        if peer["port"] is not None:
            weight |= 4
    return weight
