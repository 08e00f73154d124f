"""Hot path: flow control from uvloop's write buffer to Twisted's producers.

uvloop asks to pause above 64 KiB and to go on when all has been handed to the kernel, as Twisted's
own transports do. It sends at once what the kernel takes, so that a buffer fills only when the peer
is slow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from twisted.internet import interfaces
from twisted.python.failure import Failure
from zope.interface import implementer


def unsent_bytes(transport: Any) -> int:
    """How much of what was written a transport still has; 0 if it is one that does not tell."""
    tell = getattr(transport, "unsent_bytes", None)
    return 0 if tell is None else int(tell())


@implementer(interfaces.IConsumer)
class Consumer:
    """The sending side of a connection that may have a producer; mixed into L{StreamConnection}."""

    __slots__ = (
        "_full",
        "_pump_scheduled",
        "producer",
        "producerPaused",
        "streamingProducer",
        "write",
        "writeSequence",
    )

    TLS: bool
    connected: int
    disconnected: int
    disconnecting: int
    producer: Any
    producerPaused: bool
    streamingProducer: bool
    write: Callable[[bytes], None]
    writeSequence: Callable[[Iterable[bytes]], None]
    _tls_write: Callable[[bytes], None]
    _tls_write_sequence: Callable[[Iterable[bytes]], None]
    _full: bool
    _loop: Any
    _protocol: Any
    _pump_scheduled: bool
    _uv: Any
    _wire: Any
    _write_closed: bool
    _write_closing: bool

    def _fail(self, failure: Failure) -> None:
        raise NotImplementedError

    def _close_write(self) -> None:
        raise NotImplementedError

    def _close_when_sent(self) -> None:
        raise NotImplementedError

    def _schedule_close(self) -> None:
        raise NotImplementedError

    def loseConnection(self) -> None:
        raise NotImplementedError

    def pause_writing(self) -> None:
        """Pause the producer: more than 64 KiB wait to be sent."""
        self._full = True
        if self.producer is not None and self.streamingProducer:
            self.producerPaused = True
            self.producer.pauseProducing()

    def resume_writing(self) -> None:
        """Let the producer go on, or finish a close that waited: the buffer is empty."""
        self._full = False
        try:
            if self.producer is not None and (self.producerPaused or not self.streamingProducer):
                self.producerPaused = False
                self.producer.resumeProducing()
        except BaseException:
            self._fail(Failure())
            return
        if self._write_closing:
            self._close_write()
        elif self.disconnecting:
            self._close_when_sent()

    def unsent_bytes(self) -> int:
        """How much of what was written waits for the kernel to take it."""
        if not self.connected:
            return 0
        size: int = self._uv.get_write_buffer_size()
        if self._wire is not self._uv:
            size += self._wire.get_write_buffer_size()
        return size

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """Let a producer fill this connection no faster than the peer takes it.

        @raise RuntimeError: when there is a producer already.
        """
        if self.TLS:
            self._protocol.registerProducer(producer, streaming)
        else:
            self._register_producer(producer, streaming)

    def _register_producer(self, producer: Any, streaming: bool) -> None:
        if self.producer is not None:
            raise RuntimeError(
                f"Cannot register producer {producer}, because producer {self.producer} was never "
                "unregistered."
            )
        if self.disconnected:
            producer.stopProducing()
            return
        self.producer = producer
        self.streamingProducer = streaming
        self.producerPaused = False
        if not streaming:
            self.write = self._pull_write
            self.writeSequence = self._pull_write_sequence
            self._uv.set_write_buffer_limits(0)
            producer.resumeProducing()
            self._schedule_pump()  # what was written before may have been sent already
        elif self._full:
            self.producerPaused = True
            producer.pauseProducing()

    def unregisterProducer(self) -> None:
        """Forget the producer; a close that waited for it goes on."""
        if self.TLS:
            self._protocol.unregisterProducer()
        else:
            self._unregister_producer()

    def _unregister_producer(self) -> None:
        had_pull_producer = self.producer is not None and not self.streamingProducer
        self.producer = None
        if not self.connected:
            return
        if had_pull_producer and not self._write_closed:
            self._uv.set_write_buffer_limits()
            self.write = self._uv.write
            self.writeSequence = self._uv.writelines
            if self.TLS:
                self.write = self._tls_write
                self.writeSequence = self._tls_write_sequence
        if self.disconnecting:
            self._schedule_close()

    def stopConsuming(self) -> None:
        """Forget the producer and close the connection."""
        self.unregisterProducer()
        self.loseConnection()

    def _pull_write(self, data: bytes) -> None:
        self._uv.write(data)
        self._schedule_pump()

    def _pull_write_sequence(self, chunks: Iterable[bytes]) -> None:
        self._uv.writelines(chunks)
        self._schedule_pump()

    def _schedule_pump(self) -> None:
        # uvloop sends at once what the kernel takes, and then does not call resume_writing.
        if not self._pump_scheduled and not self._uv.get_write_buffer_size():
            self._pump_scheduled = True
            self._loop.call_soon(self._pump)

    def _pump(self) -> None:
        self._pump_scheduled = False
        if self.producer is None or self.streamingProducer or not self.connected:
            return
        if self._uv.get_write_buffer_size() or self._uv.is_closing():
            return
        try:
            self.producer.resumeProducing()
        except BaseException:
            self._fail(Failure())
