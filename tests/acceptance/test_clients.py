"""Clients that speak more than requests and responses: WebSocket and gRPC."""

from __future__ import annotations

import threading
from typing import Any

import grpc
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from tests.acceptance.comparing import ADDED
from tests.acceptance.conftest import Setup, both
from tests.proxy.greeter import SERVICE

pytestmark = pytest.mark.long


def test_messages_pass_both_ways_until_the_application_closes(setup: Setup) -> None:
    def talk(url: str) -> tuple[Any, ...]:
        target = url.replace("http", "ws", 1) + "/socket"
        with connect(target, subprotocols=["other", "chat"], max_size=None) as socket:  # type: ignore[list-item]
            heard: list[Any] = []
            for message in ("text", "", "ü" * 70_000, b"", bytes(range(256)) * 5000):
                socket.send(message)
                heard.append(socket.recv(20))
            pinged = socket.ping(b"still there").wait(20)
            socket.send("leave")
            with pytest.raises(ConnectionClosed) as caught:
                socket.recv(20)
            close = caught.value.rcvd
            return socket.subprotocol, heard, pinged, close

    subprotocol, heard, pinged, close = both(setup.application, talk)
    assert (subprotocol, pinged, close.code, close.reason) == ("chat", True, 4001, "asked to")
    assert heard == ["TEXT", "", "Ü" * 70_000, b"", (bytes(range(256)) * 5000)[::-1]]


def test_a_socket_that_is_refused_is_refused(setup: Setup) -> None:
    def refused(url: str) -> int:
        with pytest.raises(InvalidStatus) as caught:
            connect(url.replace("http", "ws", 1) + "/refused")
        return caught.value.response.status_code

    assert both(setup.application, refused) == 403


KINDS: dict[str, tuple[str, str, Any]] = {
    "unary": ("unary_unary", "SayHello", b"you"),
    "server stream": ("unary_stream", "Count", b"200"),
    "client stream": ("stream_unary", "Collect", [b"a", b"b" * 100_000, b""]),
    "both stream": ("stream_stream", "Chat", [b"a", b"b" * 100_000, b"c"]),
    "an error": ("unary_unary", "Fail", b"x"),
    "an unknown method": ("unary_unary", "Unknown", b"x"),
}


@pytest.mark.parametrize("name", KINDS)
def test_grpc_calls_are_answered_alike(setup: Setup, name: str) -> None:
    kind, method, sent = KINDS[name]

    def call(target: str) -> tuple[Any, ...]:
        with grpc.insecure_channel(target) as channel:
            stub = getattr(channel, kind)(f"/{SERVICE}/{method}")
            request = iter(sent) if isinstance(sent, list) else sent
            options: dict[str, Any] = {"metadata": (("x-a", "1"), ("x-b-bin", b"\0\xff"))}
            try:
                if kind.endswith("_stream"):
                    calling = stub(request, timeout=20, **options)
                    answer = list(calling)
                else:
                    answer, calling = stub.with_call(request, timeout=20, **options)
            except grpc.RpcError as error:
                answer, calling = None, error
            trailing = tuple(
                (each.key, each.value)
                for each in calling.trailing_metadata()
                # What has no message has its headers among the trailers.
                if each.key not in (*ADDED, "date")
            )
            return answer, calling.code(), calling.details(), trailing

    _, code, _, _ = both(setup.greeter, call)
    failures = {
        "an error": grpc.StatusCode.INVALID_ARGUMENT,
        "an unknown method": grpc.StatusCode.UNIMPLEMENTED,
    }
    assert code == failures.get(name, grpc.StatusCode.OK)


def test_a_deadline_ends_a_call(setup: Setup) -> None:
    def late(target: str) -> grpc.StatusCode:
        with grpc.insecure_channel(target) as channel:
            # Nothing is sent until the call is over, so nothing is answered.
            over = threading.Event()
            calling = channel.stream_stream(f"/{SERVICE}/Chat")(
                (b"x" for _ in range(1) if over.wait(20)), timeout=0.5
            )
            with pytest.raises(grpc.RpcError):
                next(calling)
            over.set()
            code: grpc.StatusCode = calling.code()
            return code

    assert both(setup.greeter, late) == grpc.StatusCode.DEADLINE_EXCEEDED
