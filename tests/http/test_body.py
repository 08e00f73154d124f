"""Chunked bodies: decoded whole, their end found, nonsense refused."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kongtx.http.body import OVERHEAD_BYTES, ChunkedBody


def feed(pieces: list[bytes]) -> tuple[bytes, bytes | None, list[tuple[bytes, bytes]]]:
    """The body, what follows it (L{None}: it has not ended), and the trailers."""
    body, payload = ChunkedBody(), b""
    for number, piece in enumerate(pieces):
        data, used = body.feed(piece)
        assert used >= 0
        payload += data
        if body.ended:
            return payload, piece[used:] + b"".join(pieces[number + 1 :]), body.trailers
        assert used == len(piece)
    return payload, None, []


def split(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({cut % (len(data) + 1) for cut in cuts} | {0, len(data)})
    return [data[start:end] for start, end in pairwise(places)]


@given(
    st.lists(st.one_of(st.binary(min_size=1, max_size=30), st.just(b"\r\n\r\n"))),
    st.booleans(),
    st.lists(st.integers(min_value=0), max_size=12),
)
def test_a_body_is_the_same_however_it_is_cut(
    chunks: list[bytes], with_trailer: bool, cuts: list[int]
) -> None:
    trailer = b"X-T: 1\r\n" if with_trailer else b""
    data = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)
    data += b"0\r\n" + trailer + b"\r\n"
    rest = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
    payload, left, trailers = feed(split(data + rest, cuts))
    assert (payload, left) == (b"".join(chunks), rest)
    assert trailers == ([(b"X-T", b"1")] if with_trailer else [])


@pytest.mark.parametrize(
    "data",
    [
        b"zz\r\n",
        b"0x3\r\nabc\r\n",
        b"-3\r\nabc\r\n",
        b"+3\r\nabc\r\n",
        b" 3\r\nabc\r\n",
        b"3 \r\nabc\r\n",
        b"3\nabc\n0\n\n",
        b"3;x\nabc\r\n",
        b"3\r\nabcd\r\n",
        b"3\r\nab\r\n0\r\n\r\n",
        b"3\r\nabc0\r\n\r\n",
        b"fffffffffffffffff\r\n",
        b"\r\n",
        b"3\r\nabc\r\n0\r\nContent-Length: 3\r\n\r\n",
        b"3\r\nabc\r\n0\r\nbad trailer\r\n\r\n",
        b"3\r\nabc\r\n0\r\nX : 1\r\n\r\n",
    ],
)
@pytest.mark.parametrize("whole", [True, False])
def test_nonsense_is_refused(data: bytes, whole: bool) -> None:
    body = ChunkedBody()
    pieces = [data] if whole else [data[n : n + 1] for n in range(len(data))]
    assert -1 in [body.feed(piece)[1] for piece in pieces]


@pytest.mark.parametrize("beginning", [b"3;" + b"x" * 1000, b"0\r\n" + b"X: 1\r\n" * 100])
def test_endless_extensions_and_trailers_are_refused(beginning: bytes) -> None:
    body = ChunkedBody()
    assert body.feed(beginning)[1] == len(beginning)
    filler = b"x" * 1000 if beginning.startswith(b"3") else b"X: 1\r\n" * 100
    used = 0
    for _ in range(OVERHEAD_BYTES // len(filler) + 2):
        used = body.feed(filler)[1]
        if used < 0:
            break
    assert used == -1
