"""C{kong.cluster}, C{kong.ip}, C{kong.nginx} and C{kong.table}: small things of the node."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, MutableSequence
from typing import Any

from kongtx.pdk.node import Node


class Cluster:
    """The nodes that share a database."""

    __slots__ = ("_node",)

    def __init__(self, node: Node) -> None:
        self._node = node

    def get_id(self) -> str | None:
        """The id of the cluster; L{None} for a node that has no database and was told none."""
        return self._node.cluster_id


class IP:
    """Addresses."""

    __slots__ = ("_node",)

    def __init__(self, node: Node) -> None:
        self._node = node

    def is_trusted(self, address: str) -> bool:
        """Whether an address is one of C{trusted_ips}."""
        return self._node.is_trusted(address)


class Nginx:
    """What Kong asks of nginx."""

    __slots__ = ("_node",)

    def __init__(self, node: Node) -> None:
        self._node = node

    def get_subsystem(self) -> str:
        """C{http}: plugins do not run for streams."""
        return "http"

    def get_statistics(self) -> Mapping[str, int]:
        """Connections and requests of this worker since its start, by Kong's names."""
        return self._node.statistics()


class Table:
    """What Kong does with tables."""

    __slots__ = ()

    @staticmethod
    def new(_items: int = 0, _keys: int = 0) -> dict[Any, Any]:
        """A new dict; Kong's takes how much room to make."""
        return {}

    @staticmethod
    def clear(table: MutableMapping[Any, Any] | MutableSequence[Any]) -> None:
        """Empty a mapping or a list."""
        table.clear()

    @staticmethod
    def merge(first: Mapping[Any, Any] | None, second: Mapping[Any, Any] | None) -> dict[Any, Any]:
        """A new dict of two mappings, not of what is in them; the second one wins."""
        return {**(first or {}), **(second or {})}
