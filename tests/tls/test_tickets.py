"""Keys of session tickets."""

from __future__ import annotations

import ssl
import stat
from pathlib import Path

import pytest
from twisted.internet.task import Clock

from kongtx.net import openssl
from kongtx.tls.listening import SharedTickets
from kongtx.tls.tickets import PERIOD, keys_at, make_secret, read_secret, seconds_left


def test_workers_agree_and_keys_change_twice_a_day() -> None:
    secret = b"s" * 48
    assert keys_at(secret, 0) == keys_at(secret, PERIOD - 1)
    assert len({keys_at(secret, time) for time in (0, PERIOD, 2 * PERIOD)}) == 3
    assert keys_at(secret, 0) != keys_at(b"t" * 48, 0)
    assert keys_at(secret, 0, "proxy") != keys_at(secret, 0, "admin")
    assert len(keys_at(secret, 0)) == openssl.TICKET_KEYS_SIZE
    assert (seconds_left(0), seconds_left(PERIOD - 1)) == (PERIOD, 1)


def test_each_start_has_a_secret_of_its_own_for_its_owner_alone(tmp_path: Path) -> None:
    path = Path(make_secret(str(tmp_path)))
    first = read_secret(str(tmp_path))
    assert first == read_secret(str(tmp_path)) == path.read_bytes()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    make_secret(str(tmp_path))
    assert read_secret(str(tmp_path)) != first
    path.write_bytes(b"short")
    assert read_secret(str(tmp_path)) != read_secret(str(tmp_path))


def test_contexts_follow_the_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    set_keys: list[tuple[ssl.SSLContext, bytes]] = []
    monkeypatch.setattr(openssl, "set_ticket_keys", lambda *args: set_keys.append(args))
    clock, secret = Clock(), b"s" * 48
    tickets = SharedTickets(secret, 60, clock, clock.seconds)
    contexts = [ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER) for _ in range(2)]
    for context in contexts:
        tickets.add(context)
    clock.advance(PERIOD + 1)
    early, late = keys_at(secret, 0), keys_at(secret, PERIOD + 1)
    assert set_keys == [(each, keys) for keys in (early, late) for each in contexts]
    tickets.stop()
    assert clock.getDelayedCalls() == []


def test_what_openssl_is_told_is_checked() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    assert openssl.is_supported()
    with pytest.raises(ValueError, match="ticket keys have 80 bytes, not 3"):
        openssl.set_ticket_keys(context, b"abc")


def test_an_unknown_python_is_not_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openssl, "_library", lambda: None)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    assert not openssl.is_supported()
    with pytest.raises(openssl.UnsupportedByPython, match="tls_verify_depth"):
        openssl.set_verify_depth(context, 1)
