"""Two hundred thousand mixed requests, whatever goes on, leave nothing behind."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest
from attrs import frozen

from benchmarks.harness import resident_kib
from tests.integration.conftest import free_ports, running
from tests.runtime.running import children_of, wait_until
from tests.soak.disturbances import Administration, Failing, Span, Workers, repeated
from tests.soak.kit import nginx_running
from tests.soak.load import CLIENTS, KINDS, LARGE, STREAMS, Report

#: Requests while workers are exchanged, and then while they live on.
EXCHANGED, LIVING, WARMING = 116_000, 88_000, 20_000
#: What a worker may take more at the end of its requests than when it was warm, and the master.
MOST_KIB, MOST_KIB_OF_MASTER = 8 * 1024, 4 * 1024
#: Requests that a reload makes clients send anew, at most.
SELDOM = 8
#: Requests a minute that one consumer may make.
LIMIT = 100

#: Lines of the log.
EXPECTED = re.compile(
    r"\[warn\] .* \[healthchecks\] several: target 127.0.0.77 .* is (un)?healthy"
    r"|\[error\] .* worker \d+ \(pid \d+\) killed by signal 9 \(SIGKILL\)"
)

CONFIGURATION = """
_format_version: "3.0"
services:
- name: up
  url: http://127.0.0.1:{up}/
  routes:
  - {{name: plain, paths: [/small, /large], strip_path: false}}
  - name: keyed
    paths: [/keyed]
    plugins:
    - name: key-auth
    - {{name: rate-limiting, config: {{minute: 1000000, policy: local}}}}
  - name: limited
    paths: [/limited]
    plugins:
    - name: key-auth
    - {{name: rate-limiting, config: {{minute: {limit}, policy: local, limit_by: consumer}}}}
- {{name: echo, url: "http://127.0.0.1:{echo}/", routes: [{{name: echo, paths: [/echo]}}]}}
- name: sockets
  url: http://127.0.0.1:{sockets}/
  routes: [{{name: sockets, paths: [/socket]}}]
- name: gone
  url: http://127.0.0.78:1/
  retries: 1
  routes: [{{name: gone, paths: [/gone]}}]
- name: alone
  url: http://127.0.0.77:{fickle}/
  retries: 0
  read_timeout: 500
  routes: [{{name: alone, paths: [/alone]}}]
- name: retried
  host: several
  read_timeout: 500
  routes: [{{name: retried, paths: [/retried]}}]
upstreams:
- name: several
  targets:
  - {{target: "127.0.0.1:{up}"}}
  - {{target: "127.0.0.77:{fickle}"}}
  healthchecks:
    passive: {{unhealthy: {{tcp_failures: 5, timeouts: 5}}, healthy: {{successes: 5}}}}
    active:
      http_path: /small
      timeout: 0.2
      healthy: {{interval: 0.2, successes: 1}}
      unhealthy: {{interval: 0.2, tcp_failures: 2, timeouts: 2}}
consumers:
- username: bob
  keyauth_credentials: [{{key: k1}}]
- username: ann
  keyauth_credentials: [{{key: k2}}]
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
    location / {{ if ($request_method = OPTIONS) {{ return 405; }} return 200 "small"; }}
    location /large {{ root {folder}; try_files /large.bin =404; }}
  }}
}}
"""


@frozen
class Setup:
    """A gateway of two workers that keep nothing idle for long, and upstreams.

    @ivar plain: the port of its proxy listener, and C{secure}: of that by TLS.
    """

    folder: Path
    master: int
    plain: int
    secure: int
    admin: int
    upstream: str
    fickle: subprocess.Popen[str]

    def ask(self, count: int) -> Report:
        """Mixed requests, until that many are answered."""
        file = self.folder / "report.json"
        arguments = [*map(str, (self.plain, self.secure, count)), str(file)]
        subprocess.run([sys.executable, "-m", "tests.soak.load", *arguments], check=True)
        return msgspec.json.decode(file.read_bytes(), type=Report)


@pytest.fixture
def setup(monkeypatch: pytest.MonkeyPatch) -> Iterator[Setup]:
    # What is large is given back when it is freed: what is kept for later would hide a leak.
    for name in ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_"):
        monkeypatch.setenv(name, "131072")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "large.bin").write_bytes(b"x" * LARGE)
        up, echo, sockets, fickle, plain, secure = free_ports(6)
        declared = folder / "kong.yml"
        declared.write_text(
            CONFIGURATION.format(up=up, echo=echo, sockets=sockets, fickle=fickle, limit=LIMIT)
        )
        _import(folder, declared)
        listen = f"127.0.0.1:{plain} reuseport, 127.0.0.1:{secure} http2 ssl reuseport"
        properties = {
            "proxy_listen": listen,
            "proxy_access_log": "off",
            "admin_access_log": "off",
            "upstream_keepalive_idle_timeout": "2",
            "log_level": "warn",
        }
        with (
            nginx_running(folder, NGINX.format(folder=folder, port=up)),
            _upstreams(echo, sockets, fickle) as program,
            running(folder, **properties) as (urls, master),
        ):
            admin = int(urls.admin.rpartition(":")[2])
            upstream = f"http://127.0.0.1:{up}/"
            yield Setup(folder, master.pid, plain, secure, admin, upstream, program)


@contextmanager
def _upstreams(*ports: int) -> Iterator[subprocess.Popen[str]]:
    program = subprocess.Popen(
        [sys.executable, "-m", "tests.soak.upstreams", *map(str, ports)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert program.stdin is not None
    assert program.stdout is not None
    with program:
        try:
            assert program.stdout.readline() == "ready\n"
            yield program
        finally:
            program.terminate()


def _import(folder: Path, declared: Path) -> None:
    command = [sys.executable, "-m", "kongtx.cli.main", "config", "db_import", str(declared)]
    subprocess.run(
        command,
        env={**os.environ, "KONGTX_PREFIX": str(folder / "prefix")},
        check=True,
        capture_output=True,
    )


def _descriptors(pid: int) -> list[str]:
    """What a process has open; sockets and pipes are alike."""
    opened = []
    for name in os.listdir(f"/proc/{pid}/fd"):
        try:
            opened.append(os.readlink(f"/proc/{pid}/fd/{name}").partition(":[")[0])
        except FileNotFoundError:
            continue
    # Threads that read the database are begun as they are needed.
    return sorted(name for name in opened if ".sqlite" not in name)


@frozen
class Possessions:
    """What a process has."""

    descriptors: list[str]
    kib: int

    @classmethod
    def of(cls, pid: int) -> Possessions:
        return cls(_descriptors(pid), resident_kib(pid))

    def check(self, pid: int, most_kib: int) -> None:
        """See that a process has no more than this any more, once it is idle."""
        wait_until(
            lambda: _descriptors(pid) == self.descriptors,
            30,
            lambda: f"{_descriptors(pid)} instead of {self.descriptors}",
        )
        assert resident_kib(pid) <= self.kib + most_kib


def _settled(pids: list[int]) -> dict[int, Possessions]:
    """What processes have, once nothing is left of their last requests."""
    seen: list[dict[int, Possessions]] = []

    def is_settled() -> bool:
        seen.append({pid: Possessions.of(pid) for pid in pids})
        least = min(seen, key=_number)
        # No fewer in the last three seconds: longer than anything idle is kept.
        return len(seen) > 150 and _number(least) == min(map(_number, seen[:-150]))

    wait_until(is_settled)
    return min(seen, key=_number)


def _number(possessions: dict[int, Possessions]) -> int:
    return sum(len(each.descriptors) for each in possessions.values())


def check_failures(report: Report, workers: Workers) -> None:
    """Only what was under way on a worker when it was killed got no answer.

    A connection that its client had not used for a second may be closed by a reload while the next
    request is on its way; so it is seldom.
    """
    for kind, begin, end, what in report.failures:
        assert _touched(workers.kills, begin, end) is not None, (kind, begin, end, what, workers)
    ends = report.failures + [
        each for each in report.again if _touched(workers.reloads, *each[1:3]) is None
    ]
    lost = Counter(_touched(workers.kills, begin, end) for _, begin, end, _ in ends)
    assert None not in lost, (report.again, workers)
    assert max(lost.values(), default=0) <= CLIENTS + STREAMS
    assert len(report.failures) + len(report.again) - len(ends) <= SELDOM * len(workers.reloads)


def _touched(spans: list[Span], begin: float, end: float) -> int | None:
    """Which of the spans a request was under way in."""
    return next((n for n, span in enumerate(spans) if span.touches(begin, end)), None)


def check_faults(report: Report, failing: Failing) -> None:
    """Only upstreams that failed, and could not be replaced by others, were answered 5xx."""
    for kind, begin, end, status in report.faults:
        if kind == "alone":
            assert any(failure.touches(begin, end, 0.3) for failure in failing.failures), begin
        else:
            assert (kind, status) == ("gone", 502)
    assert report.counts["alone 200"] > 0
    assert report.counts["alone 502"] > 0
    assert report.counts["alone 504"] > 0
    for kind in KINDS:
        assert any(each.startswith(f"{kind.name} ") for each in report.counts), kind.name


def check_log(text: str) -> None:
    """Nothing is told but what was done to the node: killed workers, targets that failed."""
    for line in text.splitlines():
        assert EXPECTED.search(line), line


def check_limit(reports: list[Report], began: float) -> None:
    """Neither reloads nor the ends of workers made a limit another one."""
    allowed = sum(report.counts.get("limited 200", 0) for report in reports)
    minutes = int(time.time() // 60 - began // 60 + 1)
    assert LIMIT * max(minutes - 2, 1) <= allowed <= LIMIT * minutes


@pytest.mark.long
def test_two_hundred_thousand_requests_leave_nothing_behind(setup: Setup) -> None:
    began = time.time()
    workers, failing = Workers(setup.master), Failing(setup.fickle)
    administration = Administration(setup.admin, setup.plain, setup.upstream)
    warm = setup.ask(WARMING // 2)
    (master,) = _settled([setup.master]).values()

    with (
        repeated(failing.disturb, 0.5),
        repeated(administration.disturb, 0.1),
        repeated(workers.disturb, 2),
    ):
        exchanged = setup.ask(EXCHANGED)
    check_failures(exchanged, workers)
    check_faults(exchanged, failing)
    for lost in administration.lost:
        assert _touched(workers.kills, lost.begin, lost.end) is not None, lost
    assert min(len(workers.kills), len(workers.reloads), administration.rounds) >= 3

    workers.reload()
    living = children_of(setup.master)
    warm_again = setup.ask(WARMING)
    before = _settled(living)
    administration.lost.clear()
    with repeated(failing.disturb, 0.5), repeated(administration.disturb, 0.1):
        lived = setup.ask(LIVING)
    assert (lived.failures, lived.again, administration.lost) == ([], [], [])
    check_faults(lived, failing)
    assert children_of(setup.master) == living
    for pid in living:
        before[pid].check(pid, MOST_KIB)
    master.check(setup.master, MOST_KIB_OF_MASTER)
    check_log((setup.folder / "prefix/logs/error.log").read_text())
    check_limit([warm, exchanged, warm_again, lived], began)
    assert exchanged.total() + lived.total() >= 200_000
