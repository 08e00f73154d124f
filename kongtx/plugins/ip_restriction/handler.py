"""ip-restriction: only clients from some addresses are served, or none from some."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import Any

from kongtx.pdk.kong import Kong
from kongtx.plugins.base import Plugin
from kongtx.plugins.ip_restriction.schema import subschema

_MAPPED = IPv6Network("::ffff:0:0/96")
_UNKNOWN = "Cannot identify the client IP address, unix domain sockets are not supported."


class Addresses:
    """Addresses and blocks of them; finding one takes a step for each length of prefix in use."""

    def __init__(self, texts: Iterable[str]) -> None:
        self._blocks: dict[int, dict[int, set[int]]] = {4: {}, 6: {}}
        for text in texts:
            block = _plain(ip_network(text, strict=False))
            shift = block.max_prefixlen - block.prefixlen
            numbers = self._blocks[block.version].setdefault(shift, set())
            numbers.add(int(block.network_address) >> shift)

    def __contains__(self, address: IPv4Address | IPv6Address) -> bool:
        number = int(address)
        blocks = self._blocks[address.version]
        return any(number >> shift in numbers for shift, numbers in blocks.items())


def _plain(block: IPv4Network | IPv6Network) -> IPv4Network | IPv6Network:
    """A block of IPv4 addresses in IPv6 form (RFC 4291 §2.5.5.2) as one of IPv4."""
    if isinstance(block, IPv6Network) and block.subnet_of(_MAPPED):
        number = int(block.network_address) & 0xFFFFFFFF
        return IPv4Network((number, block.prefixlen - _MAPPED.prefixlen))
    return block


class Decisions:
    """A configuration's answers, each address's kept."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        self._allow = Addresses(config["allow"]) if config["allow"] else None
        self._deny = Addresses(config["deny"] or ())
        self.refusal = lru_cache(maxsize=4096)(self._refusal)
        self._status = int(config["status"] or 403)
        self._message = config["message"]

    def _refusal(self, client_ip: str) -> tuple[int, str] | None:
        """Status and message for a client that is not served; L{None} for one that is."""
        try:
            address = ip_address(client_ip)
        except ValueError:
            return 403, _UNKNOWN
        if isinstance(address, IPv6Address):
            address = address.ipv4_mapped or address
        if address not in self._deny and (self._allow is None or address in self._allow):
            return None
        return self._status, self._message or f"IP address not allowed: {client_ip}"


class IPRestriction(Plugin):
    """Refuses clients by the address that trusted proxies tell of them."""

    name = "ip-restriction"
    priority = 990
    subschema = subschema()

    def prepare(self, config: Mapping[str, Any]) -> Decisions:
        """See L{Decisions}."""
        return Decisions(config)

    def access(self, decisions: Decisions, kong: Kong) -> None:
        """Refuse the request, or let it pass."""
        refusal = decisions.refusal(kong.raw.client_ip)
        if refusal is not None:
            status, message = refusal
            kong.log.warn("{message}", message=message)
            kong.response.error(status, message)
