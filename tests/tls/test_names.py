"""Which entry belongs to a server name."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kongtx.tls.names import NameIndex

ENTRIES = ("a.example.com", "*.example.com", "www.*", "a.b.*", "*.b.example.com", "Upper.test")


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("a.example.com", "a.example.com"),
        ("b.example.com", "*.example.com"),
        ("b.b.example.com", "*.b.example.com"),
        ("c.d.example.com", None),
        ("example.com", None),
        ("www.com", "www.*"),
        ("www.example.com", "*.example.com"),
        ("www.co.uk", None),
        ("a.b.org", "a.b.*"),
        ("upper.test", "Upper.test"),
        ("www", None),
        (".example.com", None),
        ("www.", None),
        ("", None),
        (None, None),
    ],
)
def test_the_name_itself_counts_before_wildcards(name: str | None, found: str | None) -> None:
    assert NameIndex({entry: entry for entry in ENTRIES}).find(name) == found
    rest = NameIndex({entry: entry for entry in (*ENTRIES, "*")})
    assert rest.find(name) == (found or ("*" if name else None))


LABEL = st.sampled_from(["a", "b", "www", "x-1"])
NAME = st.lists(LABEL, min_size=1, max_size=4).map(".".join)
ENTRY = st.one_of(NAME, NAME.map("*.{}".format), NAME.map("{}.*".format), st.just("*"))


@given(st.lists(ENTRY, unique=True), NAME)
def test_the_index_finds_what_a_search_finds(entries: list[str], name: str) -> None:
    labels = name.split(".")
    wanted = [name]
    if len(labels) > 2:
        wanted.append(".".join(["*", *labels[1:]]))
    if len(labels) > 1:
        wanted.append(".".join([*labels[:-1], "*"]))
    wanted.append("*")
    expected = next((each for each in wanted if each in entries), None)
    assert NameIndex({entry: entry for entry in entries}).find(name) == expected


def test_ten_thousand_names_are_found_in_ten_microseconds_each() -> None:
    names = [f"host-{number}.example-{number % 97}.com" for number in range(9_000)]
    names += [f"*.wild-{number}.org" for number in range(1_000)]
    index = NameIndex({name: name for name in names})
    asked = [name.replace("*", "x") for name in names]
    best = min(_seconds(index, asked) for _ in range(3))
    assert best / len(asked) < 10e-6


def _seconds(index: NameIndex[str], asked: list[str]) -> float:
    began = time.perf_counter()
    found = [index.find(name) for name in asked]
    spent = time.perf_counter() - began
    assert None not in found
    return spent
