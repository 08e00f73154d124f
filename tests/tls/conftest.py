"""Real servers that demand client certificates, and what the gateway logs."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from twisted.logger import LogLevel, formatEvent, globalLogPublisher

from tests.tls.kit import authority, ca_pem, chain_pem, crl_pem, issued, key_pem


@pytest.fixture
def errors() -> Iterator[list[str]]:
    """The lines that are logged as errors or worse, without time and source."""
    yield from _lines(LogLevel.error, LogLevel.critical)


@pytest.fixture
def logged() -> Iterator[list[str]]:
    """The lines that are logged as warnings or worse, without time and source."""
    yield from _lines(LogLevel.warn, LogLevel.error, LogLevel.critical)


def _lines(*levels: object) -> Iterator[list[str]]:
    lines: list[str] = []

    def observe(event: dict[str, object]) -> None:
        if event.get("log_level") in levels:
            lines.append(formatEvent(event))

    globalLogPublisher.addObserver(observe)
    yield lines
    globalLogPublisher.removeObserver(observe)


def free_port() -> int:
    """A port that nobody listened on a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until a program listens."""
    give_up = time.monotonic() + 10
    while time.monotonic() < give_up:
        assert process.poll() is None, log.read_text()
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    pytest.fail(f"does not listen: {log.read_text()}")


@pytest.fixture
def directory() -> Iterator[Path]:
    """A directory with the server's certificate, the authority's, and its revocations."""
    with tempfile.TemporaryDirectory(prefix="kongtx-tls-") as name:
        path = Path(name)
        server = issued("upstream.test", "127.0.0.1")
        revoked = issued("revoked.test").cert_chain_pems[0].bytes()
        for file, text in (
            ("server.pem", chain_pem(server)),
            ("server.key", key_pem(server)),
            ("ca.pem", ca_pem()),
            ("crl.pem", crl_pem(authority(), [revoked])),
        ):
            (path / file).write_text(text)
        yield path


@pytest.fixture
def run(directory: Path) -> Iterator[Callable[..., int]]:
    """Starts a program that listens on a port, and ends it after the test; gives the port."""
    running: list[subprocess.Popen[bytes]] = []

    def start(*command: str, port: int) -> int:
        log = directory / "program.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                command, cwd=directory, stdin=subprocess.PIPE, stdout=output, stderr=output
            )
        running.append(process)
        wait_for(port, process, log)
        return port

    yield start
    for process in running:
        process.terminate()
        process.wait(10)


@pytest.fixture
def openssl_server(run: Callable[..., int]) -> int:
    """The port of an C{openssl s_server} that demands a client certificate."""
    port = free_port()
    options = "-cert server.pem -key server.key -CAfile ca.pem -CRL crl.pem -crl_check -www"
    return run(
        "openssl", "s_server", "-accept", f"127.0.0.1:{port}", *options.split(),
        "-Verify", "2", "-verify_return_error", port=port,
    )  # fmt: skip


_NGINX = """
daemon off; master_process off; pid nginx.pid; error_log stderr info;
events {{ }}
http {{
  access_log off;
  client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi; scgi_temp_path scgi;
  server {{
    listen 127.0.0.1:{port} ssl;
    ssl_certificate server.pem;
    ssl_certificate_key server.key;
    ssl_client_certificate ca.pem;
    ssl_crl crl.pem;
    ssl_verify_client {verify};
    ssl_session_cache shared:s:1m;
    keepalive_requests {requests};
    location / {{
      return 200 "$ssl_client_verify|$ssl_client_s_dn|$ssl_server_name|$ssl_session_reused";
    }}
  }}
}}
"""


@pytest.fixture
def nginx(run: Callable[..., int], directory: Path) -> Callable[..., int]:
    """Starts an nginx that tells what it sees of its client's TLS; gives its port."""
    program = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    assert program is not None

    def start(verify: str = "on", requests: int = 1000) -> int:
        port = free_port()
        text = _NGINX.format(port=port, verify=verify, requests=requests)
        (directory / "nginx.conf").write_text(text)
        return run(program, "-p", str(directory), "-c", "nginx.conf", port=port)

    return start
