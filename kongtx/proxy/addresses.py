"""Which peers are trusted, and who the client is behind them (nginx: realip). Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Final

Address = tuple[str, int]

_PORTED: Final = re.compile(r"\[([0-9A-Fa-f:.]+)\](?::(\d{1,5}))?|([0-9.]+)(?::(\d{1,5}))?")
_KEPT: Final = 4096


class TrustedPeers:
    """The C{trusted_ips} property."""

    def __init__(self, networks: Sequence[str]) -> None:
        """Take addresses, CIDR blocks and C{unix:}."""
        self._unix = "unix:" in networks
        self._networks: list[IPv4Network | IPv6Network] = [
            ip_network(network, strict=False) for network in networks if network != "unix:"
        ]
        self._known: dict[str, bool] = {}

    def __bool__(self) -> bool:
        return self._unix or bool(self._networks)

    def __contains__(self, address: str) -> bool:
        try:
            return self._known[address]
        except KeyError:
            if len(self._known) >= _KEPT:
                self._known.clear()
            trusted = self._known[address] = self._trusts(address)
            return trusted

    def _trusts(self, address: str) -> bool:
        if address.startswith("unix:"):
            return self._unix
        try:
            parsed = ip_address(address)
        except ValueError:
            return False
        # How a socket for both families names an IPv4 peer (listen: ipv6only=off).
        mapped = getattr(parsed, "ipv4_mapped", None)
        return any(parsed in each or (mapped and mapped in each) for each in self._networks)


def parse_address(text: str) -> Address | None:
    """An address with or without a port (0: none); L{None} if it is neither."""
    match = _PORTED.fullmatch(text)
    if match is not None:
        host, port = match[1] or match[3], match[2] or match[4]
    else:
        host, port = text, None
    try:
        address = str(ip_address(host))
    except ValueError:
        return None
    number = int(port) if port else 0
    return (address, number) if number <= 65535 else None


def real_client(
    peer: Address, values: Sequence[bytes], trusted: TrustedPeers, recursive: bool
) -> Address:
    """The client's address behind trusted peers.

    @param peer: the socket's peer.
    @param values: all values of the header that tells the client, as received.
    @param recursive: go on past each trusted address, from right to left; else take the last.
    """
    if peer[0] not in trusted or not values:
        return peer
    client = peer
    hops = [hop.strip() for value in values for hop in value.decode("latin-1").split(",")]
    for hop in reversed(hops):
        parsed = parse_address(hop)
        if parsed is None:
            break
        client = parsed
        if not recursive or client[0] not in trusted:
            break
    return client
