"""What is measured: one upstream, and nginx and kongtx before it, as alike as they can be."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import trustme

from benchmarks import chains
from benchmarks.harness import Processes, Proxy, free_port

ROUTES = 10_000
FILES = {"small": 110, "1k": 1024, "100k": 100 * 1024, "10m": 10 * 1024 * 1024}

UPSTREAM = """
  server {
    listen 127.0.0.1:%(port)d backlog=4096; root %(files)s;
    location /upload { return 200 "ok"; }
    location /bench.Greeter/ { default_type application/grpc; return 200 "hello"; }
  }
  upstream self { server 127.0.0.1:%(port)d; keepalive 64; }
  server {
    # By way of itself, as a return alone would answer before it has read the request.
    listen 127.0.0.1:%(grpc)d http2 backlog=4096;
    location / {
      proxy_pass http://self; proxy_http_version 1.1; proxy_set_header Connection "";
    }
  }
"""

PROXY = """
  upstream up { server 127.0.0.1:%(upstream)d; keepalive 256; keepalive_requests 1000000000; }
  upstream calls { server 127.0.0.1:%(grpc)d; keepalive 256; keepalive_requests 1000000000; }
  map $http_apikey $known { default 0; "secret" 1; }
  limit_req_zone $http_apikey zone=keys:1m rate=1000000r/s;
  ssl_certificate %(pem)s; ssl_certificate_key %(pem)s; ssl_session_tickets on;
  # As kongtx: without TLS 1.3, which this nginx may not have on, resuming needs no key exchange.
  ssl_protocols TLSv1.2 TLSv1.3; ssl_conf_command NumTickets 1;
  proxy_http_version 1.1; proxy_set_header Connection "keep-alive";
  proxy_set_header Host upstream.test; proxy_set_header Via "1.1 kong/3.9.1";
  proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
  proxy_set_header X-Forwarded-Proto $scheme; proxy_set_header X-Forwarded-Host $host;
  proxy_set_header X-Forwarded-Port $server_port; proxy_set_header X-Forwarded-Path $request_uri;
  proxy_set_header X-Real-IP $remote_addr; proxy_set_header X-Kong-Request-Id $request_id;
  proxy_pass_header Server; proxy_pass_header Date;
  add_header Via "1.1 kong/3.9.1"; add_header X-Kong-Request-Id $request_id;
  add_header X-Kong-Upstream-Latency $upstream_response_time;
  add_header X-Kong-Proxy-Latency $request_time;
  server {
    listen 127.0.0.1:%(plain)d backlog=4096; listen 127.0.0.1:%(http2)d http2 backlog=4096;
    listen 127.0.0.1:%(tls)d ssl http2 backlog=4096;
    location / { proxy_pass http://up; }
    location /guarded/ {
      if ($known = 0) { return 401; }
      limit_req zone=keys burst=100000 nodelay;
      proxy_pass http://up/;
    }
%(chains)s
    location /ws {
      proxy_pass http://127.0.0.1:%(echo)d; proxy_set_header Connection "upgrade";
      proxy_set_header Upgrade $http_upgrade;
    }
    location /bench.Greeter/ {
      grpc_pass grpc://calls; grpc_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      grpc_set_header X-Forwarded-Proto $scheme; grpc_set_header X-Forwarded-Host $host;
      grpc_set_header X-Forwarded-Port $server_port;
      grpc_set_header X-Forwarded-Path $request_uri; grpc_set_header X-Real-IP $remote_addr;
      grpc_set_header X-Kong-Request-Id $request_id; grpc_set_header Via "2 kong/3.9.1";
    }
  }
"""

MANY_NGINX = """
  upstream up { server 127.0.0.1:%(upstream)d; keepalive 256; keepalive_requests 1000000000; }
  proxy_http_version 1.1; proxy_set_header Connection "keep-alive";
  proxy_set_header Host upstream.test; proxy_set_header Via "1.1 kong/3.9.1";
  proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
  proxy_set_header X-Forwarded-Proto $scheme; proxy_set_header X-Forwarded-Host $host;
  proxy_set_header X-Forwarded-Port $server_port; proxy_set_header X-Forwarded-Path $request_uri;
  proxy_set_header X-Real-IP $remote_addr; proxy_set_header X-Kong-Request-Id $request_id;
  server {
    listen 127.0.0.1:%(port)d backlog=4096;
%(locations)s
  }
"""

DECLARED = """
_format_version: "3.0"
services:
- name: files
  url: http://127.0.0.1:%(upstream)d
  routes:
  - {name: all, paths: ["/"], strip_path: false}
%(chains)s
- name: echo
  url: http://127.0.0.1:%(echo)d
  routes:
  - {name: ws, paths: ["/ws"], strip_path: false}
- name: greeter
  url: grpc://127.0.0.1:%(grpc)d
  routes:
  - {name: calls, paths: ["/bench.Greeter/"], strip_path: false, protocols: [grpc, grpcs]}
consumers: %(consumers)s
"""


def start_upstreams(processes: Processes) -> dict[str, int]:
    """Start what the proxies ask."""
    files = processes.directory / "files"
    files.mkdir()
    for name, size in FILES.items():
        (files / name).write_bytes(b"x" * size)
        (files / f"{name}.lua").write_text(
            f'wrk.method = "POST"\nwrk.body = string.rep("x", {size})\n'
        )
    # One message of 5 bytes, framed as gRPC does.
    (files / "message").write_bytes(b"\0\0\0\0\5hello")
    ports = {"port": free_port(), "grpc": free_port(), "echo": free_port()}
    processes.nginx("upstream", UPSTREAM % {**ports, "files": files}, ports["port"])
    echo = [sys.executable, "-m", "benchmarks.loads", str(ports["echo"])]
    processes.start(echo, ports["echo"], cwd=Path(__file__).resolve().parent.parent)
    return ports


def start_proxies(processes: Processes, upstreams: dict[str, int]) -> tuple[Proxy, Proxy]:
    """Start nginx and kongtx."""
    pem = processes.directory / "server.pem"
    certificate = trustme.CA().issue_cert("localhost", "127.0.0.1")
    certificate.private_key_and_cert_chain_pem.write_to_path(str(pem))
    ports = {"upstream": upstreams["port"], "grpc": upstreams["grpc"], "echo": upstreams["echo"]}
    return _start_nginx(processes, ports, pem), _start_kongtx(processes, ports, pem)


def _start_nginx(processes: Processes, ports: dict[str, int], pem: Path) -> Proxy:
    mine = {"plain": free_port(), "http2": free_port(), "tls": free_port()}
    # Nothing of what plugins do, but for the first: it is what they are measured against.
    alike = "\n".join(
        f"    location /{name}/ {{ proxy_pass http://up/; }}"
        for name in chains.CHAINS
        if name != "guarded"
    )
    configuration = PROXY % {**ports, **mine, "pem": pem, "chains": alike}
    nginx = processes.nginx("nginx", configuration, mine["plain"])
    locations = "\n".join(
        f"    location /service-{number}/ {{ proxy_pass http://up/; }}" for number in range(ROUTES)
    )
    port = free_port()
    many = processes.nginx(
        "nginx-routes",
        MANY_NGINX % {"upstream": ports["upstream"], "port": port, "locations": locations},
        port,
    )
    return Proxy("nginx", nginx.pid, routes=port, routes_pid=many.pid, **mine)


def _start_kongtx(processes: Processes, ports: dict[str, int], pem: Path) -> Proxy:
    plain, tls, many = free_port(), free_port(), free_port()
    backlog = "backlog=4096"
    listen = f"127.0.0.1:{plain} http2 {backlog}, 127.0.0.1:{tls} ssl http2 {backlog}"
    text = DECLARED % {
        **ports,
        "chains": "\n".join(f"  - {json.dumps(route)}" for route in chains.routes()),
        "consumers": json.dumps(chains.CONSUMERS),
    }
    pid = processes.kongtx("kongtx", text, listen, plain, pem)
    declared = ['_format_version: "3.0"', "services:", "- name: files"]
    declared += [f"  url: http://127.0.0.1:{ports['upstream']}", "  routes:"]
    declared += [f'  - {{name: r{n}, paths: ["/service-{n}"]}}' for n in range(ROUTES)]
    routes_pid = processes.kongtx(
        "kongtx-routes", "\n".join(declared), f"127.0.0.1:{many} {backlog}", many, pem
    )
    return Proxy("kongtx", pid, plain, plain, tls, many, routes_pid)
