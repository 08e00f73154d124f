"""The Python prompt in a worker."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import UNIXClientEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.threads import deferToThread

from kongtx.conf import from_values
from kongtx.runtime.errors import PrefixError
from kongtx.runtime.prefix import check_socket_paths, manhole_socket
from tests.plugins.proxied import Make


class Terminal(Protocol):
    """Waits for what the prompt shows."""

    def __init__(self) -> None:
        self.seen = b""
        self.waiting: list[tuple[bytes, Deferred[None]]] = []
        self.gone: Deferred[None] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        self.seen += data
        for wanted, waiting in list(self.waiting):
            if wanted in self.seen:
                self.waiting.remove((wanted, waiting))
                waiting.callback(None)

    def connectionLost(self, reason: Any = None) -> None:
        self.gone.callback(None)

    async def type(self, text: bytes, answer: bytes) -> None:
        """Type, and wait for an answer."""
        self.seen = b""
        waiting: Deferred[None] = Deferred()
        self.waiting.append((answer, waiting))
        self.transport.write(text)
        await waiting.addTimeout(10, reactor)


@pytest_twisted.ensureDeferred
async def test_there_is_none_unless_it_is_wanted(make_gateway: Make) -> None:
    gateway = await make_gateway()
    assert list(Path(gateway.conf.socket_path).glob("manhole*")) == []


@pytest_twisted.ensureDeferred
async def test_whoever_may_connect_can_look_around(make_gateway: Make) -> None:
    gateway = await make_gateway(manhole="unix")
    path = manhole_socket(gateway.conf, 0, os.getpid())
    mode = os.stat(path).st_mode
    assert stat.S_ISSOCK(mode)
    assert stat.S_IMODE(mode) == 0o600
    assert stat.S_IMODE(os.stat(os.path.dirname(path)).st_mode) == 0o700
    factory = Factory.forProtocol(Terminal)
    terminal: Any = await UNIXClientEndpoint(reactor, path).connect(factory)
    await terminal.type(b"1000 + 1\r", b"1001")
    await terminal.type(b"conf.database\r", b"'sqlite'")
    await terminal.type(b"x = wait(store['services'].page())\r", b">>> ")
    await terminal.type(b"x\r", b"Page(rows=[], offset=None)")
    await terminal.type(b"len(plugins) > 20\r", b"True")
    terminal.transport.write(b"\x04")
    await terminal.gone.addTimeout(10, reactor)
    await gateway.stop(keep_prefix=True)
    assert not os.path.exists(path)


@pytest_twisted.ensureDeferred
async def test_a_command_connects_to_it(make_gateway: Make) -> None:
    gateway = await make_gateway(manhole="unix")

    def run(*options: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "kongtx.cli.main", "manhole", "-p", gateway.conf.prefix]
        return subprocess.run(
            [*command, *options], input="print('seven', 3 + 4)\n", capture_output=True, text=True,
            timeout=30, check=False,
        )  # fmt: skip

    ran = await deferToThread(run)
    assert ran.returncode == 0, ran.stderr
    assert "seven 7" in ran.stdout
    other = await deferToThread(run, "--worker", "7")
    assert other.returncode == 1
    assert "worker 7 of the node at" in other.stderr
    assert "start the node with manhole = unix" in other.stderr


@pytest_twisted.ensureDeferred
async def test_statements_from_a_pipe_are_all_answered(make_gateway: Make) -> None:
    gateway = await make_gateway(manhole="unix")
    statements = (
        "wait(store['services'].page())\n"
        "for number in range(3):\n"
        "    print('number', number)\n"
        "\n"
        "from twisted.internet.task import deferLater\n"
        "deferLater(reactor, 0.2, lambda: 'at last')\n"
        "print('no newline', 6 * 7)"
    )

    def run() -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "kongtx.cli.main", "manhole", "-p", gateway.conf.prefix]
        return subprocess.run(
            command, input=statements, capture_output=True, text=True, timeout=30, check=False
        )

    ran = await deferToThread(run)
    assert ran.returncode == 0, ran.stderr
    shown = ran.stdout.splitlines()
    assert "number 2" in shown
    assert "no newline 42" in shown
    assert "Deferred #0 called back: Page(rows=[], offset=None)" in ran.stdout
    assert "Deferred #1 called back: 'at last'" in ran.stdout
    assert "\x1b" not in ran.stdout


@pytest_twisted.ensureDeferred
async def test_who_leaves_twice_does_not_wait(make_gateway: Make) -> None:
    gateway = await make_gateway(manhole="unix")
    path = manhole_socket(gateway.conf, 0, os.getpid())
    factory = Factory.forProtocol(Terminal)
    terminal: Any = await UNIXClientEndpoint(reactor, path).connect(factory)
    await terminal.type(b"from twisted.internet.defer import Deferred\r", b">>> ")
    await terminal.type(b"Deferred()\r", b"<Deferred #0>")
    terminal.transport.write(b"\x04\x04")
    await terminal.gone.addTimeout(10, reactor)


@pytest_twisted.ensureDeferred
async def test_who_writes_on_stays(make_gateway: Make) -> None:
    gateway = await make_gateway(manhole="unix")
    path = manhole_socket(gateway.conf, 0, os.getpid())
    factory = Factory.forProtocol(Terminal)
    terminal: Any = await UNIXClientEndpoint(reactor, path).connect(factory)
    await terminal.type(b"from twisted.internet.defer import Deferred\r", b">>> ")
    await terminal.type(b"late = Deferred()\r", b">>> ")
    await terminal.type(b"late\r", b"<Deferred #0>")
    # The first is for a line that has been begun; the second waits, until a line is written.
    await terminal.type(b"la\x04", b"\a")
    await terminal.type(b"te\r", b"<Deferred #0>")
    await terminal.type(b"\x041000 + 1\r", b"1001")
    await terminal.type(b"late.callback(7)\r", b"Deferred #0 called back: 7")
    await terminal.type(b"1000 + 2\r", b"1002")
    terminal.transport.write(b"\x04")
    await terminal.gone.addTimeout(10, reactor)


def test_its_socket_must_fit(tmp_path: Path) -> None:
    directory = str(tmp_path / ("x" * (85 - len(str(tmp_path)))))
    check_socket_paths(from_values(prefix=directory))
    with pytest.raises(PrefixError, match="the prefix is too long"):
        check_socket_paths(from_values(prefix=directory, manhole="unix"))
