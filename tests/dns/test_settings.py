from types import SimpleNamespace

import pytest

from kongtx.dns.settings import DNSSettings, settings_from
from kongtx.errors import KongtxError


def test_the_dns_family_is_read():
    conf = SimpleNamespace(
        dns_resolver=["1.1.1.1", "[::1]:54"],
        dns_hostsfile="/h",
        dns_order=["last", "a"],
        dns_valid_ttl=5,
        dns_stale_ttl=6,
        dns_cache_size=7,
        dns_not_found_ttl=8,
        dns_error_ttl=9,
        dns_no_sync=True,
    )

    assert settings_from(conf) == DNSSettings(
        resolver=(("1.1.1.1", 53), ("::1", 54)),
        hostsfile="/h",
        order=("LAST", "A"),
        valid_ttl=5,
        stale_ttl=6,
        cache_size=7,
        not_found_ttl=8,
        error_ttl=9,
        no_sync=True,
    )


def test_the_resolver_family_is_read_with_the_new_client():
    conf = SimpleNamespace(
        new_dns_client=True,
        dns_order=["CNAME"],
        resolver_address=["1.1.1.1:5"],
        resolver_hosts_file="/h",
        resolver_family=["SRV", "AAAA"],
        resolver_valid_ttl=None,
        resolver_stale_ttl=6,
        resolver_error_ttl=2,
        resolver_lru_cache_size=7,
    )

    assert settings_from(conf) == DNSSettings(
        resolver=(("1.1.1.1", 5),),
        hostsfile="/h",
        order=("SRV", "AAAA"),
        stale_ttl=6,
        error_ttl=2,
        not_found_ttl=2,
        cache_size=7,
        srv_by_name=True,
    )


def test_what_is_unset_keeps_its_default():
    assert settings_from(SimpleNamespace(dns_resolver=None)) == DNSSettings()


def test_a_server_that_is_no_address_is_refused():
    with pytest.raises(KongtxError, match=r"got 'dns\.test'"):
        settings_from(SimpleNamespace(dns_resolver=["dns.test"]))


def test_an_unknown_type_is_refused():
    with pytest.raises(KongtxError, match="not MX"):
        DNSSettings(order=("A", "MX"))
