"""Expressions evaluated straight from the rules, without the package's evaluator."""

from __future__ import annotations

import re
from ipaddress import ip_address, ip_network
from typing import Any
from urllib.parse import parse_qsl


def values_of(name: str, request: Any) -> list[Any]:
    """The values of a field; none when it is absent."""
    if name.startswith("http.headers."):
        wanted = name.removeprefix("http.headers.").lower()
        exact = [v.decode() for k, v in request.headers if k.decode() == wanted]
        dashed = [v.decode() for k, v in request.headers if k.decode() == wanted.replace("_", "-")]
        return exact or dashed
    if name.startswith("http.queries."):
        wanted = name.removeprefix("http.queries.")
        pairs = parse_qsl(request.query.decode(), keep_blank_values=True)
        return [value for key, value in pairs if key == wanted]
    if name.startswith("http.path.segments."):
        return _segments(name.removeprefix("http.path.segments."), request.path.decode())
    single = {
        "http.method": request.method.decode(),
        "http.host": request.host.decode() or None,
        "http.path": request.path.decode(),
        "tls.sni": request.sni.decode() or None,
        "net.protocol": request.scheme.decode(),
        "net.src.ip": ip_address(request.source[0]),
        "net.src.port": request.source[1],
        "net.dst.ip": ip_address(request.destination[0]),
        "net.dst.port": request.host_port,
    }[name]
    return [] if single is None else [single]


def _segments(which: str, path: str) -> list[Any]:
    pieces = path.strip("/").split("/") if path.strip("/") else []
    if path.endswith("/") and path != "/":
        pieces.append("")
    if which == "len":
        return [len(pieces)]
    first, _, last = which.partition("_")
    end = int(last or first)
    return ["/".join(pieces[int(first) : end + 1])] if end < len(pieces) else []


def compare(operator: str, left: Any, right: Any) -> bool:
    """One value against the literal."""
    return {
        "==": lambda: left == right,
        "!=": lambda: left != right,
        "~": lambda: re.search(right, left) is not None,
        "^=": lambda: left.startswith(right),
        "=^": lambda: left.endswith(right),
        "contains": lambda: right in left,
        ">": lambda: left > right,
        ">=": lambda: left >= right,
        "<": lambda: left < right,
        "<=": lambda: left <= right,
        "in": lambda: left in ip_network(right),
        "not in": lambda: left not in ip_network(right),
    }[operator]()


def evaluate(expression: Any, request: Any) -> bool:
    """A random expression: ("all"|"either", [..]), ("not", x) or ("is", field, fns, op, value)."""
    kind = expression[0]
    if kind == "all":
        return all(evaluate(term, request) for term in expression[1])
    if kind == "either":
        return any(evaluate(term, request) for term in expression[1])
    if kind == "not":
        return not evaluate(expression[1], request)
    _, name, functions, operator, value = expression
    if name.endswith(".ip") and operator in {"==", "!="}:
        value = ip_address(value)
    values = values_of(name, request)
    if "lower" in functions:
        values = [each.lower() for each in values]
    results = [compare(operator, each, value) for each in values]
    return any(results) if "any" in functions else bool(results) and all(results)


def write(expression: Any) -> str:
    """A random expression in the language."""
    kind = expression[0]
    if kind in {"all", "either"}:
        sign = " && " if kind == "all" else " || "
        return sign.join(f"({write(term)})" for term in expression[1])
    if kind == "not":
        return f"!({write(expression[1])})"
    _, name, functions, operator, value = expression
    for function in functions:
        name = f"{function}({name})"
    bare = isinstance(value, int) or name.endswith(".ip")
    return f"{name} {operator} {value}" if bare else f'{name} {operator} r#"{value}"#'
