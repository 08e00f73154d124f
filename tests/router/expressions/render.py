"""A route's fields written as the expression that means the same in traditional_compatible."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from ipaddress import ip_network
from typing import Any

from kongtx.router.conditions import HostPattern
from kongtx.router.errors import RouterError
from kongtx.router.flavors.traditional import is_stream
from kongtx.router.model import Route


def route_to_expression(route: Route) -> str:
    """Write a route's fields as an expression.

    @return: the expression; the route's own where it has one; empty for a route that asks for
        nothing.
    @raise RouterError: when an address is wrong.
    """
    if route.get("expression") is not None:
        return str(route["expression"])
    stream = is_stream(route)
    terms = []
    if route.get("snis"):
        secure = "tls" if stream else "https"
        terms.append(f'(net.protocol != "{secure}" || {_either(route["snis"], _sni)})')
    if route.get("sources"):
        terms.append(_either(route["sources"], lambda peer: _peer("src", peer)))
    if route.get("destinations"):
        terms.append(_either(route["destinations"], lambda peer: _peer("dst", peer)))
    if not stream:
        terms += _http_terms(route)
    return " && ".join(terms)


def _http_terms(route: Route) -> Iterable[str]:
    if route.get("methods"):
        yield _either(route["methods"], lambda method: f"http.method == {quote(method)}")
    if route.get("hosts"):
        yield _either(route["hosts"], _host)
    if route.get("paths"):
        yield _either(route["paths"], _path)
    headers: Mapping[str, Sequence[str]] = route.get("headers") or {}
    for name, values in headers.items():
        field = f"any(lower(http.headers.{name.lower().replace('-', '_')}))"
        yield _either(values, _header(field))


def quote(text: str) -> str:
    """Write a string: raw where that is possible."""
    if '"#' not in text:
        return f'r#"{text}"#'
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _either(values: Iterable[Any], write: Callable[[Any], str]) -> str:
    return f"({' || '.join(write(value) for value in values)})"


def _sni(sni: str) -> str:
    sni = sni.lower()
    if sni.startswith("*"):
        return f"tls.sni =^ {quote(sni.removesuffix('.')[1:])}"
    if sni.endswith("*"):
        return f"tls.sni ^= {quote(sni[:-1])}"
    return f"tls.sni == {quote(sni.removesuffix('.'))}"


def _host(host: str) -> str:
    pattern = HostPattern.parse(host)
    operator = {"exact": "==", "suffix": "=^", "prefix": "^="}[pattern.kind]
    term = f"http.host {operator} {quote(pattern.text.decode())}"
    return term if pattern.port is None else f"({term} && net.dst.port == {pattern.port})"


def _path(path: str) -> str:
    if path.startswith("~"):
        return f"http.path ~ {quote('^' + path[1:])}"
    return f"http.path ^= {quote(path)}"


def _header(field: str) -> Callable[[str], str]:
    def write(value: str) -> str:
        if value.startswith("~*"):
            return f"{field} ~ {quote('(?i)' + value[2:])}"
        return f"{field} == {quote(value.lower())}"

    return write


def _peer(side: str, peer: Mapping[str, Any]) -> str:
    terms = []
    if peer.get("ip") is not None:
        try:
            network = ip_network(peer["ip"], strict=False)
        except ValueError as error:
            raise RouterError(str(error)) from None
        if "/" in peer["ip"]:
            terms.append(f"net.{side}.ip in {network}")
        else:
            terms.append(f"net.{side}.ip == {network.network_address}")
    if peer.get("port") is not None:
        terms.append(f"net.{side}.port == {peer['port']}")
    return terms[0] if len(terms) == 1 else f"({' && '.join(terms)})"
