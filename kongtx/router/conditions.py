"""The conditions that a route puts on a request, one small class a field. Hot path.

Each answers three questions: does it hold (C{holds}), under what could an index file it
(C{file}), and what does it ask for in words (C{describe}).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from ipaddress import ip_network
from typing import Any, Protocol

import attrs

from kongtx.router.errors import RouterError
from kongtx.router.facts import Address, Facts, lower_text, parse_address
from kongtx.router.regexes import Found, Regex, literal_prefix


class Keys:
    """Values that every request of an entry is known to have; L{None} where nothing is known.

    An index may file an entry under these: they never say too much, sometimes too little.

    @ivar hosts: the hosts.
    @ivar paths: texts one of which the path begins with.
    @ivar patterns: patterns one of which is found in the path.
    @ivar methods: the methods.
    @ivar header: one header's name, with dashes, and its possible values, lower case.
    @ivar snis: the TLS server names, known for requests that come over TLS.
    @ivar ports: the destination ports.
    @ivar sources: the client addresses.
    """

    __slots__ = ("header", "hosts", "methods", "paths", "patterns", "ports", "snis", "sources")

    def __init__(self) -> None:
        self.hosts: tuple[HostPattern, ...] | None = None
        self.paths: tuple[bytes, ...] | None = None
        self.patterns: tuple[Regex, ...] | None = None
        self.methods: frozenset[bytes] | None = None
        self.header: tuple[bytes, frozenset[bytes]] | None = None
        self.snis: frozenset[bytes] | None = None
        self.ports: frozenset[int] | None = None
        self.sources: frozenset[Address] | None = None


class Condition(Protocol):
    """One condition of a route."""

    @property
    def fields(self) -> frozenset[str]:
        """The request's fields that the answer depends on."""

    def holds(self, facts: Facts) -> bool:
        """Tell whether the request meets the condition."""

    def file(self, keys: Keys) -> None:
        """Note what the condition says about every request that meets it."""

    def describe(self) -> str:
        """Say what is asked for, as a short clause."""


@attrs.frozen
class HostPattern:
    """One host of a route, taken apart.

    @ivar kind: C{"exact"}, C{"suffix"} (leading wildcard) or C{"prefix"} (trailing wildcard).
    @ivar text: the name, or what is left of it without the C{*}; lower case, no brackets.
    @ivar port: the port, or L{None} for any.
    """

    kind: str
    text: bytes
    port: int | None

    @classmethod
    def parse(cls, host: str) -> HostPattern:
        """Read a route's host: C{name}, C{*.name} or C{name.*}, each with an optional port."""
        name, port = split_port(host.lower())
        if name.startswith("*"):
            return cls("suffix", name[1:].encode(), port)
        if name.endswith("*"):
            return cls("prefix", name[:-1].encode(), port)
        return cls("exact", name.encode(), port)

    @property
    def is_by_label(self) -> bool:
        """Whether a wildcard stands for whole labels, as indexes want it."""
        if self.kind == "exact":
            return True
        return self.text.startswith(b".") if self.kind == "suffix" else self.text.endswith(b".")

    def fits(self, host: bytes, port: int) -> bool:
        """Tell whether a request's host and port are what is asked for."""
        if self.port is not None and self.port != port:
            return False
        if self.kind == "exact":
            return host == self.text
        if self.kind == "suffix":
            return len(host) > len(self.text) and host.endswith(self.text)
        return len(host) > len(self.text) and host.startswith(self.text)


def split_port(host: str) -> tuple[str, int | None]:
    """Cut the port off a host; brackets around an IPv6 address go too."""
    if host.startswith("["):
        name, bracket, rest = host[1:].partition("]")
        if bracket and (not rest or (rest[0] == ":" and rest[1:].isdecimal())):
            return name, int(rest[1:]) if rest else None
        return host, None
    name, _, port = host.rpartition(":")
    if name and port.isdecimal() and ":" not in name:
        return name, int(port)
    return host, None


_HOST = frozenset({"http.host"})
_HOST_AND_PORT = frozenset({"http.host", "net.dst.port"})


class HostCondition:
    """The Host header is one of some names."""

    __slots__ = ("_exact", "_rest", "patterns")

    def __init__(self, hosts: Iterable[str]) -> None:
        self.patterns = tuple(HostPattern.parse(host) for host in hosts)
        self._exact = frozenset(
            pattern.text
            for pattern in self.patterns
            if pattern.kind == "exact" and pattern.port is None
        )
        self._rest = tuple(
            pattern
            for pattern in self.patterns
            if pattern.kind != "exact" or pattern.port is not None
        )

    @property
    def fields(self) -> frozenset[str]:
        """See L{Condition}."""
        if any(pattern.port is not None for pattern in self._rest):
            return _HOST_AND_PORT
        return _HOST

    def holds(self, facts: Facts) -> bool:
        """See L{Condition}."""
        if facts.host in self._exact:
            return True
        for pattern in self._rest:  # noqa: SIM110 - a generator costs more
            if pattern.fits(facts.host, facts.port):
                return True
        return False

    def file(self, keys: Keys) -> None:
        """See L{Condition}."""
        if all(pattern.is_by_label for pattern in self.patterns):
            keys.hosts = self.patterns

    def describe(self) -> str:
        """See L{Condition}."""
        return f"host {_choice(_show_host(pattern) for pattern in self.patterns)}"


def _show_host(pattern: HostPattern) -> str:
    name = pattern.text.decode()
    if pattern.kind == "suffix":
        name = f"*{name}"
    elif pattern.kind == "prefix":
        name = f"{name}*"
    elif ":" in name:
        name = f"[{name}]"
    return name if pattern.port is None else f"{name}:{pattern.port}"


_PATH = frozenset({"http.path"})


class PathCondition:
    """The path begins with one of some prefixes, or one of some patterns is found in it.

    @ivar prefixes: the plain prefixes, in the route's order.
    @ivar patterns: the patterns as the route has them, in its order.
    @ivar regexes: the same, compiled.
    """

    __slots__ = ("patterns", "prefixes", "regexes")

    def __init__(
        self, prefixes: Iterable[bytes], regexes: Iterable[Regex], patterns: Iterable[str]
    ) -> None:
        self.prefixes = tuple(prefixes)
        self.patterns = tuple(patterns)
        self.regexes = tuple(regexes)

    @property
    def fields(self) -> frozenset[str]:
        """See L{Condition}."""
        return _PATH

    def holds(self, facts: Facts) -> bool:
        """See L{Condition}."""
        path = facts.path
        if path.startswith(self.prefixes):
            return True
        for regex in self.regexes:  # noqa: SIM110 - a generator costs more
            if regex.test(path):
                return True
        return False

    def locate(self, facts: Facts) -> Found | None:
        """Find what of the path is matched, and the groups."""
        path = facts.path
        for prefix in self.prefixes:
            if path.startswith(prefix):
                return Found(0, len(prefix), (), {})
        for regex in self.regexes:
            found = regex.find(path)
            if found is not None:
                return found
        return None

    def file(self, keys: Keys) -> None:
        """See L{Condition}."""
        keys.paths = self.prefixes + tuple(literal_prefix(pattern) for pattern in self.patterns)
        if not self.prefixes:
            keys.patterns = self.regexes

    def describe(self) -> str:
        """See L{Condition}."""
        clauses = [f"path beginning with {prefix.decode()}" for prefix in self.prefixes]
        clauses += [f"path matching {pattern}" for pattern in self.patterns]
        return _choice(clauses)


_METHOD = frozenset({"http.method"})


class MethodCondition:
    """The method is one of some."""

    __slots__ = ("methods",)

    def __init__(self, methods: Iterable[str]) -> None:
        self.methods = frozenset(method.encode() for method in methods)

    @property
    def fields(self) -> frozenset[str]:
        """See L{Condition}."""
        return _METHOD

    def holds(self, facts: Facts) -> bool:
        """See L{Condition}."""
        return facts.method in self.methods

    def file(self, keys: Keys) -> None:
        """See L{Condition}."""
        keys.methods = self.methods

    def describe(self) -> str:
        """See L{Condition}."""
        return f"method {_choice(method.decode() for method in sorted(self.methods))}"


class HeaderCondition:
    """One of a header's values is, case aside, one of some values or matches a pattern.

    @ivar name: the name to look for first.
    @ivar dashed: the name with dashes, looked for next.
    @ivar values: the plain values, lower case.
    """

    __slots__ = ("dashed", "name", "regexes", "values")

    def __init__(self, name: bytes, values: Iterable[str], regexes: Iterable[Regex]) -> None:
        self.name = name
        self.dashed = name.replace(b"_", b"-")
        self.values = frozenset(value.lower().encode() for value in values)
        self.regexes = tuple(regexes)

    @property
    def fields(self) -> frozenset[str]:
        """See L{Condition}."""
        return frozenset({f"http.headers.{self.name.decode()}"})

    def holds(self, facts: Facts) -> bool:
        """See L{Condition}."""
        for value in facts.header(self.name, self.dashed):
            if lower_text(value) in self.values:
                return True
            for regex in self.regexes:
                if regex.test(value):
                    return True
        return False

    def file(self, keys: Keys) -> None:
        """See L{Condition}."""
        if not self.regexes and keys.header is None:
            keys.header = (self.dashed, self.values)

    def describe(self) -> str:
        """See L{Condition}."""
        clauses = [value.decode() for value in sorted(self.values)]
        clauses += [f"matching {regex.pattern}" for regex in self.regexes]
        return f"header {self.dashed.decode()}: {_choice(clauses)}"


_SNI = frozenset({"tls.sni", "net.protocol"})


class SniCondition:
    """The TLS server name is one of some.

    @ivar only_for: the scheme on which the condition counts; on others it holds. L{None} for
        every scheme.
    """

    __slots__ = ("exact", "only_for", "prefixes", "suffixes")

    def __init__(self, snis: Iterable[str], only_for: bytes | None) -> None:
        exact, prefixes, suffixes = [], [], []
        for written in snis:
            sni = written.lower()
            if sni.startswith("*"):
                suffixes.append(_without_last_dot(sni)[1:].encode())
            elif sni.endswith("*"):
                prefixes.append(sni[:-1].encode())
            else:
                exact.append(_without_last_dot(sni).encode())
        self.exact = frozenset(exact)
        self.prefixes = tuple(prefixes)
        self.suffixes = tuple(suffixes)
        self.only_for = only_for

    @property
    def fields(self) -> frozenset[str]:
        """See L{Condition}."""
        return _SNI

    def holds(self, facts: Facts) -> bool:
        """See L{Condition}."""
        if self.only_for is not None and facts.scheme != self.only_for:
            return True
        sni = facts.sni
        return sni in self.exact or sni.startswith(self.prefixes) or sni.endswith(self.suffixes)

    def file(self, keys: Keys) -> None:
        """See L{Condition}."""
        if not self.prefixes and not self.suffixes:
            keys.snis = self.exact

    def describe(self) -> str:
        """See L{Condition}."""
        names = [name.decode() for name in sorted(self.exact)]
        names += [f"{name.decode()}*" for name in self.prefixes]
        names += [f"*{name.decode()}" for name in self.suffixes]
        return f"SNI {_choice(names)}"


def _without_last_dot(name: str) -> str:
    return name[:-1] if len(name) > 1 and name.endswith(".") else name


_SCHEME = frozenset({"net.protocol"})


@attrs.frozen
class SchemeCondition:
    """The request comes over one of some schemes."""

    schemes: frozenset[bytes]
    fields: frozenset[str] = _SCHEME

    def holds(self, facts: Facts) -> bool:
        """See L{Condition}."""
        return facts.scheme in self.schemes

    def file(self, keys: Keys) -> None:
        """See L{Condition}."""

    def describe(self) -> str:
        """See L{Condition}."""
        return f"protocol {_choice(sorted(scheme.decode() for scheme in self.schemes))}"


@attrs.frozen
class Peer:
    """One address, range and port that a connection may come from or go to.

    @ivar text: the address as written, or L{None} for any.
    @ivar network: the address or range: version, number, and how many low bits are free.
    @ivar port: the port, or L{None} for any.
    """

    text: str | None
    network: tuple[int, int, int] | None
    port: int | None

    @classmethod
    def parse(cls, peer: Mapping[str, Any]) -> Peer:
        """Read an element of a route's sources or destinations."""
        text, port = peer.get("ip"), peer.get("port")
        return cls(text, None if text is None else parse_network(text), port)

    def fits(self, address: Address | None, port: int) -> bool:
        """Tell whether an address and port are what is asked for."""
        if self.port is not None and self.port != port:
            return False
        return self.network is None or in_network(address, self.network)


def parse_network(text: str) -> tuple[int, int, int]:
    """Read an address or a range: version, number shifted right, and by how many bits.

    @raise RouterError: when it is neither.
    """
    address = None if "/" in text else parse_address(text)
    if address is not None:
        return address[0], address[1], 0
    try:
        network = ip_network(text, strict=False)
    except ValueError as error:
        raise RouterError(f"'{text}' is neither an IP address nor a range: {error}") from None
    shift = network.max_prefixlen - network.prefixlen
    return network.version, int(network.network_address) >> shift, shift


def in_network(address: Address | None, network: tuple[int, int, int]) -> bool:
    """Tell whether an address lies in a range."""
    if address is None or address[0] != network[0]:
        return False
    return address[1] >> network[2] == network[1]


class PeerCondition:
    """The client's, or the listener's, address and port are one of some.

    @ivar side: C{"src"} or C{"dst"}.
    """

    __slots__ = ("fields", "peers", "side")

    def __init__(self, side: str, peers: Sequence[Mapping[str, Any]]) -> None:
        self.side = side
        self.peers = tuple(Peer.parse(peer) for peer in peers)
        self.fields = frozenset(
            {f"net.{side}.ip" for peer in self.peers if peer.network is not None}
            | {f"net.{side}.port" for peer in self.peers if peer.port is not None}
        )

    def holds(self, facts: Facts) -> bool:
        """See L{Condition}."""
        if self.side == "src":
            address, port = facts.source_ip, facts.source_port
        else:
            address, port = facts.destination_ip, facts.destination_port
        for peer in self.peers:  # noqa: SIM110 - a generator costs more
            if peer.fits(address, port):
                return True
        return False

    def file(self, keys: Keys) -> None:
        """See L{Condition}."""
        if self.side == "dst":
            ports = [peer.port for peer in self.peers if peer.port is not None]
            if len(ports) == len(self.peers):
                keys.ports = frozenset(ports)
            return
        sources = [
            peer.network[:2]
            for peer in self.peers
            if peer.network is not None and peer.network[2] == 0
        ]
        if len(sources) == len(self.peers):
            keys.sources = frozenset(sources)

    def describe(self) -> str:
        """See L{Condition}."""
        word = "source" if self.side == "src" else "destination"
        return f"{word} {_choice(_show_peer(peer) for peer in self.peers)}"


def _show_peer(peer: Peer) -> str:
    if peer.text is None:
        return f"port {peer.port}"
    return peer.text if peer.port is None else f"{peer.text} port {peer.port}"


def _choice(clauses: Iterable[str]) -> str:
    return " or ".join(clauses)
