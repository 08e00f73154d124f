"""C{drain}, against a server that answers as the Status API does."""

import ssl
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import trustme

from tests.cli.conftest import Run

Serve = Callable[..., tuple[int, list[tuple[str, str, bytes]]]]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts a server that notes its requests; gives its port and the list of them."""
    servers = []

    def start(
        status: int = 204, *, is_tls: bool = False
    ) -> tuple[int, list[tuple[str, str, bytes]]]:
        requests: list[tuple[str, str, bytes]] = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                requests.append((self.path, self.headers["Content-Type"], body))
                self.send_response(status)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        server = HTTPServer(("127.0.0.1", 0), Handler)
        if is_tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        servers.append(server)
        return server.server_port, requests

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(("is_tls", "flags"), [(False, ""), (True, " ssl")])
def test_the_status_listener_is_told(run: Run, serve: Serve, is_tls: bool, flags: str) -> None:
    port, requests = serve(is_tls=is_tls)
    result = run("drain", KONG_STATUS_LISTEN=f"127.0.0.1:{port}{flags}")
    assert (result.exit_code, result.output) == (
        0,
        "kongtx's status successfully changed to 'draining'\n",
    )
    assert requests == [("/status/ready", "application/json", b'{"status": "draining"}')]


def test_another_status_is_told(run: Run, serve: Serve) -> None:
    port, _ = serve(500)
    result = run("drain", KONG_STATUS_LISTEN=f"127.0.0.1:{port}")
    assert (result.exit_code, result.output) == (
        0,
        f"Unexpected response status from http://127.0.0.1:{port}/status/ready: 500\n",
    )


def test_a_node_that_is_not_there_is_told(run: Run) -> None:
    result = run("drain", KONG_STATUS_LISTEN="127.0.0.1:1")
    assert result.exit_code == 0
    assert result.output.startswith("Failed to send request to http://127.0.0.1:1/status/ready: ")
    assert "Connection refused" in result.output


def test_a_node_without_status_listener_is_told(run: Run, tmp_path: Path) -> None:
    (tmp_path / "my.conf").write_text("status_listen = off\n")
    result = run("drain", "-c", "my.conf")
    assert (result.exit_code, result.output) == (
        0,
        "No status listeners found in configuration.\n",
    )
