"""Payloads in pieces."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kongtx.events.chunks import Assembler, check_name, decode, encode, numbers, split
from kongtx.events.errors import PayloadError, PieceError

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(st.binary(max_size=200), st.integers(1, 50))
def test_pieces_and_tail_are_the_payload_and_none_is_longer_than_asked(payload, size):
    pieces, tail = split(payload, size)
    assert b"".join([*pieces, tail]) == payload
    assert all(len(piece) == size for piece in pieces)
    assert len(tail) <= size
    assert bool(tail) or not payload


@given(st.lists(st.binary(max_size=40), min_size=1, max_size=5), st.integers(1, 8), st.randoms())
def test_messages_that_come_interleaved_are_put_together(payloads, size, random):
    assembler = Assembler()
    steps = {}
    for number, payload in enumerate(payloads, 1):
        pieces, tail = split(payload, size)
        steps[number if pieces else -number] = [*pieces, tail]
    whole = {}
    while steps:
        number = random.choice(list(steps))
        part = steps[number].pop(0)
        if steps[number]:
            assembler.add(number, part)
        else:
            whole[abs(number)] = assembler.finish(max(number, 0), part)
            del steps[number]
    assert whole == dict(enumerate(payloads, 1))
    assert len(assembler) == 0


@given(json_values)
def test_data_survives_encoding(data):
    assert decode(encode(data)) == data


def test_surrogates_and_odd_types_are_refused():
    with pytest.raises(PayloadError, match="must be what JSON can hold"):
        encode({"x": object()})
    with pytest.raises(PayloadError, match="must be what JSON can hold"):
        encode("\ud800")


def test_data_over_the_limit_is_refused_with_both_sizes():
    with pytest.raises(PayloadError, match="12 bytes long; at most 11"):
        encode("0123456789", limit=11)


def test_a_name_that_is_too_long_is_refused():
    assert check_name("channel", "c" * 1024) == "c" * 1024
    with pytest.raises(PayloadError, match="the channel is longer than 1024 bytes"):
        check_name("channel", "c" * 1025)


def test_unfinished_messages_over_the_limit_are_dropped():
    assembler = Assembler(limit=10)
    assembler.add(1, b"123456")
    with pytest.raises(PieceError, match="more than 10 bytes"):
        assembler.add(2, b"12345")
    assert len(assembler) == 0
    assembler.add(3, b"1234567890")
    assert assembler.finish(3, b"!") == b"1234567890!"


def test_the_end_of_an_unknown_message_is_an_error():
    with pytest.raises(PieceError, match="message 7"):
        Assembler().finish(7, b"")


def test_message_numbers_start_at_one():
    source = numbers()
    assert [next(source) for _ in range(3)] == [1, 2, 3]
