"""How names are resolved, as plain values."""

from __future__ import annotations

from typing import Any

import attrs

from kongtx.dns.resolvconf import parse_server
from kongtx.errors import KongtxError

Server = tuple[str, int]
ORDER_TYPES = ("LAST", "SRV", "A", "AAAA", "CNAME")


@attrs.frozen(slots=True)
class DNSSettings:
    """Settings of a resolver; times are seconds.

    @ivar resolver: name servers; empty takes those of resolv.conf.
    @ivar hostsfile: the hosts file's path.
    @ivar resolv_conf: the path of resolv.conf.
    @ivar order: the record types to try, C{LAST} standing for the last that worked for a name.
    @ivar srv_by_name: ask for SRV only for names of the form C{_service._proto.name}, and for
        nothing else for those, as Kong's new client does.
    @ivar valid_ttl: replaces the ttl of answers.
    @ivar stale_ttl: how long an answer may be used after it expired, while it is refreshed.
    @ivar error_ttl: how long to remember that servers failed.
    @ivar not_found_ttl: how long to remember that a name does not exist or has no record.
    @ivar cache_size: the most names kept, least recently used first to go.
    @ivar no_sync: do not let equal questions asked at the same time share a query.
    @ivar timeout: for one transmission; L{None} takes resolv.conf's, or 2.
    @ivar attempts: transmissions of one query; L{None} takes resolv.conf's, or 5; at least one a
        server.
    @ivar reread: how often to look whether the two files changed.
    """

    resolver: tuple[Server, ...] = ()
    hostsfile: str = "/etc/hosts"
    resolv_conf: str = "/etc/resolv.conf"
    order: tuple[str, ...] = ("LAST", "SRV", "A", "CNAME")
    srv_by_name: bool = False
    valid_ttl: float | None = None
    stale_ttl: float = 3600
    error_ttl: float = 1
    not_found_ttl: float = 30
    cache_size: int = 10000
    no_sync: bool = False
    timeout: float | None = None
    attempts: int | None = None
    reread: float = 5

    def __attrs_post_init__(self) -> None:
        unknown = [kind for kind in self.order if kind not in ORDER_TYPES]
        if unknown or not self.order:
            raise KongtxError(
                f"the record types to resolve must be some of {', '.join(ORDER_TYPES)}, "
                f"not {', '.join(unknown) or 'none'}"
            )


def settings_from(conf: Any) -> DNSSettings:
    """The settings that a configuration asks for.

    @param conf: an object with Kong's property names as attributes; with C{new_dns_client} on,
        the C{resolver_*} family holds, else the C{dns_*} family. What is missing or L{None}
        keeps its default.
    """
    new = bool(getattr(conf, "new_dns_client", False))
    family = "resolver_" if new else "dns_"
    names = {
        "resolver": f"{family}{'address' if new else 'resolver'}",
        "hostsfile": f"{family}{'hosts_file' if new else 'hostsfile'}",
        "order": f"{family}{'family' if new else 'order'}",
        "cache_size": f"{family}{'lru_cache_size' if new else 'cache_size'}",
        **{name: f"{family}{name}" for name in ("valid_ttl", "stale_ttl", "error_ttl")},
    }
    if not new:
        names |= {"not_found_ttl": "dns_not_found_ttl", "no_sync": "dns_no_sync"}
    given = {name: getattr(conf, prop, None) for name, prop in names.items()}
    values = {name: value for name, value in given.items() if value is not None}
    if "resolver" in values:
        values["resolver"] = tuple(_server(text) for text in values["resolver"])
    if "order" in values:
        values["order"] = tuple(kind.upper() for kind in values["order"])
    if new:
        # The new client keeps "no such name" no longer than any other failure.
        values["not_found_ttl"] = values.get("error_ttl", 1)
        values.setdefault("order", ("A", "SRV"))
    return DNSSettings(srv_by_name=new, **values)


def _server(text: str) -> Server:
    server = parse_server(text)
    if server is None:
        raise KongtxError(f"a name server must be an IPv4/6 address or address:port, got '{text}'")
    return server
