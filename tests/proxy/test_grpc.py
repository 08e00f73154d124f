"""gRPC through a gateway: grpcio as client and as server."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
import pytest_twisted
import trustme
from twisted.internet.threads import deferToThread

from kongtx.conf.syntax.listen import Listen
from tests.proxy.greeter import Caller, Greeter
from tests.proxy.kit import Handler, Peer, Plugins, Step, free_port
from tests.proxy.test_http2 import curl, fields

LISTEN = Listen("127.0.0.1", 0, http2=True)
ROUTE = {"protocols": ["grpc", "grpcs"], "paths": ["/"], "strip_path": False}


@pytest.fixture
def greeter() -> Iterator[Greeter]:
    greeter = Greeter()
    yield greeter
    greeter.stop()


def proxied(made: Any, *peers: Peer, **options: Any) -> Any:
    options.setdefault("service", {"protocol": "grpc"})
    route = {**ROUTE, **options.pop("route", {})}
    return made.gateway(*peers, route=route, listen=LISTEN, **options)


def peer(port: int) -> Peer:
    return Peer("127.0.0.1", port, b"greeter.test")


@pytest_twisted.ensureDeferred
async def test_unary_calls_pass_with_metadata_both_ways(made: Any, greeter: Greeter) -> None:
    gateway = proxied(made, peer(greeter.start()))

    def call() -> Any:
        with Caller(gateway.number) as caller:
            answers = [
                caller.unary("SayHello", b"you", metadata=[("x-mine", "1")]) for _ in range(3)
            ]
        return [(answer, dict(made.trailing_metadata())) for answer, made in answers]

    answers = await deferToThread(call)
    assert answers == [(b"Hello, you", {"x-greeted": "yes"})] * 3
    metadata = greeter.metadata[0]
    assert metadata["x-mine"] == "1"
    assert metadata["x-forwarded-proto"] == "http"
    assert len(metadata["x-kong-request-id"]) == 32
    await gateway.log.wait(3)
    assert [(each.status, each.upstream_status) for each in gateway.log.requests] == [
        (200, 200)
    ] * 3
    outcomes = [event for event in gateway.balancer.events if event[0] == "finished"]
    assert [outcome for _, _, outcome in outcomes] == [200] * 3


@pytest_twisted.ensureDeferred
async def test_a_failed_call_keeps_its_code_and_its_words(made: Any, greeter: Greeter) -> None:
    gateway = proxied(made, peer(greeter.start()))

    def call() -> Any:
        with Caller(gateway.number) as caller:
            return caller.failure("Fail", b""), caller.failure("Unknown", b"")[0]

    assert await deferToThread(call) == (("INVALID_ARGUMENT", "no such name"), "UNIMPLEMENTED")


@pytest_twisted.ensureDeferred
async def test_all_kinds_of_streams_pass_as_they_come(made: Any, greeter: Greeter) -> None:
    gateway = proxied(made, peer(greeter.start()))

    def call() -> Any:
        with Caller(gateway.number) as caller:
            return (
                caller.count(b"50"),
                caller.collect([b"a", b"b", b"c"]),
                # Each word waits for the answer to the one before: nothing may be held back.
                caller.chat(5),
            )

    counted, collected, chat = await deferToThread(call)
    assert counted == [b"%d" % number for number in range(50)]
    assert collected == b"a,b,c"
    assert chat == [b"WORD %d" % number for number in range(5)]


@pytest_twisted.ensureDeferred
async def test_large_messages_pass_within_flow_control(made: Any, greeter: Greeter) -> None:
    gateway = proxied(made, peer(greeter.start()))
    size = 3 << 20

    def call() -> Any:
        with Caller(gateway.number, **{"grpc.max_receive_message_length": -1}) as caller:
            return caller.unary("SayHello", b"x" * size)[0]

    assert await deferToThread(call) == b"Hello, " + b"x" * size


@pytest_twisted.ensureDeferred
async def test_many_calls_share_one_connection_to_the_upstream(made: Any, greeter: Greeter) -> None:
    gateway = proxied(made, peer(greeter.start()))

    def call() -> Any:
        with Caller(gateway.number) as caller:
            method = caller.channel.unary_unary("/helloworld.Greeter/SayHello")
            futures = [method.future(b"%d" % number, timeout=5) for number in range(50)]
            return [future.result() for future in futures]

    assert await deferToThread(call) == [b"Hello, %d" % number for number in range(50)]
    (connections,) = gateway.pool._streams._connections.values()
    assert len(connections) == 1
    assert connections[0].requests == 50
    assert connections[0].streams == {}


@pytest_twisted.ensureDeferred
async def test_an_upstream_that_cannot_be_reached_is_unavailable(made: Any) -> None:
    gateway = proxied(made, peer(free_port()), service={"protocol": "grpc", "retries": 0})

    def call() -> Any:
        with Caller(gateway.number) as caller:
            return caller.failure("SayHello", b"you")

    code, details = await deferToThread(call)
    assert (code, details) == (
        "INTERNAL",
        "An invalid response was received from the upstream server",
    )


@pytest_twisted.ensureDeferred
async def test_an_upstream_that_comes_back_is_connected_to_again(made: Any) -> None:
    first = Greeter()
    port = first.start()
    gateway = proxied(made, peer(port))

    def call() -> Any:
        with Caller(gateway.number) as caller:
            return caller.unary("SayHello", b"you")[0]

    assert await deferToThread(call) == b"Hello, you"
    await deferToThread(first.stop)
    second = Greeter()
    assert second.server.add_insecure_port(f"127.0.0.1:{port}") == port
    second.server.start()
    try:
        assert await deferToThread(call) == b"Hello, you"
    finally:
        await deferToThread(second.stop)


@pytest_twisted.ensureDeferred
async def test_plugins_refuse_by_grpc_status(made: Any, greeter: Greeter) -> None:
    handler = Handler("mine", access=lambda request: request.error(401, "No credentials"))
    gateway = proxied(made, peer(greeter.start()), plugins=Plugins([Step(handler)]))

    def call() -> Any:
        with Caller(gateway.number) as caller:
            return caller.failure("SayHello", b"you")

    assert await deferToThread(call) == ("UNAUTHENTICATED", "No credentials")


@pytest_twisted.ensureDeferred
async def test_what_is_no_grpc_on_a_grpc_route_is_415(made: Any, greeter: Greeter) -> None:
    gateway = proxied(made, peer(greeter.start()))
    head, body = await curl(f"http://127.0.0.1:{gateway.number}/x", "-H", "Content-Type: text/x")
    assert head.startswith("HTTP/2 415")
    assert b"Non-gRPC request matched gRPC route" in body


@pytest_twisted.ensureDeferred
async def test_grpc_over_http1_is_426(made: Any, greeter: Greeter) -> None:
    gateway = proxied(made, peer(greeter.start()))
    head, body = await curl(
        f"http://127.0.0.1:{gateway.number}/x", "--http1.1", "-H", "Content-Type: application/grpc"
    )
    assert head.startswith("HTTP/1.1 426")
    assert fields(head)["upgrade"] == "HTTP/2"
    assert b"Please use HTTP2 protocol" in body


@pytest_twisted.ensureDeferred
async def test_a_route_for_grpcs_alone_says_so_in_the_clear(made: Any, greeter: Greeter) -> None:
    gateway = proxied(made, peer(greeter.start()), route={"protocols": ["grpcs"]})

    def call() -> Any:
        with Caller(gateway.number) as caller:
            return caller.failure("SayHello", b"you")

    assert await deferToThread(call) == ("CANCELLED", "gRPC request matched gRPCs route")


@pytest_twisted.ensureDeferred
async def test_a_cancelled_call_is_cancelled_upstream(made: Any, greeter: Greeter) -> None:
    gateway = proxied(made, peer(greeter.start()))
    done = threading.Event()

    def speak() -> Iterator[bytes]:
        yield b"one"
        done.wait(5)

    def call() -> Any:
        with Caller(gateway.number) as caller:
            stream = caller.channel.stream_stream("/helloworld.Greeter/Chat")
            answers = stream(speak(), timeout=5)
            first = next(answers)
            answers.cancel()
            done.set()
            return first

    assert await deferToThread(call) == b"ONE"
    await gateway.log.wait()
    ((connection,),) = gateway.pool._streams._connections.values()
    assert connection.streams == {}
    assert connection.has_room


@pytest_twisted.ensureDeferred
async def test_grpcs_is_spoken_on_both_sides(make_gateway: Any, greeter: Greeter) -> None:
    authority = trustme.CA()
    server = authority.issue_cert("127.0.0.1", "greeter.test")
    chain = server.cert_chain_pems[0].bytes()
    port = greeter.start(grpc.ssl_server_credentials(((server.private_key_pem.bytes(), chain),)))
    client_side = authority.issue_cert("gateway.test")
    gateway = await make_gateway(
        {
            "services": [
                {
                    "name": "greeter",
                    "url": f"grpcs://127.0.0.1:{port}",
                    "routes": [{"protocols": ["grpc", "grpcs"], "paths": ["/"]}],
                }
            ],
            "certificates": [
                {
                    "cert": client_side.cert_chain_pems[0].bytes().decode(),
                    "key": client_side.private_key_pem.bytes().decode(),
                    "snis": [{"name": "gateway.test"}],
                }
            ],
        },
        proxy_listen="127.0.0.1:0 ssl http2",
    )
    credentials = grpc.ssl_channel_credentials(authority.cert_pem.bytes())
    proxy_port = int(gateway.url.rpartition(":")[2])

    def call() -> Any:
        name = {"grpc.ssl_target_name_override": "gateway.test"}
        with Caller(proxy_port, credentials, **name) as caller:
            return caller.unary("SayHello", b"you")[0], caller.chat(3)

    assert await deferToThread(call) == (b"Hello, you", [b"WORD 0", b"WORD 1", b"WORD 2"])
    assert greeter.metadata[0]["x-forwarded-proto"] == "https"
