"""Paths take the form that routes are matched against, and can be sent on."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kongtx.http.paths import escape_path, normalise_path, split_target


@pytest.mark.parametrize(
    ("path", "normal"),
    [
        (b"", b""),
        (b"/", b"/"),
        (b"/a/b", b"/a/b"),
        (b"/%61%62", b"/ab"),
        (b"/a%2fb", b"/a%2Fb"),
        (b"/a%2Fb", b"/a%2Fb"),
        (b"/%7euser", b"/~user"),
        (b"/a%20b", b"/a b"),
        (b"/100%25", b"/100%25"),
        (b"/%zz", b"/%zz"),
        (b"/%c3%a9", b"/\xc3\xa9"),
        (b"/a//b///c", b"/a/b/c"),
        (b"//", b"/"),
        (b"/a/./b", b"/a/b"),
        (b"/a/../b", b"/b"),
        (b"/a/b/..", b"/a/"),
        (b"/a/.", b"/a/"),
        (b"/..", b"/"),
        (b"/../..", b"/"),
        (b"/../../etc", b"/etc"),
        (b"/%2e%2e/etc", b"/etc"),
        (b"/a/%2e/b", b"/a/b"),
        (b"/a//../b", b"/b"),
        (b"/.hidden", b"/.hidden"),
        (b"/a..b", b"/a..b"),
        (b"/a/...", b"/a/..."),
    ],
)
def test_a_path_is_normalised(path: bytes, normal: bytes) -> None:
    assert normalise_path(path) == normal


def test_slashes_are_kept_on_request() -> None:
    assert normalise_path(b"/a//b", merge_slashes=False) == b"/a//b"


@pytest.mark.parametrize(
    ("path", "escaped"),
    [
        (b"/a b", b"/a%20b"),
        (b"/\xc3\xa9", b"/%C3%A9"),
        (b"/a%2Fb", b"/a%2Fb"),
        (b"/!$&'()*+,;=:@[]", b"/!$&'()*+,;=:@[]"),
        (b'/"<>\\^`{|}\x00\r\n', b"/%22%3C%3E%5C%5E%60%7B%7C%7D%00%0D%0A"),
    ],
)
def test_what_cannot_stand_in_a_request_line_is_escaped(path: bytes, escaped: bytes) -> None:
    assert escape_path(path) == escaped


@given(st.binary().map(lambda tail: b"/" + tail))
def test_an_escaped_path_never_breaks_a_request_line(path: bytes) -> None:
    assert not set(escape_path(normalise_path(path))) & set(b" \r\n\0\t")


@given(
    st.lists(st.sampled_from([b"a", b".", b"..", b"", b"%2e", b"b.c"])).map(
        lambda segments: b"/" + b"/".join(segments)
    )
)
def test_no_dot_segment_or_double_slash_is_left(path: bytes) -> None:
    normal = normalise_path(path)
    assert normal.startswith(b"/")
    assert b"//" not in normal
    assert not {b".", b".."} & set(normal.split(b"/"))
    assert normalise_path(normal) == normal


def test_a_target_is_split_at_its_first_question_mark() -> None:
    assert split_target(b"/a?b?c") == (b"/a", b"b?c")
    assert split_target(b"/a") == (b"/a", b"")
