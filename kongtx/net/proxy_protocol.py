"""The PROXY protocol, versions 1 and 2: who the peer of a balancer in front of us is. No I/O.

Source: HAProxy's "The PROXY protocol, Versions 1 & 2" (proxy-protocol.txt); its sections are given
in parentheses.
"""

from __future__ import annotations

import enum
import ipaddress
import re
import struct
from collections.abc import Iterable, Iterator

from attrs import frozen

from kongtx.net.crc32c import crc32c
from kongtx.net.errors import (
    MalformedProxyHeaderError,
    NoProxyHeaderError,
    ProxyHeaderTooLongError,
)

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
_V1_START = b"PROXY "
#: The longest line of version 1, its end included (2.1).
_V1_LONGEST = 107
_V1_PORT = re.compile(rb"0|[1-9][0-9]{0,4}\Z")
_V2_FIXED = len(SIGNATURE) + 4
_UNIX_PATH = 108

#: What a decoder takes by default; the addresses need at most 216 bytes, the rest is for TLVs.
DEFAULT_LIMIT = 4096


class Transport(enum.Enum):
    """How the client reached the balancer."""

    UNKNOWN = 0
    STREAM = 1
    DATAGRAM = 2


class TLVType(enum.IntEnum):
    """The types of values that version 2 registers (2.2)."""

    ALPN = 0x01
    AUTHORITY = 0x02
    CRC32C = 0x03
    NOOP = 0x04
    UNIQUE_ID = 0x05
    SSL = 0x20
    SSL_VERSION = 0x21
    SSL_CN = 0x22
    SSL_CIPHER = 0x23
    SSL_SIG_ALG = 0x24
    SSL_KEY_ALG = 0x25
    NETNS = 0x30


@frozen
class InetAddress:
    """An IPv4 or IPv6 address and a port.

    @ivar host: the address as text, compressed; the family is told by the colons.
    """

    host: bytes
    port: int


@frozen
class UnixAddress:
    """The path of a UNIX socket, without the padding; an abstract name begins with NUL."""

    path: bytes


Address = InetAddress | UnixAddress


@frozen
class TLV:
    """A typed value of version 2; types that are not registered are kept as numbers."""

    type: int
    value: bytes


@frozen
class TLSInfo:
    """What the balancer tells of the client's TLS (2.2.6).

    @ivar client: bits: 1 the client used TLS, 2 it presented a certificate on this connection,
        4 in this session.
    @ivar verify: 0 when the certificate was presented and verified.
    """

    client: int
    verify: int
    values: tuple[TLV, ...] = ()

    @property
    def verified(self) -> bool:
        """Whether a client certificate was presented and verified."""
        return self.client & 0x06 != 0 and self.verify == 0


@frozen
class ProxyHeader:
    """One decoded header.

    @ivar local: the balancer speaks for itself (a health check): the connection's own ends count.
    @ivar source: the client; None when it is not known, and then the connection's own ends count.
    @ivar destination: where the client connected to; None together with C{source}.
    """

    version: int
    local: bool = False
    transport: Transport = Transport.UNKNOWN
    source: Address | None = None
    destination: Address | None = None
    tlvs: tuple[TLV, ...] = ()

    def value(self, tlv_type: int) -> bytes | None:
        """Return the first value of a type, or None."""
        return next((tlv.value for tlv in self.tlvs if tlv.type == tlv_type), None)

    @property
    def tls(self) -> TLSInfo | None:
        """What the balancer tells of the client's TLS, or None."""
        value = self.value(TLVType.SSL)
        return None if value is None else _decode_tls(value)


class ProxyDecoder:
    """Takes the first bytes of a connection until a header is complete.

    @ivar rest: after the header: the bytes received behind it.
    """

    def __init__(self, limit: int = DEFAULT_LIMIT) -> None:
        """Make a decoder for one connection.

        @param limit: the longest header of version 2 to take, in bytes.
        """
        self._limit = limit
        self._received = b""
        self.rest = b""

    def feed(self, data: bytes) -> ProxyHeader | None:
        """Take received bytes.

        @return: the header once it is complete, else None.
        @raise NoProxyHeaderError: the bytes begin like neither version.
        @raise MalformedProxyHeaderError: they break a rule of their version.
        @raise ProxyHeaderTooLongError: the header is longer than allowed.
        """
        received = self._received = self._received + data
        if received[:1] == b"P":
            length = self._length_v1(received)
        else:
            length = self._length_v2(received)
        if length is None:
            return None
        self._received = b""
        self.rest = received[length:]
        return (_decode_v1 if received[:1] == b"P" else _decode_v2)(received[:length])

    def _length_v1(self, received: bytes) -> int | None:
        if received[: len(_V1_START)] != _V1_START[: len(received)]:
            raise NoProxyHeaderError(received)
        end = received.find(b"\r\n", 0, _V1_LONGEST)
        if end >= 0:
            return end + 2
        if len(received) >= _V1_LONGEST:
            raise ProxyHeaderTooLongError(len(received), _V1_LONGEST)
        return None

    def _length_v2(self, received: bytes) -> int | None:
        if received[: len(SIGNATURE)] != SIGNATURE[: len(received)]:
            raise NoProxyHeaderError(received)
        if len(received) < _V2_FIXED:
            return None
        length = _V2_FIXED + int.from_bytes(received[14:16], "big")
        if length > self._limit:
            raise ProxyHeaderTooLongError(length, self._limit)
        return length if len(received) >= length else None


# Version 1.


def _decode_v1(line: bytes) -> ProxyHeader:
    words = line[:-2].split(b" ")
    if words[1] == b"UNKNOWN":
        return ProxyHeader(1)  # whatever follows is to be ignored (2.1)
    if words[1] not in (b"TCP4", b"TCP6"):
        raise MalformedProxyHeaderError("the protocol must be TCP4, TCP6 or UNKNOWN", line)
    if len(words) != 6:
        raise MalformedProxyHeaderError("two addresses and two ports must follow", line)
    parse = _ipv4 if words[1] == b"TCP4" else _ipv6
    return ProxyHeader(
        1,
        transport=Transport.STREAM,
        source=InetAddress(parse(words[2], line), _port(words[4], line)),
        destination=InetAddress(parse(words[3], line), _port(words[5], line)),
    )


def _ipv4(text: bytes, line: bytes) -> bytes:
    try:
        return str(ipaddress.IPv4Address(text.decode("ascii"))).encode()
    except ValueError:
        raise MalformedProxyHeaderError("an IPv4 address is wrong", line) from None


def _ipv6(text: bytes, line: bytes) -> bytes:
    try:
        parsed = ipaddress.IPv6Address(text.decode("ascii"))
    except ValueError:
        raise MalformedProxyHeaderError("an IPv6 address is wrong", line) from None
    if parsed.scope_id is not None:
        raise MalformedProxyHeaderError("an IPv6 address has a zone", line)
    return str(parsed).encode()


def _port(text: bytes, line: bytes) -> int:
    if not _V1_PORT.fullmatch(text) or int(text) > 65535:
        raise MalformedProxyHeaderError("a port is wrong", line)
    return int(text)


def encode_v1(header: ProxyHeader) -> bytes:
    """Write a header in version 1; what version 1 cannot say becomes UNKNOWN."""
    source, destination = header.source, header.destination
    if (
        header.local
        or header.transport is not Transport.STREAM
        or not isinstance(source, InetAddress)
        or not isinstance(destination, InetAddress)
    ):
        return b"PROXY UNKNOWN\r\n"
    family = b"TCP6" if b":" in source.host else b"TCP4"
    return b"PROXY %b %b %b %d %d\r\n" % (
        family,
        source.host,
        destination.host,
        source.port,
        destination.port,
    )


# Version 2.

_FAMILY_SIZES = {0x1: 12, 0x2: 36, 0x3: 2 * _UNIX_PATH}


def _decode_v2(header: bytes) -> ProxyHeader:
    version, command = header[12] >> 4, header[12] & 0xF
    if version != 2:
        raise MalformedProxyHeaderError(f"version {version} is not known", header)
    if command > 1:
        raise MalformedProxyHeaderError(f"command {command} is not known", header)
    family, transport = header[13] >> 4, header[13] & 0xF
    if family > 3 or transport > 2:
        raise MalformedProxyHeaderError(f"family {header[13]:#04x} is not known", header)
    if command == 0:
        return ProxyHeader(2, local=True)  # addresses and TLVs are to be ignored (2.2)
    if not family or not transport:
        return ProxyHeader(2)
    body = header[_V2_FIXED:]
    size = _FAMILY_SIZES[family]
    if len(body) < size:
        raise MalformedProxyHeaderError("the addresses are cut short", header)
    source, destination = _decode_addresses(family, body)
    tlvs = tuple(_decode_tlvs(body[size:], header))
    _check_crc(tlvs, header)
    return ProxyHeader(2, False, Transport(transport), source, destination, tlvs)


def _decode_addresses(family: int, body: bytes) -> tuple[Address, Address]:
    if family == 0x3:
        paths = body[:_UNIX_PATH], body[_UNIX_PATH : 2 * _UNIX_PATH]
        return UnixAddress(_path(paths[0])), UnixAddress(_path(paths[1]))
    half = 4 if family == 0x1 else 16
    hosts = [
        str(ipaddress.ip_address(part)).encode() for part in (body[:half], body[half : 2 * half])
    ]
    ports = struct.unpack_from("!HH", body, 2 * half)
    return InetAddress(hosts[0], ports[0]), InetAddress(hosts[1], ports[1])


def _path(padded: bytes) -> bytes:
    if padded[:1] == b"\0":
        return padded.rstrip(b"\0")
    return padded.partition(b"\0")[0]


def _decode_tlvs(data: bytes, header: bytes) -> Iterator[TLV]:
    position = 0
    while position < len(data):
        if position + 3 > len(data):
            raise MalformedProxyHeaderError("a value's type or length is cut short", header)
        tlv_type, length = struct.unpack_from("!BH", data, position)
        position += 3
        if position + length > len(data):
            raise MalformedProxyHeaderError("a value is cut short", header)
        yield TLV(tlv_type, data[position : position + length])
        position += length


def _decode_tls(value: bytes) -> TLSInfo:
    if len(value) < 5:
        raise MalformedProxyHeaderError("the value about TLS is cut short", value)
    client, verify = struct.unpack_from("!BI", value)
    return TLSInfo(client, verify, tuple(_decode_tlvs(value[5:], value)))


def _check_crc(tlvs: tuple[TLV, ...], header: bytes) -> None:
    """Check the sum, which is made with its own four bytes zero (2.2.3), and the TLS value."""
    position = len(header) - sum(3 + len(tlv.value) for tlv in tlvs)
    for tlv in tlvs:
        position += 3
        if tlv.type == TLVType.CRC32C:
            if len(tlv.value) != 4:
                raise MalformedProxyHeaderError("the checksum must have four bytes", header)
            summed = header[:position] + bytes(4) + header[position + 4 :]
            if crc32c(summed) != int.from_bytes(tlv.value, "big"):
                raise MalformedProxyHeaderError("the checksum is wrong", header)
        elif tlv.type == TLVType.SSL:
            _decode_tls(tlv.value)
        elif tlv.type == TLVType.UNIQUE_ID and len(tlv.value) > 128:
            raise MalformedProxyHeaderError("the unique id is longer than 128 bytes", header)
        position += len(tlv.value)


def encode_v2(header: ProxyHeader, *, checksum: bool = False) -> bytes:
    """Write a header in version 2.

    @param checksum: whether to add a CRC32C value behind the others.
    @raise ValueError: a path is too long, or the values are.
    """
    source, destination = header.source, header.destination
    command = 0x20 if header.local else 0x21
    tlvs = list(header.tlvs)
    if header.local or source is None or destination is None:
        family, body = 0, b""
    else:
        number, addresses = _encode_addresses(source, destination)
        family, body = number << 4 | header.transport.value, addresses
    if checksum:
        tlvs.append(TLV(TLVType.CRC32C, bytes(4)))
    body += encode_tlvs(tlvs)
    if len(body) > 0xFFFF:
        raise ValueError("the addresses and values need more than 65535 bytes")
    encoded = SIGNATURE + struct.pack("!BBH", command, family, len(body)) + body
    if checksum:
        encoded = encoded[:-4] + crc32c(encoded).to_bytes(4, "big")
    return encoded


def _encode_addresses(source: Address, destination: Address) -> tuple[int, bytes]:
    if isinstance(source, UnixAddress) and isinstance(destination, UnixAddress):
        if max(len(source.path), len(destination.path)) > _UNIX_PATH:
            raise ValueError(f"a path is longer than {_UNIX_PATH} bytes")
        padded = source.path.ljust(_UNIX_PATH, b"\0") + destination.path.ljust(_UNIX_PATH, b"\0")
        return 0x3, padded
    if isinstance(source, InetAddress) and isinstance(destination, InetAddress):
        hosts = [ipaddress.ip_address(end.host.decode()) for end in (source, destination)]
        if hosts[0].version == hosts[1].version:
            ports = struct.pack("!HH", source.port, destination.port)
            family = 0x1 if hosts[0].version == 4 else 0x2
            return family, hosts[0].packed + hosts[1].packed + ports
    raise ValueError("source and destination must be of one family")


def encode_tlvs(tlvs: Iterable[TLV]) -> bytes:
    """Write values one behind the other."""
    return b"".join(struct.pack("!BH", tlv.type, len(tlv.value)) + tlv.value for tlv in tlvs)


def encode_tls(info: TLSInfo) -> TLV:
    """Write what is known of the client's TLS as the value that carries it."""
    fixed = struct.pack("!BI", info.client, info.verify)
    return TLV(TLVType.SSL, fixed + encode_tlvs(info.values))
