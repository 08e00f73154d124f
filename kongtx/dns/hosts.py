"""/etc/hosts (hosts(5)), from text to a table. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from kongtx.dns.records import ip_version, strip_brackets

_LOCALHOST = {4: "127.0.0.1", 6: "::1"}


def parse_hosts(text: str) -> Mapping[str, Mapping[int, str]]:
    """The names of a hosts file.

    The first address of each family wins, lines without a valid address are passed over, and
    C{localhost} is always known.

    @param text: the file's text.
    @return: from lower-case name to C{{4: address, 6: address}}, either of which may be missing;
        IPv6 addresses are without brackets and keep their scope id.
    """
    table: dict[str, dict[int, str]] = {}
    for line in text.splitlines():
        fields = line.partition("#")[0].split()
        if len(fields) < 2:
            continue
        address = strip_brackets(fields[0])
        version = ip_version(address)
        if not version:
            continue
        for name in fields[1:]:
            table.setdefault(name.lower().rstrip("."), {}).setdefault(version, address)
    table.setdefault("localhost", dict(_LOCALHOST))
    return MappingProxyType({name: MappingProxyType(found) for name, found in table.items()})
