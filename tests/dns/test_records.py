import math

import pytest

from kongtx.dns.records import (
    Answer,
    Record,
    candidates,
    ip_version,
    is_name,
    is_service_name,
    strip_brackets,
)


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("1.2.3.4", 4), ("::1", 6), ("fe80::1%eth0", 6), ("2001:db8::", 6),
        ("1.2.3", 0), ("1.2.3.256", 0), ("1:2", 0), ("", 0), ("name", 0), ("a.b.c.1", 0),
        ("[::1]", 0), ("1.2.3.4\0", 0),
    ],
)  # fmt: skip
def test_literals_are_told_from_names(text, version):
    assert ip_version(text) == version


def test_brackets_are_dropped_only_in_pairs():
    assert [strip_brackets(text) for text in ("[::1]", "[::1", "x")] == ["::1", "[::1", "x"]


@pytest.mark.parametrize(
    ("name", "ndots", "names"),
    [
        ("db", 1, ["db.one.test", "db.two.test", "db"]),
        ("db.corp", 1, ["db.corp", "db.corp.one.test", "db.corp.two.test"]),
        ("db.corp", 2, ["db.corp.one.test", "db.corp.two.test", "db.corp"]),
        ("db", 0, ["db", "db.one.test", "db.two.test"]),
        ("db.", 5, ["db"]),
    ],
)
def test_suffixes_come_first_below_ndots(name, ndots, names):
    assert candidates(name, ndots, ("one.test", "two.test")) == names


def test_a_defined_name_is_tried_as_it_is_first():
    assert candidates("db", 1, ("one.test",), defined=True) == ["db", "db.one.test"]


@pytest.mark.parametrize(
    ("name", "valid"),
    [
        ("a.b", True), ("_http._tcp.a", True), ("a.", True), ("a" * 63, True),
        ("a" * 64, False), ("a..b", False), ("", False), (".", False), ("ä.test", False),
        ("a b", False), (".".join(["abcdefg"] * 32), False),
    ],
)  # fmt: skip
def test_names_that_a_query_can_carry(name, valid):
    assert is_name(name) is valid


@pytest.mark.parametrize(
    ("name", "service"),
    [("_http._tcp.a.test", True), ("_http.tcp.a", False), ("http._tcp.a", False), ("_a._b", False)],
)
def test_service_names(name, service):
    assert is_service_name(name) is service


def test_a_port_fills_in_only_where_none_is_known():
    answer = Answer((Record("1.1.1.1"), Record("1.1.1.2", 99)), math.inf, "SRV")

    assert [record.port for record in answer.with_port(80).records] == [80, 99]
