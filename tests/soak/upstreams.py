"""Upstreams of a soak: C{python -m tests.soak.upstreams ECHO SOCKETS FICKLE}, three ports.

The first answers with the body that it is sent, the second sends each message of a WebSocket back,
and the third serves, refuses, resets or stalls, as the lines on standard input say.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import sys
from contextlib import suppress
from typing import Any, ClassVar, cast

import httptools
import uvloop
from websockets.asyncio.server import ServerConnection
from websockets.asyncio.server import serve as serve_sockets
from websockets.exceptions import ConnectionClosed

#: The address of the one that fails. Nobody else takes its port meanwhile.
FICKLE = "127.0.0.77"


class Echo(asyncio.Protocol):
    """Answers each request with its own body."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.parser = httptools.HttpRequestParser(self)
        self.body: list[bytes] = []

    def data_received(self, data: bytes) -> None:
        self.parser.feed_data(data)

    def on_body(self, part: bytes) -> None:
        self.body.append(part)

    def on_message_complete(self) -> None:
        body = b"".join(self.body)
        self.body.clear()
        self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)


class Fickle(Echo):
    """As L{Echo}, while there is nothing wrong with it."""

    mode = "serve"
    connections: ClassVar[set[Fickle]] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.connections.add(self)

    def connection_lost(self, error: Exception | None) -> None:
        self.connections.discard(self)

    def data_received(self, data: bytes) -> None:
        if self.mode == "serve":
            super().data_received(data)
        elif self.mode == "reset":
            self.reset()

    def reset(self) -> None:
        """End the connection with RST instead of FIN."""
        peer = self.transport.get_extra_info("socket")
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()


def _tell(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


async def _fickle(port: int) -> None:
    """Serve until standard input ends; a line changes what is wrong, an answer says that it has."""
    loop = asyncio.get_running_loop()
    commands = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    server: asyncio.Server | None = await loop.create_server(Fickle, FICKLE, port)
    _tell("ready")
    while line := await commands.readline():
        Fickle.mode = line.decode().strip()
        for connection in list(Fickle.connections):
            connection.reset()
        if Fickle.mode == "refuse" and server is not None:
            server.close()
            server = None
        elif Fickle.mode != "refuse" and server is None:
            server = await loop.create_server(Fickle, FICKLE, port)
        _tell(Fickle.mode)


async def _send_back(connection: ServerConnection) -> None:
    # Its worker may be killed.
    with suppress(ConnectionClosed):
        async for message in connection:
            await connection.send(message)


async def main(echo: int, sockets: int, fickle: int) -> None:
    loop = asyncio.get_running_loop()
    await loop.create_server(Echo, "127.0.0.1", echo)
    nothing: Any = None
    async with serve_sockets(_send_back, "127.0.0.1", sockets, compression=nothing):
        await _fickle(fickle)


if __name__ == "__main__":
    uvloop.run(main(*map(int, sys.argv[1:4])))
