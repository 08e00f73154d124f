"""A greeter by grpcio, as server and as client: generic handlers, so that nothing is generated."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc

SERVICE = "helloworld.Greeter"


def _plain(data: bytes) -> bytes:
    return data


class Greeter:
    """Greets who calls; started with C{start}."""

    def __init__(self) -> None:
        self.server = grpc.server(ThreadPoolExecutor(8))
        self.metadata: list[dict[str, Any]] = []
        kinds: Any = {
            "SayHello": grpc.unary_unary_rpc_method_handler(self.say_hello, _plain, _plain),
            "Fail": grpc.unary_unary_rpc_method_handler(self.fail, _plain, _plain),
            "Count": grpc.unary_stream_rpc_method_handler(self.count, _plain, _plain),
            "Collect": grpc.stream_unary_rpc_method_handler(self.collect, _plain, _plain),
            "Chat": grpc.stream_stream_rpc_method_handler(self.chat, _plain, _plain),
        }
        handlers = grpc.method_handlers_generic_handler(SERVICE, kinds)
        self.server.add_generic_rpc_handlers((handlers,))

    def start(self, credentials: Any = None) -> int:
        """Listen; return the port."""
        address = "127.0.0.1:0"
        if credentials is None:
            port = self.server.add_insecure_port(address)
        else:
            port = self.server.add_secure_port(address, credentials)
        self.server.start()
        return int(port)

    def stop(self) -> None:
        self.server.stop(None).wait()

    def _note(self, context: Any) -> None:
        self.metadata.append({each.key: each.value for each in context.invocation_metadata()})

    def say_hello(self, request: bytes, context: Any) -> bytes:
        self._note(context)
        context.set_trailing_metadata((("x-greeted", "yes"),))
        return b"Hello, " + request

    def fail(self, request: bytes, context: Any) -> bytes:
        context.abort(grpc.StatusCode.INVALID_ARGUMENT, "no such name")
        return b""

    def count(self, request: bytes, context: Any) -> Iterator[bytes]:
        for number in range(int(request)):
            yield b"%d" % number

    def collect(self, requests: Iterator[bytes], context: Any) -> bytes:
        return b",".join(requests)

    def chat(self, requests: Iterator[bytes], context: Any) -> Iterator[bytes]:
        for request in requests:
            yield request.upper()


class Caller:
    """Calls a greeter."""

    def __init__(self, port: int, credentials: Any = None, **options: Any) -> None:
        target = f"127.0.0.1:{port}"
        settings = list(options.items())
        if credentials is None:
            self.channel = grpc.insecure_channel(target, settings)
        else:
            self.channel = grpc.secure_channel(target, credentials, settings)

    def __enter__(self) -> Caller:
        return self

    def __exit__(self, *_: object) -> None:
        self.channel.close()

    def unary(self, method: str, request: bytes, **options: Any) -> Any:
        """The response and the call."""
        call = self.channel.unary_unary(f"/{SERVICE}/{method}", _plain, _plain)
        return call.with_call(request, timeout=5, **options)

    def failure(self, method: str, request: bytes, **options: Any) -> tuple[str, str]:
        """The code and the details of a call that fails."""
        try:
            self.unary(method, request, **options)
        except grpc.RpcError as error:
            return error.code().name, error.details()
        return "OK", ""

    def count(self, request: bytes) -> list[bytes]:
        stream = self.channel.unary_stream(f"/{SERVICE}/Count", _plain, _plain)
        return list(stream(request, timeout=5))

    def collect(self, requests: list[bytes]) -> bytes:
        stream = self.channel.stream_unary(f"/{SERVICE}/Collect", _plain, _plain)
        return bytes(stream(iter(requests), timeout=5))

    def chat(self, rounds: int) -> list[bytes]:
        """Say something only after the answer to what was said before."""
        stream = self.channel.stream_stream(f"/{SERVICE}/Chat", _plain, _plain)
        heard: list[bytes] = []
        arrived = threading.Semaphore(0)

        def speak() -> Iterator[bytes]:
            for number in range(rounds):
                while len(heard) < number:
                    arrived.acquire(timeout=5)
                yield b"word %d" % number

        for answer in stream(speak(), timeout=5):
            heard.append(answer)
            arrived.release()
        return heard
