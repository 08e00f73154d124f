"""The quick start, as a new user runs it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.task import Clock

from kongtx.cli.demo_upstream import make_site


def free_port() -> int:
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
        port: int = opened.getsockname()[1]
        return port


def ask(url: str, **headers: str) -> tuple[int, Any]:
    request = urllib.request.Request(url, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def wait_until_ready(url: str, process: subprocess.Popen[bytes]) -> None:
    for _ in range(1200):
        try:
            if ask(url)[0] == 200:
                return
        except OSError:
            pass
        if process.poll() is not None:
            raise AssertionError(process.stdout.read().decode())
        time.sleep(0.05)  # a process of its own: there is no clock to advance
    raise AssertionError("the quick start does not get ready")


@pytest.mark.long
def test_it_proxies_something_real_and_stops_cleanly_twice(tmp_path: Path) -> None:
    proxy, admin, status = (free_port() for _ in range(3))
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([os.getcwd(), *sys.path]),
        "KONG_PROXY_LISTEN": f"127.0.0.1:{proxy}",
        "KONG_ADMIN_LISTEN": f"127.0.0.1:{admin}",
        "KONG_STATUS_LISTEN": f"127.0.0.1:{status}",
    }
    for _ in range(2):
        process = subprocess.Popen(
            [sys.executable, "-m", "kongtx.cli.main", "quickstart", "-p", str(tmp_path / "run")],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environment,
        )
        try:
            wait_until_ready(f"http://127.0.0.1:{status}/status/ready", process)
            url = f"http://127.0.0.1:{proxy}"
            code, told = ask(f"{url}/echo/hello?name=world")
            assert (code, told["arguments"]) == (200, {"name": ["world"]})
            assert ask(f"{url}/private")[0] == 401
            assert ask(f"{url}/private", apikey="open-sesame")[0] == 200
            assert len(ask(f"http://127.0.0.1:{admin}/services")[1]["data"]) == 2
        finally:
            process.send_signal(signal.SIGINT)
            output = process.communicate(timeout=60)[0].decode()
        assert process.returncode == 0, output
        assert f"curl {url}/echo/hello" in output
        assert "has stopped" in output


def test_the_demonstration_service_has_what_the_quick_start_promises(tmp_path: Path) -> None:
    root = make_site(Clock(), tmp_path).resource
    assert sorted(root.children) == [b"echo", b"files", b"slow", b"status"]
