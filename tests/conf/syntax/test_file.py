"""The lines of a configuration file."""

import string

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from kongtx.conf.syntax.file import Entry, escape, parse


def entries(text: str) -> list[tuple[str, str]]:
    parsed, problems = parse(text, "kongtx.conf")
    assert problems == ()
    return [(entry.name, entry.value) for entry in parsed]


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("log_level = debug", "debug"),
        ("log_level=debug", "debug"),
        ("  log_level   =   debug  ", "debug"),
        ("\tlog_level\t=\tdebug\t", "debug"),
        ("log_level = debug # for now", "debug"),
        ("log_level = debug# for now", "debug"),
        ("log_level = debug\r", "debug"),
        ("log_level =", ""),
        ("log_level = # debug", ""),
        ("log_level = a\\#b", "a#b"),
        ("log_level = a\\#b # c \\# d", "a#b"),
        ("log_level = a = b", "a = b"),
        ("log_level = 'quoted'", "'quoted'"),
        ("log_level = {vault://env/level\\#2}", "{vault://env/level#2}"),
    ],
)
def test_a_line_gives_a_trimmed_value_without_its_comment(line: str, value: str) -> None:
    assert entries(line) == [("log_level", value)]


@pytest.mark.parametrize("line", ["", "   ", "# a comment", "   # indented", "; old style"])
def test_blank_lines_and_comments_set_nothing(line: str) -> None:
    assert entries(line) == []


def test_a_byte_order_mark_is_no_part_of_the_first_name() -> None:
    assert entries("\ufeffprefix = /x") == [("prefix", "/x")]


def test_lines_are_counted_from_one() -> None:
    parsed, _ = parse("# first\n\nprefix = /x\nprefix = /y", "kongtx.conf")
    assert parsed == (Entry("prefix", "/x", 3), Entry("prefix", "/y", 4))


@pytest.mark.parametrize("line", ["prefix", "[section]", "= /x", "two words = x"])
def test_a_line_that_sets_nothing_is_a_problem_with_its_place(line: str) -> None:
    parsed, problems = parse(f"a = b\n{line}\nc = d", "/etc/kongtx.conf")
    assert [entry.name for entry in parsed] == ["a", "c"]
    assert [str(problem) for problem in problems] == [
        f"not a `name = value` line: '{line}' [/etc/kongtx.conf:2]"
    ]


PEM = "-----BEGIN PRIVATE KEY-----\nMC4CAQ#A\nBw==\n-----END PRIVATE KEY-----"


def test_pem_text_may_stand_over_several_lines() -> None:
    parsed, problems = parse(f"a = 1\nkey = {PEM}\nb = 2", "f")
    assert parsed == (Entry("a", "1", 1), Entry("key", PEM, 2), Entry("b", "2", 6))
    assert problems == ()


def test_pem_text_without_end_is_a_problem_and_not_told() -> None:
    parsed, problems = parse(f"a = 1\nkey = {PEM[:40]}\nb = 2", "f")
    assert [entry.name for entry in parsed] == ["a"]
    assert [str(problem) for problem in problems] == ["the PEM text of key has no end [f:2]"]


def test_pem_text_of_no_property_is_a_problem_and_not_told() -> None:
    parsed, problems = parse(f"{PEM}\nb = 2", "f")
    assert [entry.name for entry in parsed] == ["b"]
    assert [str(problem) for problem in problems] == [
        "not a `name = value` line: PEM text that belongs to no property [f:1]"
    ]


def test_a_nul_character_is_a_problem() -> None:
    assert [str(problem) for problem in parse("prefix = /a\0b", "f")[1]] == [
        "the value of prefix has a NUL character [f:1]"
    ]


NAMES = st.text(string.ascii_lowercase + string.digits + "_", min_size=1)
VALUES = st.text(st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp", "Zs"))).filter(
    # A backslash in front of a number sign, or at the end, would take part in an escape.
    lambda text: "\\" not in text
)


@given(st.lists(st.tuples(NAMES, VALUES)))
def test_what_is_written_reads_the_same(pairs: list[tuple[str, str]]) -> None:
    text = "".join(f"{name} = {escape(value)} # comment\n" for name, value in pairs)
    assert entries(text) == pairs


@given(st.text())
def test_any_text_is_read_or_complained_of(text: str) -> None:
    parsed, problems = parse(text, "f")
    assume("-----BEGIN " not in text)
    lines = [line.strip() for line in text.removeprefix("\ufeff").split("\n")]
    assert len(parsed) + len(problems) == sum(1 for line in lines if line and line[0] not in "#;")
