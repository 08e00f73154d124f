"""/etc/resolv.conf (resolv.conf(5)), from text and environment to a value. Pure."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from kongtx.dns.records import ip_version, strip_brackets

MAX_SERVERS = 3
MAX_SEARCH = 6
_FLAGS = frozenset(
    (
        "debug", "edns0", "inet6", "ip6-bytestring", "ip6-dotint", "no-aaaa", "no-check-names",
        "no-ip6-dotint", "no-reload", "no-tld-query", "rotate", "single-request",
        "single-request-reopen", "trust-ad", "use-vc",
    )
)  # fmt: skip
_NUMBERS = {"ndots": 15, "timeout": 30, "attempts": 5}  # the ceilings of resolv.conf(5)


@attrs.frozen(slots=True)
class ResolvConf:
    """What a resolv.conf says.

    @ivar nameservers: C{(address, port)} pairs; an IPv6 address keeps its scope id.
    @ivar search: suffixes for short names; C{domain} is a list of one.
    @ivar sortlist: address/netmask pairs, kept as they are written.
    @ivar flags: the boolean options that are on.
    @ivar ndots: a name with fewer dots is tried with the suffixes first.
    @ivar timeout: seconds to wait for one server; L{None} when not given.
    @ivar attempts: how often to send a query altogether; L{None} when not given.
    """

    nameservers: tuple[tuple[str, int], ...] = ()
    search: tuple[str, ...] = ()
    sortlist: tuple[str, ...] = ()
    flags: frozenset[str] = frozenset()
    ndots: int = 1
    timeout: int | None = None
    attempts: int | None = None

    @property
    def rotate(self) -> bool:
        """Whether queries start at a different server each time."""
        return "rotate" in self.flags

    @property
    def use_tcp(self) -> bool:
        """Whether queries always go over TCP."""
        return "use-vc" in self.flags


def parse_resolv_conf(text: str, environ: Mapping[str, str] | None = None) -> ResolvConf:
    """Read a resolv.conf.

    Unknown keywords and options are passed over, as every resolver does. The last of C{domain}
    and C{search} wins; repeated C{options} lines add up; a root suffix (C{.}) adds nothing.

    @param text: the file's text.
    @param environ: its C{LOCALDOMAIN} and C{RES_OPTIONS} override the file.
    """
    servers: list[tuple[str, int]] = []
    search: tuple[str, ...] = ()
    sortlist: tuple[str, ...] = ()
    options: list[str] = []
    for line in text.splitlines():
        keyword, *values = _uncomment(line).split() or [""]
        if not values:
            continue
        if keyword == "nameserver":
            server = parse_server(values[0])
            if server is not None and len(servers) < MAX_SERVERS:
                servers.append(server)
        elif keyword == "domain":
            search = _suffixes(values[:1])
        elif keyword == "search":
            search = _suffixes(values)
        elif keyword == "sortlist":
            sortlist = tuple(values)
        elif keyword == "options":
            options.extend(values)
    environ = environ or {}
    if environ.get("LOCALDOMAIN", "").strip():
        search = _suffixes(environ["LOCALDOMAIN"].split())
    options.extend(environ.get("RES_OPTIONS", "").split())
    flags, numbers = _options(options)
    return ResolvConf(
        nameservers=tuple(servers),
        search=search,
        sortlist=sortlist,
        flags=flags,
        ndots=numbers.get("ndots", 1),
        timeout=numbers.get("timeout") or None,
        attempts=numbers.get("attempts") or None,
    )


def parse_server(text: str, port: int = 53) -> tuple[str, int] | None:
    """A name server's address: C{1.2.3.4}, C{1.2.3.4:53}, C{::1}, C{[::1]:53}, C{fe80::1%eth0}.

    @param port: the port of an address without one.
    @return: C{(address, port)}, or L{None} if the text is neither.
    """
    address, given = text, ""
    if text.startswith("["):
        address, closed, rest = text[1:].partition("]")
        if not closed or (rest and not rest.startswith(":")):
            return None
        given = rest[1:]
    elif text.count(":") == 1:
        address, given = text.split(":")
    if not ip_version(address) or (given and not (given.isascii() and given.isdigit())):
        return None
    number = int(given) if given else port
    return (strip_brackets(address), number) if 0 < number < 65536 else None


def _uncomment(line: str) -> str:
    # resolv.conf(5) knows comments only at the start of a line, glibc and musl both stop at
    # them anywhere in practice.
    for mark in "#;":
        line = line.partition(mark)[0]
    return line


def _suffixes(values: list[str]) -> tuple[str, ...]:
    names = (value.lower().strip(".") for value in values)
    return tuple(name for name in names if name)[:MAX_SEARCH]


def _options(options: list[str]) -> tuple[frozenset[str], dict[str, int]]:
    flags: set[str] = set()
    numbers: dict[str, int] = {}
    for option in options:
        name, colon, value = option.partition(":")
        if name in _FLAGS and not colon:
            flags.add(name)
            if name in ("ip6-dotint", "no-ip6-dotint"):
                flags.discard("ip6-dotint" if name.startswith("no-") else "no-ip6-dotint")
        elif name in _NUMBERS and value.isascii() and value.isdigit():
            numbers[name] = min(int(value), _NUMBERS[name])
    return frozenset(flags), numbers
