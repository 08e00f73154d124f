"""WebSocket messages of every kind, through a gateway, between another library's two ends."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.threads import deferToThread
from websockets.exceptions import ConnectionClosedError, ConnectionClosedOK
from websockets.sync.client import connect
from websockets.sync.server import ServerConnection, serve

#: Sizes at which the framing of RFC 6455 §5.2 changes its form, and their neighbours.
SIZES = (0, 1, 125, 126, 127, 128, 65535, 65536, 65537, 1_000_000)


def answer(connection: ServerConnection) -> None:
    """Echo each message; C{close CODE} closes with that code."""
    for message in connection:
        if isinstance(message, str) and message.startswith("close "):
            connection.close(int(message.removeprefix("close ")), "as you wish")
            return
        connection.send(message)


@pytest.fixture
def server() -> Iterator[str]:
    with serve(answer, "127.0.0.1", 0, max_size=2_000_000, subprotocols=["chat"]) as opened:
        thread = threading.Thread(target=opened.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{opened.socket.getsockname()[1]}"
        opened.shutdown()
        thread.join()


async def talk(make_gateway: Any, server: str, say: Any, **options: Any) -> Any:
    """What C{say(connection)} gives, on a connection through a gateway."""
    gateway = await make_gateway(
        {"services": [{"name": "s", "url": server, "routes": [{"paths": ["/ws"]}]}]}
    )
    url = gateway.url.replace("http://", "ws://") + "/ws/chat"

    options.setdefault("subprotocols", ["chat"])

    def run() -> Any:
        with connect(url, max_size=2_000_000, **options) as connection:
            return say(connection)

    return await deferToThread(run)


@pytest.mark.parametrize("compression", ["deflate", None])
@pytest_twisted.ensureDeferred
async def test_messages_of_all_sizes_come_back(
    make_gateway: Any, server: str, compression: str | None
) -> None:
    def say(connection: Any) -> list[bool]:
        same = []
        for size in SIZES:
            for message in ("ü" * (size // 2), bytes(size % 256 for _ in range(size))):
                connection.send(message)
                same.append(connection.recv(timeout=10) == message)
        return same

    same = await talk(make_gateway, server, say, compression=compression)
    assert same == [True] * (2 * len(SIZES))


@pytest_twisted.ensureDeferred
async def test_fragments_with_pings_between_them_make_one_message(
    make_gateway: Any, server: str
) -> None:
    def say(connection: Any) -> tuple[Any, bool]:
        def fragments() -> Iterator[str]:
            for number in range(5):
                yield str(number) * 1000
                assert connection.ping().wait(10)

        connection.send(fragments())
        return connection.recv(timeout=10), connection.ping(b"last").wait(10)

    message, ponged = await talk(make_gateway, server, say)
    assert message == "".join(str(number) * 1000 for number in range(5))
    assert ponged


@pytest_twisted.ensureDeferred
async def test_the_subprotocol_is_agreed_on(make_gateway: Any, server: str) -> None:
    agreed = await talk(
        make_gateway, server, lambda c: c.subprotocol, subprotocols=["other", "chat"]
    )
    assert agreed == "chat"


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (1000, ConnectionClosedOK),
        (1001, ConnectionClosedOK),
        (1008, ConnectionClosedError),
        (3000, ConnectionClosedError),
        (4999, ConnectionClosedError),
    ],
)
@pytest_twisted.ensureDeferred
async def test_closing_tells_code_and_reason(
    make_gateway: Any, server: str, code: int, error: type[Exception]
) -> None:
    def say(connection: Any) -> tuple[int, str]:
        connection.send(f"close {code}")
        with pytest.raises(error):
            connection.recv(timeout=10)
        return connection.close_code, connection.close_reason

    assert await talk(make_gateway, server, say) == (code, "as you wish")


@pytest_twisted.ensureDeferred
async def test_many_messages_on_the_way_at_once_keep_their_order(
    make_gateway: Any, server: str
) -> None:
    def say(connection: Any) -> list[str]:
        sender = threading.Thread(
            target=lambda: [connection.send(str(number)) for number in range(2000)]
        )
        sender.start()
        received = [connection.recv(timeout=10) for _ in range(2000)]
        sender.join()
        return received

    assert await talk(make_gateway, server, say) == [str(number) for number in range(2000)]
