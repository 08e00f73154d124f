"""Tests for L{kongtx.proxy.request.response_headers}: lines and a list are the same headers."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kongtx.http.lines import HeaderBlock
from kongtx.proxy.request.response_headers import ResponseHeaders
from kongtx.testing.request import FakeRequest

HEAD = b"HTTP/1.1 200 OK\r\nServer: one\r\nX-A: 1\r\nx-a: 2\r\nX-B:\t3 \r\n"
LISTED = [
    (b"Server", b"one"),
    (b"X-A", b"1"),
    (b"x-a", b"2"),
    (b"X-B", b"3"),
    (b"Content-Length", b"5"),
]

names = st.sampled_from(
    (b"X-A", b"x-b", b"Server", b"X-New", b"x-new", b"Content-Length", b"content-length", b"X-C")
)
values = st.sampled_from((b"1", b"", b"a: b", b"two words"))
headers = st.tuples(names, values)
blocks = st.lists(headers, max_size=3)
changes = st.one_of(
    st.tuples(st.just("set_response_header"), headers),
    st.tuples(st.just("add_response_header"), headers),
    st.tuples(st.just("clear_response_header"), st.tuples(names)),
    st.tuples(st.just("replace_response_headers"), st.tuples(st.sets(names), blocks)),
    st.tuples(st.just("add_response_lines"), blocks.map(lambda block: (block,))),
    st.tuples(st.just("get_response_header"), st.tuples(names)),
    st.tuples(st.just("response_headers"), st.just(())),
)


def made(head: bytes = HEAD) -> ResponseHeaders:
    """Headers before any change; with a head of an upstream if one is given."""
    one = ResponseHeaders()
    one._response_headers = []
    one._response_head = one._response_lines = b""
    one._response_added = one._upstream_head = None
    if head:
        one._keep_lines(head, 5)
    return one


def change(one: Any, name: str, arguments: tuple[Any, ...]) -> Any:
    """Make one change as a plugin does."""
    if name == "response_headers":
        return list(one.response_headers)
    if name == "replace_response_headers":
        gone, block = arguments
        return one.replace_response_headers({each.lower() for each in gone}, HeaderBlock(block))
    if name == "add_response_lines":
        (block,) = arguments
        unframed = [each for each in block if each[0].lower() != b"content-length"]
        return one.add_response_lines(HeaderBlock(unframed).lines)
    if name == "get_response_header":
        return one.get_response_header(arguments[0].lower())
    return getattr(one, name)(*arguments)


def test_a_header_that_is_set_again_and_again_is_there_once() -> None:
    one = made(b"")
    for value in (b"1", b"2", b"3"):
        one.set_response_header(b"X-A", value)
    assert one.response_headers == [(b"X-A", b"3")]


@given(st.booleans(), st.lists(changes, max_size=8))
def test_lines_are_changed_as_a_list_is(with_head: bool, steps: list[Any]) -> None:
    one = made(HEAD if with_head else b"")
    other = FakeRequest(response_headers=list(LISTED) if with_head else [])
    for name, arguments in steps:
        assert change(one, name, arguments) == change(other, name, arguments)
    # Lines come behind the headers of the head, of which the length is the last.
    assert sorted(one.response_headers) == sorted(other.response_headers)
    for name in {name.lower() for name, _ in other.response_headers}:
        assert [v for n, v in one.response_headers if n.lower() == name] == [
            v for n, v in other.response_headers if n.lower() == name
        ]


def test_changes_by_name_leave_the_upstreams_lines_as_they_are() -> None:
    one = made()
    one.set_response_header(b"X-New", b"1")
    one.add_response_header(b"X-New", b"2")
    one.clear_response_header(b"x-missing")
    one.replace_response_headers({b"vary"}, HeaderBlock([(b"Vary", b"Origin")]))

    assert one._response_head is HEAD
    assert one._response_lines == b"X-New: 1\r\nX-New: 2\r\nVary: Origin\r\n"


def test_a_header_of_the_upstream_is_cut_out_of_its_lines() -> None:
    one = made()
    one.set_response_header(b"x-A", b"9")

    assert one._response_head == b"HTTP/1.1 200 OK\r\nServer: one\r\nX-B:\t3 \r\n"
    assert one._response_lines == b"x-A: 9\r\n"


def test_a_header_set_twice_is_one_line() -> None:
    one = made()
    one.set_response_header(b"X-New", b"1")
    one.set_response_header(b"x-new", b"2")

    assert one._response_lines == b"x-new: 2\r\n"


@pytest.mark.parametrize(
    "header",
    [
        (b"X-New", b"a\r\nb: c"),
        (b"X-New", b"a\nb"),
        (b"X:New", b"1"),
        (b"X\r\nNew", b"1"),
        (b"", b"1"),
        (b"Content-Length", b"7"),
        (b"Transfer-Encoding", b"chunked"),
    ],
    ids=repr,
)
@pytest.mark.parametrize("how", ["set", "add", "replace"])
def test_what_would_break_the_message_never_becomes_a_line(
    how: str, header: tuple[bytes, bytes]
) -> None:
    one = made()
    if how == "replace":
        one.replace_response_headers(set(), HeaderBlock([header]))
    else:
        getattr(one, f"{how}_response_header")(*header)

    assert one._response_head == one._response_lines == b""
    assert one.response_headers[-1] == header


def test_the_upstreams_headers_stay_as_they_were_sent() -> None:
    one = made()
    one._upstream_head = HEAD, 5
    one.clear_response_header(b"X-A")

    assert list(one.upstream_headers) == LISTED
    assert one.response_headers == [LISTED[0], LISTED[3], LISTED[4]]
