"""CPU time a proxied request, against nginx in the same run: `python -m benchmarks.proxy`.

One upstream (nginx, one worker) answers; two proxies of one process each stand before it: nginx
with the same forwarded headers, and kongtx with one route. The time is the kernel's account of the
proxy's own process, so that what else the machine does matters little. Needs `nginx` and `wrk`.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

NGINX = """
daemon off; master_process off; worker_processes 1; pid {dir}/pid; error_log {dir}/error.log;
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 1000000000; client_body_temp_path {dir}/body;
  proxy_temp_path {dir}/proxy; fastcgi_temp_path {dir}/f; uwsgi_temp_path {dir}/u;
  scgi_temp_path {dir}/s; default_type text/plain;
{server}
}}
"""
UPSTREAM = """
  server {{ listen 127.0.0.1:{port} backlog=4096; root {dir}/files; }}
"""
PROXY = """
  upstream up {{ server 127.0.0.1:{upstream}; keepalive 256; keepalive_requests 1000000000; }}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location / {{
      proxy_pass http://up; proxy_http_version 1.1; proxy_set_header Connection "keep-alive";
      proxy_set_header Host upstream.test; proxy_set_header Via "1.1 kong/3.9.1";
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_set_header X-Forwarded-Proto $scheme; proxy_set_header X-Forwarded-Host $host;
      proxy_set_header X-Forwarded-Port $server_port;
      proxy_set_header X-Forwarded-Path $request_uri;
      proxy_set_header X-Real-IP $remote_addr; proxy_set_header X-Kong-Request-Id $request_id;
      proxy_pass_header Server; proxy_pass_header Date;
      add_header Via "1.1 kong/3.9.1"; add_header X-Kong-Request-Id $request_id;
      add_header X-Kong-Upstream-Latency $upstream_response_time;
      add_header X-Kong-Proxy-Latency $request_time;
    }}
  }}
"""
FILES = {"small": 110, "1k": 1024, "100k": 100 * 1024, "10m": 10 * 1024 * 1024}


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    for _ in range(200):
        with socket.socket() as sock:
            if sock.connect_ex(("127.0.0.1", port)) == 0:
                return
        if process.poll() is not None:
            sys.exit(f"benchmark: {process.args!r} ended with {process.returncode}")
        time.sleep(0.05)
    sys.exit(f"benchmark: nothing listens on {port}")


def cpu_seconds(pid: int) -> float:
    """User and system time of a process (proc(5))."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def start_nginx(directory: Path, server: str, port: int) -> subprocess.Popen[bytes]:
    directory.mkdir()
    config = directory / "nginx.conf"
    config.write_text(NGINX.format(dir=directory, server=server))
    process = subprocess.Popen(
        [shutil.which("nginx") or "/usr/sbin/nginx", "-p", str(directory), "-c", str(config)],
        stderr=subprocess.DEVNULL,
    )
    wait_for(port, process)
    return process


def start_kongtx(port: int, upstream: int, reactor: str, profile: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "benchmarks.proxy", "--serve", str(port), str(upstream)]
    command += ["--reactor", reactor]
    if profile:
        command += ["--profile", profile]
    process = subprocess.Popen(command)
    wait_for(port, process)
    return process


def measure(port: int, pid: int, path: str, seconds: int, connections: int) -> tuple[float, float]:
    """CPU microseconds a request, and requests a second."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", f"http://127.0.0.1:{port}{path}"]
    before = cpu_seconds(pid)
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    spent = cpu_seconds(pid) - before
    match = re.search(r"(\d+) requests in", output)
    rate = re.search(r"Requests/sec:\s*([\d.]+)", output)
    if match is None or rate is None or "Non-2xx" in output or "Socket errors" in output:
        sys.exit(f"benchmark: bad run of {' '.join(command)}:\n{output}")
    return spent / int(match[1]) * 1e6, float(rate[1])


def serve(port: int, upstream: int, reactor_name: str, profile: str) -> None:
    """Be the kongtx proxy."""
    if reactor_name == "kongtx":
        from kongtx.net.reactor import install  # noqa: PLC0415

        install()
    else:
        from twisted.internet import epollreactor  # noqa: PLC0415

        epollreactor.install()
    from twisted.internet import reactor  # noqa: PLC0415

    from kongtx.http.limits import Limits  # noqa: PLC0415
    from kongtx.proxy.gateway import Gateway, GatewaySettings  # noqa: PLC0415
    from kongtx.proxy.pools.pool import UpstreamPool  # noqa: PLC0415
    from tests.proxy import kit  # noqa: PLC0415

    balancer = kit.FixedBalancer(kit.Peer("127.0.0.1", upstream, b"upstream.test"))
    balancer.started = balancer.finished = lambda *_: None  # type: ignore[method-assign]
    router = kit.PrefixRouter([({**kit.ROUTE, "paths": ["/"]}, kit.SERVICE)])
    gateway = Gateway(
        GatewaySettings(limits=Limits(keepalive_requests=0)),
        kit.Snapshot(router, kit.Plugins(), balancer),
        UpstreamPool(reactor, max_requests=0),
        reactor,
    )
    reactor.listenTCP(port, gateway.listener_factory(), interface="127.0.0.1", backlog=4096)
    if profile:
        import cProfile  # noqa: PLC0415

        profiler = cProfile.Profile()
        reactor.addSystemEventTrigger("before", "shutdown", profiler.disable)
        profiler.enable()
        reactor.run()
        profiler.dump_stats(profile)
    else:
        reactor.run()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--serve", nargs=2, type=int, metavar=("PORT", "UPSTREAM"))
    parser.add_argument("--reactor", default="kongtx", choices=["kongtx", "epoll"])
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--files", default="small,100k", help=f"of {','.join(FILES)}")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--profile", default="", help="write cProfile's figures to this file")
    options = parser.parse_args()
    if options.serve:
        serve(*options.serve, options.reactor, options.profile)
        return
    with tempfile.TemporaryDirectory(prefix="kongtx-bench-") as name:
        run(Path(name), options)


def run(directory: Path, options: argparse.Namespace) -> None:
    upstream, by_nginx, by_kongtx = free_port(), free_port(), free_port()
    processes: list[subprocess.Popen[bytes]] = []
    try:
        files = directory / "upstream" / "files"
        processes.append(
            start_nginx(
                directory / "upstream",
                UPSTREAM.format(port=upstream, dir=directory / "upstream"),
                upstream,
            )
        )
        files.mkdir()
        for file, size in FILES.items():
            (files / file).write_bytes(b"x" * size)
        nginx = start_nginx(
            directory / "proxy", PROXY.format(port=by_nginx, upstream=upstream), by_nginx
        )
        processes.append(nginx)
        kongtx = start_kongtx(by_kongtx, upstream, options.reactor, options.profile)
        processes.append(kongtx)
        print(f"{'body':>6} {'nginx us':>9} {'kongtx us':>10} {'cpu ratio':>10} {'rate ratio':>11}")
        for file in options.files.split(","):
            best: dict[str, tuple[float, float]] = {}
            for _ in range(options.rounds):
                for proxy, port, process in (
                    ("nginx", by_nginx, nginx),
                    ("kongtx", by_kongtx, kongtx),
                ):
                    figures = measure(
                        port, process.pid, f"/{file}", options.seconds, options.connections
                    )
                    best[proxy] = min(best.get(proxy, figures), figures)
            (theirs, their_rate), (ours, our_rate) = best["nginx"], best["kongtx"]
            print(
                f"{file:>6} {theirs:9.1f} {ours:10.1f} {theirs / ours:10.2f}"
                f" {our_rate / their_rate:11.2f}",
                flush=True,
            )
    finally:
        for process in processes:
            process.send_signal(signal.SIGINT if process is processes[-1] else signal.SIGTERM)
        for process in processes:
            process.wait(10)


if __name__ == "__main__":
    main()
