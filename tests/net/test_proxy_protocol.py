"""The PROXY protocol codec, with bytes alone."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kongtx.net.crc32c import crc32c
from kongtx.net.errors import (
    MalformedProxyHeaderError,
    NoProxyHeaderError,
    ProxyHeaderTooLongError,
    ProxyProtocolError,
)
from kongtx.net.proxy_protocol import (
    SIGNATURE,
    TLV,
    InetAddress,
    ProxyDecoder,
    ProxyHeader,
    TLSInfo,
    TLVType,
    Transport,
    UnixAddress,
    encode_tls,
    encode_v1,
    encode_v2,
)

ports = st.integers(0, 65535)
paths = st.one_of(
    st.binary(max_size=108).map(lambda path: path.replace(b"\0", b"x")),
    st.binary(min_size=1, max_size=106).map(lambda name: b"\0" + name.rstrip(b"\0") + b"x"),
)


def ends(host):
    address = st.builds(InetAddress, host.map(lambda ip: str(ip).encode()), ports)
    return st.tuples(address, address)


inet_ends = st.one_of(ends(st.ip_addresses(v=4)), ends(st.ip_addresses(v=6)))
unix_ends = st.tuples(st.builds(UnixAddress, paths), st.builds(UnixAddress, paths))
free_tlvs = st.builds(
    TLV, st.sampled_from([0x01, 0x02, 0x04, 0x05, 0x30, 0xE0, 0xEF]), st.binary(max_size=100)
)
tls_tlvs = st.builds(
    TLSInfo,
    st.integers(0, 7),
    st.integers(0, 2**32 - 1),
    st.lists(st.builds(TLV, st.integers(0x21, 0x25), st.binary(max_size=20)), max_size=4).map(
        tuple
    ),
).map(encode_tls)


@st.composite
def v1_headers(draw):
    if draw(st.booleans()):
        return ProxyHeader(1)
    source, destination = draw(inet_ends)
    return ProxyHeader(1, False, Transport.STREAM, source, destination)


@st.composite
def v2_headers(draw):
    if draw(st.integers(0, 9)) == 0:
        return ProxyHeader(2, local=draw(st.booleans()))
    source, destination = draw(st.one_of(inet_ends, unix_ends))
    transport = draw(st.sampled_from([Transport.STREAM, Transport.DATAGRAM]))
    tlvs = draw(st.lists(st.one_of(free_tlvs, tls_tlvs), max_size=5).map(tuple))
    return ProxyHeader(2, False, transport, source, destination, tlvs)


def feed_in_pieces(draw, encoded):
    """Feed bytes in drawn pieces; return the header, and what was left when it was complete."""
    decoder = ProxyDecoder(limit=70000)
    header, position = None, 0
    while position < len(encoded):
        size = draw(st.integers(1, len(encoded) - position))
        header = decoder.feed(encoded[position : position + size])
        position += size
        if header is not None:
            break
    return header, decoder.rest + encoded[position:]


@given(st.data(), v1_headers(), st.binary(max_size=50))
def test_version_1_survives_any_chunking(data, header, after):
    assert feed_in_pieces(data.draw, encode_v1(header) + after) == (header, after)


@given(st.data(), v2_headers(), st.binary(max_size=50))
def test_version_2_survives_any_chunking(data, header, after):
    assert feed_in_pieces(data.draw, encode_v2(header) + after) == (header, after)


@given(v2_headers())
def test_a_checksum_is_verified(header):
    encoded = encode_v2(header, checksum=True)
    decoded = ProxyDecoder(70000).feed(encoded)
    if header.source is None:
        assert decoded == header
        return
    assert decoded.tlvs[:-1] == header.tlvs
    broken = encoded[:16] + bytes([encoded[16] ^ 1]) + encoded[17:]
    with pytest.raises(MalformedProxyHeaderError, match="the checksum is wrong"):
        ProxyDecoder(70000).feed(broken)


@given(st.one_of(v1_headers().map(encode_v1), v2_headers().map(encode_v2)), st.data())
def test_a_part_of_a_header_is_no_header_yet(encoded, data):
    assert ProxyDecoder(70000).feed(encoded[: data.draw(st.integers(0, len(encoded) - 1))]) is None


@given(st.one_of(st.just(b"PROXY "), st.just(SIGNATURE), st.just(b"")), st.binary(max_size=300))
def test_any_bytes_give_a_header_or_nothing_or_a_typed_error(start, data):
    try:
        header = ProxyDecoder().feed(start + data)
    except ProxyProtocolError:
        return
    assert header is None or isinstance(header, ProxyHeader)


def test_version_1_over_ipv4_as_written_by_a_balancer():
    decoder = ProxyDecoder()
    header = decoder.feed(b"PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\nGET / HTTP/1.1\r\n")
    assert header == ProxyHeader(
        1,
        False,
        Transport.STREAM,
        InetAddress(b"192.0.2.1", 56324),
        InetAddress(b"198.51.100.7", 443),
    )
    assert decoder.rest == b"GET / HTTP/1.1\r\n"


def test_version_1_over_ipv6_is_compressed():
    header = ProxyDecoder().feed(b"PROXY TCP6 2001:DB8:0:0:0:0:0:1 ::1 1 2\r\n")
    assert header.source == InetAddress(b"2001:db8::1", 1)
    assert header.destination == InetAddress(b"::1", 2)


def test_what_follows_unknown_is_ignored():
    header = ProxyDecoder().feed(b"PROXY UNKNOWN ffff::1 whatever 0 x y z\r\n")
    assert header == ProxyHeader(1)


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        (b"PROXY TCP4 192.0.2.1 198.51.100.7 1\r\n", "two addresses and two ports"),
        (b"PROXY TCP4 192.0.2.1 198.51.100.7 1 2 3\r\n", "two addresses and two ports"),
        (b"PROXY TCP4  192.0.2.1 198.51.100.7 1 2\r\n", "two addresses and two ports"),
        (b"PROXY TCP4 192.0.2.01 198.51.100.7 1 2\r\n", "IPv4 address"),
        (b"PROXY TCP4 ::1 ::1 1 2\r\n", "IPv4 address"),
        (b"PROXY TCP6 192.0.2.1 192.0.2.1 1 2\r\n", "IPv6 address is wrong"),
        (b"PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n", "zone"),
        (b"PROXY TCP4 \xc3\xa9 192.0.2.1 1 2\r\n", "IPv4 address"),
        (b"PROXY TCP4 192.0.2.1 192.0.2.1 01 2\r\n", "port"),
        (b"PROXY TCP4 192.0.2.1 192.0.2.1 1 65536\r\n", "port"),
        (b"PROXY TCP4 192.0.2.1 192.0.2.1 1 +2\r\n", "port"),
        (b"PROXY TCP4 192.0.2.1 192.0.2.1 1 \r\n", "port"),
        (b"PROXY UDP4 192.0.2.1 192.0.2.1 1 2\r\n", "TCP4, TCP6 or UNKNOWN"),
        (b"PROXY \r\n", "TCP4, TCP6 or UNKNOWN"),
    ],
)
def test_version_1_refuses(line, rule):
    with pytest.raises(MalformedProxyHeaderError, match=rule):
        ProxyDecoder().feed(line)


@pytest.mark.parametrize("start", [b"GET / HTTP/1.1\r\n", b"PROXX", b"\r\n\r\nX", b"\x16\x03\x01"])
def test_other_beginnings_are_told_at_the_first_wrong_byte(start):
    with pytest.raises(NoProxyHeaderError):
        ProxyDecoder().feed(start)


def test_a_line_of_107_bytes_is_taken_and_a_longer_one_is_not():
    longest = b"PROXY UNKNOWN ".ljust(105, b"x") + b"\r\n"
    assert ProxyDecoder().feed(longest) == ProxyHeader(1)
    with pytest.raises(ProxyHeaderTooLongError, match="at most 107"):
        ProxyDecoder().feed(longest[:-2] + b"x\r\n")


def test_a_long_header_is_refused_before_it_has_arrived():
    with pytest.raises(ProxyHeaderTooLongError, match="5016 bytes or more; at most 4096"):
        ProxyDecoder().feed(SIGNATURE + b"\x21\x11" + (5000).to_bytes(2, "big"))


def test_version_2_as_written_by_a_balancer():
    body = bytes([192, 0, 2, 1, 198, 51, 100, 7]) + b"\xdc\x04\x01\xbb"
    decoder = ProxyDecoder()
    header = decoder.feed(SIGNATURE + b"\x21\x11\x00\x0c" + body + b"hello")
    assert header == ProxyHeader(
        2,
        False,
        Transport.STREAM,
        InetAddress(b"192.0.2.1", 56324),
        InetAddress(b"198.51.100.7", 443),
    )
    assert decoder.rest == b"hello"


def test_a_local_command_hides_addresses_and_values():
    body = bytes(12) + b"\x05\xff\xff broken value"
    header = ProxyDecoder().feed(
        SIGNATURE + b"\x20\x11" + len(body).to_bytes(2, "big") + body,
    )
    assert header == ProxyHeader(2, local=True)


@pytest.mark.parametrize("family", [0x00, 0x01, 0x02, 0x10, 0x30])
def test_an_unspecified_family_or_transport_hides_the_addresses(family):
    header = ProxyDecoder().feed(SIGNATURE + bytes([0x21, family, 0, 4]) + b"junk")
    assert header == ProxyHeader(2)


@pytest.mark.parametrize(
    ("fixed", "body", "rule"),
    [
        (b"\x11\x11", b"", "version 1 is not known"),
        (b"\x22\x11", b"", "command 2 is not known"),
        (b"\x21\x41", b"", "family 0x41 is not known"),
        (b"\x21\x13", b"", "family 0x13 is not known"),
        (b"\x21\x11", bytes(11), "addresses are cut short"),
        (b"\x21\x21", bytes(35), "addresses are cut short"),
        (b"\x21\x31", bytes(215), "addresses are cut short"),
        (b"\x21\x11", bytes(12) + b"\x04\x00", "type or length is cut short"),
        (b"\x21\x11", bytes(12) + b"\x04\x00\x02x", "a value is cut short"),
        (b"\x21\x11", bytes(12) + b"\x20\x00\x02xx", "about TLS is cut short"),
        (b"\x21\x11", bytes(12) + b"\x20\x00\x08" + bytes(5) + b"\x21\x00\x09", "cut short"),
        (b"\x21\x11", bytes(12) + b"\x03\x00\x02xx", "checksum must have four bytes"),
        (b"\x21\x11", bytes(12) + b"\x05\x00\x81" + bytes(129), "longer than 128"),
    ],
)
def test_version_2_refuses(fixed, body, rule):
    with pytest.raises(MalformedProxyHeaderError, match=rule):
        ProxyDecoder().feed(SIGNATURE + fixed + len(body).to_bytes(2, "big") + body)


def test_values_are_found_by_type():
    client_tls = TLSInfo(0x03, 0, (TLV(TLVType.SSL_VERSION, b"TLSv1.3"), TLV(0x22, b"client")))
    encoded = encode_v2(
        ProxyHeader(
            2,
            False,
            Transport.STREAM,
            InetAddress(b"192.0.2.1", 1),
            InetAddress(b"192.0.2.2", 2),
            (TLV(TLVType.AUTHORITY, b"example.com"), encode_tls(client_tls)),
        )
    )
    header = ProxyDecoder().feed(encoded)
    assert header.value(TLVType.AUTHORITY) == b"example.com"
    assert header.value(TLVType.ALPN) is None
    assert header.tls == client_tls
    assert header.tls.verified
    assert ProxyHeader(2).tls is None
    assert not TLSInfo(0x01, 0).verified
    assert not TLSInfo(0x03, 1).verified


@pytest.mark.parametrize(
    ("source", "destination"),
    [
        (UnixAddress(b"/a"), InetAddress(b"192.0.2.1", 1)),
        (InetAddress(b"::1", 1), InetAddress(b"192.0.2.1", 1)),
        (UnixAddress(b"/" * 109), UnixAddress(b"")),
    ],
)
def test_what_cannot_be_encoded_is_told(source, destination):
    with pytest.raises(ValueError, match=r"one family|longer than 108"):
        encode_v2(ProxyHeader(2, False, Transport.STREAM, source, destination))


@pytest.mark.parametrize(
    ("data", "checksum"),
    [(b"", 0), (b"123456789", 0xE3069283), (bytes(32), 0x8A9136AA), (b"\xff" * 32, 0x62A8AB43)],
)
def test_crc32c_has_the_values_of_rfc_3720(data, checksum):
    assert crc32c(data) == checksum


@given(st.ip_addresses())
def test_hosts_stay_what_they_are(ip):
    end = InetAddress(str(ip).encode(), 1)
    header = ProxyHeader(2, False, Transport.STREAM, end, end)
    decoded = ProxyDecoder().feed(encode_v2(header))
    assert ipaddress.ip_address(decoded.source.host.decode()) == ip
