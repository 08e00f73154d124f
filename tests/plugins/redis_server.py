"""A Redis server for one test, on a port of its own."""

from __future__ import annotations

import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs

PROGRAM = shutil.which("redis-server")


@attrs.define
class RedisServer:
    """A running server, or one that a test has stopped and may start again."""

    folder: Path
    port: int
    options: tuple[str, ...] = ()
    _process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Start it, and wait until it takes connections."""
        assert PROGRAM is not None, "redis-server is not installed: see tests/apt-packages.txt"
        plain = () if "--tls-port" in self.options else ("--port", str(self.port))
        bare = (PROGRAM, "--bind", "127.0.0.1", "--save", "", "--dir", self.folder)
        self._process = subprocess.Popen(
            [*bare, *plain, *self.options], stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        output = ""
        for line in self._process.stdout:
            output += line
            if "Ready to accept connections" in line:
                return
        raise AssertionError(f"redis-server did not start:\n{output}")

    def stop(self) -> None:
        """Stop it, if it runs."""
        process, self._process = self._process, None
        if process is not None:
            process.terminate()
            process.communicate(timeout=10)


@contextmanager
def redis_server(folder: Path, *options: str) -> Iterator[RedisServer]:
    """Start a server and stop it in the end; C{PORT} in an option stands for its port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = RedisServer(folder, port, tuple(each.replace("PORT", str(port)) for each in options))
    server.start()
    try:
        yield server
    finally:
        server.stop()
