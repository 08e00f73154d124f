"""UNIX connections, which also carry descriptors from process to process.

uvloop cannot do that. To send one, C{sendmsg} is called on the socket while uvloop has nothing to
write; a protocol that wants to receive some gets Twisted's own transport.
"""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet import error, interfaces, unix
from twisted.python.failure import Failure
from zope.interface import implementer

from kongtx.net.connections import ClientConnection, ServerConnection
from kongtx.net.naming import log_prefix
from kongtx.net.transports import StreamConnection

#: So many descriptors may wait to be sent before a producer is paused; Twisted's figure.
_MOST_WAITING = 64


def receives_descriptors(protocol: object) -> bool:
    """Tell whether a protocol wants the descriptors that its peer sends."""
    return bool(interfaces.IFileDescriptorReceiver.providedBy(protocol))


class _Sender:
    """Sends descriptors, each with the first byte of what is written after it, then leaves."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._descriptors: list[int] = []
        self._chunks: list[bytes] = []
        self._duplicate: socket.socket | None = None
        connection.write = self._chunks.append
        connection.writeSequence = self._chunks.extend
        connection._loop.call_soon(self.send)

    def add(self, fileno: int) -> None:
        """Send a descriptor; a producer is paused when many wait."""
        self._descriptors.append(fileno)
        connection = self._connection
        if len(self._descriptors) > _MOST_WAITING and connection.streamingProducer:
            connection.producerPaused = True
            connection.producer.pauseProducing()

    def send(self) -> None:
        """Send what can be sent now; called again when the socket takes more."""
        connection = self._connection
        if not connection.connected:
            return
        uv = connection._uv
        if uv.get_write_buffer_size():
            uv.set_write_buffer_limits(0)  # resume_writing when it is empty
            return
        data = b"".join(self._chunks)
        if len(self._descriptors) > len(data):
            connection._end(error.FileDescriptorOverrun())
            return
        if self._duplicate is None:
            self._duplicate = uv.get_extra_info("socket").dup()
        try:
            while self._descriptors:
                socket.send_fds(self._duplicate, [data[:1]], self._descriptors[:1])
                del self._descriptors[:1]
                data = data[1:]
        except BlockingIOError:
            self._chunks[:] = [data]
            connection._loop.add_writer(self._duplicate.fileno(), self.send)
        except OSError:
            connection._end(error.ConnectionLost())
        else:
            self.stop()
            connection._descriptors_sent(data)

    def stop(self) -> None:
        """Let go of the socket."""
        if self._duplicate is not None:
            self._connection._loop.remove_writer(self._duplicate.fileno())
            self._duplicate.close()
            self._duplicate = None


@implementer(interfaces.IUNIXTransport)
class _SendsDescriptors(StreamConnection):
    """A connection with C{sendFileDescriptor}."""

    __slots__ = ()

    _sender: _Sender | None = None

    def sendFileDescriptor(self, descriptor: int) -> None:
        """Send a copy of a descriptor ahead of what is written next.

        As many bytes at least must be written as descriptors are sent.
        """
        if self.connected:
            if self._sender is None:
                self._sender = _Sender(self)
            self._sender.add(descriptor)

    def _end(self, exception: Exception) -> None:
        self._reason = Failure(exception)
        self._uv.abort()

    def _descriptors_sent(self, data: bytes) -> None:
        self._sender = None
        self._uv.set_write_buffer_limits()
        self.write = self._uv.write
        self.writeSequence = self._uv.writelines
        self.write(data)
        if self.producer is not None and self.producerPaused and not self._full:
            self.producerPaused = False
            self.producer.resumeProducing()
        if self.disconnecting:
            self._schedule_close()

    def _know_names(self) -> None:
        # uvloop can tell them once the connection is closed only if it has been asked before.
        self.getHost()
        self.getPeer()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._sender is not None:
            self._sender.send()

    def _close_when_sent(self) -> None:
        if self._sender is None:
            super()._close_when_sent()
        else:
            self._close_scheduled = False

    def _lost(self, reason: Failure) -> None:
        if self._sender is not None:
            self._sender.stop()
            self._sender = None
        super()._lost(reason)

    def getTcpNoDelay(self) -> bool:
        """Return false: the option is TCP's."""
        return False

    def setTcpNoDelay(self, enabled: bool) -> None:
        """Do nothing: the option is TCP's."""


class UNIXServerConnection(_SendsDescriptors, ServerConnection):
    """A UNIX connection that a port accepted, or that was adopted."""

    __slots__ = ()

    def _connect(self, protocol: Any) -> None:
        if not receives_descriptors(protocol):
            self._know_names()
            super()._connect(protocol)
            return
        skt = self._uv.get_extra_info("socket").dup()
        self._forget()
        stock = unix.Server(
            skt, protocol, skt.getpeername(), self.server, self.sessionno, self.reactor
        )
        protocol.makeConnection(stock)

    def _name(self) -> str:
        # Twisted names an adopted UNIX connection by its own end's path.
        own = self._uv.get_extra_info("sockname")
        where = own if self.server is None else self.hostname
        return f"{log_prefix(self._protocol)},{self.sessionno},{where}"


class UNIXClientConnection(_SendsDescriptors, ClientConnection):
    """A UNIX connection that a connector made, whose protocol has been built."""

    __slots__ = ("_built",)

    def __init__(self, reactor: Any, connector: Any, addr: Any, protocol: Any) -> None:
        super().__init__(reactor, connector, addr)
        self._built = protocol

    def _connect(self, protocol: Any) -> None:
        self._know_names()
        super()._connect(protocol)

    def _build_protocol(self) -> Any:
        built, self._built = self._built, None
        return built


def connect_done(client: Any, take_over: Any) -> None:
    """Give a connected UNIX client its protocol: on uvloop, unless it wants to receive descriptors.

    @param client: a L{unix.Client}.
    @param take_over: called with the native connection and the socket.
    """
    protocol = client.connector.buildProtocol(client.getPeer())
    client.connected = 1
    if receives_descriptors(protocol):
        client.protocol = protocol
        client.logstr = f"{log_prefix(protocol)},client"
        client.startReading()
        protocol.makeConnection(client)
        return
    connection = UNIXClientConnection(client.reactor, client.connector, client.addr, protocol)
    client.connector.transport = connection
    take_over(client.reactor.loop, connection, client.socket)
    del client.connector
