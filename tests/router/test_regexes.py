"""Patterns in linear time: what is taken, what is refused and why, what can be foretold."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kongtx.router.regexes import Regex, literal_prefix, validate_path_regex


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        (r"~/a(?=b)", "look-ahead is not available in a linear-time engine"),
        (r"~/a(?!b)", "look-ahead is not available in a linear-time engine"),
        (r"~/(?<=a)b", "look-behind is not available in a linear-time engine"),
        (r"~/(?<!a)b", "look-behind is not available in a linear-time engine"),
        (r"~/(a)\1", "back-references are not available in a linear-time engine"),
        (r"~/(?<n>a)\k<n>", "back-references are not available in a linear-time engine"),
        (
            r"~/(?<n>a)(?P=n)",
            "back-references and recursion are not available in a linear-time engine",
        ),
        (r"~/(?>a)", "atomic groups are not available, and not needed in a linear-time engine"),
        (
            r"~/a++",
            "possessive quantifiers are not available, and not needed in a linear-time engine",
        ),
        (r"~/(?|a|b)", "branch reset groups are not available"),
        (r"~/(?x)a", "the x flag is not available; write the pattern without white space"),
        (r"~/a\Z", "\\Z is not available; write \\z or $"),
        (r"~/(a", "missing ): /(a"),
    ],
)
def test_what_is_refused_and_why(path, reason):
    assert validate_path_regex(path) == reason


@pytest.mark.parametrize(
    "path",
    [
        r"~/u/(?<id>\d+)$",
        r"~/u/(?P<id>\d{1,3})",
        r"~/(?i)abc",
        r"~/[[:alpha:]]+",
        r"~/a*?b",
        r"~/\Qa.b\E",
        r"~/\bword\b",
        r"~/é",
    ],
)
def test_what_is_taken(path):
    assert validate_path_regex(path) is None


def test_a_pattern_that_ruins_backtracking_engines_is_harmless():
    regex = Regex("^(?:(a+)+)$")
    started = time.perf_counter()

    assert not regex.test(b"a" * 20_000 + b"b")

    assert time.perf_counter() - started < 1


@pytest.mark.parametrize(
    ("pattern", "prefix"),
    [
        (r"/users/(\d+)", b"/users/"),
        (r"^/users/\d+", b"/users/"),
        (r"/a\.b\-c", b"/a.b-c"),
        (r"/ab?", b"/a"),
        (r"/ab*c", b"/a"),
        (r"/ab{0}c", b"/a"),
        (r"/ab+c", b"/ab"),
        (r"/a|/b", b""),
        (r"/a(b|c)", b"/a"),
        (r"/a[|]b", b"/a"),
        (r"/a[]|]b", b"/a"),
        (r"/a[^]|]b", b"/a"),
        (r"/a\|b", b"/a|b"),
        (r"(?i)/a", b""),
        (r"/a\Q|\E", b""),
        (r"/été", "/été".encode()),
    ],
)
def test_the_text_that_all_matches_begin_with(pattern, prefix):
    assert literal_prefix(pattern) == prefix


_PIECES = [
    "/",
    "a",
    "b",
    "\\.",
    "\\d",
    "[ab]",
    "(a|b)",
    "?",
    "*",
    "+",
    "|",
    "{1,2}",
    "[^|]",
    "(?i)",
]


@given(st.lists(st.sampled_from(_PIECES), max_size=6), st.text("/ab.0A|", max_size=8))
def test_no_match_begins_otherwise(pieces, subject):
    pattern = "".join(pieces)
    if validate_path_regex(pattern) is not None:
        return
    text = subject.encode()

    if Regex(f"^(?:{pattern})").test(text):
        assert text.startswith(literal_prefix(pattern))
