"""What the service manager is told."""

import os
import signal
import socket
import tempfile
import time

import pytest

from kongtx.runtime.processes import notify
from tests.runtime.running import RunningNode


@pytest.fixture
def manager(monkeypatch):
    """A service manager's socket; its path is in the environment."""
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "notify")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
            listening.bind(path)
            listening.settimeout(60)
            monkeypatch.setenv("NOTIFY_SOCKET", path)
            yield listening


def test_nothing_is_said_without_a_manager(monkeypatch):
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    notify.ready()


def test_a_manager_that_is_gone_does_no_harm(monkeypatch):
    monkeypatch.setenv("NOTIFY_SOCKET", "/nowhere/notify")
    notify.ready()


def test_an_abstract_socket_is_understood(monkeypatch):
    name = f"kongtx-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind("\0" + name)
        monkeypatch.setenv("NOTIFY_SOCKET", "@" + name)
        notify.stopping()
        assert listening.recv(100) == b"STOPPING=1"


def test_a_reload_carries_its_time(manager):
    before = time.monotonic_ns() // 1000
    notify.reloading()
    first, second = manager.recv(100).decode().split("\n")
    assert first == "RELOADING=1"
    assert before <= int(second.removeprefix("MONOTONIC_USEC=")) <= time.monotonic_ns() // 1000


def test_a_node_tells_of_start_reload_and_stop(manager):
    node = RunningNode(nginx_worker_processes="0")
    try:
        node.start()
        ready = f"READY=1\nMAINPID={node.process.pid}"
        assert manager.recv(100).decode() == ready
        node.send(signal.SIGHUP)
        assert manager.recv(100).decode().startswith("RELOADING=1\n")
        assert manager.recv(100).decode() == ready
        node.stop(signal.SIGQUIT)
        assert manager.recv(100).decode() == "STOPPING=1"
    finally:
        node.close()
