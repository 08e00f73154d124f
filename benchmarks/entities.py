"""How fast entities are validated, loaded and taken over.

Run C{python -m benchmarks.entities}. It validates 10 000 entities, reads a declarative file of
50 000, starts a node with that file, and changes a route of a node with four workers.
"""

from __future__ import annotations

import http.client
import json
import os
import resource
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import ThreadingHTTPServer
from pathlib import Path

from benchmarks.harness import children, resident_kib
from benchmarks.start import Upstream, environment, free_port
from kongtx.db.declarative import DeclarativeFormat
from kongtx.lib import ids
from kongtx.plugins.schemas import full_registry
from kongtx.schema import Context

VALIDATED = 10_000
LOADED = 50_000
WORKERS = 4
CHANGES = 50

SAMPLES = {
    "services": {"name": "a", "host": "a.test", "port": 80, "tags": ["x"], "retries": 3},
    "routes": {"name": "a", "paths": ["/a", "~/b/[0-9]+"], "hosts": ["a.test"], "methods": ["GET"]},
    "consumers": {"username": "a", "custom_id": "b", "tags": ["x", "y"]},
    "upstreams": {"name": "a.test", "algorithm": "least-connections", "slots": 1000},
    "plugins": {"name": "rate-limiting", "config": {"minute": 5, "policy": "local"}},
}


def validation() -> float:
    """Seconds for L{VALIDATED} entities of five kinds, from what a client sends to what is kept."""
    registry = full_registry()
    context = Context(now=1700000000.25, new_id=ids.uuid4, new_secret=ids.new_secret)
    began = time.process_time()
    for _ in range(VALIDATED // len(SAMPLES)):
        for name, sample in SAMPLES.items():
            registry[name].process_insert(sample, context)
    return time.process_time() - began


def document(count: int, upstream: int) -> str:
    """A declarative file of that many services and routes; they are all one upstream's."""
    lines = ["_format_version: '3.0'", "services:"]
    for number in range(count // 2):
        lines += [
            f"- name: service-{number}",
            f"  url: http://127.0.0.1:{upstream}",
            "  tags: [team-a, production]",
            "  routes:",
            f"  - name: route-{number}",
            f"    paths: [/api/{number}]",
            "    methods: [GET, POST]",
        ]
    return "\n".join(lines) + "\n"


def loading(text: str) -> tuple[float, float]:
    """Seconds and MiB to read and validate a declarative document."""
    reader = DeclarativeFormat(full_registry())
    context = Context(now=1700000000.25, new_id=ids.uuid4, new_secret=ids.new_secret)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.process_time()
    reader.parse_text(text, context)
    took = time.process_time() - began
    return took, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024


@contextmanager
def node(
    prefix: str, port: int, workers: int, **properties: str
) -> Iterator[subprocess.Popen[bytes]]:
    """A node in the foreground."""
    variables = environment(prefix, port, workers)
    variables.update((f"KONGTX_{name.upper()}", value) for name, value in properties.items())
    command = [sys.executable, "-m", "kongtx.cli.main", "start"]
    process = subprocess.Popen(command, env=variables)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def status(port: int, path: str) -> int:
    """What comes back over a new connection; 0: nothing."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except OSError:
        return 0
    finally:
        connection.close()


def starting(text: str) -> tuple[float, float]:
    """Seconds until a node with a declarative file proxies by it, and its worker's MiB."""
    with tempfile.TemporaryDirectory() as prefix:
        Path(prefix, "kong.yml").write_text(text)
        port = free_port()
        began = time.perf_counter()
        with node(prefix, port, 1) as process:
            while status(port, f"/api/{LOADED // 4}") != 204:
                time.sleep(0.05)
            took = time.perf_counter() - began
            return took, max(map(resident_kib, children(process.pid))) / 1024


def changing(upstream: int) -> list[float]:
    """Milliseconds from the answer to a write until no worker serves by what was before."""
    took = []
    with tempfile.TemporaryDirectory() as prefix:
        port, admin = free_port(), free_port()
        properties = {"database": "sqlite", "admin_listen": f"127.0.0.1:{admin}"}
        with node(prefix, port, WORKERS, **properties):
            while status(admin, "/status") != 200:
                time.sleep(0.05)
            client = http.client.HTTPConnection("127.0.0.1", admin)
            write(client, "/services/s", {"url": f"http://127.0.0.1:{upstream}"})
            for number in range(CHANGES):
                write(client, "/routes/r", {"paths": [f"/{number}"], "service": {"name": "s"}})
                began = last = time.perf_counter()
                agreed = 0
                # The kernel spreads connections over the workers by their ports.
                while agreed < 8 * WORKERS:
                    if status(port, f"/{number}") == 204:
                        agreed += 1
                    else:
                        agreed, last = 0, time.perf_counter()
                took.append((last - began) * 1000)
    return took


def write(client: http.client.HTTPConnection, path: str, entity: dict[str, object]) -> None:
    """Put an entity."""
    client.request("PUT", path, json.dumps(entity), {"Content-Type": "application/json"})
    reply = client.getresponse()
    answer = reply.read()
    if reply.status != 200:
        raise SystemExit(f"PUT {path}: {reply.status} {answer.decode()}")


def main() -> None:
    """Measure and print."""
    took = validation()
    print(f"{VALIDATED} entities validated: {took:.2f} s of processor time (goal: 2)")
    upstream = ThreadingHTTPServer(("127.0.0.1", 0), Upstream)
    threading.Thread(target=upstream.serve_forever, daemon=True).start()
    text = document(LOADED, upstream.server_address[1])
    seconds, mib = loading(text)
    print(f"{LOADED} entities read: {seconds:.1f} s (goal: 20), {mib:.0f} MiB (goal: 500)")
    seconds, mib = starting(text)
    print(
        f"a node with {LOADED} entities: first request after {seconds:.1f} s, worker {mib:.0f} MiB"
    )
    late = sorted(changing(upstream.server_address[1]))
    print(
        f"a change, {WORKERS} workers on {os.cpu_count()} cores: everywhere after "
        f"{statistics.median(late):.1f} ms in the median, {late[-1]:.1f} ms at most (goal: 100)"
    )
    upstream.shutdown()


if __name__ == "__main__":
    main()
