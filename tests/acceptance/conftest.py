"""Applications and a gateway before them."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

import pytest
from attrs import frozen

from tests.integration.conftest import free_ports, running
from tests.integration.go_programs import built
from tests.proxy.greeter import Greeter

LARGE = 30_000_000


@frozen
class Ways:
    """An application's URLs, directly and through the gateway; no slash at the end."""

    direct: str
    through: str

    def both(self) -> tuple[str, str]:
        return self.direct, self.through


def both(ways: Ways, ask: Callable[[str], Any]) -> Any:
    """What is answered directly, which is what is answered through the gateway."""
    direct, through = map(ask, ways.both())
    assert through == direct
    return direct


@frozen
class Setup:
    """What runs: the application of Starlette, go-httpbin, a package index, a greeter.

    @ivar secure: the application through the gateway, by TLS.
    @ivar files: has in C{files} and C{index} what the first and the third serve.
    """

    application: Ways
    secure: str
    httpbin: Ways
    index: Ways
    greeter: Ways
    files: Path


CONFIGURATION = """
_format_version: "3.0"
services:
- name: application
  url: http://127.0.0.1:{application}/
  routes: [{{name: application, paths: [/application]}}]
- name: application-at-root
  url: http://127.0.0.1:{application}/
  routes: [{{name: application-at-root, hosts: [app.localhost]}}]
- name: httpbin
  url: http://127.0.0.1:{httpbin}/
  routes: [{{name: httpbin, hosts: [httpbin.test], preserve_host: true}}]
- name: index
  url: http://127.0.0.1:{index}/
  routes: [{{name: index, paths: [/index]}}]
- name: greeter
  url: grpc://127.0.0.1:{greeter}
  routes:
  - name: greeter
    protocols: [grpc]
    paths: [/helloworld.Greeter, /grpc.reflection]
"""


@contextmanager
def serving(command: list[str], url: str, log: Path, **environment: str) -> Iterator[None]:
    """A program, once it answers at a URL."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, env={**os.environ, **environment}, stdout=output, stderr=output
        )
    try:
        give_up = time.monotonic() + 60
        while True:
            assert process.poll() is None, log.read_text()
            try:
                with urllib.request.urlopen(url, timeout=5):
                    break
            except OSError:
                assert time.monotonic() < give_up, log.read_text()
                time.sleep(0.05)
        yield
    finally:
        process.terminate()
        process.wait(20)


@pytest.fixture(scope="session")
def setup() -> Iterator[Setup]:
    # Not pytest's own directory: paths of UNIX sockets are short.
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = folder / "files"
        files.mkdir()
        (files / "large.bin").write_bytes(Random(1).randbytes(LARGE))
        (files / "text.txt").write_text("some text, and more of it\n" * 500)
        (files / "index.html").write_text("<!doctype html><title>static</title>")
        with _applications(folder, files) as setup:
            yield setup


@contextmanager
def _applications(folder: Path, files: Path) -> Iterator[Setup]:
    application, httpbin, index = free_ports(3)
    greeter = Greeter()
    greeter_port = greeter.start()
    (folder / "kong.yml").write_text(
        CONFIGURATION.format(
            application=application, httpbin=httpbin, index=index, greeter=greeter_port
        )
    )
    (folder / "index").mkdir()
    uvicorn = [sys.executable, "-m", "uvicorn", "tests.acceptance.application:app"]
    local = ["--host", "127.0.0.1", "--port"]
    program = built("httpbin", "github.com/mccutchen/go-httpbin/v2/cmd/go-httpbin")
    pages = [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", str(index)]
    url = "http://127.0.0.1:{}/"
    try:
        with (
            serving(
                [*uvicorn, *local, str(application), "--no-access-log"],
                url.format(application) + "page",
                folder / "application.log",
                ACCEPTANCE_FILES=str(files),
                PYTHONPATH=os.getcwd(),
            ),
            serving(
                [program, "-host", "127.0.0.1", "-port", str(httpbin)],
                url.format(httpbin),
                folder / "httpbin.log",
            ),
            serving(
                [*pages, "--directory", str(folder / "index")],
                url.format(index),
                folder / "index.log",
            ),
            _gateway(folder) as (port, secure),
        ):
            yield Setup(
                Ways(url.format(application)[:-1], f"http://127.0.0.1:{port}/application"),
                f"https://127.0.0.1:{secure}/application",
                Ways(url.format(httpbin)[:-1], f"http://127.0.0.1:{port}"),
                Ways(url.format(index)[:-1], f"http://127.0.0.1:{port}/index"),
                Ways(f"127.0.0.1:{greeter_port}", f"127.0.0.1:{port}"),
                folder,
            )
    finally:
        greeter.stop()


@contextmanager
def _gateway(folder: Path) -> Iterator[tuple[int, int]]:
    port, secure = free_ports(2)
    properties = {
        "database": "off",
        "declarative_config": str(folder / "kong.yml"),
        "proxy_listen": f"127.0.0.1:{port} http2 reuseport, 127.0.0.1:{secure} http2 ssl reuseport",
        "proxy_access_log": "off",
    }
    with running(folder, **properties):
        yield port, secure
