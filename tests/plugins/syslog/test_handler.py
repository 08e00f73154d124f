"""syslog, to a socket like that of the machine's log."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from twisted.logger import capturedLogs

from kongtx.plugins.syslog.handler import Syslog
from kongtx.testing.plugins import PluginRunner
from kongtx.testing.request import FakeRequest


@pytest.fixture
def log(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as opened:
        opened.bind(str(tmp_path / "log"))
        opened.setblocking(False)
        yield opened


def send(log: socket.socket, status: int, **config: Any) -> bytes | None:
    runner = PluginRunner(Syslog(log.getsockname()), config)
    runner.run("log", FakeRequest(phase="log", status=status))
    try:
        return log.recv(65536)
    except BlockingIOError:
        return None


def test_an_entry_has_facility_severity_and_ident(log: socket.socket) -> None:
    sent = send(log, 200)
    head, _, body = sent.partition(b": ")
    assert head == f"<14>kong[{os.getpid()}]".encode()  # user.info
    assert json.loads(body)["response"]["status"] == 200


@pytest.mark.parametrize(
    ("status", "config", "priority"),
    [
        (200, {"facility": "local0", "successful_severity": "notice"}, b"<133>"),
        (404, {"client_errors_severity": "warning"}, b"<12>"),
        (502, {"server_errors_severity": "crit", "log_level": "err"}, b"<10>"),
        (302, {"successful_severity": "alert"}, b"<9>"),
    ],
)
def test_severity_follows_the_status(
    log: socket.socket, status: int, config: dict[str, str], priority: bytes
) -> None:
    assert send(log, status, **config).startswith(priority)


def test_what_is_not_severe_enough_is_not_sent(log: socket.socket) -> None:
    assert send(log, 200, log_level="warning", server_errors_severity="err") is None
    assert send(log, 500, log_level="warning", server_errors_severity="err") is not None


def test_a_machine_without_syslog_is_told(tmp_path: Path) -> None:
    runner = PluginRunner(Syslog(str(tmp_path / "none")), {})
    with capturedLogs() as captured:
        runner.run("log", FakeRequest(phase="log", status=200))
    assert captured[0]["path"] == str(tmp_path / "none")


def test_the_log_may_be_restarted(tmp_path: Path) -> None:
    path = str(tmp_path / "log")
    runner = PluginRunner(Syslog(path), {})
    for _ in range(2):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as opened:
            opened.bind(path)
            opened.setblocking(False)
            with capturedLogs():
                runner.run("log", FakeRequest(phase="log", status=200))
                runner.run("log", FakeRequest(phase="log", status=200))
            assert opened.recv(65536).startswith(b"<14>kong[")
        os.unlink(path)
