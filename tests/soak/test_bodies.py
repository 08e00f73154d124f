"""Bodies larger than a machine's memory pass in a few MiB of it."""

from __future__ import annotations

import re
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import attrs
import pytest

from tests.runtime.running import RunningNode, children_of, free_port
from tests.soak.kit import before_nginx

SIZE = 10 << 30
#: What a worker may take more than before, whatever passes.
MOST_KIB = 8 * 1024

CONFIGURATION = """
_format_version: "3.0"
services:
- {{url: "http://127.0.0.1:{down}/", routes: [{{paths: [/down]}}]}}
- {{url: "http://127.0.0.1:{up}/", routes: [{{paths: [/up]}}]}}
"""

NGINX = """
worker_processes 1; daemon off; pid {folder}/pid; error_log {folder}/error.log; user root;
events {{ worker_connections 64; }}
http {{
  access_log off; sendfile on; root {folder};
  server {{ listen 127.0.0.1:{port}; }}
}}
"""


@attrs.define
class Sink:
    """Takes one request, counts its body and answers; it rests once in the middle.

    @ivar resting: set while it takes nothing.
    @ivar go_on: what it then waits for.
    """

    listener: socket.socket
    received: int = 0
    resting: threading.Event = attrs.field(factory=threading.Event)
    go_on: threading.Event = attrs.field(factory=threading.Event)

    def serve(self) -> None:
        connection, _ = self.listener.accept()
        with closing(connection):
            head = b""
            while b"\r\n\r\n" not in head:
                head += connection.recv(65536)
            self.received = len(head.partition(b"\r\n\r\n")[2])
            buffer = bytearray(1 << 20)
            while self.received < SIZE:
                got = connection.recv_into(buffer)
                if not got:
                    return
                self.received += got
                if self.received > SIZE // 2 and not self.resting.is_set():
                    self.resting.set()
                    self.go_on.wait(60)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")


@attrs.frozen
class Setup:
    node: RunningNode
    sink: Sink
    file: Path

    @property
    def worker(self) -> int:
        (pid,) = children_of(self.node.process.pid)
        return pid


@pytest.fixture
def setup() -> Iterator[Setup]:
    with tempfile.TemporaryDirectory() as name, socket.create_server(("127.0.0.1", 0)) as listener:
        folder, down = Path(name), free_port()
        file = folder / "down"
        with file.open("wb") as sparse:
            sparse.truncate(SIZE)
        up = listener.getsockname()[1]
        sink = Sink(listener)
        threading.Thread(target=sink.serve, daemon=True).start()
        nginx = NGINX.format(folder=folder, port=down)
        try:
            with before_nginx(folder, nginx, CONFIGURATION.format(down=down, up=up)) as node:
                yield Setup(node, sink, file)
        finally:
            sink.go_on.set()


def memory_kib(pid: int, name: str) -> int:
    found = re.search(rf"^{name}:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.M)
    assert found is not None
    return int(found[1])


def forget_peak(pid: int) -> int:
    """Begin to look for the peak of a process's resident memory; what it is now, in KiB."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")
    return memory_kib(pid, "VmRSS")


def curl(*arguments: str) -> subprocess.Popen[str]:
    command = ["curl", "-sS", "--http1.1", "-o", "/dev/null", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


@pytest.mark.long
def test_a_download_of_10_gib_takes_little_memory(setup: Setup) -> None:
    url = f"http://127.0.0.1:{setup.node.port}/down"
    warm = curl("-r", "0-99999999", f"{url}/down", "-w", "%{size_download}")
    assert warm.communicate()[0] == "100000000"
    before = forget_peak(setup.worker)
    client = curl(f"{url}/down", "-w", "%{http_code} %{size_download}")
    assert client.communicate(timeout=300)[0] == f"200 {SIZE}"
    assert memory_kib(setup.worker, "VmHWM") <= before + MOST_KIB


@pytest.mark.long
def test_an_upload_of_10_gib_takes_little_memory_even_while_the_upstream_rests(
    setup: Setup,
) -> None:
    before = forget_peak(setup.worker)
    url = f"http://127.0.0.1:{setup.node.port}/up"
    client = curl("-T", str(setup.file), url, "-w", "%{http_code} %{size_upload}")
    assert setup.sink.resting.wait(300)
    with pytest.raises(subprocess.TimeoutExpired):
        client.wait(2)
    setup.sink.go_on.set()
    assert client.communicate(timeout=300)[0] == f"200 {SIZE}"
    assert setup.sink.received == SIZE
    assert memory_kib(setup.worker, "VmHWM") <= before + MOST_KIB
