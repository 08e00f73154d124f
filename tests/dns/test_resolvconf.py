import pytest
from hypothesis import given
from hypothesis import strategies as st

from kongtx.dns.resolvconf import ResolvConf, parse_resolv_conf, parse_server


def test_everything_that_resolv_conf_can_say():
    conf = parse_resolv_conf(
        """
; made by hand
# nameserver 9.9.9.9
nameserver 10.0.0.1   # main
nameserver [2001:db8::1]:5353
nameserver fe80::1%eth0
nameserver 10.0.0.4
search Example.COM corp.example. .
sortlist 130.155.160.0/255.255.240.0 130.155.0.0
options ndots:2 timeout:3 attempts:4 rotate
options use-vc edns0 no-such-option ndots:x
"""
    )

    assert conf == ResolvConf(
        nameservers=(("10.0.0.1", 53), ("2001:db8::1", 5353), ("fe80::1%eth0", 53)),
        search=("example.com", "corp.example"),
        sortlist=("130.155.160.0/255.255.240.0", "130.155.0.0"),
        flags=frozenset(("rotate", "use-vc", "edns0")),
        ndots=2,
        timeout=3,
        attempts=4,
    )
    assert conf.rotate
    assert conf.use_tcp


@pytest.mark.parametrize(
    ("text", "search"),
    [
        ("domain one.test\nsearch two.test three.test", ("two.test", "three.test")),
        ("search two.test three.test\ndomain one.test extra", ("one.test",)),
        ("search a b c d e f g", ("a", "b", "c", "d", "e", "f")),
        ("search", ()),
        ("domain .", ()),
    ],
)
def test_the_last_of_domain_and_search_wins_and_six_suffixes_count(text, search):
    assert parse_resolv_conf(text).search == search


def test_numbers_are_held_to_the_manual_and_zero_means_unset():
    conf = parse_resolv_conf("options ndots:99 timeout:99 attempts:0")

    assert (conf.ndots, conf.timeout, conf.attempts) == (15, 30, None)


def test_dotint_options_exclude_each_other():
    conf = parse_resolv_conf("options ip6-dotint no-ip6-dotint")

    assert conf.flags == {"no-ip6-dotint"}


def test_the_environment_overrides_the_file():
    conf = parse_resolv_conf(
        "search file.test\noptions ndots:1 timeout:5",
        {"LOCALDOMAIN": "Env.test more.test", "RES_OPTIONS": "ndots:3 rotate"},
    )

    assert conf.search == ("env.test", "more.test")
    assert (conf.ndots, conf.timeout, conf.rotate) == (3, 5, True)


def test_an_empty_file_has_defaults():
    assert parse_resolv_conf("") == ResolvConf()


@pytest.mark.parametrize(
    ("text", "server"),
    [
        ("1.2.3.4", ("1.2.3.4", 53)),
        ("1.2.3.4:5353", ("1.2.3.4", 5353)),
        ("::1", ("::1", 53)),
        ("[::1]", ("::1", 53)),
        ("[::1]:54", ("::1", 54)),
        ("fe80::1%eth0", ("fe80::1%eth0", 53)),
        ("1.2.3.4:", ("1.2.3.4", 53)),
        ("1.2.3.4:0", None),
        ("1.2.3.4:65536", None),
        ("1.2.3.4:x", None),
        ("1.2.3", None),
        ("[::1", None),
        ("[::1]53", None),
        ("name.test", None),
        ("", None),
    ],
)
def test_server_addresses(text, server):
    assert parse_server(text) == server


@given(st.text())
def test_any_text_can_be_read(text):
    conf = parse_resolv_conf(text)

    assert len(conf.nameservers) <= 3
    assert 0 <= conf.ndots <= 15
