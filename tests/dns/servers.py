"""Name servers on loopback: odd ones made here, and Debian's own."""

from __future__ import annotations

import os
import random
import shutil
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.protocol import DatagramProtocol, ServerFactory
from twisted.internet.task import deferLater
from twisted.names import dns
from twisted.protocols.basic import Int16StringReceiver

UNBOUND = """server:
  interface: 127.0.0.1
  port: {port}
  username: ""
  chroot: ""
  directory: "{directory}"
  pidfile: "{directory}/unbound.pid"
  use-syslog: no
  do-daemonize: no
  num-threads: 1
  module-config: "iterator"
  access-control: 127.0.0.0/8 allow
  local-zone: "test." static
{data}
remote-control:
  control-enable: no
"""

Rule = Callable[[dns.Message, str], "bytes | list[bytes] | None"]


class OddServer(DatagramProtocol):
    """Answers each query with what C{rule(query, transport)} returns: bytes, several, or nothing.

    @ivar queries: C{(transport, message, address)} of all that came in.
    """

    def __init__(self, rule: Rule, interface: str = "127.0.0.1") -> None:
        self.rule = rule
        self.queries: list[tuple[str, dns.Message, object]] = []
        self._tcp = reactor.listenTCP(0, _factory(self), interface=interface)
        self.port = self._tcp.getHost().port
        self._udp = reactor.listenUDP(self.port, self, interface=interface)
        self.address = (interface, self.port)

    def datagramReceived(self, datagram, addr):
        for reply in self.replies(datagram, "udp", addr):
            self.transport.write(reply, addr)

    def replies(self, data: bytes, transport: str, addr: object) -> list[bytes]:
        query = dns.Message()
        query.fromStr(data)
        self.queries.append((transport, query, addr))
        replies = self.rule(query, transport)
        if replies is None:
            return []
        return replies if isinstance(replies, list) else [replies]

    async def stop(self) -> None:
        await self._udp.stopListening()
        await self._tcp.stopListening()


def _factory(server: OddServer) -> ServerFactory:
    class Stream(Int16StringReceiver):
        MAX_LENGTH = 65535

        def stringReceived(self, data):
            for reply in server.replies(data, "tcp", self.transport.getPeer()):
                self.sendString(reply)

    factory = ServerFactory()
    factory.protocol = Stream
    factory.noisy = False
    return factory


def reply(query: dns.Message, *payloads: object, code: int = 0, trunc: int = 0, **change) -> bytes:
    """A proper answer to a query; C{change} sets attributes of the message before encoding."""
    message = dns.Message(query.id, answer=1, recAv=1, recDes=1, rCode=code, trunc=trunc)
    message.queries = list(query.queries)
    name = query.queries[0].name.name
    message.answers = [dns.RRHeader(name, p.TYPE, dns.IN, 60, p) for p in payloads]
    message.maxSize = 0
    for attribute, value in change.items():
        setattr(message, attribute, value)
    return message.toStr()


def free_port() -> int:
    """A port of 127.0.0.1 that nobody uses, over UDP or TCP.

    Below the range from which the kernel takes ports for outgoing traffic, so that none of that
    takes it before it is used.
    """
    while True:
        port = random.randrange(10240, 32768)
        with (
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
            socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tcp,
        ):
            try:
                udp.bind(("127.0.0.1", port))
                tcp.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


class Daemon:
    """A name server program, without privileges, on an unused port of 127.0.0.1.

    @param command: gives the program and its arguments for a port.
    """

    def __init__(self, command: Callable[[int], list[str]]) -> None:
        self._command = command
        self._start()

    def _start(self) -> None:
        port = free_port()
        program, *arguments = self._command(port)
        path = shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin")
        assert path, f"{program} is not installed; see tests/apt-packages.txt"
        self.address = ("127.0.0.1", port)
        self._process = subprocess.Popen(
            [path, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    async def ready(self, probe: Callable[[tuple[str, int]], Deferred[object]]) -> None:
        """Wait until C{probe(address)} succeeds."""
        for _ in range(200):
            if self._process.poll() is not None:
                self._start()  # another program was quicker to take the port
            try:
                await probe(self.address)
            except Exception:  # whatever it is, it is not up yet
                await deferLater(reactor, 0.02)
            else:
                return
        raise AssertionError(f"{self._process.args[0]} did not come up")

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait()


def dnsmasq(directory: Path, *records: str) -> Daemon:
    """A dnsmasq that knows the records (its own option lines, such as C{host-record=…})."""
    conf = directory / "dnsmasq.conf"
    user = "root" if os.geteuid() == 0 else ""
    lines = [
        "listen-address=127.0.0.1", "bind-interfaces", "no-resolv", "no-hosts",
        "keep-in-foreground", "local=/test/", "pid-file", *([f"user={user}"] if user else []),
        *records,
    ]  # fmt: skip
    conf.write_text("\n".join(lines) + "\n")
    options = [f"--conf-file={conf}", "--keep-in-foreground"]
    return Daemon(lambda port: ["dnsmasq", f"--port={port}", *options])


def unbound(directory: Path, *records: str) -> Daemon:
    """An unbound that serves the records (zone file lines) and refuses the rest."""

    def command(port: int) -> list[str]:
        conf = directory / "unbound.conf"
        data = "\n".join(f"  local-data: '{record}'" for record in records)
        conf.write_text(UNBOUND.format(port=port, directory=directory, data=data))
        return ["unbound", "-d", "-c", str(conf)]

    return Daemon(command)
