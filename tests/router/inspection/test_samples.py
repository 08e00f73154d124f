"""Strings made from a pattern match it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kongtx.router.errors import RegexError
from kongtx.router.inspection.samples import samples
from kongtx.router.regexes import Regex


@pytest.mark.parametrize(
    ("pattern", "first"),
    [
        ("/a", "/a"),
        (r"/u/\d+$", "/u/1"),
        (r"/u/(?<id>\d{3})", "/u/111"),
        ("/(a|b)/c", "/a/c"),
        ("/a?b", "/ab"),
        ("/[xyz]", "/x"),
        ("/[^a]", "/1"),
        ("/[b-d]{2}", "/bb"),
        ("/.*", "/a"),
        (r"/\w+\.\s\S\D\W", "/a. aa/"),
        ("^/a$", "/a"),
        ("(?i)/abc", "/abc"),
        ("/é", "/é"),
    ],
)
def test_the_first_sample(pattern, first):
    assert samples(pattern)[0] == first


def test_several_samples_differ():
    assert samples("/(a|b)", limit=2) == ["/a", "/b"]


def test_what_cannot_be_matched_has_no_sample():
    assert samples(r"a\bb") == []


def test_what_cannot_be_read_has_no_sample():
    assert samples("(") == []
    assert samples("[[:alpha:]]{2}x") == []


_PIECES = [
    "/",
    "a",
    r"\d",
    r"\w",
    "[ab]",
    "[^a]",
    "(a|b)",
    "?",
    "*",
    "+",
    "|",
    "{1,2}",
    ".",
    "(?:x|yz)",
]


@given(st.lists(st.sampled_from(_PIECES), max_size=7))
def test_every_sample_matches(pieces):
    pattern = "".join(pieces)
    try:
        regex = Regex(pattern)
    except RegexError:
        return

    assert all(regex.test(text.encode()) for text in samples(pattern))
