"""TLS on the proxy's listener, against nginx in the same run: `python -m benchmarks.tls`.

Requests on connections kept alive, and requests that each have a connection and a full handshake of
their own, by CPU time and by rate. Both proxies show the same ECDSA certificate. Needs `nginx` and
`wrk`.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.proxy import (
    PROXY,
    UPSTREAM,
    cpu_seconds,
    free_port,
    start_nginx,
)
from tests.runtime.running import RunningNode, children_of

_PLAIN = "listen 127.0.0.1:{port} backlog=4096;"
_SECURE = """listen 127.0.0.1:{port} ssl backlog=4096;
    ssl_certificate {ssl}/kong-default-ecdsa.crt;
    ssl_certificate_key {ssl}/kong-default-ecdsa.key;
    ssl_certificate {ssl}/kong-default.crt; ssl_certificate_key {ssl}/kong-default.key;
    ssl_session_cache off; ssl_protocols TLSv1.2 TLSv1.3;"""
_CASES = {"requests": [], "handshakes": ["-H", "Connection: close"]}


def measure(port: int, pid: int, more: list[str], seconds: int) -> tuple[float, float]:
    """CPU microseconds a request, and requests a second."""
    command = ["wrk", "-t1", "-c32", f"-d{seconds}s", *more, f"https://127.0.0.1:{port}/small"]
    before = cpu_seconds(pid)
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    spent = cpu_seconds(pid) - before
    count = re.search(r"(\d+) requests in", output)
    rate = re.search(r"Requests/sec:\s*([\d.]+)", output)
    if count is None or rate is None or "Non-2xx" in output:
        sys.exit(f"benchmark: bad run of {' '.join(command)}:\n{output}")
    return spent / int(count[1]) * 1e6, float(rate[1])


def start_kongtx(directory: Path, upstream: int) -> RunningNode:
    """A node with one worker and one route."""
    route = {"paths": ["/"], "protocols": ["https"]}
    service = {"name": "s", "url": f"http://127.0.0.1:{upstream}", "routes": [route]}
    declared = directory / "kong.json"
    declared.write_text(json.dumps({"_format_version": "3.0", "services": [service]}))
    return RunningNode(
        "kongtx.runtime.node.composition.build_node",
        "ssl backlog=4096",
        nginx_worker_processes="1",
        database="off",
        declarative_config=str(declared),
        proxy_access_log="off",
        nginx_http_keepalive_requests="1000000000",
    ).start()


def main() -> None:
    """Measure, and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kongtx-bench-") as name:
        directory = Path(name)
        directory.chmod(0o755)
        upstream, by_nginx = free_port(), free_port()
        up = directory / "upstream"
        processes = [start_nginx(up, UPSTREAM.format(port=upstream, dir=up), upstream)]
        (up / "files").mkdir()
        (up / "files" / "small").write_bytes(b"x" * 110)
        node = start_kongtx(directory, upstream)
        try:
            listen = _SECURE.replace("{ssl}", f"{node.prefix}/ssl")
            server = PROXY.replace(_PLAIN, listen).format(port=by_nginx, upstream=upstream)
            nginx = start_nginx(directory / "proxy", server, by_nginx)
            processes.append(nginx)
            [worker] = children_of(node.process.pid)
            compare(options, (by_nginx, nginx.pid), (node.port, worker))
        finally:
            node.close()
            for process in processes:
                process.terminate()
                process.wait(10)


def compare(options: argparse.Namespace, theirs: tuple[int, int], ours: tuple[int, int]) -> None:
    """Run both in turn."""
    print(f"{'':>10} {'nginx us':>9} {'kongtx us':>10} {'cpu ratio':>10} {'rate ratio':>11}")
    for case, more in _CASES.items():
        runs = [
            [measure(*proxy, more, options.seconds) for proxy in (theirs, ours)]
            for _ in range(options.rounds)
        ]
        (their_cpu, their_rate), (our_cpu, our_rate) = (
            min(each) for each in zip(*runs, strict=True)
        )
        print(
            f"{case:>10} {their_cpu:9.1f} {our_cpu:10.1f} {their_cpu / our_cpu:10.2f}"
            f" {our_rate / their_rate:11.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
