"""TLS on the proxy's listener, against nginx in the same run: `python -m benchmarks.tls`.

Requests on connections kept alive, and requests that each have a connection of their own, with a
full handshake or with the session of the one before; by CPU time and by rate. Both proxies show the
same ECDSA certificate, and give one ticket. Needs `nginx`, `wrk` and `openssl`.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

from benchmarks.loads import Figure, by_s_time, by_wrk
from benchmarks.proxy import PROXY, UPSTREAM, free_port, start_nginx
from tests.runtime.running import RunningNode, children_of

_PLAIN = "listen 127.0.0.1:{port} backlog=4096;"
_SECURE = """listen 127.0.0.1:{port} ssl backlog=4096;
    ssl_certificate {ssl}/kong-default-ecdsa.crt;
    ssl_certificate_key {ssl}/kong-default-ecdsa.key;
    ssl_certificate {ssl}/kong-default.crt; ssl_certificate_key {ssl}/kong-default.key;
    ssl_session_cache off; ssl_protocols TLSv1.2 TLSv1.3; ssl_conf_command NumTickets 1;"""


def requests(port: int, pid: int, seconds: int) -> Figure:
    """Requests on connections kept alive."""
    return by_wrk(f"https://127.0.0.1:{port}/small", pid, seconds)


def handshakes(port: int, pid: int, seconds: int) -> Figure:
    """Full handshakes, for one request each."""
    return by_s_time(port, "/small", pid, seconds)


def resumed(port: int, pid: int, seconds: int) -> Figure:
    """Handshakes that resume a session, for one request each."""
    url = f"https://127.0.0.1:{port}/small"
    return by_wrk(url, pid, seconds, headers=("Connection: close",))


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
    for case in (requests, handshakes, resumed):
        runs = [
            [case(*proxy, options.seconds) for proxy in (theirs, ours)]
            for _ in range(options.rounds)
        ]
        their, our = (
            min(each, key=lambda figure: figure.cpu_us) for each in zip(*runs, strict=True)
        )
        print(
            f"{case.__name__:>10} {their.cpu_us:9.1f} {our.cpu_us:10.1f}"
            f" {their.cpu_us / our.cpu_us:10.2f} {our.rate / their.rate:11.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
