"""udp-log: each entry as JSON in a datagram."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.internet.defer import maybeDeferred
from twisted.internet.protocol import DatagramProtocol
from twisted.logger import Logger
from twisted.python.failure import Failure

from kongtx.pdk.kong import Kong
from kongtx.pdk.node import Node
from kongtx.plugins.logging import LogPlugin, to_json
from kongtx.plugins.udp_log.schema import subschema

#: Seconds after which a collector's name is looked up again.
_LOOK_UP_EVERY: Final = 60.0
_MOST_WAITING: Final = 1000


class UDPLog(LogPlugin):
    """Sends entries in datagrams."""

    name = "udp-log"
    priority = 8
    subschema = subschema()

    def send(self, entry: Mapping[str, Any], config: Mapping[str, Any], kong: Kong) -> None:
        """Send a datagram."""
        sender_of(kong.node, config["host"], config["port"]).send(to_json(entry))


def sender_of(node: Node, host: str, port: int) -> DatagramSender:
    """The worker's sender to a collector."""
    key = (DatagramSender, host, port)
    sender: DatagramSender | None = node.shared.get(key)
    if sender is None:
        sender = node.shared[key] = DatagramSender(node, host, port)
        node.closing.append(sender.close)
    return sender


class DatagramSender(DatagramProtocol):
    """Sends datagrams to one collector, whose name is looked up beside them."""

    noisy = False
    _log = Logger()

    def __init__(self, node: Node, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._clock = node.clock
        self._reactor: Any = node.reactor
        literal = isIPAddress(host) or isIPv6Address(host)
        self._address: str | None = host if literal else None
        self._expires = float("inf") if literal else 0.0
        self._waiting: list[bytes] = []
        self._looking = False
        self._listening = self._reactor.listenUDP(
            0, self, interface="::" if isIPv6Address(host) else ""
        )

    def send(self, datagram: bytes) -> None:
        """Send one, now or when the address is known."""
        if self._clock.seconds() >= self._expires and not self._looking:
            self._looking = True
            found = maybeDeferred(self._reactor.resolve, self._host)
            found.addCallbacks(self._found, self._not_found)
        if self._address is None:
            self._waiting.append(datagram)
            del self._waiting[:-_MOST_WAITING]
        else:
            self._write(datagram)

    def close(self) -> Any:
        """Send no more."""
        return self._listening.stopListening()

    def _found(self, address: str) -> None:
        self._looking = False
        self._address = address
        self._expires = self._clock.seconds() + _LOOK_UP_EVERY
        waiting, self._waiting = self._waiting, []
        for datagram in waiting:
            self._write(datagram)

    def _not_found(self, failure: Failure) -> None:
        self._looking = False
        self._expires = self._clock.seconds() + 1
        self._log.error(
            "udp-log: could not resolve {host}: {error}",
            host=self._host,
            error=failure.getErrorMessage(),
        )

    def _write(self, datagram: bytes) -> None:
        assert self.transport is not None
        try:
            self.transport.write(datagram, (str(self._address), self._port))
        except OSError as error:  # longer than a datagram can be, for one
            self._log.error(
                "udp-log: could not send data to {host}:{port}: {error}",
                host=self._host,
                port=self._port,
                error=error.strerror,
            )
