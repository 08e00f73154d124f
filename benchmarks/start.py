"""How long it takes from the start of a node to its first proxied request.

On a machine that does other things too, look at the processor time: that of the master and all
workers together, from their start to their end.

python -m benchmarks.start [--workers 2] [--runs 5]
"""

from __future__ import annotations

import argparse
import http.server
import json
import os
import resource
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import closing

CONFIGURATION = """
_format_version: "3.0"
services:
- name: upstream
  url: http://127.0.0.1:%d
  routes:
  - name: all
    paths: ["/"]
"""


class Upstream(http.server.BaseHTTPRequestHandler):
    """Answers every GET with 204."""

    def do_GET(self) -> None:
        """See L{http.server.BaseHTTPRequestHandler}."""
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - inherited
        """Say nothing."""


def free_port() -> int:
    """A port on which nobody listens just now."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def is_proxied(port: int) -> bool:
    """Whether a request gets through."""
    try:
        with socket.create_connection(("127.0.0.1", port), 5) as client:
            client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            return client.recv(4096).startswith(b"HTTP/1.1 204")
    except OSError:
        return False


def environment(prefix: str, port: int, workers: int) -> dict[str, str]:
    """The configuration of a node, as variables."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        # Compiled modules are part of an installed package.
        if name != "PYTHONDONTWRITEBYTECODE" and not name.startswith(("KONG_", "KONGTX_"))
    }
    return {
        **inherited,
        "KONGTX_PREFIX": prefix,
        "KONGTX_DATABASE": "off",
        "KONGTX_DECLARATIVE_CONFIG": os.path.join(prefix, "kong.yml"),
        "KONGTX_PROXY_LISTEN": f"127.0.0.1:{port} reuseport",
        "KONGTX_ADMIN_LISTEN": f"127.0.0.1:{free_port()}",
        "KONGTX_STATUS_LISTEN": "off",
        "KONGTX_NGINX_WORKER_PROCESSES": str(workers),
        "KONGTX_NGINX_DAEMON": "off",
        "KONGTX_NGINX_USER": "nobody",
    }


def processor_time() -> float:
    """Seconds of processor time that ended children and theirs have used."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def start_once(prefix: str, workers: int) -> tuple[float, float]:
    """Seconds from the command to the first proxied request, and of processor time in all."""
    before = processor_time()
    port = free_port()
    command = [sys.executable, "-m", "kongtx.cli.main", "start"]
    began = time.perf_counter()
    node = subprocess.Popen(command, env=environment(prefix, port, workers))
    try:
        while not is_proxied(port):
            if node.poll() is not None:
                raise SystemExit("the node did not start")
            time.sleep(0.002)
        took = time.perf_counter() - began
    finally:
        if node.poll() is None:
            node.send_signal(signal.SIGQUIT)
        node.wait()
    return took, processor_time() - before


def main(workers: int, runs: int) -> None:
    """Measure and print."""
    upstream = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Upstream)
    threading.Thread(target=upstream.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory() as prefix:
        with open(os.path.join(prefix, "kong.yml"), "w") as file:
            file.write(CONFIGURATION % upstream.server_address[1])
        # The first start also compiles modules and makes the store.
        cold, *measured = [start_once(prefix, workers) for _ in range(runs + 1)]
    warm = [took for took, _ in measured]
    upstream.shutdown()
    figures = {
        "benchmark": "start",
        "workers": workers,
        "first_run_s": round(cold[0], 3),
        "start_to_first_request_s": round(statistics.median(warm), 3),
        "fastest_s": round(min(warm), 3),
        "slowest_s": round(max(warm), 3),
        "processor_s": round(statistics.median(used for _, used in measured), 3),
    }
    print(json.dumps(figures))
    print(
        f"{workers} workers: the first proxied request comes through "
        f"{figures['start_to_first_request_s']} s after the start (median of {runs})"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--runs", type=int, default=5)
    arguments = parser.parse_args()
    main(arguments.workers, arguments.runs)
