"""Fixtures of tests that use a gateway from other programs."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs
import pytest


def free_ports(count: int) -> list[int]:
    """Ports that nobody listened on a moment ago."""
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


@attrs.frozen
class Gateway:
    """The URLs of a running gateway."""

    admin: str
    proxy: str
    status: str


@pytest.fixture
def admin_url(gateway: Gateway) -> str:
    """The URL of the Admin API of a running gateway."""
    return gateway.admin


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    """A gateway with two workers, started as a user starts one."""
    with running(tmp_path) as (urls, _):
        yield urls


@contextmanager
def running(
    folder: Path, ready: str = "/status/ready", **properties: str
) -> Iterator[tuple[Gateway, subprocess.Popen[bytes]]]:
    """A gateway with its prefix in a folder, and its master, which leads a process group.

    @param ready: what of its Status API answers when it has started.
    @param properties: of its configuration, besides what it needs to run here.
    """
    admin, proxy, status = free_ports(3)
    clean = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("KONG_", "KONGTX_"))
    }
    settings = {
        "KONGTX_PREFIX": str(folder / "prefix"),
        "KONGTX_ADMIN_LISTEN": f"127.0.0.1:{admin}",
        "KONGTX_PROXY_LISTEN": f"127.0.0.1:{proxy}",
        "KONGTX_STATUS_LISTEN": f"127.0.0.1:{status}",
        "KONGTX_ADMIN_GUI_LISTEN": "off",
        "KONGTX_NGINX_DAEMON": "off",
        "KONGTX_NGINX_WORKER_PROCESSES": "2",
        **{f"KONGTX_{name.upper()}": value for name, value in properties.items()},
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
    }
    log = folder / "gateway.log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "kongtx.cli.main", "start"],
            env={**clean, **settings},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        urls = Gateway(*(f"http://127.0.0.1:{port}" for port in (admin, proxy, status)))
        wait_until_ready(f"{urls.status}{ready}", process, log)
        yield urls, process
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_until_ready(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait for a gateway to serve, for a minute at most."""
    give_up = time.monotonic() + 60
    while time.monotonic() < give_up:
        assert process.poll() is None, log.read_text()
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    pytest.fail(f"not ready: {log.read_text()}")
