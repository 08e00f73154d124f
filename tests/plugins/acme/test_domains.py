"""Which names certificates are asked for."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

from kongtx.plugins.acme.domains import (
    Domains,
    is_asked_for,
    is_due,
    is_host,
    issuer_of,
    shown,
)
from kongtx.plugins.acme.settings import Settings
from tests.tls.kit import chain_pem, issued

NOW = datetime.datetime(2030, 1, 1, tzinfo=datetime.UTC)


@pytest.mark.parametrize(
    ("host", "is_in"),
    [
        ("a.test", True),
        ("x.a.test", False),
        ("x.wild.test", True),
        ("x.y.wild.test", True),
        ("wild.test", False),
        ("xwild.test", False),
        ("x.wild.test.evil.test", False),
        ("mixed.test", True),
        ("", False),
    ],
)
def test_a_wildcard_stands_for_all_names_below(host: str, is_in: bool) -> None:
    assert (host in Domains(["a.test", "*.wild.test", "Mixed.test"])) is is_in


def test_no_domains_are_none() -> None:
    assert ("" in Domains(), "a.test" in Domains()) == (False, False)


@pytest.mark.parametrize(
    ("name", "is_one"),
    [
        ("a.test", True),
        ("a-b.c_d.test", True),
        ("localhost", False),
        ("a..test", False),
        ("-a.test", False),
        ("a.test\n", False),
        ("a.te st", False),
        (f"{'a.' * 126}t", True),
        (f"{'a.' * 127}t", False),
    ],
)
def test_handshakes_ask_for_nothing_that_is_no_name(name: str, is_one: bool) -> None:
    assert is_host(name) is is_one


def settings(**config: Any) -> Settings:
    given = {
        "domains": None,
        "allow_any_domain": False,
        "enable_ipv4_common_name": True,
        "account_email": "a@b.test",
        "api_uri": "https://ca.test/v2",
    }
    return Settings.of({**given, **config})


def test_any_name_is_allowed_where_that_is_configured() -> None:
    assert settings(allow_any_domain=True).allows("a.test")
    assert not settings().allows("a.test")
    assert settings(domains=["a.test"]).allows("a.test")
    addresses = settings(allow_any_domain=True, enable_ipv4_common_name=False)
    assert (addresses.allows("10.0.0.1"), addresses.allows("10.0.0.1.test")) == (False, True)


def test_accounts_and_directories_are_named_as_in_kong() -> None:
    assert settings().account_name == "kong_acme:account:https://ca.test/v2:YUBiLnRlc3Q="
    for url, directory in (
        ("https://ca.test/v2", "https://ca.test/v2/directory"),
        ("https://ca.test/v2/", "https://ca.test/v2/directory"),
        ("https://ca.test/directory", "https://ca.test/directory"),
        ("https://localhost:14000/dir", "https://localhost:14000/dir"),
    ):
        assert settings(api_uri=url).directory == directory


def test_a_certificate_is_due_some_days_before_its_end() -> None:
    end = NOW + datetime.timedelta(days=20)
    chain = chain_pem(issued("due.test", not_after=end))
    for days, is_so in ((19, False), (20, True), (21, True)):
        assert is_due(chain, days, NOW.timestamp()) is is_so
    assert is_due("no certificate", 1, NOW.timestamp())


def test_what_is_shown_of_a_certificate() -> None:
    leaf = issued("shown.test", kind="RSA", not_after=NOW + datetime.timedelta(days=1))
    told = shown(chain_pem(leaf), NOW.timestamp())
    assert (told["host"], told["valid"], told["pubkey_type"]) == ("shown.test", True,
                                                                  "rsaEncryption")  # fmt: skip
    assert told["not_after"] == "2030-01-02 00:00:00"
    assert shown(chain_pem(leaf), NOW.timestamp() + 86401)["valid"] is False
    assert len(told["digest"]) == 59
    assert issuer_of(chain_pem(leaf)) is None


def test_only_names_of_servers_are_asked_for() -> None:
    for name in ("localhost", "a.test", "*.a.test", "10.0.0.1", "_x.a.test"):
        assert is_asked_for(name), name
    for name in ("", "a..test", "b\u00fc.test", "a b", "a.*", "**.a", "a.test\n", "a" * 256):
        assert not is_asked_for(name), name
