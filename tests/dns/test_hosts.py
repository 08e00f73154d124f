from hypothesis import given
from hypothesis import strategies as st

from kongtx.dns.hosts import parse_hosts
from kongtx.dns.records import ip_version

TEXT = """
# a comment
127.0.0.1   localhost  # another
::1         localhost ip6-localhost
10.0.0.1    API.Example.com api   Alias1
10.0.0.2    api
[fe80::1%eth0]  scoped
fe80::2%lo  scoped2.
300.1.1.1   wrong
10.0.0.9
nonsense    name
\t10.1.1.1\ttabbed
"""


def test_names_are_found_in_lower_case_and_the_first_address_wins():
    hosts = parse_hosts(TEXT)

    assert hosts["api.example.com"] == {4: "10.0.0.1"}
    assert hosts["api"] == {4: "10.0.0.1"}
    assert hosts["alias1"] == {4: "10.0.0.1"}
    assert hosts["tabbed"] == {4: "10.1.1.1"}
    assert hosts["localhost"] == {4: "127.0.0.1", 6: "::1"}


def test_scope_ids_are_kept_and_brackets_dropped():
    hosts = parse_hosts(TEXT)

    assert hosts["scoped"] == {6: "fe80::1%eth0"}
    assert hosts["scoped2"] == {6: "fe80::2%lo"}


def test_lines_without_a_valid_address_or_name_are_passed_over():
    assert set(parse_hosts(TEXT)) == {
        "localhost", "ip6-localhost", "api.example.com", "api", "alias1", "scoped", "scoped2",
        "tabbed",
    }  # fmt: skip


def test_localhost_is_known_without_a_line():
    assert parse_hosts("") == {"localhost": {4: "127.0.0.1", 6: "::1"}}


def test_a_line_for_localhost_replaces_the_built_in_one():
    assert parse_hosts("10.0.0.1 localhost")["localhost"] == {4: "10.0.0.1"}


@given(st.text())
def test_any_text_can_be_read(text):
    for addresses in parse_hosts(text).values():
        assert all(ip_version(address) == version for version, address in addresses.items())
