"""Messages of other protocols: DNS, PROXY, and AMP between workers."""

from __future__ import annotations

import contextlib
import json
from typing import Any

from attrs import evolve
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.names import dns
from twisted.protocols import amp
from twisted.python.failure import Failure

from kongtx.dns.message import BadMessage, decode_response, encode_query, follow
from kongtx.dns.records import SRV, A
from kongtx.events.broker import EventBroker, _BrokerFactory
from kongtx.events.chunks import PIECE_SIZE, Assembler, decode, encode, split
from kongtx.events.commands import Call, Hello, Piece, Publish
from kongtx.events.errors import PayloadError, PieceError
from kongtx.net.errors import ProxyProtocolError
from kongtx.net.proxy_protocol import (
    SIGNATURE,
    InetAddress,
    ProxyDecoder,
    TLVType,
    encode_v1,
    encode_v2,
)
from tests.fuzz.http import in_pieces


def dns_message(data: bytes) -> None:
    """A response is read or refused, and chains of names are followed to an end."""
    for rtype in (A, SRV):
        with contextlib.suppress(BadMessage):
            response = decode_response(data, 7, "a.test", rtype)
            records, name, ttl = follow(response.answers, "a.test", rtype)
            assert all(record.rtype == rtype and record.name == name for record in records)
            assert ttl is None or ttl >= 0
            for record in response.answers:
                # What is told has to be fit for the next question, a log and a connection.
                record.value.encode()
                with contextlib.suppress(ValueError):
                    encode_query(1, record.value, A)


def _decoded(pieces: list[bytes]) -> Any:
    decoder = ProxyDecoder()
    header, rest = None, b""
    try:
        for piece in pieces:
            if header is None:
                header = decoder.feed(piece)
                rest = decoder.rest
            else:
                rest += piece
    except ProxyProtocolError:
        return "refused"
    return header, rest


def proxy_protocol(data: bytes) -> None:
    """A header is decoded the same however it is cut, or refused; written again it is the same."""
    whole, pieces = in_pieces(data)
    outcome = _decoded([whole])
    assert outcome == _decoded(pieces)
    if outcome == "refused" or outcome[0] is None:
        return
    header = outcome[0]
    header.tls  # noqa: B018 - what is in it was checked with the header
    if header.version == 2:
        without = tuple(tlv for tlv in header.tlvs if tlv.type != TLVType.CRC32C)
        bare = evolve(header, tlvs=without)
        assert ProxyDecoder(70000).feed(encode_v2(bare)) == bare
    elif isinstance(header.source, InetAddress) and (
        (b":" in header.source.host) == (b":" in header.destination.host)
    ):
        assert ProxyDecoder().feed(encode_v1(header)) == header


def event_bus(data: bytes) -> None:
    """Whatever a worker's end sends, the broker goes on: another worker still gets events."""
    _, pieces = in_pieces(data)
    broker = EventBroker(Clock(), "unused", max_payload=100_000)
    factory = _BrokerFactory(broker)
    good, bad = factory.buildProtocol(None), factory.buildProtocol(None)
    transports = StringTransport(), StringTransport()
    for link, transport in zip((good, bad), transports, strict=True):
        transport.abortConnection = transport.loseConnection  # type: ignore[method-assign]
        link.makeConnection(transport)
    good.dataReceived(_box(Hello, worker_id=0, pid=1, instance=b"good"))
    if data[:1] < b"\x80":
        bad.dataReceived(_box(Hello, worker_id=1, pid=2, instance=b"bad"))
    # Transports end a connection whose protocol raises; these errors say that it was not spoken.
    with contextlib.suppress(amp.AmpError, UnicodeError):
        for piece in pieces:
            if not transports[1].disconnecting:
                bad.dataReceived(piece)
    bad.connectionLost(Failure(ConnectionDone()))
    heard: list[Any] = []
    broker.subscribe("after", None, lambda *told: heard.append(told[0]))
    transports[0].clear()
    broker.publish("after", "all", {"n": 1})
    assert b"after" in transports[0].value()
    assert heard == [{"n": 1}]
    assert bad not in broker._links


def _box(command: Any, **arguments: Any) -> bytes:
    box = command.makeArguments(arguments, None)
    box[b"_command"] = command.commandName
    box[b"_ask"] = b"1"
    data: bytes = box.serialize()
    return data


def event_chunks(data: bytes) -> None:
    """Data survives encoding and pieces; what JSON does not hold is refused."""
    with contextlib.suppress(ValueError, RecursionError):
        value = json.loads(data)
        with contextlib.suppress(PayloadError):
            payload = encode(value)
            again = decode(payload)
            assert again == value or "NaN" in payload.decode()
    size = data[0] % 50 + 1 if data else 1
    parts, tail = split(data, size)
    assembler = Assembler(limit=max(len(data), 1))
    for part in parts:
        assembler.add(1, part)
    assert assembler.finish(1 if parts else 0, tail) == data
    with contextlib.suppress(PieceError):
        assembler.finish(data[-1] if data else 3, tail)
    assert len(assembler) == 0
    assert PIECE_SIZE < 65536


def _reply() -> bytes:
    message = dns.Message(7, answer=1)
    message.addQuery(b"a.test", A, dns.IN)
    for payload in (
        dns.Record_CNAME(b"b.test", 9),
        dns.Record_A("1.2.3.4"),
        dns.Record_AAAA("2001:db8::1"),
        dns.Record_SRV(1, 2, 3, b"c.test"),
    ):
        message.answers.append(dns.RRHeader(b"a.test", payload.TYPE, dns.IN, 60, payload))
    data: bytes = message.toStr()
    return data


DNS = [_reply(), _reply()[:-3], encode_query(7, "a.test", A)]
PROXY = [
    b"\0PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\nGET /",
    b"\0PROXY TCP6 2001:db8::1 ::1 1 2\r\n",
    b"\0PROXY UNKNOWN\r\n",
    b"\1\x60" + SIGNATURE + b"\x21\x11\0\x0c\1\2\3\4\5\6\7\x08\0\1\0\2rest",
    b"\0" + SIGNATURE + b"\x21\x21\0\x2b" + bytes(36) + b"\x20\0\5\1\0\0\0\0\0rest",
    b"\0" + SIGNATURE + b"\x20\0\0\0",
]
BUS = [
    b"\0"
    + _box(Piece, message=1, piece=b'{"a":')
    + _box(Publish, sequence=1, channel="c", event="e", unique="u", message=1, tail=b"1}"),
    b"\x80" + _box(Call, name="lease.acquire", message=0, tail=b'{"name":"x"}'),
    b"\0" + _box(Call, name="lease.release", message=0, tail=b'{"name":"x"}'),
    b"\0" + _box(Call, name="bus.gather", message=0, tail=b'{"name":"x","data":1}'),
    b"\0" + _box(Hello, worker_id=1, pid=2, instance=b"other"),
]
CHUNKS = [b'{"a":[1,2.5,null,true,"\\ud800"]}', b"[[[]]]", b"1e999"]
