"""A server connection on a transport in memory, with the h2 library as its client."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import h2.config
import h2.connection
import h2.events
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport

from kongtx.http.answering import ChannelSettings
from kongtx.http.h2.server import speak_http2
from kongtx.http.limits import Limits
from kongtx.http.server import ServerChannel

GET = [
    (b":method", b"GET"),
    (b":scheme", b"http"),
    (b":authority", b"example.com:8000"),
    (b":path", b"/some/path?a=b"),
]
POST = [(b":method", b"POST"), *GET[1:]]


class Exchange:
    """Keeps what its channel tells it; answers when asked to."""

    def __init__(self, site: Server, channel: Any, *head: Any) -> None:
        self.site = site
        self.channel = channel
        self.head = head
        self.told: list[tuple[Any, ...]] = []

    def start(self, body: bytes, complete: bool) -> None:
        self.told.append(("start", body, complete))
        self.site.answer(self)

    def body_part(self, data: bytes) -> None:
        self.told.append(("part", data))

    def body_end(self, trailers: Any) -> None:
        self.told.append(("end", tuple(trailers)))
        self.site.ended(self)

    def body_failed(self, status: int) -> None:
        self.told.append(("failed", status))

    def finished(self) -> None:
        self.told.append(("finished",))

    def client_lost(self) -> None:
        self.told.append(("lost",))

    def client_paused(self) -> None:
        self.told.append(("paused",))

    def client_resumed(self) -> None:
        self.told.append(("resumed",))

    def respond(self, body: bytes = b"", *headers: Any, status: int = 200) -> None:
        self.channel.respond(status, None, headers, body, len(body), True)

    @property
    def body(self) -> bytes:
        return b"".join(each[1] for each in self.told if each[0] in ("start", "part"))


def nothing(_: Exchange) -> None:
    """Answer later, or never."""


class Server:
    """What answers; C{exchanges} in the order of the requests."""

    def __init__(
        self,
        limits: Limits | None = None,
        answer: Callable[[Exchange], object] = nothing,
        ended: Callable[[Exchange], object] = nothing,
    ) -> None:
        self.clock = Clock()
        self.answer = answer
        self.ended = ended
        self.exchanges: list[Exchange] = []
        self.refusals: list[int] = []
        self.settings = ChannelSettings(
            self.clock, limits or Limits(), self._begin, self._refuse, speak_http2
        )
        self.transport = StringTransport()
        self.transport.protocol = channel = ServerChannel(self.settings)
        self.transport.abortConnection = self.transport.loseConnection  # type: ignore[method-assign]
        channel.makeConnection(self.transport)

    def _begin(self, channel: Any, *head: Any) -> Exchange:
        exchange = Exchange(self, channel, *head)
        self.exchanges.append(exchange)
        return exchange

    def _refuse(self, channel: Any, status: int, head: bytes) -> Any:
        self.refusals.append(status)
        exchange = Exchange(self, channel, status, head)
        exchange.start = lambda body, complete: exchange.respond(status=400)  # type: ignore[method-assign]
        return exchange

    @property
    def connection(self) -> Any:
        return self.transport.protocol

    def receive(self, data: bytes) -> None:
        self.transport.protocol.dataReceived(data)

    def sent(self) -> bytes:
        data = self.transport.value()
        self.transport.clear()
        return data

    def lose(self) -> None:
        self.transport.protocol.connectionLost(None)


class Pair:
    """A client and a server; C{exchange_bytes} moves what each has for the other."""

    def __init__(self, limits: Limits | None = None, **answers: Any) -> None:
        self.server = Server(limits, **answers)
        self.client = h2.connection.H2Connection(
            h2.config.H2Configuration(
                header_encoding=None,
                validate_outbound_headers=False,
                normalize_outbound_headers=False,
            )
        )
        self.client.initiate_connection()
        self.events: list[Any] = []
        self.move()

    def move(self, acknowledge: bool = True) -> list[Any]:
        """Let both sides say what they have to say; return what the client has heard."""
        heard: list[Any] = []
        while True:
            to_server = self.client.data_to_send()
            if to_server:
                self.server.receive(to_server)
            to_client = self.server.sent()
            if not to_client:
                break
            events = self.client.receive_data(to_client)
            for event in events:
                if acknowledge and isinstance(event, h2.events.DataReceived):
                    size = event.flow_controlled_length
                    self.client.acknowledge_received_data(size, event.stream_id)
            heard += events
        self.events += heard
        return heard

    def ask(self, headers: Any = GET, body: bytes | None = None, ended: bool = True) -> int:
        """Send a request; return its stream's id."""
        stream_id = self.client.get_next_available_stream_id()
        self.client.send_headers(stream_id, headers, end_stream=ended and body is None)
        if body is not None:
            self.client.send_data(stream_id, body, end_stream=ended)
        self.move()
        return stream_id

    def of(self, kind: type) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    def body(self, stream_id: int) -> bytes:
        return b"".join(
            event.data for event in self.of(h2.events.DataReceived) if event.stream_id == stream_id
        )
