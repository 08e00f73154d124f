"""Header lines and blocks of headers."""

from __future__ import annotations

from kongtx.http.lines import HeaderBlock, parse_lines


def test_lines_are_names_and_values_without_the_space_around() -> None:
    lines = b"A: b\r\nC:d\r\nEmpty:\r\nX-Time:  10:30 \t\r\nA: e\r\n"
    assert parse_lines(lines) == [
        (b"A", b"b"),
        (b"C", b"d"),
        (b"Empty", b""),
        (b"X-Time", b"10:30"),
        (b"A", b"e"),
    ]
    assert parse_lines(b"") == []


def test_a_block_has_its_headers_in_every_form() -> None:
    block = HeaderBlock([(b"X-A", b"1"), (b"X-B", b"2"), (b"x-a", b"3")])
    assert block.names == (b"X-A", b"X-B", b"x-a")
    assert block.lowered == ((b"x-a", b"1"), (b"x-b", b"2"), (b"x-a", b"3"))
    assert block.fields == {b"x-a": b"1", b"x-b": b"2"}
    assert block.lines == b"X-A: 1\r\nX-B: 2\r\nx-a: 3\r\n"
    assert tuple(parse_lines(block.lines)) == block.headers
