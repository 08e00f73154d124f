"""Who is trusted, and who the client is behind them."""

from __future__ import annotations

import pytest

from kongtx.proxy.addresses import TrustedPeers, parse_address, real_client

TRUSTED = TrustedPeers(["10.0.0.0/8", "fd00::/8", "unix:"])


@pytest.mark.parametrize(
    ("address", "trusted"),
    [
        ("10.1.2.3", True),
        ("11.0.0.1", False),
        ("::ffff:10.1.2.3", True),
        ("::ffff:11.0.0.1", False),
        ("fd00::1", True),
        ("::1", False),
        ("unix:", True),
    ],
)
def test_networks_are_trusted(address: str, trusted: bool) -> None:
    assert (address in TRUSTED) is trusted
    assert (address in TRUSTED) is trusted


def test_nobody_is_trusted_by_default() -> None:
    nobody = TrustedPeers([])
    assert not nobody
    assert "unix:" not in nobody
    assert "127.0.0.1" not in nobody


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("1.2.3.4", ("1.2.3.4", 0)),
        ("1.2.3.4:80", ("1.2.3.4", 80)),
        ("2001:db8::1", ("2001:db8::1", 0)),
        ("[2001:DB8::1]:443", ("2001:db8::1", 443)),
        ("1.2.3", None),
        ("host", None),
        ("1.2.3.4:70000", None),
        ("", None),
    ],
)
def test_addresses_are_parsed(text: str, address: tuple[str, int] | None) -> None:
    assert parse_address(text) == address


@pytest.mark.parametrize(
    ("peer", "values", "recursive", "client"),
    [
        ("11.0.0.1", [b"1.1.1.1"], True, "11.0.0.1"),
        ("10.0.0.1", [], True, "10.0.0.1"),
        ("10.0.0.1", [b"1.1.1.1, 2.2.2.2"], False, "2.2.2.2"),
        ("10.0.0.1", [b"1.1.1.1, 10.0.0.2"], False, "10.0.0.2"),
        ("10.0.0.1", [b"1.1.1.1, 10.0.0.2"], True, "1.1.1.1"),
        ("10.0.0.1", [b"1.1.1.1", b"10.0.0.3,10.0.0.2"], True, "1.1.1.1"),
        ("10.0.0.1", [b"10.0.0.3, 10.0.0.2"], True, "10.0.0.3"),
        ("10.0.0.1", [b"junk"], True, "10.0.0.1"),
        ("10.0.0.1", [b"1.1.1.1, junk, 10.0.0.2"], True, "10.0.0.2"),
    ],
)
def test_the_client_is_found(peer: str, values: list[bytes], recursive: bool, client: str) -> None:
    assert real_client((peer, 1), values, TRUSTED, recursive)[0] == client
