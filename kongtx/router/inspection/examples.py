"""A request that meets given conditions, found by construction.

Each condition hints at values for the parts of a request; combinations of hints are tried until
one meets all conditions. What is returned was checked, so hints need not be right, only likely.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from ipaddress import IPv4Address, IPv6Address
from itertools import islice, product
from typing import Any

from kongtx.http.paths import normalise_path
from kongtx.router.conditions import (
    Condition,
    HeaderCondition,
    HostCondition,
    HostPattern,
    MethodCondition,
    PathCondition,
    Peer,
    PeerCondition,
    SchemeCondition,
    SniCondition,
)
from kongtx.router.expressions.compiler import ExpressionCondition
from kongtx.router.expressions.tree import Node, Not, Operator, Predicate
from kongtx.router.expressions.types import SEGMENTS
from kongtx.router.facts import Facts
from kongtx.router.inspection.request import RouteRequest
from kongtx.router.inspection.samples import samples

_MOST_TRIES = 600
_HEADERS, _QUERIES = "http.headers.", "http.queries."
_OTHER = b"other"
_STREAM_PORT = 5432


class Hints:
    """Likely values for each part of a request, the likeliest first."""

    def __init__(self) -> None:
        self._values: dict[str, dict[Any, None]] = {}

    def add(self, part: str, *values: Any) -> None:
        """Add values for a part."""
        self._values.setdefault(part, {}).update(dict.fromkeys(values))

    def choices(self, part: str, *defaults: Any) -> list[Any]:
        """List a part's values."""
        return list(self._values.get(part, {}) or dict.fromkeys(defaults))

    def parts(self, prefix: str) -> list[str]:
        """List the parts whose names begin with a prefix."""
        return sorted(part for part in self._values if part.startswith(prefix))


def find_request(conditions: Sequence[Condition], stream: bool) -> RouteRequest | None:
    """Find a request that meets conditions.

    @param stream: whether a connection is wanted rather than an HTTP request.
    @return: L{None} when none was found, which does not prove that there is none.
    """
    return next(find_requests(conditions, stream), None)


def find_requests(conditions: Sequence[Condition], stream: bool) -> Iterator[RouteRequest]:
    """Find requests that meet conditions, as L{find_request}."""
    hints = Hints()
    for condition in conditions:
        _hint(condition, hints)
    _join_wildcards(conditions, hints)
    for request in islice(_requests(hints, stream), _MOST_TRIES):
        facts = Facts(request)
        if all(condition.holds(facts) for condition in conditions):
            yield request


def _requests(hints: Hints, stream: bool) -> Iterator[RouteRequest]:
    headers = hints.parts(_HEADERS)
    queries = hints.parts(_QUERIES)
    possible = (b"tcp", b"tls", b"udp") if stream else (b"http", b"https")
    hinted = hints.choices("scheme", *possible[:2])
    schemes = [scheme for scheme in hinted if scheme in possible] or list(possible[:2])
    dimensions: list[list[Any]] = [
        schemes,
        hints.choices("host", b"" if stream else b"example.com"),
        [path for path in hints.choices("path", b"/") if normalise_path(path) == path] or [b"/"],
        hints.choices("method", b"GET"),
        hints.choices("sni", b""),
        hints.choices("src", ("127.0.0.1", 1024)),
        hints.choices("dst", ("127.0.0.1", _STREAM_PORT)),
        *(_value_lists(hints.choices(name)) for name in (*headers, *queries)),
    ]
    for scheme, host, path, method, sni, source, destination, *rest in product(*dimensions):
        port = hints.choices("port", 443 if scheme == b"https" else 80)
        secure = scheme in {b"https", b"tls"}
        sent = list(_pairs(headers, rest[: len(headers)]))
        asked = list(_pairs(queries, rest[len(headers) :]))
        for each in port:
            yield RouteRequest(
                method=method,
                host=host,
                host_port=each,
                path=path,
                query=b"&".join(_argument(name, value) for name, value in asked),
                headers=[(_header(name), value) for name, value in sent],
                scheme=scheme,
                sni=(sni or host) if secure else b"",
                source=source,
                destination=destination if stream else (destination[0], each),
            )


def _value_lists(values: Sequence[bytes | None]) -> list[tuple[bytes, ...]]:
    """Choose for a header or argument: none or one value; or two or all of them, which can
    meet conditions that want different ones.
    """
    lists = [() if value is None else (value,) for value in values]
    present = tuple(value for value in values if value is not None)
    return lists + [present[:count] for count in {2, len(present)} if 1 < count <= len(present)]


def _pairs(
    names: Iterable[str], choices: Iterable[tuple[bytes, ...]]
) -> Iterator[tuple[str, bytes]]:
    for name, values in zip(names, choices, strict=True):
        for value in values:
            yield name, value


def _header(part: str) -> bytes:
    return part.removeprefix(_HEADERS).replace("_", "-").encode()


def _argument(part: str, value: bytes) -> bytes:
    return part.removeprefix(_QUERIES).encode() + b"=" + value


def _hint(condition: Condition, hints: Hints) -> None:
    if isinstance(condition, HostCondition):
        for pattern in condition.patterns:
            hints.add("host", _host(pattern))
            if pattern.port is not None:
                hints.add("port", pattern.port)
    elif isinstance(condition, PathCondition):
        hints.add("path", *condition.prefixes)
        for regex in condition.patterns:
            hints.add("path", *(text.encode() for text in samples(regex)))
    elif isinstance(condition, MethodCondition):
        hints.add("method", *sorted(condition.methods))
    elif isinstance(condition, HeaderCondition):
        name = _HEADERS + condition.dashed.decode()
        hints.add(name, *sorted(condition.values))
        for found in condition.regexes:
            hints.add(name, *(text.encode() for text in samples(found.pattern)))
    elif isinstance(condition, SniCondition):
        hints.add("scheme", *((b"tls", b"https") if condition.only_for is None else ()))
        hints.add("scheme", *((condition.only_for,) if condition.only_for else ()))
        hints.add("sni", *sorted(condition.exact))
        hints.add("sni", *(b"a" + suffix for suffix in condition.suffixes))
        hints.add("sni", *(prefix + b"example" for prefix in condition.prefixes))
    elif isinstance(condition, PeerCondition):
        hints.add(condition.side, *(_peer(peer) for peer in condition.peers))
    elif isinstance(condition, SchemeCondition):
        hints.add("scheme", *sorted(condition.schemes))
    elif isinstance(condition, ExpressionCondition):
        _hint_node(condition.node, hints, wanted=True)


def _host(pattern: HostPattern) -> bytes:
    if pattern.kind == "suffix":
        return b"a" + pattern.text
    return pattern.text + b"example" if pattern.kind == "prefix" else pattern.text


def _join_wildcards(conditions: Iterable[Condition], hints: Hints) -> None:
    patterns = [
        pattern
        for condition in conditions
        if isinstance(condition, HostCondition)
        for pattern in condition.patterns
    ]
    for first, second in product(patterns, repeat=2):
        if first.kind == "prefix" and second.kind == "suffix":
            hints.add("host", first.text + b"a" + second.text)


def _peer(peer: Peer) -> tuple[str, int]:
    port = peer.port if peer.port is not None else 1024
    if peer.network is None:
        return "127.0.0.1", port
    return _show_address(peer.network), port


def _show_address(network: tuple[int, int, int]) -> str:
    version, number, free = network
    kind: Callable[[int], IPv4Address | IPv6Address] = IPv4Address if version == 4 else IPv6Address
    return str(kind(number << free))


def _hint_node(node: Node, hints: Hints, wanted: bool) -> None:
    if isinstance(node, Not):
        _hint_node(node.term, hints, not wanted)
    elif isinstance(node, Predicate):
        _hint_predicate(node, hints, wanted)
    else:
        for term in node.terms:
            _hint_node(term, hints, wanted)


def _hint_predicate(predicate: Predicate, hints: Hints, wanted: bool) -> None:
    name, data = predicate.field.name, predicate.value.data
    if isinstance(data, bytes):
        _hint_text(name, _texts(predicate, data, wanted), hints)
    elif isinstance(data, int):
        _hint_integer(name, data, hints)
    else:
        side = "src" if name.startswith("net.src") else "dst"
        addresses = [_show_address(data), "127.0.0.1", "::1"]
        hints.add(side, *((address, 1024) for address in addresses))


def _texts(predicate: Predicate, data: bytes, wanted: bool) -> list[bytes]:
    text: list[bytes]
    if predicate.operator is Operator.MATCHES:
        text = [sample.encode() for sample in samples(data.decode())]
    else:
        text = [data]
    likely = wanted != (predicate.operator is Operator.DIFFERS)
    return [*text, _OTHER] if likely else [_OTHER, *text]


def _hint_text(name: str, texts: list[bytes], hints: Hints) -> None:
    if name == "http.path":
        hints.add("path", *(_rooted(text) for text in texts))
    elif name.startswith(SEGMENTS):
        first = int(name.removeprefix(SEGMENTS).partition("_")[0])
        hints.add("path", *(b"/x" * first + b"/" + text for text in texts))
    elif name.startswith((_HEADERS, _QUERIES)):
        hints.add(name, *texts, None)
    elif name == "http.host":
        hints.add("host", *texts, *(b"a" + text for text in texts), *(t + b"a" for t in texts))
    elif name == "tls.sni":
        hints.add("scheme", b"https", b"tls", b"http")
        hints.add("sni", *texts)
    elif name == "net.protocol":
        hints.add("scheme", *texts)
    else:
        hints.add("method", *texts)


def _rooted(text: bytes) -> bytes:
    return text if text.startswith(b"/") else b"/" + text


def _hint_integer(name: str, number: int, hints: Hints) -> None:
    near = [number, number + 1, number - 1]
    if name == "http.path.segments.len":
        hints.add("path", *(b"/x" * count or b"/" for count in near if count >= 0))
    elif name == "net.src.port":
        hints.add("src", *(("127.0.0.1", port) for port in near))
    else:
        hints.add("port", *near)
        hints.add("dst", *(("127.0.0.1", port) for port in near))
