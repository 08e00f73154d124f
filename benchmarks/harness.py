"""Processes to measure, nginx and kongtx before one upstream, and what the kernel says of them."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import attrs

REPOSITORY = Path(__file__).resolve().parent.parent


def free_port() -> int:
    """A port on which nobody listens just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    """Return when something listens on the port."""
    for _ in range(600):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        if process.poll() is not None:
            sys.exit(f"benchmark: {process.args!r} ended with {process.returncode}")
        time.sleep(0.05)
    sys.exit(f"benchmark: {process.args!r} does not listen on {port}")


def cpu_seconds(pid: int) -> float:
    """User and system time of a process (proc(5)); the kernel counts in ticks of 10 ms."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_kib(pid: int) -> int:
    """Memory of a process that is in RAM."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    return 0


def children(pid: int) -> list[int]:
    """The processes that a process has started."""
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def program(name: str) -> str:
    """The path of a program that must be there."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin")
    if found is None:
        sys.exit(f"benchmark: {name} is missing; tests/apt-packages.txt names its package")
    return found


@attrs.define
class Proxy:
    """A running proxy.

    @ivar pid: of the process that does the work.
    @ivar plain: port of its listener for HTTP/1.1 in the clear.
    @ivar http2: the same for HTTP/2.
    @ivar tls: the same for HTTPS.
    @ivar routes: of a listener before 10 000 routes.
    @ivar routes_pid: of the process behind it.
    """

    name: str
    pid: int
    plain: int
    http2: int
    tls: int
    routes: int
    routes_pid: int


class Processes:
    """What was started, to be stopped at the end."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._started: list[subprocess.Popen[bytes]] = []

    def start(self, command: list[str], port: int, **options: object) -> subprocess.Popen[bytes]:
        """Start a program; return when it listens."""
        log = (self.directory / f"{len(self._started)}.log").open("wb")
        process = subprocess.Popen(command, stdout=log, stderr=log, **options)  # type: ignore[call-overload]
        self._started.append(process)
        wait_for(port, process)
        return process  # type: ignore[no-any-return]

    def nginx(self, name: str, configuration: str, port: int) -> subprocess.Popen[bytes]:
        """Start nginx as one process."""
        directory = self.directory / name
        directory.mkdir(exist_ok=True)
        file = directory / "nginx.conf"
        file.write_text(NGINX % {"dir": directory, "http": configuration})
        return self.start([program("nginx"), "-p", str(directory), "-c", str(file)], port)

    def kongtx(self, name: str, declared: str, listen: str, port: int, pem: Path) -> int:
        """Start a node with one worker.

        @param pem: certificate and key.
        @return: the worker's pid.
        """
        prefix = self.directory / name
        prefix.mkdir(exist_ok=True)
        (prefix / "kong.yml").write_text(declared)
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("KONG")},
            "PYTHONPATH": str(REPOSITORY),
            "KONGTX_PREFIX": str(prefix),
            "KONGTX_DATABASE": "off",
            "KONGTX_DECLARATIVE_CONFIG": str(prefix / "kong.yml"),
            "KONGTX_PROXY_LISTEN": listen,
            "KONGTX_PROXY_ACCESS_LOG": "off",
            "KONGTX_SSL_CERT": str(pem),
            "KONGTX_SSL_CERT_KEY": str(pem),
            "KONGTX_ADMIN_LISTEN": "off",
            "KONGTX_ADMIN_GUI_LISTEN": "off",
            "KONGTX_STATUS_LISTEN": "off",
            "KONGTX_NGINX_WORKER_PROCESSES": "1",
            "KONGTX_NGINX_DAEMON": "off",
            "KONGTX_NGINX_USER": pwd.getpwuid(os.geteuid()).pw_name,
            "KONGTX_NGINX_HTTP_KEEPALIVE_REQUESTS": "1000000000",
            "KONGTX_UPSTREAM_KEEPALIVE_MAX_REQUESTS": "1000000000",
            "KONGTX_NGINX_HTTP_CLIENT_MAX_BODY_SIZE": "0",
        }
        command = [sys.executable, "-m", "kongtx.cli.main", "start", "-p", str(prefix)]
        master = self.start(command, port, env=environment, cwd=REPOSITORY)
        # The sockets listen before the worker accepts.
        for _ in range(600):
            if answers(port):
                break
            time.sleep(0.05)
        return children(master.pid)[0]

    def stop(self) -> None:
        """Stop everything that was started."""
        for process in reversed(self._started):
            process.send_signal(signal.SIGTERM)
        for process in self._started:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(5)


def answers(port: int) -> bool:
    """Whether a server in HTTP/1.1 answers."""
    try:
        with socket.create_connection(("127.0.0.1", port), 2) as client:
            client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            return client.recv(12).startswith(b"HTTP/1.1 ")
    except OSError:
        return False


NGINX = """
daemon off; master_process off; worker_processes 1; worker_rlimit_nofile 65536;
pid %(dir)s/pid; error_log %(dir)s/error.log;
events { worker_connections 32768; }
http {
  access_log off; keepalive_requests 1000000000; client_max_body_size 0;
  client_body_temp_path %(dir)s/body; proxy_temp_path %(dir)s/proxy; fastcgi_temp_path %(dir)s/f;
  uwsgi_temp_path %(dir)s/u; scgi_temp_path %(dir)s/s; default_type text/plain;
%(http)s
}
"""
