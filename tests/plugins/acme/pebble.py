"""An ACME server of Let's Encrypt's, Pebble, that believes what it sees on loopback ports."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs
import trustme

from tests.integration.go_programs import built
from tests.tls.kit import chain_pem, key_pem

_MODULE = "github.com/letsencrypt/pebble/v2/cmd"


def free_port() -> int:
    """A port that nobody listened on a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


@attrs.frozen
class Pebble:
    """A running server.

    @ivar directory: its URL for clients.
    @ivar authority: a file with the certificate that vouches for the server itself.
    @ivar http_port: where it looks for proofs over HTTP, for any name.
    @ivar tls_port: and over TLS.
    """

    directory: str
    management: str
    authority: str
    http_port: int
    tls_port: int

    def root(self, number: int = 0) -> str:
        """The certificate of who issues, by one of several chains."""
        context = __import__("ssl").create_default_context(cafile=self.authority)
        url = f"{self.management}/roots/{number}"
        with urllib.request.urlopen(url, context=context, timeout=10) as answer:
            text: str = answer.read().decode()
            return text


@contextmanager
def pebble(folder: Path, **settings: Any) -> Iterator[Pebble]:
    """Start a server, and a name server that has every name on loopback; stop both in the end.

    @param settings: of its configuration, besides what is needed.
    """
    ca = trustme.CA()
    leaf = ca.issue_cert("localhost", "127.0.0.1")
    for name, text in (
        ("server.pem", chain_pem(leaf)),
        ("server.key", key_pem(leaf)),
        ("ca.pem", ca.cert_pem.bytes().decode()),
    ):
        (folder / name).write_text(text)
    listen, management, http, tls, dns, control = (free_port() for _ in range(6))
    config = {
        "listenAddress": f"127.0.0.1:{listen}",
        "managementListenAddress": f"127.0.0.1:{management}",
        "certificate": "server.pem",
        "privateKey": "server.key",
        "httpPort": http,
        "tlsPort": tls,
        "ocspResponderURL": "",
        "externalAccountBindingRequired": False,
        "retryAfter": {"authz": 1, "order": 1},
        **settings,
    }
    (folder / "pebble.json").write_text(json.dumps({"pebble": config}))
    names = ["-dnsserver", f"127.0.0.1:{dns}", "-management", f"127.0.0.1:{control}"]
    for unused in ("-http01", "-https01", "-tlsalpn01", "-doh", "-defaultIPv6"):
        names += [unused, ""]
    commands = [
        [built("pebble", f"{_MODULE}/pebble-challtestsrv"), *names],
        [
            built("pebble", f"{_MODULE}/pebble"),
            *("-config", "pebble.json", "-strict", "-dnsserver", f"127.0.0.1:{dns}"),
        ],
    ]
    # It otherwise waits before it looks, and refuses a nonce now and then.
    environment = {"PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": "0"}
    processes = []
    try:
        for number, command in enumerate(commands):
            processes.append(_started(command, folder, environment, folder / f"log{number}"))
        _wait_for((listen, management, control), processes, folder)
        yield Pebble(
            f"https://127.0.0.1:{listen}/dir",
            f"https://127.0.0.1:{management}",
            str(folder / "ca.pem"),
            http,
            tls,
        )
    finally:
        for process in processes:
            process.terminate()
            process.wait(10)


def _started(
    command: list[str], folder: Path, environment: Mapping[str, str], log: Path
) -> subprocess.Popen[bytes]:
    with log.open("wb") as output:
        return subprocess.Popen(
            command, cwd=folder, env={**os.environ, **environment}, stdout=output, stderr=output
        )


def _wait_for(
    ports: tuple[int, ...], processes: list[subprocess.Popen[bytes]], folder: Path
) -> None:
    give_up = time.monotonic() + 20
    for port in ports:
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                told = "".join(path.read_text() for path in sorted(folder.glob("log?")))
                assert all(each.poll() is None for each in processes), told
                assert time.monotonic() < give_up, told
                time.sleep(0.02)
