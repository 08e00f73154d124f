"""Header blocks, against the hpack library."""

from __future__ import annotations

import pytest
from hpack import Decoder, Encoder
from hpack.struct import NeverIndexedHeaderTuple
from hypothesis import given
from hypothesis import strategies as st

from kongtx.http.h2.errors import ConnectionFault
from kongtx.http.h2.hpacking import BlockDecoder, encode, encode_request, encode_status

NAMES = st.one_of(
    st.sampled_from([b"accept", b"cookie", b"x-kong-request-id", b"content-length", b"via"]),
    st.from_regex(rb"[a-z][a-z0-9-]{0,200}", fullmatch=True),
)
FIELDS = st.lists(st.tuples(NAMES, st.binary(max_size=300)), max_size=12)


@given(FIELDS)
def test_what_is_written_is_read_by_others(fields: list[tuple[bytes, bytes]]) -> None:
    shouted = [(name.upper(), value) for name, value in fields]
    kept = [
        field
        for field in fields
        if field[0]
        not in (b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade")
    ]
    assert [tuple(field) for field in Decoder().decode(encode(shouted), raw=True)] == kept


@pytest.mark.parametrize("status", [100, 200, 204, 304, 404, 418, 500, 599, 999])
def test_every_status_is_read_by_others(status: int) -> None:
    (field,) = Decoder().decode(encode_status(status), raw=True)
    assert tuple(field) == (b":status", b"%d" % status)


@pytest.mark.parametrize("method", [b"GET", b"POST", b"PUT"])
def test_a_request_line_is_read_by_others(method: bytes) -> None:
    block = encode_request(method, True, b"host:1", b"/path")
    assert dict(Decoder().decode(block, raw=True)) == {
        b":method": method,
        b":scheme": b"https",
        b":authority": b"host:1",
        b":path": b"/path",
    }


def test_secrets_are_never_put_into_tables() -> None:
    (field,) = Decoder().decode(encode([(b"Authorization", b"secret")]), raw=True)
    assert isinstance(field, NeverIndexedHeaderTuple)


@given(st.lists(FIELDS, max_size=12))
def test_blocks_that_are_remembered_are_read_as_if_they_were_not(
    blocks: list[list[tuple[bytes, bytes]]],
) -> None:
    encoder, decoder = Encoder(), BlockDecoder(1 << 20)
    for fields in [each for block in blocks for each in (block, block, blocks[0])]:
        block = encoder.encode(fields, huffman=len(fields) % 2 == 0)
        assert [tuple(field) for field in decoder.decode(block)] == fields


def test_an_equal_block_gives_the_same_list() -> None:
    encoder, decoder = Encoder(), BlockDecoder(1 << 20)
    fields = [(b":method", b"GET"), (b"x-a", b"b")]
    decoder.decode(encoder.encode(fields))
    again = decoder.decode(encoder.encode(fields))
    assert decoder.decode(encoder.encode(fields)) is again


@given(st.binary(max_size=100))
def test_garbage_is_a_fault_of_the_connection(block: bytes) -> None:
    code = 0
    fields: list[tuple[bytes, bytes]] = []
    try:
        fields = BlockDecoder(1000).decode(block)
    except ConnectionFault as fault:
        code = fault.code
    assert code in (0, 9, 11)
    assert all(type(name) is bytes and type(value) is bytes for name, value in fields)
