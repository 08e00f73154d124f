"""tcp-log: entries as lines of JSON to a TCP server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kongtx.pdk.kong import Kong
from kongtx.plugins.logging import LogPlugin, to_json
from kongtx.plugins.tcp_log.connection import CollectorConnection
from kongtx.plugins.tcp_log.schema import subschema


class TCPLog(LogPlugin):
    """Sends entries over a connection that configurations with the same collector share."""

    name = "tcp-log"
    priority = 7
    subschema = subschema()

    def send(self, entry: Mapping[str, Any], config: Mapping[str, Any], kong: Kong) -> None:
        """Send a line."""
        node = kong.node
        tls_name = (config["tls_sni"] or config["host"]) if config["tls"] else None
        key = (CollectorConnection, config["host"], config["port"], tls_name)
        connection: CollectorConnection | None = node.shared.get(key)
        if connection is None:
            connection = node.shared[key] = CollectorConnection(
                node.reactor,
                node.clock,
                config["host"],
                config["port"],
                tls_name,
                config["timeout"] / 1000,
                config["keepalive"] / 1000,
            )
            node.closing.append(connection.close)
        connection.send(to_json(entry) + b"\n")
