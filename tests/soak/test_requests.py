"""A hundred thousand mixed requests leave no descriptor and no memory behind."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.harness import resident_kib
from tests.runtime.running import RunningNode, children_of, free_port, wait_until
from tests.soak.kit import before_nginx

CONFIGURATION = """
_format_version: "3.0"
services:
- name: up
  url: http://127.0.0.1:{up}/
  routes:
  - paths: [/small, /large]
    strip_path: false
  - paths: [/keyed]
    plugins:
    - name: key-auth
    - name: rate-limiting
      config: {{minute: 1000000, policy: local}}
- name: gone
  url: http://127.0.0.1:{gone}/
  retries: 1
  routes:
  - paths: [/gone]
consumers:
- username: bob
  keyauth_credentials:
  - key: k1
plugins:
- name: prometheus
  config: {{status_code_metrics: true, latency_metrics: true, bandwidth_metrics: true}}
- name: correlation-id
"""

NGINX = """
worker_processes 1; daemon off; pid {folder}/pid; error_log {folder}/error.log; user root;
events {{ worker_connections 512; }}
http {{
  access_log off; client_body_temp_path {folder}/body; keepalive_requests 1000000;
  server {{
    listen 127.0.0.1:{port};
    location / {{ return 200 "small"; }}
    location /large {{ root {folder}; try_files /large.bin =404; }}
  }}
}}
"""


@pytest.fixture
def node() -> Iterator[RunningNode]:
    with tempfile.TemporaryDirectory() as name:
        folder, up = Path(name), free_port()
        (folder / "large.bin").write_bytes(b"x" * 100_000)
        declared = CONFIGURATION.format(up=up, gone=free_port())
        with before_nginx(folder, NGINX.format(folder=folder, port=up), declared) as node:
            yield node


def ask(node: RunningNode, seconds: int) -> int:
    """Mixed requests on 32 connections; how many."""
    script = str(Path(__file__).with_name("mixed.lua"))
    url = f"http://127.0.0.1:{node.port}"
    told = subprocess.run(
        ["wrk", "-t1", "-c32", f"-d{seconds}s", "-s", script, url],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    found = re.search(r"(\d+) requests in", told)
    assert found is not None, told
    return int(found[1])


def leave_early(node: RunningNode, count: int) -> None:
    """Clients that go before their answer, in the middle of a head, a body or a response."""
    pieces = (
        b"GET /la",
        b"POST /small HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nhalf",
        b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n",
        b"nonsense\r\n\r\n",
    )
    for number in range(count):
        with socket.create_connection(("127.0.0.1", node.port)) as client:
            client.sendall(pieces[number % len(pieces)])
            if number % 4 == 2:
                client.recv(10)


def descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


@pytest.mark.long
def test_a_hundred_thousand_requests_leave_nothing_behind(node: RunningNode) -> None:
    (pid,) = children_of(node.process.pid)
    ask(node, 3)
    leave_early(node, 100)
    # The upstream pool keeps what it has opened: 32 connections at most, as many as asked at once.
    before_kib, before = resident_kib(pid), descriptors(pid)
    total = 0
    while total < 100_000:
        total += ask(node, 5)
        leave_early(node, 50)
    wait_until(lambda: descriptors(pid) <= before + 4)
    assert children_of(node.process.pid) == [pid]
    assert resident_kib(pid) <= before_kib + 8 * 1024
