"""ip-restriction: only clients from some addresses are served, or none from some."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any

from kongtx.pdk.kong import Kong
from kongtx.plugins.base import Plugin
from kongtx.plugins.ip_restriction.schema import subschema

_UNKNOWN = "Cannot identify the client IP address, unix domain sockets are not supported."


class Addresses:
    """Addresses and blocks of them; finding one takes a step for each length of prefix in use."""

    def __init__(self, texts: Iterable[str]) -> None:
        self._blocks: dict[int, dict[int, set[int]]] = {4: {}, 6: {}}
        for text in texts:
            block = ip_network(text, strict=False)
            shift = block.max_prefixlen - block.prefixlen
            numbers = self._blocks[block.version].setdefault(shift, set())
            numbers.add(int(block.network_address) >> shift)

    def __contains__(self, address: IPv4Address | IPv6Address) -> bool:
        number = int(address)
        blocks = self._blocks[address.version]
        return any(number >> shift in numbers for shift, numbers in blocks.items())


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
        if isinstance(address, IPv6Address) and address.ipv4_mapped:
            address = address.ipv4_mapped
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
